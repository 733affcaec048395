internal import DstackEncoding
internal import DstackMeasurement

extension TCGEventLog {
    /// The largest event data, digest count or algorithm count that is read.
    static let maximumCount: UInt32 = 65_536

    /// `Spec ID Event03` and a zero byte.
    static let signature = Array("Spec ID Event03".utf8) + [0]

    static let endMarker: UInt32 = 0xFFFF_FFFF

    /// Parses a log: up to the fill of its area, to the end of the bytes, or to a rest of zeros.
    ///
    /// Firmware fills the area with `ff` before it writes. An index of `ff ff ff ff` therefore ends the log, unless an entry of
    /// type EV_NO_ACTION follows: these name no register, and some firmware writes that index into them (TCG PC Client
    /// Platform Firmware Profile 1.06, section 10.4.5.3). What was measured behind them must not be overlooked.
    ///
    /// - Throws: ``AttestationError`` with the offset, for anything else that does not follow the format, and for register
    ///   indices that a trust domain does not have.
    public init(parsing bytes: [UInt8]) throws(AttestationError) {
        guard !bytes.isEmpty else {
            throw AttestationError(.invalidEventLog, subject: "event log", reason: "empty")
        }
        self = try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
            var reader = ByteReader(bytes.span.bytes)
            let header = try Header(&reader)
            var entries: [Entry] = []
            let lastUsed = bytes.lastIndex { $0 != 0 } ?? -1
            while !reader.isAtEnd {
                let start = reader.offset
                let index = try reader.littleEndian(UInt32.self, "register index")
                var ahead = reader
                let type = try? ahead.littleEndian(UInt32.self, "event type")
                let extendsNothing = type == MeasuredEventType.noAction.rawValue
                // Zeros, which would otherwise be entries without digests, are a clean end too, since nothing that was
                // measured can hide in them.
                if index == Self.endMarker && !extendsNothing || start > lastUsed {
                    return TCGEventLog(header: header, entries: entries, unused: Array(bytes[start...]))
                }
                guard index <= 4 || extendsNothing else {
                    throw DecodingFailure(
                        .unsupported, "register index", at: start, "\(index) found; a trust domain has 0 to 4")
                }
                entries.append(try Entry(index, &reader))
            }
            return TCGEventLog(header: header, entries: entries, unused: [])
        }
    }

    /// How many bytes of ``unused`` are no fill: everything behind the end marker but `ff`, and zeros at the very end. Firmware
    /// leaves none; where there are some, the log may go on behind a false end.
    public var unreadByteCount: Int {
        guard let last = unused.lastIndex(where: { $0 != 0 }), let first = unused.firstIndex(where: { $0 != 0xFF }),
            first <= last
        else { return 0 }
        return last + 1 - first
    }

    /// The log's bytes.
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: unused.count + entries.count * 160 + 128)
        header.encode(to: &writer)
        for entry in entries { entry.encode(to: &writer) }
        writer.append(unused)
        return writer.bytes
    }
}

/// A count or length in 32 bits, within the limit.
private func boundedCount(
    _ reader: inout ByteReader, itemSize: Int, _ subject: StaticString
) throws(DecodingFailure) -> Int {
    let start = reader.offset
    let count = try reader.littleEndian(UInt32.self, subject)
    guard count <= TCGEventLog.maximumCount else {
        throw DecodingFailure(.tooLarge, "\(subject)", at: start, "\(count), at most \(TCGEventLog.maximumCount)")
    }
    guard Int(count) <= reader.remaining / itemSize else {
        throw DecodingFailure(
            .truncated, "\(subject)", at: start, "\(count) announced, only \(reader.remaining) bytes left")
    }
    return Int(count)
}

extension TCGEventLog.Header {
    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        registerIndex = try reader.littleEndian(UInt32.self, "header register index")
        let typeOffset = reader.offset
        let type = MeasuredEventType(rawValue: try reader.littleEndian(UInt32.self, "header event type"))
        guard type == .noAction else {
            throw DecodingFailure(
                .malformed, "header event type", at: typeOffset, "\(type) found, EV_NO_ACTION is needed")
        }
        digest = try reader.bytes(20, "header digest")
        let size = try boundedCount(&reader, itemSize: 1, "header event size")
        var event = try reader.reader(size, "header event")
        let signatureOffset = event.offset
        guard try event.bytes(16, "header signature") == TCGEventLog.signature else {
            throw DecodingFailure(
                .malformed, "header signature", at: signatureOffset, "\"Spec ID Event03\" and a zero byte are needed")
        }
        platformClass = try event.littleEndian(UInt32.self, "platform class")
        specificationVersion = try event.bytes(3, "specification version")
        uintnSize = try event.u8("size of a native integer")
        let count = try boundedCount(&event, itemSize: 4, "number of algorithms")
        algorithms = []
        for _ in 0..<count {
            algorithms.append(
                Algorithm(
                    id: try event.littleEndian(UInt16.self, "algorithm identifier"),
                    digestSize: try event.littleEndian(UInt16.self, "algorithm digest size")))
        }
        vendorInfo = try event.bytes(Int(try event.u8("vendor information size")), "vendor information")
        try event.expectEnd(of: "header event")
    }

    func encode(to writer: inout ByteWriter) {
        var event = ByteWriter()
        event.append(TCGEventLog.signature)
        event.littleEndian(platformClass)
        event.append(specificationVersion)
        event.u8(uintnSize)
        event.littleEndian(UInt32(clamping: algorithms.count))
        for algorithm in algorithms {
            event.littleEndian(algorithm.id)
            event.littleEndian(algorithm.digestSize)
        }
        let info = vendorInfo.prefix(255)
        event.u8(UInt8(info.count))
        event.append(info)

        writer.littleEndian(registerIndex)
        writer.littleEndian(MeasuredEventType.noAction.rawValue)
        writer.append(digest)
        writer.littleEndian(UInt32(clamping: event.bytes.count))
        writer.append(event.bytes)
    }
}

extension TCGEventLog.Entry {
    init(_ index: UInt32, _ reader: inout ByteReader) throws(DecodingFailure) {
        registerIndex = index
        type = MeasuredEventType(rawValue: try reader.littleEndian(UInt32.self, "event type"))
        // An entry's smallest digest is an algorithm and 20 bytes.
        let count = try boundedCount(&reader, itemSize: 22, "digest count")
        digests = []
        for _ in 0..<count {
            let start = reader.offset
            let identifier = try reader.littleEndian(UInt16.self, "digest algorithm")
            guard let algorithm = TCGEventLog.HashAlgorithm(rawValue: identifier) else {
                throw DecodingFailure(
                    .unsupported, "digest algorithm", at: start,
                    "0x\(String(identifier, radix: 16)) found; those of SHA-1, SHA-2, SHA-3 and SM3 are known")
            }
            let bytes = try reader.bytes(algorithm.digestSize, "digest")
            guard let digest = TCGEventLog.Digest(algorithm, bytes) else { continue }
            digests.append(digest)
        }
        data = try reader.bytes(try boundedCount(&reader, itemSize: 1, "event size"), "event data")
    }

    func encode(to writer: inout ByteWriter) {
        writer.littleEndian(registerIndex)
        writer.littleEndian(type.rawValue)
        writer.littleEndian(UInt32(clamping: digests.count))
        for digest in digests {
            writer.littleEndian(digest.algorithm.rawValue)
            writer.append(digest.bytes)
        }
        writer.littleEndian(UInt32(clamping: data.count))
        writer.append(data)
    }
}
