import DstackEncoding
import DstackSystem
internal import Glibc

/// The file that ``CollateralFloors`` are kept in. Replaced as a whole.
enum FloorsFile {
    /// Its name in the directory.
    static let name = "floors.json"
    /// Of the file that its writers lock.
    static let lockName = "floors.lock"
    private static let format = 2
    /// Of both authorities' revocation lists, of a TEE's identities and of some thousand families there are a few megabytes.
    private static let maximumBytes = 64 << 20

    private typealias Key = CollateralFloors.Key
    private typealias Record = CollateralFloors.Record

    /// Whether a subject has a record for each evaluation data number.
    static func isTCBData(_ key: CollateralFloors.Key) -> Bool { isTCBData(key.subject) }

    private static func isTCBData(_ subject: String) -> Bool {
        subject.hasPrefix("tcb_info ") || subject.hasPrefix("qe_identity ")
    }

    static func exists(in directory: String) -> Bool {
        (try? File.readRegular("\(directory)/\(name)", limit: maximumBytes)) != nil
    }

    static func write(
        _ records: [CollateralFloors.Key: [CollateralFloors.Record]], to directory: String
    ) throws(SystemError) {
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.member("format", format)
            object.array("floors") { array in
                for key in records.keys.sorted(by: { ($0.anchor.hex, $0.subject) < ($1.anchor.hex, $1.subject) }) {
                    for record in (records[key] ?? []).sorted(by: { $0.mark < $1.mark }) {
                        array.object { write(key, record, to: &$0) }
                    }
                }
            }
        }
        try AtomicFile.write(writer.bytes, to: "\(directory)/\(name)", mode: .readable)
    }

    private static func write(_ key: Key, _ record: Record, to item: inout JSONWriter.Object) {
        item.member("anchor", key.anchor.hex)
        item.member("subject", key.subject)
        item.member("number", Hex.encode(record.mark.number))
        item.member("issued", record.mark.issued)
        if let revoked = record.mark.revoked { item.member("revoked", revoked) }
        if isTCBData(key) { item.member("standard", record.isStandard) }
        if let document = record.document { item.object("document") { document.write(to: &$0) } }
    }

    static func load(_ directory: String) throws(AttestationError) -> [CollateralFloors.Key: [CollateralFloors.Record]]
    {
        let path = "\(directory)/\(name)"
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.readRegular(path, limit: maximumBytes)
        } catch {
            guard error.code == ENOENT else { throw unusable(path, error.reason) }
            guard !CollateralStore.hasEntriesUnderFloors(directory) else {
                throw unusable(path, "it is missing, and collateral that was kept together with it is there")
            }
            return [:]
        }
        do throws(DecodingFailure) {
            let root = try JSONDocument(parsing: bytes, subject: name).root
            let found = try root.member("format").integer(Int.self)
            guard 1...format ~= found else {
                throw DecodingFailure(.unsupported, name, "another format than \(format)")
            }
            var records: [Key: [Record]] = [:]
            for item in try root.member("floors").array() {
                let (key, record) = found == 1 ? try formerRecord(item) : try self.record(item)
                _ = CollateralFloors.merge(record, into: &records[key, default: []], byNumber: isTCBData(key))
            }
            return records
        } catch {
            throw unusable(path, "it is damaged: \(error.description)")
        }
    }

    private static func record(_ item: JSONNode) throws(DecodingFailure) -> (Key, Record) {
        let subject = try item.member("subject").string()
        let key = Key(anchor: try item.member("anchor").fixedHex(), subject: subject)
        let revoked = try item.optionalMember("revoked").map { node throws(DecodingFailure) in
            try node.integer(Int.self)
        }
        var record = Record(
            mark: .init(
                number: try item.member("number").hexBytes(), issued: try item.member("issued").integer(),
                revoked: revoked),
            isStandard: isTCBData(subject) ? try item.member("standard").bool() : false)
        guard let node = try item.optionalMember("document") else { return (key, record) }
        let document = try CollateralDocument(node)
        // What stands in for others must be what it is listed as.
        let described = try document.item()
        guard described.subject.name == subject, described.mark == record.mark else {
            throw node.failure("the document is another than the one that is described")
        }
        record.document = document
        return (key, record)
    }

    /// Of format 1, which had no documents, and generations by what was asked for. They bind as they did.
    private static func formerRecord(_ item: JSONNode) throws(DecodingFailure) -> (Key, Record) {
        var subject = try item.member("subject").string()
        var isStandard = false
        if isTCBData(subject), let space = subject.lastIndex(of: " ") {
            isStandard = subject[space...] == " standard"
            subject = String(subject[..<space])
        }
        let key = Key(anchor: try item.member("anchor").fixedHex(), subject: subject)
        let mark = CollateralMarks.Mark(
            number: try item.member("number").hexBytes(), issued: try item.member("issued").integer())
        return (key, Record(mark: mark, isStandard: isStandard))
    }

    private static func unusable(_ path: String, _ reason: String) -> AttestationError {
        AttestationError(
            .damagedFloors, subject: path,
            reason:
                "\(reason); it says how new collateral was when it was last verified, so that nothing older is accepted",
            hint: "restore it; or, if you know why it is so, remove the directory's *.json together and begin anew")
    }
}
