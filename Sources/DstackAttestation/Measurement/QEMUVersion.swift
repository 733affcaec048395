package import DstackEncoding

/// The release of QEMU that started a VM, as its vm_config states it: exactly three decimal parts.
package struct QEMUVersion: Sendable, Equatable, Comparable, CustomStringConvertible {
    package let major: UInt32
    package let minor: UInt32
    package let patch: UInt32

    package init(major: UInt32, minor: UInt32, patch: UInt32) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// The release that a configuration without a version means.
    package static let assumed = QEMUVersion(major: 9, minor: 1, patch: 0)
    /// Older ones cannot start a TD.
    package static let oldest = QEMUVersion(major: 8, minor: 0, patch: 0)
    /// The first release that measures in a single pass and leaves the PIC off by default.
    package static let firstSinglePass = QEMUVersion(major: 9, minor: 0, patch: 0)
    /// The first release that hands the kernel to a confidential guest as it is, without filling in its header.
    package static let firstUnpatchedKernel = QEMUVersion(major: 10, minor: 2, patch: 0)

    /// - Throws: for a text of another form; `10.2.0-rc1` and `8.2` are no versions.
    package init(parsing text: String) throws(DecodingFailure) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else {
            throw DecodingFailure(
                .malformed, "qemu_version", "must have exactly 3 parts (major.minor.patch), got \(parts.count)")
        }
        var numbers: [UInt32] = []
        for part in parts {
            guard !part.isEmpty, part.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
                let number = UInt32(String(decoding: part, as: UTF8.self))
            else {
                throw DecodingFailure(
                    .malformed, "qemu_version", "invalid version number, three decimal parts expected")
            }
            numbers.append(number)
        }
        self.init(major: numbers[0], minor: numbers[1], patch: numbers[2])
    }

    package var description: String { "\(major).\(minor).\(patch)" }

    package static func < (left: QEMUVersion, right: QEMUVersion) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }
}

/// The order in which a VMM adds the firmware's pages to a TD and measures them; MRTD depends on it.
package enum MRTDPageOrder: String, Sendable, CaseIterable {
    /// Each page is added and measured before the next.
    case singlePass = "single_pass"
    /// All pages of a section are added, then all are measured.
    case twoPass = "two_pass"

    /// The order that a release of QEMU uses.
    ///
    /// - Throws: for a release before 8.0, which cannot start a TD.
    package init(qemu version: QEMUVersion) throws(MeasurementFailure) {
        guard version >= .oldest else {
            throw MeasurementFailure(
                "qemu_version", "unsupported QEMU version \(version), \(QEMUVersion.oldest) or later is needed")
        }
        self = version < .firstSinglePass ? .twoPass : .singlePass
    }
}
