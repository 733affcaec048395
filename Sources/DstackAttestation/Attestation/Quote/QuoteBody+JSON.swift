package import DstackEncoding

extension QuoteBody {
    /// The member name of this body in reports: `SgxEnclave`, `TD10`, `TD15` or `TD15Ex`.
    package var jsonName: String {
        switch self {
        case .sgxEnclave: "SgxEnclave"
        case .td10: "TD10"
        case .td15: "TD15"
        case .td15Extended: "TD15Ex"
        }
    }

    /// All fields in layout order: bytes as lower-case hexadecimal, integers as numbers.
    package func write(to object: inout JSONWriter.Object) {
        switch self {
        case .sgxEnclave(let report): report.write(to: &object)
        case .td10(let report): report.write(to: &object)
        case .td15(let report): report.write(to: &object)
        case .td15Extended(let report): report.write(to: &object)
        }
    }
}

extension EnclaveReport {
    func write(to object: inout JSONWriter.Object) {
        object.member("cpu_svn", cpuSvn.hex)
        object.member("misc_select", miscSelect)
        object.member("reserved1", reserved1.hex)
        object.member("attributes", attributes.hex)
        object.member("mr_enclave", mrEnclave.hex)
        object.member("reserved2", reserved2.hex)
        object.member("mr_signer", mrSigner.hex)
        object.member("reserved3", reserved3.hex)
        object.member("isv_prod_id", isvProdId)
        object.member("isv_svn", isvSvn)
        object.member("reserved4", reserved4.hex)
        object.member("report_data", reportData.hex)
    }
}

extension TDReport {
    func write(to object: inout JSONWriter.Object) {
        object.member("tee_tcb_svn", teeTcbSvn.hex)
        object.member("mr_seam", mrSeam.hex)
        object.member("mr_signer_seam", mrSignerSeam.hex)
        object.member("seam_attributes", seamAttributes.hex)
        object.member("td_attributes", tdAttributes.hex)
        object.member("xfam", xfam.hex)
        object.member("mr_td", mrTd.hex)
        object.member("mr_config_id", mrConfigId.hex)
        object.member("mr_owner", mrOwner.hex)
        object.member("mr_owner_config", mrOwnerConfig.hex)
        object.member("rt_mr0", rtMr0.hex)
        object.member("rt_mr1", rtMr1.hex)
        object.member("rt_mr2", rtMr2.hex)
        object.member("rt_mr3", rtMr3.hex)
        object.member("report_data", reportData.hex)
    }
}

extension TDReport15 {
    func write(to object: inout JSONWriter.Object) {
        object.object("base") { base.write(to: &$0) }
        object.member("tee_tcb_svn2", teeTcbSvn2.hex)
        object.member("mr_service_td", mrServiceTd.hex)
    }
}

extension TDReport15Extended {
    func write(to object: inout JSONWriter.Object) {
        object.object("base") { base.write(to: &$0) }
        object.member("vmid", vmid)
        object.member("td_id", tdId.hex)
        object.member("dev_info", devInfo.hex)
        object.member("init_service_td_hash", initServiceTdHash.hex)
        object.member("init_service_td_attributes", initServiceTdAttributes.hex)
        object.member("init_cpu_svn", initCpuSvn.hex)
        object.member("init_tee_tcb_svn", initTeeTcbSvn.hex)
        object.member("init_tee_fmspc", initTeeFmspc.hex)
        object.member("cur_service_td_hash", curServiceTdHash.hex)
        object.member("cur_service_td_attributes", curServiceTdAttributes.hex)
    }
}

extension QuoteHeader {
    package func write(to object: inout JSONWriter.Object) {
        object.member("version", version)
        object.member("attestation_key_type", attestationKeyType)
        object.member("tee_type", teeTypeValue)
        object.member("qe_svn", qeSvn)
        object.member("pce_svn", pceSvn)
        object.member("qe_vendor_id", qeVendorId.hex)
        object.member("user_data", userData.hex)
    }
}

extension Quote {
    /// Everything that stands in a quote, without any judgement of it.
    public var json: [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.object("header") { header.write(to: &$0) }
            object.object("report") { report in report.object(body.jsonName) { body.write(to: &$0) } }
            object.object("signature") { item in
                item.member("isv_signature", signature.isvSignature.hex)
                item.member("attestation_key", signature.attestationKey.hex)
                if let outerType = signature.outerType { item.member("outer_certification_data_type", outerType) }
                item.object("qe_report") { signature.qeReport.write(to: &$0) }
                item.member("qe_report_signature", signature.qeReportSignature.hex)
                item.member("qe_auth_data", Hex.encode(signature.qeAuthData))
                item.object("certification_data") { data in
                    data.member("type", signature.certificationData.type)
                    data.member("size", signature.certificationData.data.count)
                    switch signature.certificationData.content {
                    case .pckCertificateChain(let pem):
                        data.member("pem", SafePEM.text(pem))
                        if let pck = PCKExtension(ofChain: pem) { data.object("pck") { pck.write(to: &$0) } }
                    case .ppidEncryptedRSA2048(_, let selector), .ppidEncryptedRSA3072(_, let selector),
                        .ppidClearText(_, let selector):
                        data.member("cpu_svn", selector.cpuSvn.hex)
                        data.member("pce_svn", selector.pceSvn)
                        data.member("pce_id", selector.pceId.hex)
                    default: break
                    }
                }
                item.member(
                    "trailing_bytes", signature.trailing.count + signature.certificationTrailing.count)
            }
            object.member("trailing_bytes", trailing.count)
        }
        return writer.bytes
    }
}

/// PEM text from a quote, for showing.
private enum SafePEM {
    /// Up to the NULs that often follow; bytes that are no UTF-8 are replaced.
    static func text(_ pem: [UInt8]) -> String {
        String(decoding: pem.prefix { $0 != 0 }, as: UTF8.self)
    }
}
