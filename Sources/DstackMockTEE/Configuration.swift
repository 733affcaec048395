public import DstackAttestation
import DstackEncoding

extension MockPlatform {
    /// What Intel would have written about the machine: the identity and versions in its PCK certificate, and the
    /// versions that its reports show.
    ///
    /// The defaults are a current platform: the collateral that ``MockPlatform/collateral(for:at:edit:)`` makes calls it
    /// `UpToDate`.
    public struct Configuration: Hashable, Sendable {
        /// Which of the two intermediate authorities issues the PCK certificate.
        public enum PCKAuthority: String, Hashable, Sendable, CaseIterable {
            /// Machines that register themselves, with several packages.
            case platform
            /// Machines with one package.
            case processor
        }

        /// Issuer of the PCK certificate.
        public var authority = PCKAuthority.platform
        /// Identifier of the machine; from the seed unless it is given.
        public var ppid: FixedBytes<16>?
        /// Security versions of the CPU, which TCB levels are compared with.
        public var cpuSvn: FixedBytes<16> =
            FixedBytes([5, 5, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]) ?? FixedBytes()
        /// Security version of the PCE.
        public var pceSvn: UInt16 = 13
        /// Identity of the PCE.
        public var pceId: FixedBytes<2> = FixedBytes()
        /// Platform family; by default one that Intel does not sell ("SIMUL" and a zero).
        public var fmspc: FixedBytes<6> = FixedBytes(Array("SIMUL\u{0}".utf8)) ?? FixedBytes()
        /// 0 standard, 1 scalable, 2 scalable with integrity.
        public var sgxType: UInt8 = 1
        /// Identifier of a multi-package machine; certificates of the platform authority only.
        public var platformInstanceId: FixedBytes<16>? = FixedBytes(repeating: 0x51)
        /// Whether packages can be added; nil leaves it out.
        public var dynamicPlatform: Bool? = false
        /// Whether platform root keys are kept by the manufacturer; nil leaves it out.
        public var cachedKeys: Bool? = false
        /// Whether simultaneous multithreading is on; nil leaves it out.
        public var smtEnabled: Bool? = true
        /// Security versions that TD reports show: TDX module (its version in byte 1, its security version in byte 0) and
        /// what it runs on.
        public var teeTcbSvn: FixedBytes<16> =
            FixedBytes([5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) ?? FixedBytes()
        /// Signer of the quoting enclaves; not Intel's.
        public var qeMrSigner: FixedBytes<32> = FixedBytes(repeating: 0x44)
        /// Security version of the quoting enclaves.
        public var qeIsvSvn: UInt16 = 8
        /// First second at which the certificates are valid, Unix seconds; by default 2020-01-01T00:00:00Z.
        public var notBefore: Int64 = 1_577_836_800
        /// Last second at which the certificates are valid, Unix seconds; by default 2049-12-31T23:59:59Z.
        public var notAfter: Int64 = 2_524_607_999

        /// A current platform.
        public init() {}
    }
}
