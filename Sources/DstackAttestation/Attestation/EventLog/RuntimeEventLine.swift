internal import DstackEncoding

// The guest's own record, /run/log/dstack/runtime_events.log: one JSON object a line, payloads in base64.

extension RuntimeEvent {
    /// The event as a line of the guest's record, without the line's end.
    public var logLine: String {
        var writer = ByteWriter(capacity: name.utf8.count + payload.count * 2 + 40)
        writer.append("{\"event\":".utf8)
        writer.jsonString(name)
        writer.append(",\"payload\":\"\(Base64.encode(payload))\"".utf8)
        if version != .v1 { writer.append(",\"version\":\(version.rawValue)".utf8) }
        writer.u8(UInt8(ascii: "}"))
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Reads one line of the guest's record.
    ///
    /// - Throws: ``AttestationError`` naming the member that is wrong. Unknown members are ignored.
    public init(logLine: String) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
            try RuntimeEvent(line: Array(logLine.utf8)[...], subject: "runtime event")
        }
    }

    /// Reads a whole record. An empty text has no events; the last line may lack its end.
    ///
    /// - Throws: ``AttestationError`` naming the line. A line that was cut short, as a crash may leave it, is an error: the
    ///   register was extended before the line was written, so that the record cannot be replayed without it.
    public static func parse(log text: [UInt8]) throws(AttestationError) -> [RuntimeEvent] {
        try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
            var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            if lines.last?.isEmpty == true { lines.removeLast() }
            var events: [RuntimeEvent] = []
            for (index, line) in lines.enumerated() {
                events.append(try RuntimeEvent(line: line, subject: "line \(index + 1) of the runtime event log"))
            }
            return events
        }
    }

    private init(line: ArraySlice<UInt8>, subject: String) throws(DecodingFailure) {
        try self.init(JSONDocument(parsing: Array(line), subject: subject, maximumDepth: 8).root)
    }

    init(_ root: JSONNode) throws(DecodingFailure) {
        let payload = try root.member("payload")
        self.init(
            name: try root.member("event").string(),
            payload: try Base64.decode(try payload.string(), subject: payload.subject),
            version: try Version(optional: root.optionalMember("version")))
    }
}
