import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import Foundation
import Synchronization
import TestKit

/// A service of a test's own, with every question that it was asked.
final class Peer: Sendable {
    struct Question: Sendable {
        let method: HTTPMethod
        let path: String
        let headers: HTTPHeaders
        let body: [UInt8]
    }

    private let server: HTTPServer
    private let seen = Shared<[Question]>([])
    let url: String

    var questions: [Question] { seen.value }

    /// - Parameter host: an address of this machine.
    init(at host: String = "127.0.0.1", _ answer: @escaping @Sendable (Question) async -> HTTPServerResponse)
        async throws
    {
        server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("peer", .tcp(host: host, port: 0))])
        ) { [seen] request in
            let question = Question(
                method: request.method, path: request.path, headers: request.headers, body: request.body)
            seen.edit { $0.append(question) }
            return await answer(question)
        }
        url = try await server.start()[0].description
    }

    func stop() async { await server.stop(within: .zero) }
}

/// An Ethereum node of a test's own.
final class FakeNode: Sendable {
    enum Answer: Sendable {
        /// JSON text of a result.
        case result(String)
        /// JSON text of an error.
        case error(String)
        /// Nothing that JSON-RPC knows.
        case raw(HTTPServerResponse)
    }

    /// What it says, of which tests change parts.
    struct Chain: Sendable {
        var id: UInt64 = 7
        var head: UInt64 = 100
        var time = UInt64(Date.now.timeIntervalSince1970)
        /// By block, whose number is given.
        var hash: @Sendable (UInt64) -> String = { "0x" + digits(UInt8(truncatingIfNeeded: $0), 32) }
        var isAllowed: @Sendable (UInt64) -> Bool = { _ in true }
        var reason = "App not registered"
        var gateway = "0xc44e"
        var delay = Duration.zero
    }

    let chain: Shared<Chain>
    private let peer: Peer
    private let methods = Shared<[String]>([])
    private static let last = Atomic<UInt8>(1)

    var url: String { peer.url }
    /// The methods that were called, and at which block.
    var calls: [String] { methods.value }

    /// - Parameter change: answers in place of the chain, where it has something to say.
    init(
        _ chain: Chain = Chain(),
        instead change: @escaping @Sendable (_ method: String, _ tag: String) -> Answer? = { _, _ in nil }
    ) async throws {
        let shared = Shared(chain)
        self.chain = shared
        // Each at a host of its own, as parties that may agree are.
        let number = Self.last.wrappingAdd(1, ordering: .relaxed).newValue
        peer = try await Peer(at: "127.0.\(number / 100 + 1).\(number % 100 + 2)") { [methods] question in
            guard let root = try? JSONDocument(parsing: question.body, subject: "question").root,
                let method = try? root.member("method").string(), let id = try? root.member("id").integer(Int.self)
            else { return .text(400, "no question") }
            let parameters = root["params"].map { Array($0.elements) } ?? []
            let isCall = method == "eth_call"
            let tag = (try? parameters.dropFirst(isCall ? 1 : 0).first?.string()) ?? ""
            methods.edit { $0.append("\(method) \(tag)") }
            let chain = shared.value
            if chain.delay > .zero { try? await Task.sleep(for: chain.delay) }
            let data = isCall ? (try? parameters.first?.member("data").string()) ?? "" : ""
            switch change(method, tag) ?? Self.answer(chain, method, tag, data) {
            case .raw(let response): return response
            case .result(let text): return .json(Array(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(text)}"#.utf8))
            case .error(let text): return .json(Array(#"{"jsonrpc":"2.0","id":\#(id),"error":\#(text)}"#.utf8))
            }
        }
    }

    func stop() async { await peer.stop() }

    private static func answer(_ chain: Chain, _ method: String, _ tag: String, _ data: String) -> Answer {
        let number = tag.hasPrefix("0x") ? UInt64(tag.dropFirst(2), radix: 16) ?? 0 : chain.head
        switch method {
        case "eth_chainId": return .result("\"0x\(String(chain.id, radix: 16))\"")
        case "eth_getBlockByNumber":
            guard number <= chain.head else { return .result("null") }
            // A block every second.
            let time = chain.time - (chain.head - number)
            return .result(
                #"{"number":"0x\#(String(number, radix: 16))","hash":"\#(chain.hash(number))","timestamp":"0x\#(String(time, radix: 16))"}"#
            )
        case "eth_call":
            guard number <= chain.head else { return .error(#"{"code":-32000,"message":"header not found"}"#) }
            switch data.prefix(10) {
            case "0x95f51931": return .result("\"0x\(word(32))\(string(chain.gateway))\"")
            case "0x25a992da": return .result("\"0x\(String(repeating: "0", count: 24))\(digits(0x77, 20))\"")
            default:
                let isAllowed = chain.isAllowed(number)
                return .result("\"0x\(word(isAllowed ? 1 : 0))\(word(64))\(string(isAllowed ? "" : chain.reason))\"")
            }
        default: return .error(#"{"code":-32601,"message":"no such method"}"#)
        }
    }

    private static func word(_ number: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 64 - text.count) + text
    }

    private static func string(_ text: String) -> String {
        let bytes = Array(text.utf8)
        let padding = (32 - bytes.count % 32) % 32
        return word(bytes.count) + Hex.encode(bytes) + String(repeating: "00", count: padding)
    }
}
