public import DstackEncoding

/// Values that a relying party expects. Only those that are set are compared, always whole. One that nil is assigned to
/// rejects everything (``Restriction``); an own ``init()`` expects nothing.
public struct ExpectedValues: Hashable, Sendable {
    /// All 64 bytes of report data.
    @Restriction public var reportData: FixedBytes<64>?
    /// Virtual firmware.
    @Restriction public var mrTd: Measurement384?
    /// Firmware configuration.
    @Restriction public var rtMr0: Measurement384?
    /// Kernel.
    @Restriction public var rtMr1: Measurement384?
    /// Command line and initial RAM disk.
    @Restriction public var rtMr2: Measurement384?
    /// Application events.
    @Restriction public var rtMr3: Measurement384?
    /// Launch configuration.
    @Restriction public var mrConfigId: Measurement384?
    /// Owner.
    @Restriction public var mrOwner: Measurement384?
    /// Owner's configuration.
    @Restriction public var mrOwnerConfig: Measurement384?
    /// TDX module.
    @Restriction public var mrSeam: Measurement384?
    /// Attributes of the trust domain, all eight bytes.
    @Restriction public var tdAttributes: FixedBytes<8>?
    /// Extended features of the trust domain, all eight bytes.
    @Restriction public var xfam: FixedBytes<8>?
    /// Enclave.
    @Restriction public var mrEnclave: FixedBytes<32>?
    /// Enclave's signer.
    @Restriction public var mrSigner: FixedBytes<32>?
    /// Product of the enclave's signer.
    @Restriction public var isvProdId: UInt16?
    /// Least security version of the enclave.
    @Restriction public var minimumIsvSvn: UInt16?
    /// SHA-256 of the measured app-compose.json, from the event log.
    @Restriction public var composeHash: FixedBytes<32>?
    /// Application identifier, from the event log.
    @Restriction public var appID: FixedBytes<20>?
    /// Instance identifier, from the event log.
    @Restriction public var instanceID: FixedBytes<20>?
    /// OS image, once its measurements were found in the quote.
    @Restriction public var osImageHash: FixedBytes<32>?
    /// `mr_aggregated` of the running application.
    @Restriction public var mrAggregated: FixedBytes<32>?
    /// `mr_system` of the running application.
    @Restriction public var mrSystem: FixedBytes<32>?

    /// Nothing is expected.
    public init() {}

    /// Whether something is expected that says which code runs. Firmware, kernel and platform do not; and an application or
    /// instance id alone is what whoever starts a machine says that it is.
    var namesCode: Bool {
        composeHash != nil || mrAggregated != nil || rtMr3 != nil || mrConfigId != nil || mrEnclave != nil
    }

    /// Whether something is expected that says which operating system, or enclave, runs. Without it nothing in RTMR3 and
    /// MRCONFIGID is worth anything: an image made for the purpose records any event, and the host sets the other.
    var namesSystem: Bool {
        osImageHash != nil || mrSystem != nil || mrAggregated != nil || mrEnclave != nil
            || (mrTd != nil && rtMr1 != nil && rtMr2 != nil)
    }

    /// Whether something is expected that only an event log can show.
    var needsEventLog: Bool {
        Expectation.ofApplication.contains { $0.isSet(in: self) }
    }
}

// MARK: - What each is

// Beside the values, whose storage nobody else reaches.
extension ExpectedValues {
    fileprivate static let reportData = Expectation.bytes(
        "expected_report_data", .init(\._reportData, { $0._reportData }), .expectedReportData,
        subject: "the report data", option: "report-data"
    ) { $0.body.reportData }
    fileprivate static let composeHash = Expectation.application(
        "expected_compose_hash", .init(\._composeHash, { $0._composeHash }), option: "compose-hash"
    ) { $0.identity?.composeHash.bytes }
    fileprivate static let appID = Expectation.application(
        "expected_app_id", .init(\._appID, { $0._appID }), option: "app-id"
    ) {
        $0.identity?.appID.bytes
    }
    fileprivate static let osImageHash = Expectation.bytes(
        "expected_os_image_hash", .init(\._osImageHash, { $0._osImageHash }), .osImage, subject: "the OS image",
        option: "os-image-hash",
        absence: "none"
    ) { $0.evidence?.osImageHash }

    fileprivate static let all: [Expectation] = [
        reportData,
        .bytes("expected_mr_td", .init(\._mrTd, { $0._mrTd })) { $0.body.tdReport?.mrTd },
        .bytes("expected_rt_mr0", .init(\._rtMr0, { $0._rtMr0 })) { $0.body.tdReport?.rtMr0 },
        .bytes("expected_rt_mr1", .init(\._rtMr1, { $0._rtMr1 })) { $0.body.tdReport?.rtMr1 },
        .bytes("expected_rt_mr2", .init(\._rtMr2, { $0._rtMr2 })) { $0.body.tdReport?.rtMr2 },
        .bytes("expected_rt_mr3", .init(\._rtMr3, { $0._rtMr3 })) { $0.body.tdReport?.rtMr3 },
        .bytes("expected_mr_config_id", .init(\._mrConfigId, { $0._mrConfigId })) { $0.body.tdReport?.mrConfigId },
        .bytes("expected_mr_owner", .init(\._mrOwner, { $0._mrOwner })) { $0.body.tdReport?.mrOwner },
        .bytes("expected_mr_owner_config", .init(\._mrOwnerConfig, { $0._mrOwnerConfig })) {
            $0.body.tdReport?.mrOwnerConfig
        },
        .bytes("expected_mr_seam", .init(\._mrSeam, { $0._mrSeam })) { $0.body.tdReport?.mrSeam },
        .bytes("expected_td_attributes", .init(\._tdAttributes, { $0._tdAttributes })) {
            $0.body.tdReport?.tdAttributes
        },
        .bytes("expected_xfam", .init(\._xfam, { $0._xfam })) { $0.body.tdReport?.xfam },
        .bytes("expected_mr_enclave", .init(\._mrEnclave, { $0._mrEnclave })) { $0.body.enclaveReport?.mrEnclave },
        .bytes("expected_mr_signer", .init(\._mrSigner, { $0._mrSigner })) { $0.body.enclaveReport?.mrSigner },
        composeHash,
        appID,
        .application("expected_instance_id", .init(\._instanceID, { $0._instanceID })) {
            $0.identity?.instanceID?.bytes
        },
        osImageHash,
        .application("expected_mr_system", .init(\._mrSystem, { $0._mrSystem })) { $0.measurements?.mrSystem },
        .application("expected_mr_aggregated", .init(\._mrAggregated, { $0._mrAggregated })) {
            $0.measurements?.mrAggregated
        },
        .number("expected_isv_prod_id", .init(\._isvProdId, { $0._isvProdId })) { $0.isvProdId },
        .number("min_isv_svn", .init(\._minimumIsvSvn, { $0._minimumIsvSvn }), isMinimum: true) { $0.isvSvn },
    ]
}

extension Expectation {
    /// Everything that can be expected, in the order of policy files and reports.
    package static let all = ExpectedValues.all

    private static let ofReportData = all.filter { $0.check == .expectedReportData }
    private static let ofMeasurements = all.filter { $0.check == .expectedMeasurements }
    fileprivate static let ofApplication = all.filter { $0.check == .expectedApplication }
    private static let ofImage = all.filter { $0.check == .osImage }

    /// Those that a check compares, in the order of ``all``.
    static func compared(by check: CheckID) -> [Expectation] {
        switch check {
        case .expectedReportData: ofReportData
        case .expectedMeasurements: ofMeasurements
        case .expectedApplication: ofApplication
        case .osImage: ofImage
        default: []
        }
    }

    package static let reportData = ExpectedValues.reportData
    package static let composeHash = ExpectedValues.composeHash
    package static let appID = ExpectedValues.appID
    package static let osImageHash = ExpectedValues.osImageHash
}
