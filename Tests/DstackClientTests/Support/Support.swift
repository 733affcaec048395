import DstackAttestation
import DstackEncoding
import Foundation
import Testing

/// The error that a call ends with.
func clientError<Value: ~Copyable>(
    _ body: () async throws(DstackClientError) -> Value
) async -> DstackClientError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

extension AgentKey {
    borrowing func hexForTest() -> String { withUnsafeBytes { Hex.encode(Array($0)) } }
}
