import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Synchronization

/// One node that is asked, by JSON-RPC over HTTP.
final class EthereumNode: Sendable {
    /// Without what may be a key in its path: for messages.
    let name: String
    /// By which it counts as a party.
    let host: HostOfOrigin
    private let url: String
    private let client: HTTPClient
    private let count = Atomic<UInt64>(0)

    /// A block's transactions come along by their hashes; nothing else is as long.
    private static let maximumAnswerBytes = 4 << 20

    /// - Parameter timeout: for one question.
    init(_ url: String, connectTimeout: Duration, timeout: Duration) throws(AuthorizationError) {
        let origin: HTTPOrigin
        do throws(HTTPClientError) { origin = try HTTPOrigin(of: url) } catch {
            throw AuthorizationError(
                .invalidConfiguration, subject: "URL of an Ethereum node", reason: error.reason,
                hint: "give an address such as http://localhost:8545")
        }
        self.url = url
        name = origin.description
        host = HostOfOrigin(origin)
        var http = HTTPClientConfiguration(
            limits: HTTPClientLimits(
                maximumBodyBytes: Self.maximumAnswerBytes, maximumHeaderBytes: 16 << 10,
                connectTimeout: connectTimeout, totalTimeout: timeout))
        http.proxy = .fromEnvironment(reaching: origin)
        client = HTTPClient(http)
    }

    func chainID() async throws(AuthorizationError) -> UInt64 {
        try await ask("eth_chainId", { _ in }) { (result) throws(DecodingFailure) in try result.quantity() }
    }

    /// - Parameter tag: `latest`, `safe`, `finalized`, or a number (``numberTag(_:)``).
    func block(_ tag: String) async throws(AuthorizationError) -> EthereumBlock {
        let parameters: (inout JSONWriter.Elements) -> Void = { array in
            array.element(tag)
            // Its transactions by their hashes alone.
            array.raw("false".utf8)
        }
        let block = try await ask("eth_getBlockByNumber", parameters) { (result) throws(DecodingFailure) in
            result.isNull ? nil : try EthereumBlock(result)
        }
        guard let block else { throw failure(.unavailable, "it has no block \(tag)") }
        return block
    }

    static func numberTag(_ number: UInt64) -> String { "0x" + String(number, radix: 16) }

    /// What a contract returns to a call at a block.
    func call(_ contract: FixedBytes<20>, _ data: [UInt8], at number: UInt64) async throws(AuthorizationError)
        -> [UInt8]
    {
        let parameters: (inout JSONWriter.Elements) -> Void = { array in
            array.object { call in
                call.member("to", "0x" + contract.hex)
                call.member("data", "0x" + Hex.encode(data))
            }
            array.element(Self.numberTag(number))
        }
        let returned = try await ask("eth_call", parameters) { (result) throws(DecodingFailure) in
            try result.prefixedBytes()
        }
        guard !returned.isEmpty else {
            throw failure(.invalidAnswer, "there is no such contract at 0x\(contract.hex), or it has no such function")
        }
        return returned
    }

    func failure(_ code: AuthorizationError.Code, _ reason: String) -> AuthorizationError {
        AuthorizationError(code, subject: name, reason: reason)
    }

    // MARK: JSON-RPC

    private func ask<Answer>(
        _ method: String, _ parameters: (inout JSONWriter.Elements) -> Void,
        _ read: (JSONNode) throws(DecodingFailure) -> Answer
    ) async throws(AuthorizationError) -> Answer {
        let id = count.wrappingAdd(1, ordering: .relaxed).newValue
        var writer = JSONWriter()
        writer.object { object in
            object.member("jsonrpc", "2.0")
            object.member("id", id)
            object.member("method", method)
            object.array("params", parameters)
        }
        let body = try await send(writer.bytes)
        let outcome: Result<Answer, Refusal>
        do throws(DecodingFailure) { outcome = try Self.read(body, id, method, read) } catch {
            throw failure(.invalidAnswer, error.description)
        }
        switch outcome {
        case .success(let answer): return answer
        case .failure(let refusal):
            // A contract that reverts does so at every node; other errors are the node's own.
            throw refusal.isRevert
                ? failure(.invalidAnswer, "the contract reverted: \(refusal.text)")
                : failure(.unavailable, "refused \(method): \(refusal.text)")
        }
    }

    /// The error of a node in place of a result.
    private struct Refusal: Error {
        let isRevert: Bool
        let text: String

        init(_ error: JSONNode) throws(DecodingFailure) {
            let message = SafeText.line(try error.member("message").string(), limit: 256)
            // Some nodes have an object there.
            let data = try? error["data"]?.prefixedBytes()
            let reason = data.flatMap { KMSContract.revertReason($0) }
            isRevert =
                reason != nil || message.lowercased().contains("revert")
                || (try? error["code"]?.integer(Int64.self)) == 3
            text = reason.map { SafeText.line($0, limit: 256) } ?? message
        }
    }

    private static func read<Answer>(
        _ body: [UInt8], _ id: UInt64, _ method: String, _ read: (JSONNode) throws(DecodingFailure) -> Answer
    ) throws(DecodingFailure) -> Result<Answer, Refusal> {
        let root = try JSONDocument(parsing: body, subject: "answer to \(method)", maximumDepth: 32).root
        if let error = try root.optionalMember("error") { return .failure(try Refusal(error)) }
        guard try root.member("id").integer(UInt64.self) == id else {
            throw root.failure("it is the answer to another question")
        }
        return .success(try read(root.member("result")))
    }

    private func send(_ body: [UInt8]) async throws(AuthorizationError) -> [UInt8] {
        var request = HTTPRequest(.post, url, body: body)
        request.headers.add("Content-Type", "application/json")
        // Every question only reads.
        request.mayBeRepeated = true
        let response: HTTPResponse
        do throws(HTTPClientError) { response = try await client.send(request) } catch {
            throw AuthorizationError(asking: name, error)
        }
        guard response.isSuccess else {
            let text = SafeText.line(TextCut.prefix(response.body, atMost: 256), limit: 256)
            throw failure(.unavailable, "returned \(response.status): \(text)")
        }
        return response.body
    }
}
