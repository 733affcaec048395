internal import DstackCrypto
package import DstackEncoding

/// A TDX firmware image (TDVF): the file and the sections that its metadata declares.
///
/// The metadata decides which pages the VMM adds to a TD, which of them are measured into MRTD, and where the TD HOB
/// lies (Intel TDX Virtual Firmware Design Guide, section 11).
package struct TDXFirmware: Sendable {
    package enum SectionKind: UInt32, Sendable {
        /// Boot firmware volume: code.
        case bootVolume = 0
        /// Configuration firmware volume: the variable store.
        case configurationVolume = 1
        case tdHOB = 2
        case temporaryMemory = 3
        case permanentMemory = 4
        case payload = 5
        case payloadParameters = 6
    }

    /// One section of the metadata. Sizes and addresses are in bytes; address and memory size are whole pages.
    package struct Section: Sendable, Equatable {
        package let kind: SectionKind
        /// Where the section's data lies in the file, and how much of it there is.
        package let dataOffset: Int
        package let dataSize: Int
        package let address: UInt64
        package let memorySize: UInt64
        /// MR.EXTEND: the content is measured.
        package let isMeasured: Bool
        /// PAGE.AUG: the pages are added after the launch, so that their addition is not measured.
        package let isAugmented: Bool
    }

    private static let subject = "TDVF metadata"
    static let pageSize = 4096
    /// Firmware has about seven; QEMU and this reader need only be generous.
    static let maximumSections = 64
    /// Bounds the work of a crafted file: 32 MiB over all sections, eight times what OVMF has.
    static let maximumPages: UInt64 = 8192

    /// 96b582de-1fb2-45f7-baea-a366c55a082d, ends the table of a firmware's own descriptors.
    private static let footerGUID: [UInt8] = [
        0xDE, 0x82, 0xB5, 0x96, 0xB2, 0x1F, 0xF7, 0x45, 0xBA, 0xEA, 0xA3, 0x66, 0xC5, 0x5A, 0x08, 0x2D,
    ]
    /// e47a6535-984a-4798-865e-4685a7bf8ec2, the entry with the metadata's distance from the file's end.
    private static let metadataGUID: [UInt8] = [
        0x35, 0x65, 0x7A, 0xE4, 0x4A, 0x98, 0x98, 0x47, 0x86, 0x5E, 0x46, 0x85, 0xA7, 0xBF, 0x8E, 0xC2,
    ]
    /// The reset vector behind the table.
    private static let resetVectorLength = 32
    /// A GUID and the u16 length before it, which ends each entry and the table.
    private static let trailerLength = 18

    package let file: [UInt8]
    package let sections: [Section]

    /// - Throws: ``DecodingFailure`` if the file has no valid metadata: no or a broken table, another version, sections
    ///   that are not whole pages, leave the file or the address space, or are too many.
    package init(decoding file: [UInt8]) throws(DecodingFailure) {
        let start = try Self.descriptorOffset(file)
        var reader = ByteReader(file.span.bytes)
        try reader.skip(start, "TDVF descriptor")
        guard try reader.bytes(4, "TDVF descriptor") == Array("TDVF".utf8) else {
            throw Self.failure(.malformed, start, "invalid TDVF descriptor, the signature TDVF is missing")
        }
        // Length of the descriptor; the count says the same.
        try reader.skip(4, "TDVF descriptor")
        let version: UInt32 = try reader.littleEndian("TDVF descriptor")
        guard version == 1 else {
            throw Self.failure(.unsupported, start + 8, "unsupported TDVF version \(version), 1 expected")
        }
        let count: UInt32 = try reader.littleEndian("TDVF descriptor")
        guard count <= UInt32(Self.maximumSections) else {
            throw Self.failure(
                .tooLarge, start + 12, "\(count) sections, at most \(Self.maximumSections) are allowed")
        }
        var sections: [Section] = []
        var pages: UInt64 = 0
        for _ in 0..<count {
            let section = try Self.section(&reader, fileSize: file.count)
            // Each is below 2^40 and there are 64 at most.
            pages += section.memorySize / UInt64(Self.pageSize)
            sections.append(section)
        }
        guard pages <= Self.maximumPages else {
            throw Self.failure(.tooLarge, start, "\(pages) pages, at most \(Self.maximumPages) are allowed")
        }
        self.file = file
        self.sections = sections
    }

    /// Walks the table at the file's end backwards to the entry that says where the metadata lies.
    private static func descriptorOffset(_ file: [UInt8]) throws(DecodingFailure) -> Int {
        let end = file.count - resetVectorLength
        guard end >= trailerLength else {
            throw failure(.truncated, nil, "TDVF firmware too small: \(file.count) bytes")
        }
        let footer = try trailer(file, endingAt: end)
        guard footer.guid == footerGUID else { throw failure(.malformed, end - 16, "invalid footer GUID") }
        guard footer.length >= trailerLength, footer.length <= end else {
            throw failure(.malformed, end - trailerLength, "invalid tables length \(footer.length)")
        }
        let start = end - footer.length
        var position = end - trailerLength
        while position > start {
            guard position - start >= trailerLength else {
                throw failure(.malformed, start, "invalid entry length: \(position - start) bytes are left over")
            }
            let entry = try trailer(file, endingAt: position)
            // An entry that is shorter than its own end would make the walk stand still or step inside an entry.
            guard entry.length >= trailerLength, entry.length <= position - start else {
                throw failure(.malformed, position - trailerLength, "invalid entry length \(entry.length)")
            }
            guard entry.guid == metadataGUID else {
                position -= entry.length
                continue
            }
            guard entry.length >= trailerLength + 4 else {
                throw failure(.malformed, position - trailerLength, "the metadata entry has no offset")
            }
            var reader = ByteReader(file.span.bytes)
            try reader.skip(position - trailerLength - 4, "TDVF metadata offset")
            let distance: UInt32 = try reader.littleEndian("TDVF metadata offset")
            guard Int(distance) <= file.count else {
                throw failure(
                    .malformed, position - trailerLength - 4, "TDVF metadata offset exceeds firmware size")
            }
            return file.count - Int(distance)
        }
        throw failure(.malformed, start, "missing TDVF metadata")
    }

    private static func trailer(
        _ file: [UInt8], endingAt end: Int
    ) throws(DecodingFailure) -> (length: Int, guid: [UInt8]) {
        var reader = ByteReader(file.span.bytes)
        try reader.skip(end - trailerLength, "TDVF table")
        let length: UInt16 = try reader.littleEndian("TDVF table")
        return (Int(length), try reader.bytes(16, "TDVF table"))
    }

    private static func section(_ reader: inout ByteReader, fileSize: Int) throws(DecodingFailure) -> Section {
        let start = reader.offset
        let dataOffset: UInt32 = try reader.littleEndian("TDVF section")
        let dataSize: UInt32 = try reader.littleEndian("TDVF section")
        let address: UInt64 = try reader.littleEndian("TDVF section")
        let memorySize: UInt64 = try reader.littleEndian("TDVF section")
        let type: UInt32 = try reader.littleEndian("TDVF section")
        let attributes: UInt32 = try reader.littleEndian("TDVF section")
        func check(_ condition: Bool, _ reason: String) throws(DecodingFailure) {
            guard condition else { throw failure(.malformed, start, reason) }
        }
        guard let kind = SectionKind(rawValue: type) else {
            throw failure(.unsupported, start, "section of the unknown type \(type)")
        }
        guard attributes & ~3 == 0 else {
            throw failure(.unsupported, start, "section with the unknown attributes \(attributes)")
        }
        let page = UInt64(pageSize)
        let isMeasured = attributes & 1 != 0
        try check(address.isMultiple(of: page), "section memory address not aligned")
        try check(memorySize >= UInt64(dataSize), "section memory data size less than raw")
        try check(memorySize.isMultiple(of: page), "section memory data size not aligned")
        try check(
            address / page < TDHOBLayout.pageLimit && memorySize / page <= TDHOBLayout.pageLimit - address / page,
            "section beyond the 52-bit address space")
        try check(
            dataSize == 0 || UInt64(dataOffset) + UInt64(dataSize) <= UInt64(fileSize),
            "section data past the end of the file")
        // What would be measured behind the data is not the section's.
        try check(!isMeasured || memorySize == UInt64(dataSize), "measured section with less data than memory")
        return Section(
            kind: kind, dataOffset: Int(dataOffset), dataSize: Int(dataSize), address: address,
            memorySize: memorySize, isMeasured: isMeasured, isAugmented: attributes & 2 != 0)
    }

    private static func failure(_ code: DecodingFailure.Code, _ offset: Int?, _ reason: String) -> DecodingFailure {
        DecodingFailure(code, subject, at: offset, reason)
    }
}

// MARK: - What follows from the sections

extension TDXFirmware {
    /// MRTD after the VMM has added and measured all sections.
    package func mrtd(_ order: MRTDPageOrder) -> FixedBytes<48> {
        var records = ByteWriter()
        for section in sections {
            let pages = Int(section.memorySize) / Self.pageSize
            for page in 0..<pages {
                if !section.isAugmented { add(page, of: section, to: &records) }
                if order == .singlePass, section.isMeasured { extend(page, of: section, to: &records) }
            }
            if order == .twoPass, section.isMeasured {
                for page in 0..<pages { extend(page, of: section, to: &records) }
            }
        }
        return SHA384.hash(records.bytes)
    }

    /// A record of 128 bytes: a name in 16, the address in 8, zeros.
    private static func record(_ name: StaticString, _ address: UInt64, to records: inout ByteWriter) {
        name.withUTF8Buffer { records.append($0) }
        records.zeros(16 - name.utf8CodeUnitCount)
        records.littleEndian(address)
        records.zeros(104)
    }

    private func add(_ page: Int, of section: Section, to records: inout ByteWriter) {
        Self.record("MEM.PAGE.ADD", section.address + UInt64(page * Self.pageSize), to: &records)
    }

    /// Sixteen records, each followed by the 256 bytes that it measures.
    private func extend(_ page: Int, of section: Section, to records: inout ByteWriter) {
        for chunk in 0..<16 {
            let offset = page * Self.pageSize + chunk * 256
            Self.record("MR.EXTEND", section.address + UInt64(offset), to: &records)
            // In the file, because a measured section's memory is its data and its data is in the file.
            records.append(file[section.dataOffset + offset..<section.dataOffset + offset + 256])
        }
    }

    /// The ranges that the VMM hands over as accepted: the sections of the TD HOB and of temporary memory.
    ///
    /// - Throws: unless there is exactly one TD HOB section, and none overlap or are empty.
    package func hobLayout() throws(MeasurementFailure) -> TDHOBLayout {
        let page = UInt64(Self.pageSize)
        let hobs = sections.filter { $0.kind == .tdHOB }
        guard let hob = hobs.first, hobs.count == 1 else {
            throw MeasurementFailure(Self.subject, "\(hobs.count) TD HOB sections, exactly one is needed")
        }
        return try TDHOBLayout(
            ranges: sections.filter { $0.kind == .tdHOB || $0.kind == .temporaryMemory }.map {
                TDHOBLayout.PageRange(start: $0.address / page, count: $0.memorySize / page)
            },
            hobPage: hob.address / page)
    }

    /// SHA-384 of the variable store, which the firmware measures as it starts; nil unless there is exactly one.
    ///
    /// RTMR0 is predicted with the digest of a pristine 4 MiB store (``variableStoreIsPristine``).
    package var variableStoreDigest: FixedBytes<48>? {
        let stores = sections.filter { $0.kind == .configurationVolume }
        guard let store = stores.first, stores.count == 1 else { return nil }
        return SHA384.hash(Array(file[store.dataOffset..<store.dataOffset + store.dataSize]))
    }

    /// Whether the variable store is the one whose digest the event lists have.
    package var variableStoreIsPristine: Bool {
        variableStoreDigest == FirmwareVariant.pristineVariableStore
    }
}
