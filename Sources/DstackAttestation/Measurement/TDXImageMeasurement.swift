package import DstackEncoding

/// What `measurement.tdx.cbor` says of an image: everything that its boot on TDX measures and that does not depend on
/// the VM's shape.
///
/// Reading is strict about the encoding, ignores members that it does not know and takes them in any order; writing
/// gives exactly the bytes of the image build, because their hash is in the image's checksum file.
package struct TDXImageMeasurement: Sendable, Equatable {
    /// The document's name in an image directory and in its checksum file.
    package static let fileName = "measurement.tdx.cbor"
    /// The only version there is.
    package static let version: UInt64 = 3

    /// SHA-384 of the kernel command line as the EFI stub measures it.
    package var commandLine: FixedBytes<48>
    /// Authenticode SHA-384 of the kernel, its header filled in for a memory of 2 GiB, or 2816 MiB and more.
    package var kernelAuthenticode: FixedBytes<48>
    /// SHA-384 of the initial RAM disk.
    package var initrd: FixedBytes<48>
    /// The firmware's generation.
    package var firmware: FirmwareVariant
    /// MRTD where pages are added and measured one by one.
    package var mrtdSinglePass: FixedBytes<48>
    /// MRTD where a section's pages are all added before they are measured.
    package var mrtdTwoPass: FixedBytes<48>
    /// The firmware's memory ranges.
    package var hobLayout: TDHOBLayout

    package init(
        commandLine: FixedBytes<48>, kernelAuthenticode: FixedBytes<48>, initrd: FixedBytes<48>,
        firmware: FirmwareVariant, mrtdSinglePass: FixedBytes<48>, mrtdTwoPass: FixedBytes<48>, hobLayout: TDHOBLayout
    ) {
        self.commandLine = commandLine
        self.kernelAuthenticode = kernelAuthenticode
        self.initrd = initrd
        self.firmware = firmware
        self.mrtdSinglePass = mrtdSinglePass
        self.mrtdTwoPass = mrtdTwoPass
        self.hobLayout = hobLayout
    }

    package func mrtd(_ order: MRTDPageOrder) -> FixedBytes<48> {
        switch order {
        case .singlePass: mrtdSinglePass
        case .twoPass: mrtdTwoPass
        }
    }

    /// - Throws: ``DecodingFailure`` for bytes that are not deterministic CBOR, another version, a missing member, a
    ///   digest that is not 48 bytes, an unknown firmware generation or a bad TD HOB witness.
    package init(decoding bytes: [UInt8]) throws(DecodingFailure) {
        let document = try CBORFields(
            try CBORDecoder.decode(bytes, subject: "measurement.tdx.cbor"), path: "tdx.measurement")
        let version = try document.unsigned("version")
        guard version == Self.version else {
            throw DecodingFailure(
                .unsupported, "TdxOsImageMeasurement", "unsupported version \(version), expected \(Self.version)")
        }
        let image = try document.fields("image")
        let tdvf = try document.fields("tdvf")
        let mrtd = try tdvf.fields("mrtd")
        let ovmf = try tdvf.text("ovmf")
        guard let firmware = FirmwareVariant.allCases.first(where: { $0.rawValue.utf8.elementsEqual(ovmf.utf8) }) else {
            throw DecodingFailure(
                .unsupported, "tdx.measurement.tdvf.ovmf",
                "unknown firmware variant; known are "
                    + FirmwareVariant.allCases.map(\.rawValue).joined(separator: ", ")
            )
        }
        self.init(
            commandLine: try image.fixed("cmdline_sha384"),
            kernelAuthenticode: try image.fixed("kernel_authenticode"),
            initrd: try image.fixed("initrd_sha384"),
            firmware: firmware,
            mrtdSinglePass: try mrtd.fixed("single_pass"),
            mrtdTwoPass: try mrtd.fixed("two_pass"),
            hobLayout: try TDHOBLayout(witness: try tdvf.bytes("td_hob")))
    }

    /// The document, byte for byte as an image build writes it.
    package func encoded() -> [UInt8] {
        CBOR.map([
            .init("version", .unsigned(Self.version)),
            .init(
                "image",
                .map([
                    .init("cmdline_sha384", .bytes(commandLine.bytes)),
                    .init("kernel_authenticode", .bytes(kernelAuthenticode.bytes)),
                    .init("initrd_sha384", .bytes(initrd.bytes)),
                ])),
            .init(
                "tdvf",
                .map([
                    .init("ovmf", .text(firmware.rawValue)),
                    .init(
                        "mrtd",
                        .map([
                            .init("single_pass", .bytes(mrtdSinglePass.bytes)),
                            .init("two_pass", .bytes(mrtdTwoPass.bytes)),
                        ])),
                    .init("td_hob", .bytes(hobLayout.witness)),
                ])),
        ]).encoded()
    }
}
