/// The type of a measured event: TCG's for the boot, dstack's own for runtime events.
public struct MeasuredEventType: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The number as logs carry it.
    public let rawValue: UInt32

    /// Any number; logs carry types that this list does not know.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// dstack's runtime events, the only ones in RTMR3.
    public static let runtime = MeasuredEventType(rawValue: 0x0800_0001)

    // TCG PC Client Platform Firmware Profile 1.06, section 10.4.1: those that boots of a trust domain record.

    /// EV_NO_ACTION: informative, extends nothing.
    public static let noAction = MeasuredEventType(rawValue: 3)
    /// EV_SEPARATOR.
    public static let separator = MeasuredEventType(rawValue: 4)
    /// EV_EVENT_TAG: kernel command line and initial RAM disk, as Linux's EFI stub records them.
    public static let eventTag = MeasuredEventType(rawValue: 6)
    /// EV_PLATFORM_CONFIG_FLAGS: ACPI data and firmware configuration, as TDVF records them.
    public static let platformConfigFlags = MeasuredEventType(rawValue: 10)
    /// EV_EFI_VARIABLE_DRIVER_CONFIG.
    public static let efiVariableDriverConfig = MeasuredEventType(rawValue: 0x8000_0001)
    /// EV_EFI_VARIABLE_BOOT.
    public static let efiVariableBoot = MeasuredEventType(rawValue: 0x8000_0002)
    /// EV_EFI_BOOT_SERVICES_APPLICATION.
    public static let efiBootServicesApplication = MeasuredEventType(rawValue: 0x8000_0003)
    /// EV_EFI_ACTION.
    public static let efiAction = MeasuredEventType(rawValue: 0x8000_0007)
    /// EV_EFI_HANDOFF_TABLES.
    public static let efiHandoffTables = MeasuredEventType(rawValue: 0x8000_0009)
    /// EV_EFI_PLATFORM_FIRMWARE_BLOB2: the configuration firmware volume.
    public static let efiPlatformFirmwareBlob2 = MeasuredEventType(rawValue: 0x8000_000A)
    /// EV_EFI_HANDOFF_TABLES2: the TD HOB.
    public static let efiHandoffTables2 = MeasuredEventType(rawValue: 0x8000_000B)

    /// The specification's name where it is known, else the number in hexadecimal.
    public var description: String {
        switch self {
        case .runtime: "DSTACK_RUNTIME_EVENT"
        case .noAction: "EV_NO_ACTION"
        case .separator: "EV_SEPARATOR"
        case .eventTag: "EV_EVENT_TAG"
        case .platformConfigFlags: "EV_PLATFORM_CONFIG_FLAGS"
        case .efiVariableDriverConfig: "EV_EFI_VARIABLE_DRIVER_CONFIG"
        case .efiVariableBoot: "EV_EFI_VARIABLE_BOOT"
        case .efiBootServicesApplication: "EV_EFI_BOOT_SERVICES_APPLICATION"
        case .efiAction: "EV_EFI_ACTION"
        case .efiHandoffTables: "EV_EFI_HANDOFF_TABLES"
        case .efiPlatformFirmwareBlob2: "EV_EFI_PLATFORM_FIRMWARE_BLOB2"
        case .efiHandoffTables2: "EV_EFI_HANDOFF_TABLES2"
        default: "0x" + String(rawValue, radix: 16)
        }
    }
}
