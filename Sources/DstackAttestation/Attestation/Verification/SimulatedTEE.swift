import DstackCrypto

/// What a simulated TEE is told by. It makes itself known in the names of its certificates, so that nobody takes it for
/// hardware by mistake; against somebody who wants to deceive, only the trust anchor helps.
enum SimulatedTEE {
    /// Whether a certificate's common name is of one.
    static func names(_ name: String) -> Bool { name.hasPrefix("Simulated") }
}

extension Quote {
    /// Whether it is of a simulated TEE: the certificate of its platform, verified or not, says so. A quote without such a
    /// certificate does not say.
    public var isSimulated: Bool { platformName.map(SimulatedTEE.names) ?? false }

    /// The name in the platform's certificate; nil if there is none that can be read.
    var platformName: String? {
        guard case .pckCertificateChain(let pem) = signature.certificationData.content,
            let der = try? PEM.decode(pem, label: "CERTIFICATE").first
        else { return nil }
        return (try? Certificate(der: der))?.subjectCommonName
    }
}

extension VerificationReport {
    /// Whether the evidence is of a simulated TEE, so that nothing about hardware is proven: its platform's certificate says
    /// so, or it leads to the root of one. Genuine evidence is not simulated for being judged under such a root, to which it
    /// does not lead; and what could not be read as a quote is of no TEE at all.
    public var isSimulated: Bool {
        guard quote != nil else { return false }
        return platformName.map(SimulatedTEE.names) ?? false || trustAnchor.isSimulated && list.hasPassed(.pckChain)
    }

    /// The name in the platform's certificate, verified or not; nil if there is none that can be read.
    var platformName: String? { facts.platform?.leaf?.subjectCommonName ?? quote?.platformName }
}
