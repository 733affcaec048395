package import DstackEncoding

/// The registers of a TDX quote that the boot of an OS image determines.
package struct ImageRegisters: Sendable, Equatable {
    package let mrtd: FixedBytes<48>
    package let rtmr0: FixedBytes<48>
    package let rtmr1: FixedBytes<48>
    package let rtmr2: FixedBytes<48>

    package init(mrtd: FixedBytes<48>, rtmr0: FixedBytes<48>, rtmr1: FixedBytes<48>, rtmr2: FixedBytes<48>) {
        self.mrtd = mrtd
        self.rtmr0 = rtmr0
        self.rtmr1 = rtmr1
        self.rtmr2 = rtmr2
    }
}
