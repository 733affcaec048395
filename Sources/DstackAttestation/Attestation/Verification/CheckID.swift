/// The checks of a verification, in the order in which they are reported.
///
/// The order is that of DCAP verification: trust anchor and revocation lists, quote, TCB info, QE identity, PCK
/// certificate, quoting enclave, quote signature, TCB levels, attributes; then the relying party's policy; then what else
/// the evidence holds (event log, application, OS image). The first failed check is the reason of a rejection;
/// but where there is no evidence that could be read, that is the reason.
public enum CheckID: UInt8, Hashable, Sendable, CaseIterable {
    // Trust anchor and revocation lists
    case trustAnchor
    case rootCRLFormat
    case rootCRLSignature
    case rootCRLValidity
    case rootRevocation
    case pckCRLFormat
    // Envelope and quote
    case envelopeFormat
    case quoteFormat
    case qeVendor
    case quoteVersion
    case attestationKeyType
    case quoteLayout
    // TCB info
    case tcbInfoFormat
    case tcbInfoIssueDate
    case tcbInfoNextUpdate
    case tcbInfoSigner
    case tcbInfoSignerValidity
    case tcbInfoSignerRevocation
    case tcbInfoSignature
    // QE identity
    case qeIdentityFormat
    case qeIdentityIssueDate
    case qeIdentityNextUpdate
    case qeIdentitySigner
    case qeIdentitySignerValidity
    case qeIdentitySignerRevocation
    case qeIdentitySignature
    case qeIdentityType
    // PCK certificate
    case pckCertificateSource
    case pckChain
    case pckChainValidity
    case pckCARevocation
    case pckCRLSignature
    case pckCRLValidity
    case pckRevocation
    case pckExtension
    // Quoting enclave
    case qeReportSignature
    case attestationKeyBinding
    case qeSigner
    case qeDebug
    case qeProduct
    case qeMiscSelect
    case qeAttributes
    case qeTCBLevel
    // Quote signature
    case quoteSignature
    // TCB levels
    case fmspc
    case tcbInfoType
    case pceID
    case tcbLevel
    case tdxModuleIdentity
    case tdxModuleSigner
    case tdxModuleAttributes
    case currentTCBLevel
    case tcbNotRevoked
    // Attributes
    case serviceTD
    case debug
    case tdProfiling
    case tdReservedAttributes
    case tdMigration
    case tdServiceTDExtension
    case tdSeptVEDisable
    // What was verified before
    case collateralFloor
    case clockFloor
    // Policy
    case policyTCBStatus
    case policyPlatformGrace
    case policyQEGrace
    case policyAdvisories
    case policyEvaluationDataNumber
    case policyDynamicPlatform
    case policyCachedKeys
    case policySMT
    case policySGXType
    case policyCollateralAge
    case policyPlatforms
    case expectedReportData
    case expectedMeasurements
    // Envelope
    case envelopeReportData
    case envelopeRuntimeEvents
    // Event log
    case eventLogFormat
    case eventLogReplay
    case applicationIdentity
    case composeHash
    case configurationID
    case expectedApplication
    // OS image
    case osImage

    /// The stable name, as reports and logs show it.
    public var name: String { String(cString: Self.facts[Int(rawValue)].name.utf8Start) }

    /// What holds if the check passed, in one line.
    public var title: String { String(cString: Self.facts[Int(rawValue)].title.utf8Start) }

    /// The number of the check in Intel's DCAP verification flow (Intel SGX DCAP Quote Verification Library, section
    /// 4.1.2.4), where it has one.
    public var intelNumber: String? {
        let number = String(cString: Self.facts[Int(rawValue)].intel.utf8Start)
        return number.isEmpty ? nil : "4.1.2.4." + number
    }

    private struct Facts: Sendable {
        let name: StaticString
        let title: StaticString
        let intel: StaticString

        init(_ name: StaticString, _ title: StaticString, _ intel: StaticString = "") {
            self.name = name
            self.title = title
            self.intel = intel
        }
    }

    private static let facts: [Facts] = allCases.map { check in
        switch check {
        case .trustAnchor: Facts("trust_anchor", "the trust anchor is a valid self-signed CA certificate")
        case .rootCRLFormat: Facts("root_crl_format", "the root revocation list is complete and well-formed")
        case .rootCRLSignature: Facts("root_crl_signature", "the root revocation list is the trust anchor's")
        case .rootCRLValidity: Facts("root_crl_validity", "the root revocation list is current")
        case .rootRevocation: Facts("root_revocation", "the root does not list itself as revoked")
        case .pckCRLFormat: Facts("pck_crl_format", "the PCK revocation list is complete and well-formed")
        case .envelopeFormat: Facts("envelope_format", "the attestation envelope can be read")
        case .quoteFormat: Facts("quote_format", "the quote can be read")
        case .qeVendor: Facts("qe_vendor_id", "the quoting enclave is Intel's")
        case .quoteVersion: Facts("quote_version", "version, TEE type and body belong together")
        case .attestationKeyType: Facts("attestation_key_type", "the attestation key is ECDSA P-256")
        case .quoteLayout: Facts("quote_layout", "nothing is hidden or left over in the quote")
        case .tcbInfoFormat: Facts("tcb_info_format", "TCB info can be read")
        case .tcbInfoIssueDate: Facts("tcb_info_issue_date", "TCB info is not from the future")
        case .tcbInfoNextUpdate: Facts("tcb_info_next_update", "TCB info is not expired")
        case .tcbInfoSigner: Facts("tcb_info_signer", "the signer of TCB info is certified by the trust anchor for it")
        case .tcbInfoSignerValidity: Facts("tcb_info_signer_validity", "the certificate of its signer is valid now")
        case .tcbInfoSignerRevocation:
            Facts("tcb_info_signer_revocation", "the certificate of its signer is not revoked")
        case .tcbInfoSignature: Facts("tcb_info_signature", "TCB info is exactly what its signer signed")
        case .qeIdentityFormat: Facts("qe_identity_format", "QE identity can be read")
        case .qeIdentityIssueDate: Facts("qe_identity_issue_date", "QE identity is not from the future")
        case .qeIdentityNextUpdate: Facts("qe_identity_next_update", "QE identity is not expired")
        case .qeIdentitySigner:
            Facts("qe_identity_signer", "the signer of QE identity is certified by the trust anchor for it")
        case .qeIdentitySignerValidity:
            Facts("qe_identity_signer_validity", "the certificate of its signer is valid now")
        case .qeIdentitySignerRevocation:
            Facts("qe_identity_signer_revocation", "the certificate of its signer is not revoked")
        case .qeIdentitySignature: Facts("qe_identity_signature", "QE identity is exactly what its signer signed")
        case .qeIdentityType: Facts("qe_identity_type", "QE identity is for the quoting enclave of this TEE", "14")
        case .pckCertificateSource: Facts("pck_certificate_source", "the PCK certificate chain is there")
        case .pckChain: Facts("pck_chain", "the PCK certificate is certified by the trust anchor", "4")
        case .pckChainValidity: Facts("pck_chain_validity", "PCK and CA certificates are valid now")
        case .pckCARevocation: Facts("pck_ca_revocation", "the PCK CA is not revoked")
        case .pckCRLSignature: Facts("pck_crl_signature", "the PCK revocation list is the PCK CA's", "6")
        case .pckCRLValidity: Facts("pck_crl_validity", "the PCK revocation list is current")
        case .pckRevocation: Facts("pck_revocation", "the PCK certificate is not revoked", "7")
        case .pckExtension: Facts("pck_extension", "the PCK certificate says which platform it is for")
        case .qeReportSignature: Facts("qe_report_signature", "the platform signed the quoting enclave's report", "12")
        case .attestationKeyBinding:
            Facts("attestation_key_binding", "the quoting enclave made the attestation key", "13")
        case .qeSigner: Facts("qe_mr_signer", "the quoting enclave is signed by Intel", "15")
        case .qeDebug: Facts("qe_debug", "the quoting enclave is not in debug mode", "15")
        case .qeProduct: Facts("qe_isv_prod_id", "the quoting enclave is the right product", "15")
        case .qeMiscSelect: Facts("qe_misc_select", "the quoting enclave's MISCSELECT is as Intel requires", "15")
        case .qeAttributes: Facts("qe_attributes", "the quoting enclave's attributes are as Intel requires", "15")
        case .qeTCBLevel: Facts("qe_tcb_level", "the quoting enclave has a known security version", "15")
        case .quoteSignature: Facts("quote_signature", "the attestation key signed header and body", "16")
        case .fmspc: Facts("fmspc", "TCB info is for this platform family", "10")
        case .tcbInfoType: Facts("tcb_info_type", "TCB info is for this TEE", "9")
        case .pceID: Facts("pce_id", "TCB info is for this PCE", "10")
        case .tcbLevel: Facts("tcb_level", "the platform has a known TCB level", "17")
        case .tdxModuleIdentity: Facts("tdx_module_identity", "the TDX module is a version that Intel knows", "11")
        case .tdxModuleSigner: Facts("tdx_module_signer", "the TDX module is signed by Intel", "11.1")
        case .tdxModuleAttributes:
            Facts("tdx_module_attributes", "the TDX module's attributes are as Intel requires", "11.2")
        case .currentTCBLevel: Facts("current_tcb_level", "what the platform runs now has a known TCB level", "17")
        case .tcbNotRevoked: Facts("tcb_not_revoked", "the platform, its module and its QE are not revoked", "17")
        case .serviceTD: Facts("service_td", "no service TD is bound")
        case .debug: Facts("debug", "the attested code is not in debug mode")
        case .tdProfiling: Facts("td_profiling", "the TD cannot be profiled by the host")
        case .tdReservedAttributes: Facts("td_reserved_attributes", "no unknown TD attribute is set")
        case .tdMigration: Facts("td_migration", "the TD cannot be migrated")
        case .tdServiceTDExtension: Facts("td_servtd_ext", "service-TD extensions are off")
        case .tdSeptVEDisable: Facts("td_sept_ve_disable", "the host cannot inject exceptions through page tables")
        case .collateralFloor:
            Facts("collateral_floor", "the collateral is no older than what was verified before")
        case .clockFloor: Facts("clock_floor", "the clock is not behind what was verified before")
        case .policyTCBStatus: Facts("policy_tcb_status", "the policy accepts the TCB status")
        case .policyPlatformGrace: Facts("policy_platform_grace", "an outdated platform is within its grace period")
        case .policyQEGrace: Facts("policy_qe_grace", "an outdated quoting enclave is within its grace period")
        case .policyAdvisories: Facts("policy_advisories", "no advisory applies that the policy rejects")
        case .policyEvaluationDataNumber:
            Facts("policy_eval_data_number", "the collateral is from a recent enough TCB recovery")
        case .policyDynamicPlatform:
            Facts("policy_dynamic_platform", "the policy accepts dynamic platforms or this is none")
        case .policyCachedKeys: Facts("policy_cached_keys", "the policy accepts cached platform keys or there are none")
        case .policySMT: Facts("policy_smt", "the policy accepts multithreading or it is off")
        case .policySGXType: Facts("policy_sgx_type", "the policy accepts this kind of memory protection")
        case .policyCollateralAge: Facts("policy_collateral_age", "the collateral is as fresh as the policy wants")
        case .policyPlatforms: Facts("policy_platforms", "the platform is one that the policy names")
        case .expectedReportData: Facts("expected_report_data", "the report data is the expected one")
        case .expectedMeasurements: Facts("expected_measurements", "all measurements are the expected ones")
        case .envelopeReportData: Facts("envelope_report_data", "the envelope's report data is the quote's")
        case .envelopeRuntimeEvents: Facts("envelope_runtime_events", "both copies of the runtime events are the same")
        case .eventLogFormat: Facts("event_log_format", "the event log can be read")
        case .eventLogReplay: Facts("event_log_replay", "replaying the event log gives the quoted registers")
        case .applicationIdentity: Facts("application_identity", "the event log identifies one application")
        case .composeHash: Facts("compose_hash", "the measured compose file is the given one")
        case .configurationID: Facts("mr_config_id", "the host's launch configuration names this application")
        case .expectedApplication: Facts("expected_application", "the application is the expected one")
        case .osImage: Facts("os_image", "the quoted boot measurements are those of the named OS image")
        }
    }
}
