import DstackAttestation
import DstackAttestedHTTP
import Glibc

/// What the service knows of itself, and what it answers.
struct Service: Sendable {
    let agent: DstackClient
    private let info: AgentInfo
    private let isSimulated: Bool
    private let page: AttestedPage

    /// Asks the agent who this is.
    init(_ agent: DstackClient) async throws {
        self.agent = agent
        info = try await agent.info()
        // A simulated TEE's quotes are signed like real ones, but say whose they are.
        isSimulated = try await agent.quote(reportData: []).isSimulated
        var page = AttestedPage(of: info, isSimulated: isSimulated)
        page.sections = [
            .init(
                "Evidence for a challenge",
                [
                    .text("Bytes that you chose, 8 to 64 of them in hexadecimal, come back in a new quote (JSON):"),
                    .facts([
                        ("Address", "/quote?nonce=HEX"), ("Hashed under the tag", Self.challengeTag.text),
                        ("Expect", "dstack-verifier report-data HEX --tag \(Self.challengeTag.text)"),
                    ]),
                ])
        ]
        self.page = page
    }

    /// A fresh key, and a certificate for a day with evidence about it.
    func identity() async throws -> TLSIdentity {
        var request = TLSIdentityRequest(subject: "attested-service", alternativeNames: ["localhost", "127.0.0.1"])
        let now = Int64(time(nil))
        // Clocks differ; a client whose own is behind should not be turned away.
        request.validity = (now - 300)...(now + 86_400)
        return try await agent.tlsIdentity(request)
    }

    func answer(_ request: AttestedServerRequest) async -> AttestedServerResponse {
        guard request.method == "GET" || request.method == "HEAD" else { return .text(405, "only GET\n") }
        switch request.path {
        // Browsers get a page, curl a text.
        case "/": return request.prefersPage ? page.response(to: request) : .text(200, greeting)
        case "/quote": return await quote(nonce: parameter("nonce", of: request))
        default: return page.problem(404, "No such page", "There is nothing at this address.", for: request)
        }
    }

    private var greeting: String {
        """
        Hello from \(info.appName), application \(info.appID).
        Its compose file has the hash \(info.composeHash).
        \(isSimulated ? "This TEE is simulated: nothing is proven about hardware." : "It runs in an Intel TDX trust domain.")

        Do not take my word for it:  dstack verify https://ADDRESS --app-compose YOUR-COPY
        Evidence for a challenge:    /quote?nonce=HEX  (8 to 64 bytes)
        What must be in it:          dstack-verifier report-data HEX --tag \(Self.challengeTag.text)

        """
    }

    // MARK: Challenges

    /// What challenges are hashed under. Without a tag of its own, a stranger could have this service quote whatever he
    /// likes, a key of his among it, and pass for it.
    private static let challengeTag = ReportData.Tag("attested-service-challenge")

    /// Evidence over a stranger's nonce: JSON with quote, log and configuration.
    private func quote(nonce text: String?) async -> AttestedServerResponse {
        guard let text, let nonce = bytes(text), (8...64).contains(nonce.count) else {
            return .text(400, "nonce: 8 to 64 bytes in hexadecimal\n")
        }
        do {
            let quote = try await agent.quote(reportData: ReportData(tag: Self.challengeTag, content: nonce))
            let json = """
                {"quote":"\(hex(quote.bytes))","report_data":"\(quote.reportData)",\
                "report_data_tag":"\(Self.challengeTag.text)","simulated":\(isSimulated),\
                "event_log":\(quote.eventLogJSON),"vm_config":\(quote.vmConfig.isEmpty ? "null" : quote.vmConfig)}

                """
            return .json(Array(json.utf8))
        } catch {
            // The reason is for whoever runs this, not for strangers.
            complain("no quote: \(error)")
            return .text(503, "no quote to be had at the moment\n")
        }
    }
}

/// A value of the query that needs no decoding, as hexadecimal digits do not.
private func parameter(_ name: String, of request: AttestedServerRequest) -> String? {
    for item in (request.query ?? "").split(separator: "&") where item.hasPrefix("\(name)=") {
        return String(item.dropFirst(name.utf8.count + 1))
    }
    return nil
}

private func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// The bytes of hexadecimal digits; nil for anything else.
private func bytes(_ digits: String) -> [UInt8]? {
    let values = digits.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
    guard values.count.isMultiple(of: 2), values.count <= 1_024 else { return nil }
    return stride(from: 0, to: values.count, by: 2).reduce(into: [UInt8]?([])) { bytes, index in
        guard let high = values[index], let low = values[index + 1] else { return bytes = nil }
        bytes?.append(UInt8(high << 4 | low))
    }
}
