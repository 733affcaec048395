import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackRPC

/// A certificate that a caller wants, checked as far as that needs no issuer.
struct CertificateOrder: Sendable {
    var configuration: CertificateConfiguration
    /// The key that a caller holds; nil for a key that the agent makes.
    var callerKey: P256.PublicKey?

    /// - Parameters:
    ///   - settings: how long certificates may hold, and whether callers may bring keys.
    ///   - now: Unix seconds.
    /// - Throws: an `RPCError` that says what is wrong with the request.
    init(_ request: AgentRPC.GetTlsKeyArgs, _ settings: GuestSettings.Certificates, now: Int64) throws(RPCError) {
        configuration = CertificateConfiguration(
            commonName: request.subject, alternativeNames: request.altNames, isForServers: request.usageServerAuth,
            isForClients: request.usageClientAuth, includesEvidence: request.usageRATLS,
            includesAppInfo: request.withAppInfo, notBefore: request.notBefore, notAfter: request.notAfter)
        if let notBefore = request.notBefore, let notAfter = request.notAfter, notBefore >= notAfter {
            throw RPCError("not_before must be earlier than not_after")
        }
        try limit(settings, now)
        callerKey = try Self.callerKey(request, settings)
    }

    init(_ request: AgentRPC.DeriveKeyArgs, _ settings: GuestSettings.Certificates, now: Int64) throws(RPCError) {
        configuration = CertificateConfiguration(
            commonName: request.subject, alternativeNames: request.altNames, isForServers: request.usageServerAuth,
            isForClients: request.usageClientAuth, includesEvidence: request.usageRATLS)
        try limit(settings, now)
    }

    private mutating func limit(_ settings: GuestSettings.Certificates, _ now: Int64) throws(RPCError) {
        guard let maximum = settings.maximumValidity else { return }
        do {
            configuration = try configuration.limited(
                to: UInt64(clamping: maximum.components.seconds), at: now)
        } catch {
            throw RPCError("\(error)")
        }
    }

    /// The key of a PKCS#10 request, whose signature proves that the caller has it; or a bare one, which proves nothing:
    /// that is for callers whose hardware makes no such requests.
    private static func callerKey(
        _ request: AgentRPC.GetTlsKeyArgs, _ settings: GuestSettings.Certificates
    ) throws(RPCError) -> P256.PublicKey? {
        guard !request.csr.isEmpty || !request.publicKey.isEmpty else { return nil }
        guard settings.acceptsCallerKeys else {
            throw RPCError(
                "certificates for keys of callers are off: core.certificates.accept_caller_keys turns them on")
        }
        guard request.csr.isEmpty || request.publicKey.isEmpty else {
            throw RPCError("csr and public_key exclude each other: a request has its key")
        }
        do {
            var key = request.publicKey
            if !request.csr.isEmpty {
                let request = try CertificateRequest(der: der(request.csr))
                guard request.isSignatureValid else {
                    throw RPCError("csr: its signature is not that of its key")
                }
                key = request.subjectPublicKeyInfo
            }
            let read = try P256.PublicKey(spki: key)
            // The evidence is about the bytes that the certificate will have.
            guard read.spki == key else { throw RPCError("the key is compressed; the uncompressed form is needed") }
            return read
        } catch let error as RPCError {
            throw error
        } catch {
            throw RPCError("a certificate can be for a P-256 key: \(error)")
        }
    }

    /// PEM or DER.
    private static func der(_ bytes: [UInt8]) throws(DecodingFailure) -> [UInt8] {
        guard bytes.starts(with: Array("-----BEGIN".utf8)) else { return bytes }
        return try PEM.decode(bytes, label: "CERTIFICATE REQUEST").first ?? []
    }
}
