internal import DstackEncoding

/// The file that describes an application: what runs, what it may see, where its keys come from.
///
/// Guests, KMS and verifiers know it by the SHA-256 of its bytes, ``composeHash``. The canonical text is a convention of
/// the tools that write such files, so that the same description gives the same file.
public struct AppCompose: Sendable {
    /// The file as it was delivered.
    public let bytes: [UInt8]
    private let document: JSONDocument

    /// The most bytes that a file may have, 50 MiB: upstream's guests take no larger ones, and this is the limit of every
    /// program and library here. Applications may carry their payload inline.
    public static let maximumByteCount = 50 << 20

    /// Reads a file.
    ///
    /// - Throws: ``AttestationError/Code/invalidCompose`` for anything but one JSON object without repeated members, and for
    ///   more than ``maximumByteCount`` bytes. A byte-order mark is refused, as guests refuse it.
    public init(parsing bytes: [UInt8]) throws(AttestationError) {
        do throws(DecodingFailure) {
            guard bytes.count <= Self.maximumByteCount else {
                throw DecodingFailure(
                    .tooLarge, Self.subject, "\(bytes.count) bytes, at most \(Self.maximumByteCount) are read")
            }
            document = try JSONDocument(parsing: bytes, subject: Self.subject)
        } catch {
            throw Self.refusal(bytes) ?? AttestationError(.invalidCompose, error)
        }
        guard document.root.kind == .object else {
            throw (document.root.kind == .string ? Self.misnomer(bytes) : nil)
                ?? AttestationError(
                    .invalidCompose, document.root.failure("an object expected, found \(document.root.kindName)"))
        }
        self.bytes = bytes
    }

    /// A file without the byte-order mark that an editor may have put before it: to read what it says, never to hash it.
    public static func withoutMark(_ bytes: [UInt8]) -> [UInt8] { EvidenceRecognition.withoutMark(bytes) }

    private static let subject = "app-compose.json"

    /// What a file is that is no JSON; nil where its reader says it better.
    private static func refusal(_ bytes: [UInt8]) -> AttestationError? {
        guard bytes.count <= maximumByteCount else { return nil }
        if EvidenceRecognition.withoutMark(bytes).count != bytes.count {
            return AttestationError(
                .invalidCompose, subject: subject, reason: "it begins with a byte-order mark, which guests do not read",
                hint: "save it as UTF-8 without one")
        }
        let file = EvidenceFile(recognising: bytes)
        switch file.kind {
        // What begins as JSON and is none, its reader says where.
        case .text where bytes.first { !EvidenceRecognition.isSpace($0) } == UInt8(ascii: "{"): return nil
        case .binary, .object, .composeFile: return nil
        default: return misnomer(bytes)
        }
    }

    /// What a file is that was given as an app-compose.json and is, by its members or its form, something else; nil where it
    /// can be one, or where nothing more can be said.
    package static func misnomer(_ bytes: [UInt8]) -> AttestationError? {
        guard bytes.count <= maximumByteCount else { return nil }
        let file = EvidenceFile(recognising: bytes)
        func refusal(_ reason: String, _ hint: String) -> AttestationError {
            AttestationError(.invalidCompose, subject: subject, reason: reason, hint: hint)
        }
        // Whatever else is in it: guests run what has these.
        if let object = file.object, object["manifest_version"] != nil || object["docker_compose_file"] != nil,
            bytes.first(where: { !EvidenceRecognition.isSpace($0) }) == UInt8(ascii: "{")
        {
            return nil
        }
        switch file.kind {
        case .object, .binary: return nil
        case .text:
            return refusal("this is \(file.described); a compose file is a JSON object", "give the app-compose.json")
        case .composeFile:
            // Braces begin the object itself; anything else is a form that it was put into.
            guard let start = bytes.first(where: { !EvidenceRecognition.isSpace($0) }), start != UInt8(ascii: "{"),
                withoutMark(bytes).count == bytes.count
            else { return nil }
            return refusal(
                start == UInt8(ascii: "\"")
                    ? "this is a compose file in a JSON string" : "this is a compose file in another form of text",
                "write what is in it, byte for byte: the member's value, as `jq -j` prints it")
        case .agentInfo, .agentAnswer:
            return refusal(
                "this is \(file.described), not the compose file",
                "an agent's Info answer has its text in tcb_info.app_compose; what an agent says of itself is no copy of "
                    + "your own")
        case .dockerCompose, .utf16:
            return refusal("this is \(file.described); a compose file is needed", file.kind.hint)
        // About the way it came, which is what has to be mended.
        case .markup, .empty, .null, .zeros, .compressed, .hexDump, .damagedHexadecimal, .agentError:
            return file.refusal(.invalidCompose, wanted: "a compose file", subject: subject)
        default:
            return refusal(
                "this is \(file.described); a compose file is needed", "name the app-compose.json that was deployed")
        }
    }

    /// Reads somebody's own copy of a file, whatever byte-order mark an editor put before it, and refuses what is something
    /// else by the name of what it is.
    package init(ownCopy bytes: [UInt8]) throws(AttestationError) {
        try self.init(parsing: Self.withoutMark(bytes))
        if let misnomer = Self.misnomer(bytes) { throw misnomer }
    }

    /// The hash of the file, as it is measured.
    public var composeHash: ComposeHash { ComposeHash(ofFile: bytes) }

    /// The id of the application if its deployer gives it no other.
    public var defaultAppID: AppID { AppID(defaultFor: composeHash) }

    /// The description in the form that upstream's JavaScript SDK writes: members sorted at every level (as JavaScript
    /// orders them, array indices first), no white space, no escapes that JSON does not need, numbers as JavaScript
    /// prints them, null for numbers out of range.
    ///
    /// - Parameter isNormalized: whether members without effect are dropped: `docker_compose_file` where the runner is
    ///   `bash`, `bash_script` where it is `docker-compose` or `nerdctl-compose`, and an empty `pre_launch_script`.
    public func canonicalText(isNormalized: Bool = false) -> String {
        var leavingOut: Set<String> = []
        if isNormalized {
            switch try? document.root["runner"]?.string() {
            case "bash": leavingOut.insert("docker_compose_file")
            case "docker-compose", "nerdctl-compose": leavingOut.insert("bash_script")
            default: break
            }
            if let script = document.root["pre_launch_script"], script.isNull || script.equals("") {
                leavingOut.insert("pre_launch_script")
            }
        }
        // This form has a text for every number, so that nothing can be thrown.
        let text = try? CanonicalJSON.encode(document.root, as: .ecmaScript, leavingOut: leavingOut)
        return String(decoding: text ?? [], as: UTF8.self)
    }

    /// The compose hash that a file with exactly the canonical text would have.
    public func canonicalHash(isNormalized: Bool = false) -> ComposeHash {
        ComposeHash(ofFile: Array(canonicalText(isNormalized: isNormalized).utf8))
    }
}
