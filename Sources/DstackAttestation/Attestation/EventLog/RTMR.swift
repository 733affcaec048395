public import DstackEncoding

/// A runtime measurement register of a trust domain. Event logs call its number `imr`, quotes the register `rt_mr0` to
/// `rt_mr3`.
///
/// Intel's guidelines and dstack agree on the use: 0 firmware configuration, 1 kernel and boot loader, 2 command line and
/// initrd, 3 what the running system measures, i.e. the ``RuntimeEvent``s.
public enum RTMR: UInt8, CaseIterable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Firmware and its configuration.
    case rtmr0 = 0
    /// The loaded kernel.
    case rtmr1 = 1
    /// Kernel command line and initial RAM disk.
    case rtmr2 = 2
    /// Runtime events: the application's identity, then the application's own.
    case rtmr3 = 3

    /// `RTMR0` to `RTMR3`.
    public var description: String { "RTMR\(rawValue)" }

    /// By number.
    public static func < (left: RTMR, right: RTMR) -> Bool { left.rawValue < right.rawValue }
}

/// The values of all four registers, quoted or replayed.
public struct RTMRValues: Sendable, Hashable {
    /// Register 0.
    public var rtmr0: Measurement384
    /// Register 1.
    public var rtmr1: Measurement384
    /// Register 2.
    public var rtmr2: Measurement384
    /// Register 3.
    public var rtmr3: Measurement384

    /// The given values; a register starts as zeros.
    public init(
        rtmr0: Measurement384 = FixedBytes(), rtmr1: Measurement384 = FixedBytes(),
        rtmr2: Measurement384 = FixedBytes(), rtmr3: Measurement384 = FixedBytes()
    ) {
        self.rtmr0 = rtmr0
        self.rtmr1 = rtmr1
        self.rtmr2 = rtmr2
        self.rtmr3 = rtmr3
    }

    /// The value of one register.
    public subscript(register: RTMR) -> Measurement384 {
        get {
            switch register {
            case .rtmr0: rtmr0
            case .rtmr1: rtmr1
            case .rtmr2: rtmr2
            case .rtmr3: rtmr3
            }
        }
        set {
            switch register {
            case .rtmr0: rtmr0 = newValue
            case .rtmr1: rtmr1 = newValue
            case .rtmr2: rtmr2 = newValue
            case .rtmr3: rtmr3 = newValue
            }
        }
    }
}

extension TDReport {
    /// The four registers, by number.
    public var rtmrs: RTMRValues {
        RTMRValues(rtmr0: rtMr0, rtmr1: rtMr1, rtmr2: rtMr2, rtmr3: rtMr3)
    }
}
