internal import DstackEncoding

/// A generation of the TDX firmware (edk2 OVMF), by the events that it writes into RTMR0.
package enum FirmwareVariant: String, Sendable, CaseIterable {
    /// Up to edk2-stable202502: 13 events. Every dstack image but 0.5.10 has it.
    case pre202505
    /// From edk2-stable202505: 17 events. dstack 0.5.10, and current distribution firmware.
    case stable202505
}

/// One event of a firmware's RTMR0 list, as data: what it is called, how the log types it, where its digest comes from.
package struct RTMR0Step: Sendable {
    enum Source: Sendable {
        /// The TD HOB of the memory size.
        case tdHOB
        /// SHA-384 of fixed bytes.
        case bytes([UInt8])
        /// A digest whose preimage is firmware content.
        case digest(FixedBytes<48>)
        /// One of the three blobs that the VMM serves.
        case acpi(ACPIBlob)
        /// A filtered SMBIOS table, which depends on the memory size and on strings that the host chooses.
        case smbios
    }

    package let name: String
    package let eventType: MeasuredEventType
    let source: Source
}

/// The files of QEMU's firmware configuration that hold ACPI tables, in the order in which they are measured.
package enum ACPIBlob: String, Sendable, CaseIterable {
    /// `etc/table-loader`.
    case loader = "acpi_loader"
    /// `etc/acpi/rsdp`.
    case rsdp = "acpi_rsdp"
    /// `etc/acpi/tables`.
    case tables = "acpi_tables"
}

extension FirmwareVariant {
    /// The events in order.
    package var rtmr0Layout: [RTMR0Step] {
        switch self {
        case .pre202505:
            return [Self.tdHOB, Self.variableStore] + Self.secureBootVariables + [Self.separator] + Self.acpi + [
                RTMR0Step(name: "BootOrder", eventType: .efiVariableBoot, source: .bytes([0, 0])),
                RTMR0Step(name: "Boot0000", eventType: .efiVariableBoot, source: .bytes(Self.uiAppLoadOption)),
            ]
        case .stable202505:
            return [
                Self.tdHOB, Self.variableStore,
                RTMR0Step(name: "BootMenu", eventType: .platformConfigFlags, source: .bytes([0, 0])),
                RTMR0Step(
                    name: "bootorder", eventType: .platformConfigFlags,
                    source: .bytes(Array("/rom@genroms/linuxboot_dma.bin\0".utf8))),
            ] + Self.secureBootVariables + [Self.separator] + Self.acpi + [
                RTMR0Step(name: "smbios", eventType: .efiHandoffTables, source: .smbios),
                // The data of the variable only, although the log's payload carries the whole structure.
                RTMR0Step(name: "BootOrder", eventType: .efiVariableBoot, source: .bytes([0, 0, 1, 0])),
                RTMR0Step(
                    name: "Boot0000", eventType: .efiVariableBoot,
                    source: .digest(
                        digest(
                            0x5068_E6A9_DED2_A1C3, 0xA8EB_B5D2_6004_410E, 0xA867_0742_D8F4_44C5,
                            0xC3D1_61B7_6C66_FA23, 0xA7B1_D2FB_3F98_4057, 0x0B67_5384_B581_8F2D))),
                RTMR0Step(
                    name: "Boot0001", eventType: .efiVariableBoot,
                    source: .digest(
                        digest(
                            0xDD42_4F2E_EB35_F3E8, 0xA2C2_F50F_6CC8_7FF9, 0x0B75_77E9_2CE6_3E13, 0xA228_69D0_7D10_4FD5,
                            0xEA98_00E6_E4F1_2C50, 0x58FC_4EAA_7837_4F20))),
            ]
        }
    }

    private static let tdHOB = RTMR0Step(name: "td_hob", eventType: .efiHandoffTables2, source: .tdHOB)

    /// SHA-384 of the pristine variable store of a 4 MiB build (540 672 bytes), which is the firmware's CFV section.
    static let pristineVariableStore = digest(
        0x344B_C51C_980B_A621, 0xAAA0_0DA3_ED74_36F7, 0xD6E5_4919_7DFE_6995,
        0x15DF_A2C6_583D_95E6, 0x412A_F21C_097D_4731, 0x5587_5FFD_561D_6790)

    private static let variableStore = RTMR0Step(
        name: "cfv", eventType: .efiPlatformFirmwareBlob2, source: .digest(pristineVariableStore))

    static let separator = RTMR0Step(name: "separator", eventType: .separator, source: .bytes([0, 0, 0, 0]))

    private static let acpi = ACPIBlob.allCases.map {
        RTMR0Step(name: $0.rawValue, eventType: .platformConfigFlags, source: .acpi($0))
    }

    /// All five absent: Secure Boot is off.
    private static let secureBootVariables = [
        emptyVariable("SecureBoot", globalVariableGUID), emptyVariable("PK", globalVariableGUID),
        emptyVariable("KEK", globalVariableGUID), emptyVariable("db", imageSecurityGUID),
        emptyVariable("dbx", imageSecurityGUID),
    ]

    /// EFI_GLOBAL_VARIABLE, 8BE4DF61-93CA-11D2-AA0D-00E098032B8C, in the mixed-endian form of memory.
    private static let globalVariableGUID: [UInt8] = [
        0x61, 0xDF, 0xE4, 0x8B, 0xCA, 0x93, 0xD2, 0x11, 0xAA, 0x0D, 0x00, 0xE0, 0x98, 0x03, 0x2B, 0x8C,
    ]

    /// EFI_IMAGE_SECURITY_DATABASE, D719B2CB-3D3A-4596-A3BC-DAD00E67656F.
    private static let imageSecurityGUID: [UInt8] = [
        0xCB, 0xB2, 0x19, 0xD7, 0x3A, 0x3D, 0x96, 0x45, 0xA3, 0xBC, 0xDA, 0xD0, 0x0E, 0x67, 0x65, 0x6F,
    ]

    /// UEFI_VARIABLE_DATA of a variable without data: GUID, length of the name in characters, length of the data, name
    /// in UTF-16 without terminator.
    private static func emptyVariable(_ name: String, _ guid: [UInt8]) -> RTMR0Step {
        var writer = ByteWriter()
        writer.append(guid)
        writer.littleEndian(UInt64(name.utf16.count))
        writer.littleEndian(UInt64(0))
        for unit in name.utf16 { writer.littleEndian(unit) }
        return RTMR0Step(name: name, eventType: .efiVariableDriverConfig, source: .bytes(writer.bytes))
    }

    /// The EFI load option of the firmware's own menu: attributes 0x109, the title `UiApp`, and a path of a firmware
    /// volume and a file in it.
    private static let uiAppLoadOption: [UInt8] = {
        var writer = ByteWriter()
        writer.littleEndian(UInt32(0x109))
        // Length of the path in bytes: two nodes of 20 and the end node of 4.
        writer.littleEndian(UInt16(44))
        for unit in "UiApp\0".utf16 { writer.littleEndian(unit) }
        // Media device path, firmware volume 7CB8BDC9-F8EB-4F34-AAEA-3EE4AF6516A1.
        writer.append([0x04, 0x07, 0x14, 0x00])
        writer.append([
            0xC9, 0xBD, 0xB8, 0x7C, 0xEB, 0xF8, 0x34, 0x4F, 0xAA, 0xEA, 0x3E, 0xE4, 0xAF, 0x65, 0x16, 0xA1,
        ])
        // Media device path, firmware file 462CAA21-7614-4503-836E-8AB6F4662331.
        writer.append([0x04, 0x06, 0x14, 0x00])
        writer.append([
            0x21, 0xAA, 0x2C, 0x46, 0x14, 0x76, 0x03, 0x45, 0x83, 0x6E, 0x8A, 0xB6, 0xF4, 0x66, 0x23, 0x31,
        ])
        // End of the path.
        writer.append([0x7F, 0xFF, 0x04, 0x00])
        return writer.bytes
    }()
}

/// A digest written as six numbers in the order of its hexadecimal digits; unlike text it cannot be malformed.
private func digest(
    _ word0: UInt64, _ word1: UInt64, _ word2: UInt64, _ word3: UInt64, _ word4: UInt64, _ word5: UInt64
) -> FixedBytes<48> {
    var digest = FixedBytes<48>()
    for (index, word) in [word0, word1, word2, word3, word4, word5].enumerated() {
        for byte in 0..<8 {
            digest[index * 8 + byte] = UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * byte))
        }
    }
    return digest
}
