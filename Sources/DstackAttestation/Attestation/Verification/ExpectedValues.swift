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
        Expectation.all.contains { $0.check == .expectedApplication && $0.text(in: self) != nil }
    }
}

// MARK: - What each is

// Beside the values, whose storage nobody else reaches.
extension ExpectedValues {
    fileprivate static let reportData = Expectation.bytes(
        "expected_report_data", \._reportData, .expectedReportData, subject: "the report data", option: "report-data"
    ) { $0.body.reportData }
    fileprivate static let composeHash = Expectation.application(
        "expected_compose_hash", \._composeHash, option: "compose-hash"
    ) { $0.identity?.composeHash.bytes }
    fileprivate static let appID = Expectation.application("expected_app_id", \._appID, option: "app-id") {
        $0.identity?.appID.bytes
    }
    fileprivate static let osImageHash = Expectation.bytes(
        "expected_os_image_hash", \._osImageHash, .osImage, subject: "the OS image", option: "os-image-hash",
        absence: "none"
    ) { $0.evidence?.osImageHash }

    fileprivate static let all: [Expectation] = [
        reportData,
        .bytes("expected_mr_td", \._mrTd) { $0.body.tdReport?.mrTd },
        .bytes("expected_rt_mr0", \._rtMr0) { $0.body.tdReport?.rtMr0 },
        .bytes("expected_rt_mr1", \._rtMr1) { $0.body.tdReport?.rtMr1 },
        .bytes("expected_rt_mr2", \._rtMr2) { $0.body.tdReport?.rtMr2 },
        .bytes("expected_rt_mr3", \._rtMr3) { $0.body.tdReport?.rtMr3 },
        .bytes("expected_mr_config_id", \._mrConfigId) { $0.body.tdReport?.mrConfigId },
        .bytes("expected_mr_owner", \._mrOwner) { $0.body.tdReport?.mrOwner },
        .bytes("expected_mr_owner_config", \._mrOwnerConfig) { $0.body.tdReport?.mrOwnerConfig },
        .bytes("expected_mr_seam", \._mrSeam) { $0.body.tdReport?.mrSeam },
        .bytes("expected_td_attributes", \._tdAttributes) { $0.body.tdReport?.tdAttributes },
        .bytes("expected_xfam", \._xfam) { $0.body.tdReport?.xfam },
        .bytes("expected_mr_enclave", \._mrEnclave) { $0.body.enclaveReport?.mrEnclave },
        .bytes("expected_mr_signer", \._mrSigner) { $0.body.enclaveReport?.mrSigner },
        composeHash,
        appID,
        .application("expected_instance_id", \._instanceID) { $0.identity?.instanceID?.bytes },
        osImageHash,
        .application("expected_mr_system", \._mrSystem) { $0.measurements?.mrSystem },
        .application("expected_mr_aggregated", \._mrAggregated) { $0.measurements?.mrAggregated },
        .number("expected_isv_prod_id", \._isvProdId) { $0.isvProdId },
        .number("min_isv_svn", \._minimumIsvSvn, isMinimum: true) { $0.isvSvn },
    ]
}

extension Expectation {
    /// Everything that can be expected, in the order of policy files and reports.
    package static let all = ExpectedValues.all

    package static let reportData = ExpectedValues.reportData
    package static let composeHash = ExpectedValues.composeHash
    package static let appID = ExpectedValues.appID
    package static let osImageHash = ExpectedValues.osImageHash
}
