import DstackConcurrency
package import DstackNetwork
package import DstackRPC
import DstackSystem

/// The way to a local key provider. It sees and can change everything on it: what comes back is nothing until
/// ``SealingKeyExchange`` has verified it.
package protocol SealingKeySource: Sendable {
    func sealingKey(_ request: SealingKeyRequest) async throws(KeyProviderError) -> SealingKeyResponse
}

/// A provider that is reached over a stream socket: how hosts reach it.
package struct DirectSealingKeySource: SealingKeySource {
    /// Where it listens unless it is told otherwise.
    package static let usualAddress = SocketAddress.tcp(host: "127.0.0.1", port: 3443)

    private let address: SocketAddress
    private let timeout: Duration
    private let worker = BlockingWorker(capacity: 32)

    /// - Parameter timeout: for the whole exchange.
    package init(_ address: SocketAddress = Self.usualAddress, timeout: Duration = .seconds(30)) {
        self.address = address
        self.timeout = timeout
    }

    package func sealingKey(_ request: SealingKeyRequest) async throws(KeyProviderError) -> SealingKeyResponse {
        let frame = try SealingKeyFrame.encode(request.json)
        let deadline = ContinuousClock.now + timeout
        // A moment more than the socket's own deadline, which says better what is late.
        let outcome = await worker.run(within: timeout + .seconds(1)) { [address] in
            Result { () throws(KeyProviderError) in try Self.exchange(frame, address, deadline) }
        }
        switch outcome {
        case .success(let result): return try SealingKeyResponse(json: result.get())
        case .failure(let rejection):
            throw KeyProviderError(.unavailable, "key provider at \(address)", "no answer: \(rejection)")
        }
    }

    private static func exchange(
        _ frame: [UInt8], _ address: SocketAddress, _ deadline: ContinuousClock.Instant
    ) throws(KeyProviderError) -> [UInt8] {
        do {
            let connection = try DeadlineConnection(
                address, named: "key provider at \(address)", deadline: deadline)
            try connection.send(frame)
            let count = try SealingKeyFrame.byteCount(prefix: connection.receive(SealingKeyFrame.prefixByteCount))
            return try connection.receive(count)
        } catch let error as KeyProviderError {
            throw error
        } catch {
            throw KeyProviderError(
                .unavailable, "key provider at \(address)", "\(error)",
                hint: "a provider that refuses a request hangs up; its log says why")
        }
    }
}

/// A provider behind the host's interface for guests, which passes requests on.
package struct HostSealingKeySource: SealingKeySource {
    private let host: RPCClient
    private let timeout: Duration

    /// - Parameters:
    ///   - host: the host's interface.
    ///   - timeout: for the whole exchange.
    package init(_ host: RPCClient, timeout: Duration = .seconds(60)) {
        self.host = host
        self.timeout = timeout
    }

    package func sealingKey(_ request: SealingKeyRequest) async throws(KeyProviderError) -> SealingKeyResponse {
        let asked = HostAPIRPC.GetSealingKeyRequest.with { $0.quote = request.quote }
        do throws(RPCClientError) {
            let answer = try await host.call(HostAPIRPC.HostApi.getSealingKey, asked, timeout: timeout)
            return SealingKeyResponse(encryptedKey: answer.encryptedKey, providerQuote: answer.providerQuote)
        } catch {
            throw KeyProviderError(.unavailable, "key provider behind the host", "\(error)")
        }
    }
}
