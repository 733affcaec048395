import DstackCrypto
package import DstackEncoding

extension PCKExtension {
    /// What the leaf of a PEM chain says, unverified; nil if there is no such chain.
    init?(ofChain pem: [UInt8]) {
        guard let blocks = try? PEM.decode(pem, label: "CERTIFICATE"), let der = blocks.first,
            let certificate = try? Certificate(der: der), let value = certificate.value(of: Self.identifier),
            let parsed = try? PCKExtension(parsing: Array(value))
        else { return nil }
        self = parsed
    }

    /// The members of the `pck` claim; bytes as hexadecimal.
    package func write(to object: inout JSONWriter.Object) {
        object.member("ppid", ppid.hex)
        object.member("cpu_svn", cpuSvn.hex)
        object.member("pce_svn", pceSvn)
        object.member("pce_id", pceId.hex)
        object.member("fmspc", Hex.encodeUppercase(fmspc.bytes))
        object.member("sgx_type", sgxType)
        object.member("platform_instance_id", platformInstanceId?.hex)
        object.member("dynamic_platform", Self.flag(dynamicPlatform))
        object.member("cached_keys", Self.flag(cachedKeys))
        object.member("smt_enabled", Self.flag(smtEnabled))
    }

    static func flag(_ value: Bool?) -> String { value.map { $0 ? "True" : "False" } ?? "Undefined" }
}
