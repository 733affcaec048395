package import DstackEncoding
internal import DstackMeasurement

extension EventLog {
    /// Reads dstack's JSON form: an array of objects with `imr`, `event_type`, `digest`, `event`, `event_payload` and,
    /// for runtime events of version 2, `version` and `preimage`. Unknown members are ignored; a blank or absent `digest` is
    /// nil.
    ///
    /// - Throws: ``AttestationError`` naming the member, for text that is not JSON, a member twice, a register above 3, or a
    ///   digest that is not of 48 bytes.
    public init(json text: [UInt8]) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
            try EventLog(JSONDocument(parsing: text, subject: "event_log").root)
        }
    }

    /// The same for text that is at hand as a `String`.
    public init(json text: String) throws(AttestationError) {
        try self.init(json: Array(text.utf8))
    }

    /// Reads a record with one JSON object a line: runtime events as a guest keeps them (``RuntimeEvent/parse(log:)``), or
    /// entries of the JSON form. A record without boot events leads to RTMR3 alone.
    ///
    /// - Throws: ``AttestationError`` naming line and member.
    public init(record text: [UInt8]) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
            var events: [LoggedEvent] = []
            for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
            where !line.allSatisfy(EvidenceRecognition.isSpace) {
                let root = try JSONDocument(
                    parsing: Array(line), subject: "line \(index + 1) of the event log", maximumDepth: 8
                ).root
                let isEntry = root["imr"] != nil || root["event_payload"] != nil
                events.append(try isEntry ? LoggedEvent(root) : LoggedEvent(RuntimeEvent(root)))
            }
            return EventLog(events)
        }
    }

    package init(_ node: JSONNode) throws(DecodingFailure) {
        var events: [LoggedEvent] = []
        events.reserveCapacity(node.count)
        for element in try node.array() { events.append(try LoggedEvent(element)) }
        self.init(events)
    }

    /// dstack's JSON form, byte for byte as upstream writes it: compact, members in a fixed order, `version` only where
    /// it is not 1, `preimage` only where there is one.
    public var json: String {
        var writer = ByteWriter(capacity: events.count * 256)
        writer.u8(UInt8(ascii: "["))
        for (index, event) in events.enumerated() {
            if index > 0 { writer.u8(UInt8(ascii: ",")) }
            event.appendJSON(to: &writer)
        }
        writer.u8(UInt8(ascii: "]"))
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

extension LoggedEvent {
    init(_ node: JSONNode) throws(DecodingFailure) {
        let imr = try node.member("imr")
        let number = try imr.integer(UInt32.self)
        guard let register = UInt8(exactly: number).flatMap(RTMR.init) else {
            throw imr.failure("register \(number); a trust domain has 0 to 3", .unsupported)
        }
        var digest: Measurement384?
        if let digestNode = node["digest"] {
            let bytes = try digestNode.hexBytes()
            digest = Measurement384(bytes)
            guard digest != nil || bytes.isEmpty else {
                throw digestNode.failure("\(bytes.count) bytes; a digest has 48, or is blank")
            }
        }
        self.init(
            register: register, type: MeasuredEventType(rawValue: try node.member("event_type").integer()),
            digest: digest, name: try node.member("event").string(),
            payload: try node.member("event_payload").hexBytes(),
            version: try RuntimeEvent.Version(optional: node.optionalMember("version")),
            preimage: try node.optionalMember("preimage")?.hexBytes())
    }

    fileprivate func appendJSON(to writer: inout ByteWriter) {
        writer.append("{\"imr\":\(register.rawValue),\"event_type\":\(type.rawValue),\"digest\":\"".utf8)
        writer.hex(digest?.bytes ?? [])
        writer.append("\",\"event\":".utf8)
        writer.jsonString(name)
        writer.append(",\"event_payload\":\"".utf8)
        writer.hex(payload)
        writer.u8(UInt8(ascii: "\""))
        if version != .v1 { writer.append(",\"version\":\(version.rawValue)".utf8) }
        if let preimage {
            writer.append(",\"preimage\":\"".utf8)
            writer.hex(preimage)
            writer.u8(UInt8(ascii: "\""))
        }
        writer.u8(UInt8(ascii: "}"))
    }
}

extension RuntimeEvent.Version {
    /// 1 where the member is absent.
    init(optional node: JSONNode?) throws(DecodingFailure) {
        guard let node else {
            self = .v1
            return
        }
        guard let version = Self(rawValue: try node.integer()) else {
            throw node.failure("runtime events have version 1 or 2", .unsupported)
        }
        self = version
    }
}
