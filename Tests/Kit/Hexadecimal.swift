import DstackEncoding
package import Testing

/// Bytes from hexadecimal text, in which blanks and line ends mean nothing. A mistake in the text fails the test.
package func hex(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> [UInt8] {
    do {
        return try Hex.decode(text.filter { !$0.isWhitespace }, subject: "test")
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
        return []
    }
}
