package import DstackEncoding

/// The parts of a firmware that decide its TD HOB: the memory that the VMM hands over as accepted.
///
/// They are the firmware's TD_HOB and TEMP_MEM sections. A measurement document carries them as a *witness*, a few
/// bytes of variable-length numbers, so that the TD HOB can be computed for any memory size without the firmware.
package struct TDHOBLayout: Sendable, Equatable {
    /// Consecutive pages of 4 KiB.
    package struct PageRange: Sendable, Equatable {
        /// Number of the first page: its address divided by 4096.
        package let start: UInt64
        /// How many; never 0.
        package let count: UInt64

        package init(start: UInt64, count: UInt64) {
            self.start = start
            self.count = count
        }

        /// Number of the page behind the last.
        var end: UInt64 { start + count }
    }

    static let pageSize: UInt64 = 4096
    /// Firmware has four or five; the bound keeps the work small that a hostile document can cause.
    static let maximumRanges = 64
    /// Pages of the 52-bit physical addresses that processors have at most; no arithmetic below can overflow.
    static let pageLimit: UInt64 = 1 << 40

    /// Sorted by address, not overlapping; adjacent ranges are not merged, because each gets an entry of its own.
    package let ranges: [PageRange]
    /// Number of the page where the TD HOB itself lies; one of the ranges starts there.
    package let hobPage: UInt64

    /// - Parameter ranges: in any order.
    /// - Throws: ``MeasurementFailure`` if the ranges overlap, are empty, too many or beyond the address space, or if
    ///   none starts at the TD HOB.
    package init(ranges: [PageRange], hobPage: UInt64) throws(MeasurementFailure) {
        // Bounds first: sorting and adding are safe only then.
        guard ranges.count <= Self.maximumRanges else {
            throw MeasurementFailure(
                "TD HOB ranges", "\(ranges.count) ranges, at most \(Self.maximumRanges) are allowed")
        }
        for range in ranges {
            guard range.start < Self.pageLimit, range.count <= Self.pageLimit - range.start else {
                throw MeasurementFailure("TD HOB ranges", "a range beyond the 52-bit address space")
            }
            guard range.count > 0 else { throw MeasurementFailure("TD HOB ranges", "an empty range") }
        }
        let sorted = ranges.sorted { $0.start < $1.start }
        for (lower, upper) in zip(sorted, sorted.dropFirst()) where lower.end > upper.start {
            throw MeasurementFailure("TD HOB ranges", "two ranges overlap")
        }
        guard sorted.contains(where: { $0.start == hobPage }) else {
            throw MeasurementFailure("TD HOB ranges", "no range starts at the TD HOB")
        }
        self.ranges = sorted
        self.hobPage = hobPage
    }
}

// MARK: - Witness

extension TDHOBLayout {
    private static let subject = "TD HOB witness"

    /// Reads a witness: ULEB128 numbers of pages – the lowest start, the distance of the TD HOB from it, the count, and
    /// for each range the distance of its start and its length.
    ///
    /// - Throws: ``DecodingFailure`` also for anything that ``witness`` would write differently, so that one layout has
    ///   one witness.
    package init(witness: [UInt8]) throws(DecodingFailure) {
        var reader = ByteReader(witness.span.bytes)
        let base = try Self.number(&reader)
        guard base < Self.pageLimit else { throw Self.failure(.tooLarge, reader.offset, "base address overflow") }
        let hobDistance = try Self.number(&reader)
        guard hobDistance < Self.pageLimit - base else {
            throw Self.failure(.tooLarge, reader.offset, "TD HOB address overflow")
        }
        let count = try Self.number(&reader)
        guard count >= 1, count <= UInt64(Self.maximumRanges) else {
            throw Self.failure(
                .tooLarge, reader.offset, "\(count) ranges, 1 to \(Self.maximumRanges) are allowed")
        }
        var ranges: [PageRange] = []
        for _ in 0..<count {
            let distance = try Self.number(&reader)
            guard distance < Self.pageLimit - base else {
                throw Self.failure(.tooLarge, reader.offset, "range start overflow")
            }
            let start = base + distance
            let pages = try Self.number(&reader)
            guard pages >= 1 else { throw Self.failure(.malformed, reader.offset, "an empty range") }
            guard pages <= Self.pageLimit - start else {
                throw Self.failure(.tooLarge, reader.offset, "range length overflow")
            }
            if let previous = ranges.last {
                guard start >= previous.end else {
                    throw Self.failure(.malformed, reader.offset, "ranges overlap or are not in order")
                }
            } else if distance != 0 {
                throw Self.failure(.malformed, reader.offset, "the first range does not start at the base")
            }
            ranges.append(PageRange(start: start, count: pages))
        }
        guard reader.isAtEnd else { throw Self.failure(.trailing, reader.offset, "trailing bytes") }
        do {
            try self.init(ranges: ranges, hobPage: base + hobDistance)
        } catch {
            throw Self.failure(.malformed, nil, error.reason)
        }
    }

    /// The witness of this layout; `80100904000609020b021010` for the firmware of dstack 0.5 and 0.6.
    package var witness: [UInt8] {
        guard let base = ranges.first?.start else { return [] }
        var writer = ByteWriter()
        Self.write(base, to: &writer)
        // The TD HOB is one of the ranges, so it cannot lie below the first.
        Self.write(hobPage - base, to: &writer)
        Self.write(UInt64(ranges.count), to: &writer)
        for range in ranges {
            Self.write(range.start - base, to: &writer)
            Self.write(range.count, to: &writer)
        }
        return writer.bytes
    }

    /// One ULEB128 number of at most 64 bits in its shortest form.
    private static func number(_ reader: inout ByteReader) throws(DecodingFailure) -> UInt64 {
        let start = reader.offset
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard !reader.isAtEnd else { throw failure(.truncated, start, "truncated varuint") }
            let byte = try reader.u8("TD HOB witness")
            let bits = UInt64(byte & 0x7F)
            guard shift < 64, shift < 63 || bits <= 1 else {
                throw failure(.tooLarge, start, "varuint is too large")
            }
            value |= bits << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else {
                    throw failure(.malformed, start, "varuint is not in its shortest form")
                }
                return value
            }
            shift += 7
        }
    }

    private static func write(_ value: UInt64, to writer: inout ByteWriter) {
        var rest = value
        while rest >= 0x80 {
            writer.u8(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writer.u8(UInt8(truncatingIfNeeded: rest))
    }

    private static func failure(_ code: DecodingFailure.Code, _ offset: Int?, _ reason: String) -> DecodingFailure {
        DecodingFailure(code, subject, at: offset, reason)
    }
}
