internal import DstackCrypto
package import DstackEncoding

/// A PE/COFF image, read as far as its Authenticode digest needs.
///
/// The firmware measures the kernel by this digest, and a unified kernel image is known by it. It covers the whole file
/// but for the checksum, the directory entry of the certificates, and the certificates.
package struct PEImage: Sendable {
    private static let subject = "PE image"

    package let file: [UInt8]
    /// What is hashed, in order.
    private let hashed: [Range<Int>]

    /// - Throws: ``DecodingFailure`` if a header or a section leaves the file, if sections are many times the file, or
    ///   if bytes lie behind the last section that are no certificates: firmware would measure those bytes and
    ///   other tools do not, so that no digest could be called the right one.
    package init(decoding file: [UInt8]) throws(DecodingFailure) {
        func failure(_ offset: Int?, _ reason: String) -> DecodingFailure {
            DecodingFailure(.malformed, Self.subject, at: offset, reason)
        }
        func u16(_ offset: Int, _ what: StaticString) throws(DecodingFailure) -> Int {
            var reader = ByteReader(file.span.bytes)
            try reader.skip(offset, what)
            return Int(try reader.littleEndian(UInt16.self, what))
        }
        func u32(_ offset: Int, _ what: StaticString) throws(DecodingFailure) -> Int {
            var reader = ByteReader(file.span.bytes)
            try reader.skip(offset, what)
            return Int(try reader.littleEndian(UInt32.self, what))
        }
        // Offsets below are sums of a few 32-bit numbers, which cannot overflow an `Int`.
        let signature = try u32(0x3C, "PE header offset")
        guard try u32(signature, "PE signature") == 0x4550 else {
            throw failure(signature, "the signature PE is missing")
        }
        let sectionCount = try u16(signature + 6, "number of sections")
        let optionalSize = try u16(signature + 20, "size of the optional header")
        let optional = signature + 24
        let directories: Int
        switch try u16(optional, "optional header") {
        case 0x10B: directories = optional + 96
        case 0x20B: directories = optional + 112
        case let magic: throw failure(optional, "unknown magic \(magic) of the optional header")
        }
        let checksum = optional + 64
        let certificateEntry = directories + 32
        // The number of directories stands before the first; the fifth is the certificate table.
        guard try u32(directories - 4, "number of directories") > 4, certificateEntry + 8 <= optional + optionalSize
        else {
            throw failure(optional, "an optional header without an entry for certificates")
        }
        let headersSize = try u32(optional + 60, "size of headers")
        let sectionTable = optional + optionalSize
        guard headersSize <= file.count, headersSize >= sectionTable + 40 * sectionCount else {
            throw failure(optional + 60, "size of headers \(headersSize) leaves the file or cuts the section table")
        }

        var sections: [Range<Int>] = []
        var total = headersSize
        for index in 0..<sectionCount {
            let header = sectionTable + 40 * index
            let size = try u32(header + 16, "section size")
            let offset = try u32(header + 20, "section offset")
            guard size > 0 else { continue }
            guard offset + size <= file.count else { throw failure(header, "a section past the end of the file") }
            sections.append(offset..<offset + size)
            total += size
        }
        guard total <= 2 * file.count else {
            throw failure(sectionTable, "sections of \(total) bytes in a file of \(file.count)")
        }
        // Swift's sort is stable: sections of the same offset keep their order.
        sections.sort { $0.lowerBound < $1.lowerBound }

        let certificates = try u32(certificateEntry + 4, "certificate table size")
        let certificatesOffset = try u32(certificateEntry, "certificate table offset")
        guard (certificates == 0) == (certificatesOffset == 0) else {
            throw failure(certificateEntry, "a certificate table with a size but no place, or the reverse")
        }
        guard file.count <= total || file.count - total >= certificates else {
            throw failure(certificateEntry, "certificates of \(certificates) bytes do not fit behind the sections")
        }
        var hashed = [0..<checksum, checksum + 4..<certificateEntry, certificateEntry + 8..<headersSize] + sections
        if file.count > total {
            let tail = total..<file.count - certificates
            guard certificates > 0 || tail.isEmpty else {
                throw failure(total, "\(tail.count) bytes behind the last section")
            }
            hashed.append(tail)
        }
        self.file = file
        self.hashed = hashed
    }

    /// The Authenticode digest with SHA-384, as firmware measures it.
    package var authenticodeSHA384: FixedBytes<48> { SHA384.hash(message) }

    /// The Authenticode digest with SHA-256, the identity of a unified kernel image.
    package var authenticodeSHA256: FixedBytes<32> { SHA256.hash(message) }

    private var message: [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(file.count + 8)
        for range in hashed { message.append(contentsOf: file[range]) }
        // As if the file were filled up with zeros to a multiple of eight.
        message.append(contentsOf: repeatElement(0, count: (8 - file.count % 8) % 8))
        return message
    }
}
