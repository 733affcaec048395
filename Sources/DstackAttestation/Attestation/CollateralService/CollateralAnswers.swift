import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem

/// A signed document as a service gave it.
struct SignedDocument: Hashable, Sendable {
    /// The very bytes of the inner object, which are what was signed.
    let text: String
    let signature: [UInt8]
    /// PEM, leaf first.
    let issuerChain: String

    /// Takes `{"<member>": {…}, "signature": "<hex>"}` and the issuer chain of a header apart.
    ///
    /// The inner object is cut out of the body as it stands. Parsing and writing it again would change it where a number
    /// or an escape can be written in two ways, and then no signature fits any more.
    init(
        _ response: HTTPResponse, member: StaticString, chainHeaders: [String]
    ) throws(CollateralFailure) {
        if let page = HTMLPage.description(of: response.body) {
            throw .permanent("\(page) in place of JSON", .address)
        }
        do throws(DecodingFailure) {
            // A mark stands outside of what is signed.
            let body = EvidenceRecognition.withoutMark(response.body)
            let root = try JSONDocument(parsing: body, subject: "answer", maximumDepth: 20).root
            let inner = try root.member(member)
            guard inner.kind == .object else { throw inner.failure("an object expected, found \(inner.kindName)") }
            guard let text = String(validating: inner.rawBytes, as: UTF8.self) else {
                throw inner.failure("not UTF-8")
            }
            self.text = text
            signature = try root.member("signature").fixedHex(FixedBytes<64>.self).bytes
        } catch {
            throw .permanent(error)
        }
        issuerChain = try Self.chain(response, chainHeaders)
    }

    /// The PEM chain of the first of these headers that is there; its value is percent-encoded.
    static func chain(_ response: HTTPResponse, _ names: [String]) throws(CollateralFailure) -> String {
        guard let value = names.lazy.compactMap({ response.headers[$0] }).first else {
            throw .permanent("the header \(names.joined(separator: " or ")) is missing")
        }
        let name = names.first { response.headers.contains($0) } ?? ""
        guard let text = HTTPSyntax.percentDecoded(value) else {
            throw .permanent("the header \(name) is not percent-encoded text")
        }
        do throws(DecodingFailure) {
            let certificates = try PEM.decode(Array(text.utf8), label: "CERTIFICATE")
            guard !certificates.isEmpty else {
                throw DecodingFailure(.malformed, "issuer chain", "no certificate in it")
            }
            for certificate in certificates { _ = try Certificate(der: certificate) }
        } catch {
            throw .permanent("the header \(name): \(error.description)")
        }
        return text
    }

    /// Whether this is TCB info for what was asked. Its signature is for verification to judge; but an answer about
    /// something else is no answer, and the next service may have the right one.
    func checkTCBInfo(_ request: CollateralRequest) throws(CollateralFailure) {
        let info: TCBInfo
        do throws(DecodingFailure) { info = try TCBInfo(parsing: Array(text.utf8)) } catch { throw .permanent(error) }
        guard info.fmspc == request.fmspc else {
            throw .permanent("TCB info of another platform: FMSPC \(info.fmspc.hex), asked for \(request.fmspc.hex)")
        }
        guard info.id == request.tee.name else {
            throw .permanent("TCB info for \(SafeText.quoted(info.id, limit: 20)), asked for \(request.tee.name)")
        }
        try Self.check(info.evaluationDataNumber, request.selector)
    }

    func checkQEIdentity(_ request: CollateralRequest) throws(CollateralFailure) {
        let identity: QEIdentity
        do throws(DecodingFailure) {
            identity = try QEIdentity(parsing: Array(text.utf8))
        } catch {
            throw .permanent(error)
        }
        let expected = request.tee == .tdx ? "TD_QE" : "QE"
        guard identity.id == expected else {
            throw .permanent(
                "identity of the enclave \(SafeText.quoted(identity.id, limit: 20)), asked for \(expected)")
        }
        try Self.check(identity.evaluationDataNumber, request.selector)
    }

    private static func check(_ number: UInt32, _ selector: TCBDataSelector) throws(CollateralFailure) {
        guard case .evaluationDataNumber(let wanted) = selector, wanted != number else { return }
        throw .permanent("evaluation data number \(number), asked for \(wanted)")
    }
}

/// What a service says by an answer that is none, though its status is a success.
enum AnswerForm {
    /// - Throws: for an answer that nobody could read, by the name of what it is.
    static func check(_ response: HTTPResponse) throws(CollateralFailure) {
        guard response.status == 200 else {
            throw .permanent("status \(response.status), which brings no data: 200 is expected", .address)
        }
        guard !response.body.isEmpty else { throw .permanent("an empty answer (status 200)") }
        if response.body.starts(with: [0x1F, 0x8B]) {
            throw .permanent("a gzip-compressed answer, which was not asked for", .address)
        }
        if let coding = response.headers["Content-Encoding"], !HTTPSyntax.equalIgnoringCase(coding, "identity") {
            throw .permanent(
                "an answer with the content encoding \(SafeText.quoted(coding, limit: 20)), which was not asked for",
                .address)
        }
    }

    /// The most bytes of an answer that are words: what was asked for is longer.
    private static let maximumWords = 1024

    /// What a service says in place of what it was asked for, in quotes; empty where that is no text.
    static func words(of response: HTTPResponse) -> String {
        guard response.status == 200, 1...maximumWords ~= response.body.count,
            let text = String(validating: response.body, as: UTF8.self),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 && !["\n", "\r", "\t"].contains($0) }),
            !text.trimmed.isEmpty
        else { return "" }
        return "; it says \(SafeText.quoted(text.trimmed, limit: 160))"
    }
}

/// Revocation lists as services give them.
enum RevocationListAnswer {
    static func der(_ body: [UInt8]) throws(CollateralFailure) -> [UInt8] {
        do throws(DecodingFailure) {
            return try RevocationListForm.der(body)
        } catch {
            throw .permanent(error.description, HTMLPage.description(of: body) == nil ? nil : .address)
        }
    }

    /// Where the last certificate of a chain says that the list of its issuer is.
    static func distributionPoint(ofLastIn chain: String) throws(CollateralFailure) -> String {
        do throws(DecodingFailure) {
            guard let last = try PEM.decode(Array(chain.utf8), label: "CERTIFICATE").last,
                let value = try Certificate(der: last).value(of: .crlDistributionPoints)
            else { throw DecodingFailure(.malformed, "root certificate", "it names no distribution point for its CRL") }
            return try firstAddress(Array(value))
        } catch {
            throw .permanent(error)
        }
    }

    /// RFC 5280, section 4.2.1.13: the first URI of the first full name.
    private static func firstAddress(_ value: [UInt8]) throws(DecodingFailure) -> String {
        var outer = DERReader(value.span.bytes)
        var points = try outer.constructed(.sequence, "CRL distribution points")
        while !points.isAtEnd {
            var point = try points.constructed(.sequence, "CRL distribution point")
            guard point.nextTag == .constructedContext(0) else { continue }
            var name = try point.constructed(.constructedContext(0), "distribution point name")
            guard name.nextTag == .constructedContext(0) else { continue }
            var names = try name.constructed(.constructedContext(0), "full name")
            while !names.isAtEnd {
                let entry = try names.any("distribution point name")
                if entry.tag == .context(6) { return String(decoding: entry.bytes, as: UTF8.self) }
            }
        }
        throw DecodingFailure(.malformed, "CRL distribution points", "no address among them")
    }
}
