import DstackCrypto
import DstackEncoding

extension EndpointReport {
    /// The report as one JSON object: verdict and reason first, then the chain of trust, then the whole verification of the
    /// evidence as ``VerificationReport/json(pretty:)`` has it.
    public func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { object in
            object.answer(verdict.rawValue, reason)
            object.member("conditions", conditions)
            object.member("simulated", isSimulated)
            object.member("url", address.url)
            object.member("binding", binding?.rawValue)
            object.member("session_absence", sessionAbsence)
            object.member("verified_at", RFC3339.format(time))
            writeCertificate(to: &object)
            writeApplication(to: &object)
            object.array("chain") { array in
                for link in chain { array.object { write(link, to: &$0) } }
            }
            object.member("not_checked", notChecked)
            if let evidence {
                object.object("evidence") { evidence.write(to: &$0) }
            } else {
                object.null("evidence")
            }
        }
        return writer.bytes
    }

    private func writeCertificate(to object: inout JSONWriter.Object) {
        guard let certificate else { return object.null("certificate") }
        object.object("certificate") { item in
            item.member("sha256", SHA256.hash(certificate.der).hex)
            item.member("public_key_sha256", SHA256.hash(certificate.publicKey).hex)
            item.member("not_before", RFC3339.format(certificate.notBefore))
            item.member("not_after", RFC3339.format(certificate.notAfter))
        }
    }

    /// From the evidence alone, never from what the certificate's issuer says.
    private func writeApplication(to object: inout JSONWriter.Object) {
        guard let identity = evidence?.evidence?.identity else { return object.null("application") }
        object.object("application") { item in
            item.member("app_id", "\(identity.appID)")
            item.member("compose_hash", "\(identity.composeHash)")
            item.member("instance_id", identity.instanceID.map { "\($0)" })
        }
    }

    private func write(_ link: ChainLink, to object: inout JSONWriter.Object) {
        object.member("link", link.name)
        object.member("outcome", link.outcome.rawValue)
        object.member("subject", link.subject)
        object.object("facts") { facts in for fact in link.facts { facts.member(fact.name, fact.value) } }
    }
}
