package import DstackCrypto
package import DstackEncoding

/// Reads protobuf's wire form, within a part of some bytes that are kept alive together.
package struct ProtobufReader {
    /// Empty where the bytes are ``secretContent``'s.
    private let content: [UInt8]
    /// Bytes in memory that is wiped.
    private let secretContent: SharedSecret?
    /// Of the next byte, in the outermost input.
    package private(set) var position: Int
    private let end: Int

    package init(_ bytes: [UInt8]) { self.init(bytes, nil, 0..<bytes.count) }
    package init(_ secret: SharedSecret) { self.init([], secret, 0..<secret.count) }

    private init(_ content: [UInt8], _ secret: SharedSecret?, _ range: Range<Int>) {
        self.content = content
        secretContent = secret
        position = range.lowerBound
        end = range.upperBound
    }

    /// Of the bytes that are left.
    var count: Int { end - position }

    private func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if let secretContent { return try secretContent.withBytes(body) }
        return try body(content.span.bytes)
    }

    package var isAtEnd: Bool { position == end }

    package func failure(_ reason: String, _ code: DecodingFailure.Code = .malformed) -> DecodingFailure {
        DecodingFailure(code, "protobuf message", at: position, reason)
    }

    package mutating func varint() throws(DecodingFailure) -> UInt64 {
        let (value, next) = try withBytes { (bytes) throws(DecodingFailure) in try varint(bytes) }
        position = next
        return value
    }

    private func varint(_ bytes: RawSpan) throws(DecodingFailure) -> (value: UInt64, next: Int) {
        var reader = ByteReader(bytes.extracting(position..<end), base: position)
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try reader.u8("protobuf varint")
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { throw failure("a varint of more than 64 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return (value, reader.offset) }
            shift += 7
        }
    }

    package mutating func tag() throws(DecodingFailure) -> (number: UInt32, type: ProtobufWireType) {
        let start = self
        let value = try varint()
        guard let tag = UInt32(exactly: value), tag >> 3 > 0 else { throw start.failure("not a field's tag") }
        guard let type = ProtobufWireType(rawValue: tag & 7) else {
            throw start.failure("no wire type \(tag & 7)", .unsupported)
        }
        return (tag >> 3, type)
    }

    /// The bytes of a length-delimited value, which the reader moves past.
    private mutating func part() throws(DecodingFailure) -> Range<Int> {
        let length = try varint()
        guard length <= UInt64(end - position) else {
            throw failure("\(length) bytes announced, \(end - position) left", .truncated)
        }
        defer { position += Int(length) }
        return position..<position + Int(length)
    }

    package mutating func bytes() throws(DecodingFailure) -> [UInt8] {
        let range = try part()
        guard let secretContent else { return Array(content[range]) }
        return secretContent.withUnsafeBytes { [UInt8]($0[range]) }
    }

    /// Bytes that stay in memory that is wiped.
    mutating func secret() throws(DecodingFailure) -> RPCSecret {
        let range = try part()
        let bytes: SecretBytes = withBytes { SecretBytes(copying: $0.extracting(range)) }
        return RPCSecret(SharedSecret(bytes))
    }

    package mutating func string() throws(DecodingFailure) -> String {
        let start = self
        let range = try part()
        let validated =
            if let secretContent {
                secretContent.withUnsafeBytes { String(validating: $0[range], as: UTF8.self) }
            } else {
                String(validating: content[range], as: UTF8.self)
            }
        guard let text = validated else {
            throw start.failure("a text that is not UTF-8")
        }
        return text
    }

    /// A reader of a length-delimited value, which this reader moves past.
    package mutating func reader() throws(DecodingFailure) -> ProtobufReader {
        ProtobufReader(content, secretContent, try part())
    }

    /// Moves past the value of a field that nobody knows.
    package mutating func skip(
        _ field: (number: UInt32, type: ProtobufWireType), maximumDepth: Int
    ) throws(DecodingFailure) {
        var groups: [UInt32] = []
        var field = field
        while true {
            switch field.type {
            case .varint: _ = try varint()
            case .fixed64: try skip(8)
            case .lengthDelimited: _ = try part()
            case .fixed32: try skip(4)
            case .startGroup:
                guard groups.count < maximumDepth else {
                    throw failure("nested deeper than \(maximumDepth) levels", .tooLarge)
                }
                groups.append(field.number)
            case .endGroup:
                guard groups.popLast() == field.number else { throw failure("the end of a group that did not begin") }
            }
            if groups.isEmpty { return }
            field = try tag()
        }
    }

    private mutating func skip(_ count: Int) throws(DecodingFailure) {
        guard count <= end - position else {
            throw failure("\(count) bytes needed, \(end - position) left", .truncated)
        }
        position += count
    }
}
