import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import Synchronization

/// A local HTTPS server that answers as Intel's service and its caches do, with faults where a test wants them.
final class CollateralServer: Sendable {
    /// What goes wrong with one answer.
    typealias Fault = @Sendable (HTTPServerResponse) async -> HTTPServerResponse

    private struct State {
        var collateral: QuoteCollateral
        var pckChain: (leaf: String, issuers: String, tcbm: String)?
        /// Path endings with what goes wrong next, first come first served; the last fault of a list stays.
        var faults: [String: [Fault?]] = [:]
        var targets: [String] = []
        var subscriptionKeys: [String?] = []
        /// How root CRLs are served: nil for 404, as Intel's own service does.
        var rootCRL: (@Sendable (QuoteCollateral) -> [UInt8])? = { Array(Hex.encode($0.rootCACRL).utf8) }
        var spelling = Spelling.pcs
    }

    /// How the issuer chain headers of TDX answers are called.
    enum Spelling {
        case pcs
        case sgx
        case lowerCase
    }

    private let server: HTTPServer
    private let shared: SharedState
    let url: String
    /// The server's own certificate, which clients must trust.
    let authority: [UInt8]

    init(_ collateral: QuoteCollateral) async throws {
        let (certificate, key) = try Self.makeIdentity()
        authority = certificate
        let state = SharedState(State(collateral: collateral))
        server = HTTPServer(
            HTTPServerConfiguration(listeners: [
                HTTPListener(
                    "pcs", .tcp(host: "127.0.0.1", port: 0),
                    tls: HTTPServerTLS(certificateChain: certificate, privateKey: key))
            ])
        ) { await Self.respond(to: $0, state) }
        shared = state
        let bound = try await server.start()
        url = "https://127.0.0.1:\(bound.first?.port ?? 0)"
    }

    private final class SharedState: Sendable {
        let value: Mutex<State>

        init(_ value: sending State) { self.value = Mutex(value) }
    }

    func stop() async { await server.stop(within: .zero) }

    // MARK: What tests ask and change

    /// Targets of all requests so far, in order of arrival.
    var targets: [String] { shared.value.withLock { $0.targets } }
    var requestCount: Int { targets.count }
    var subscriptionKeys: [String?] { shared.value.withLock { $0.subscriptionKeys } }

    func set(_ collateral: QuoteCollateral) { shared.value.withLock { $0.collateral = collateral } }

    func set(spelling: Spelling) { shared.value.withLock { $0.spelling = spelling } }

    func serveRootCRL(_ body: (@Sendable (QuoteCollateral) -> [UInt8])?) { shared.value.withLock { $0.rootCRL = body } }

    func servePCK(leaf: String, issuers: String, tcbm: String) {
        shared.value.withLock { $0.pckChain = (leaf, issuers, tcbm) }
    }

    /// Lets answers to a path ending go wrong, one after the other; nil is an answer as it should be. The last one stays.
    func fail(_ ending: String, _ faults: Fault?...) { shared.value.withLock { $0.faults[ending] = faults } }

    static let all = ""

    static func status(_ status: Int, _ headers: HTTPHeaders = [:]) -> Fault {
        { _ in HTTPServerResponse(status, headers: headers) }
    }

    // MARK: Answers

    private static func respond(to request: HTTPServerRequest, _ shared: SharedState) async -> HTTPServerResponse {
        let (response, fault) = shared.value.withLock { state -> (HTTPServerResponse, Fault?) in
            state.targets.append(request.path + (request.query.map { "?\($0)" } ?? ""))
            state.subscriptionKeys.append(request.headers["Ocp-Apim-Subscription-Key"])
            var fault: Fault?
            if let ending = state.faults.keys.filter({ request.path.hasSuffix($0) }).max(by: { $0.count < $1.count }),
                var list = state.faults[ending], let first = list.first
            {
                fault = first
                if list.count > 1 { list.removeFirst() }
                state.faults[ending] = list
            }
            return (answer(request, state), fault)
        }
        guard let fault else { return response }
        return await fault(response)
    }

    private static func answer(_ request: HTTPServerRequest, _ state: State) -> HTTPServerResponse {
        let collateral = state.collateral
        let tee = request.path.hasPrefix("/tdx/") ? "tdx" : "sgx"
        func header(_ name: String, _ chain: String) -> HTTPHeaders {
            var name = name
            if state.spelling == .lowerCase { name = name.lowercased() }
            return [name: HTTPSyntax.percentEncoded(chain)]
        }
        func document(_ member: String, _ text: String, _ signature: [UInt8], _ headers: HTTPHeaders)
            -> HTTPServerResponse
        {
            let body = "{\"\(member)\":\(text),\"signature\":\"\(Hex.encode(signature))\"}"
            return HTTPServerResponse(200, headers: headers, body: Array(body.utf8))
        }
        switch request.path {
        case "/\(tee)/certification/v4/tcb":
            let name = tee == "tdx" && state.spelling != .sgx ? "TCB-Info-Issuer-Chain" : "SGX-TCB-Info-Issuer-Chain"
            return document(
                "tcbInfo", collateral.tcbInfo, collateral.tcbInfoSignature,
                header(name, collateral.tcbInfoIssuerChain))
        case "/\(tee)/certification/v4/qe/identity":
            return document(
                "enclaveIdentity", collateral.qeIdentity, collateral.qeIdentitySignature,
                header("SGX-Enclave-Identity-Issuer-Chain", collateral.qeIdentityIssuerChain))
        case "/sgx/certification/v4/pckcrl":
            return HTTPServerResponse(
                200, headers: header("SGX-PCK-CRL-Issuer-Chain", collateral.pckCRLIssuerChain), body: collateral.pckCRL)
        case "/sgx/certification/v4/rootcacrl":
            guard let body = state.rootCRL else { return .notFound }
            return HTTPServerResponse(200, body: body(collateral))
        case "/root.der":
            return HTTPServerResponse(200, body: collateral.rootCACRL)
        case "/sgx/certification/v4/pckcert":
            guard let chain = state.pckChain else { return .notFound }
            var headers = header("SGX-PCK-Certificate-Issuer-Chain", chain.issuers)
            headers.add("SGX-TCBm", chain.tcbm)
            return HTTPServerResponse(200, headers: headers, body: Array(chain.leaf.utf8))
        default: return .notFound
        }
    }

    private static func makeIdentity() throws -> (certificate: [UInt8], key: [UInt8]) {
        let key = P256.PrivateKey()
        let builder = CertificateBuilder(
            subject: X509.Name(.commonName("local collateral service")), publicKey: key.publicKey.spki,
            notBefore: .seconds(1_577_836_800), notAfter: .seconds(2_524_607_999),
            extensions: [
                .basicConstraints(isAuthority: true), .subjectAltName([.dns("localhost"), .ip([127, 0, 0, 1])]),
            ])
        let pem = PEM.encode("CERTIFICATE", try builder.signed(by: key))
        return (Array(pem.utf8), key.pkcs8PEM.copiedToUnprotectedMemory())
    }
}
