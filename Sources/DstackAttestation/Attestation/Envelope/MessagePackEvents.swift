internal import DstackEncoding
internal import DstackMeasurement

extension MessagePackReader {
    /// A structure whose members must all be there, but for the optional ones.
    mutating func members(
        _ names: [String], optional: [Int] = [], _ subject: StaticString,
        _ member: (inout MessagePackReader, Int) throws(DecodingFailure) -> Void
    ) throws(DecodingFailure) {
        let start = offset
        let seen = try structure(names, subject, member)
        for index in names.indices where !seen.contains(index) && !optional.contains(index) {
            throw DecodingFailure(.malformed, "\(subject)", at: start, "member \(names[index]) is missing")
        }
    }

    /// The member `kind` of the structure that comes next, which stays to be read.
    func kindOfNext(_ subject: StaticString) throws(DecodingFailure) -> String {
        var ahead = self
        var kind = ""
        try ahead.members(["kind", "data"], subject) { (reader, index) throws(DecodingFailure) in
            if index == 0 { kind = try reader.string("kind") } else { try reader.skipValue("data") }
        }
        return kind
    }

    /// Reads the member `data` of the structure that comes next, whatever its place.
    mutating func dataOfKind(
        _ subject: StaticString, _ body: (inout MessagePackReader) throws(DecodingFailure) -> Void
    ) throws(DecodingFailure) {
        try members(["kind", "data"], subject) { (reader, index) throws(DecodingFailure) in
            if index == 0 { try reader.skipValue("kind") } else { try body(&reader) }
        }
    }

    /// A number that must fit into 32 bits.
    mutating func unsigned32(_ subject: StaticString) throws(DecodingFailure) -> UInt32 {
        let start = offset
        let value = try unsigned(subject)
        guard let small = UInt32(exactly: value) else {
            throw DecodingFailure(.malformed, "\(subject)", at: start, "\(value) does not fit into 32 bits")
        }
        return small
    }

    /// The version of an event.
    mutating func eventVersion() throws(DecodingFailure) -> RuntimeEvent.Version {
        let start = offset
        let number = try unsigned("event version")
        guard let version = UInt8(exactly: number).flatMap(RuntimeEvent.Version.init) else {
            throw DecodingFailure(.unsupported, "event version", at: start, "1 and 2 are known, not \(number)")
        }
        return version
    }
}

extension RuntimeEvent {
    init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        var name = ""
        var payload: [UInt8] = []
        var version = Version.v1
        try reader.members(["event", "payload", "version"], optional: [2], "runtime event") {
            (reader, index) throws(DecodingFailure) in
            switch index {
            case 0: name = try reader.string("runtime event name")
            case 1: payload = try reader.bytes("runtime event payload")
            default: version = try reader.eventVersion()
            }
        }
        self.init(name: name, payload: payload, version: version)
    }

    func encode(to writer: inout MessagePackWriter) {
        writer.map(version == .v1 ? 2 : 3)
        writer.string("event")
        writer.string(name)
        writer.string("payload")
        writer.binary(payload)
        if version != .v1 {
            writer.string("version")
            writer.unsigned(UInt64(version.rawValue))
        }
    }
}

extension LoggedEvent {
    init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        var event = LoggedEvent(register: .rtmr0, type: .noAction, digest: nil)
        let names = ["imr", "event_type", "digest", "event", "event_payload", "version", "preimage"]
        try reader.members(names, optional: [2, 5, 6], "event") { (reader, index) throws(DecodingFailure) in
            let start = reader.offset
            switch index {
            case 0: event.register = try RTMR(imr: try reader.unsigned("imr"), at: start)
            case 1: event.type = MeasuredEventType(rawValue: try reader.unsigned32("event_type"))
            case 2: event.digest = try Self.digest(try reader.bytes("event digest"), at: start)
            case 3: event.name = try reader.string("event name")
            case 4: event.payload = try reader.bytes("event payload")
            case 5: event.version = try reader.eventVersion()
            default: event.preimage = try Self.preimage(&reader)
            }
        }
        self = event
    }

    func encode(to writer: inout MessagePackWriter) {
        writer.map(5 + (version == .v1 ? 0 : 1) + (preimage == nil ? 0 : 1))
        writer.string("imr")
        writer.unsigned(UInt64(register.rawValue))
        writer.string("event_type")
        writer.unsigned(UInt64(type.rawValue))
        writer.string("digest")
        writer.binary(digest?.bytes ?? [])
        writer.string("event")
        writer.string(name)
        writer.string("event_payload")
        writer.binary(payload)
        if version != .v1 {
            writer.string("version")
            writer.unsigned(UInt64(version.rawValue))
        }
        if let preimage {
            writer.string("preimage")
            writer.string(Hex.encode(preimage))
        }
    }

    /// Hexadecimal text here too, unlike all other bytes of the envelope: upstream keeps preimages as text in memory. Bytes
    /// are read all the same.
    private static func preimage(_ reader: inout MessagePackReader) throws(DecodingFailure) -> [UInt8]? {
        if try reader.skipNull() { return nil }
        guard reader.isAtString else { return try reader.bytes("event preimage") }
        return try Hex.decode(try reader.string("event preimage"), subject: "event preimage")
    }
}
