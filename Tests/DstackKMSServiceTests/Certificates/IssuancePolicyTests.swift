import DstackAttestation
import DstackEncoding
import DstackKMSService
import DstackKeys
import Testing

@Suite("What certificates applications get")
struct IssuancePolicyTests {
    private let now = CertificateSamples.now
    private let app = AppID(FixedBytes(repeating: 7))
    private let year: UInt64 = 365 * 86_400

    private func check(
        _ policy: IssuancePolicy, _ wanted: CertificateConfiguration, domain: String = CertificateSamples.domain,
        until end: Int64 = .max
    ) throws(KMSServiceError) -> CertificateConfiguration {
        try policy.check(wanted, for: CertificateSamples.caller(app), kmsDomain: domain, at: now, until: end)
    }

    /// The text of the refusal; nil if there is none.
    private func refusal(
        _ policy: IssuancePolicy, _ wanted: CertificateConfiguration, domain: String = CertificateSamples.domain
    ) -> String? {
        do {
            _ = try check(policy, wanted, domain: domain)
            return nil
        } catch {
            #expect(error == KMSServiceError(.invalidRequest, "", ""))
            return "\(error)"
        }
    }

    private func refusal(
        name: String, _ policy: IssuancePolicy = IssuancePolicy(), domain: String = CertificateSamples.domain
    ) -> String? {
        refusal(policy, CertificateConfiguration(commonName: "x", alternativeNames: [name]), domain: domain)
    }

    private func refusal(subject: String, _ policy: IssuancePolicy = IssuancePolicy()) -> String? {
        refusal(policy, CertificateConfiguration(commonName: subject))
    }

    // MARK: What everybody gets

    @Test("what guests, gateways and applications of upstream ask for they get unchanged, for ten years")
    func upstreamClients() throws {
        let end = UInt64(now) + 10 * year
        let requests = [
            CertificateConfiguration(
                commonName: "dstack-guest-agent", isForClients: true, includesAppInfo: true,
                notAfter: UInt64(now) + 10 * 86_400),
            CertificateConfiguration(commonName: "demo-cert", isForClients: true, includesEvidence: true),
            CertificateConfiguration(
                commonName: "dstack-gateway", alternativeNames: ["gateway.example.com", "10.0.0.7", "gateway-1"],
                isForServers: true, isForClients: true, includesEvidence: true, includesAppInfo: true),
            CertificateConfiguration(commonName: ""),
            CertificateConfiguration(
                commonName: "My Service", organization: "Müller GmbH",
                alternativeNames: ["my_service", "*.app.test", "::1"],
                isForServers: true, notBefore: 0, notAfter: end),
        ]
        for wanted in requests {
            var expected = wanted
            expected.notAfter = wanted.notAfter ?? end
            #expect(try check(IssuancePolicy(), wanted) == expected)
        }
    }

    @Test("a certificate of the identified form that would name nobody names the application")
    func nobody() throws {
        var policy = IssuancePolicy()
        policy.profile = .identified
        #expect(try check(policy, CertificateConfiguration(commonName: "")).commonName == app.bytes.hex)
        let named = CertificateConfiguration(commonName: "", alternativeNames: ["svc.test"])
        #expect(try check(policy, named).commonName == "")
    }

    // MARK: The service's own name

    @Test(
        "no application gets the name of the KMS, however it is spelled",
        arguments: ["kms.example.com", "KMS.Example.COM", "*.example.com", "*.EXAMPLE.com"])
    func ownName(name: String) throws {
        #expect(refusal(name: name)?.contains("the KMS itself") == true)
        #expect(refusal(subject: name)?.contains("the KMS itself") == true)
        var policy = IssuancePolicy()
        policy.namesByApp = [app: try patterns("*", "kms.example.com", "*.example.com")]
        #expect(refusal(name: name, policy)?.contains("the KMS itself") == true)
    }

    @Test("a common name with dots and spaces around it is still the KMS's")
    func paddedSubject() {
        for subject in ["kms.example.com.", " kms.example.com", "kms.example.com \u{A0}", ".kms.example.com"] {
            #expect(refusal(subject: subject)?.contains("the KMS itself") == true)
        }
    }

    @Test("names of the KMS may be one word or an address")
    func otherOwnNames() {
        #expect(refusal(name: "kms", domain: "kms") != nil)
        #expect(refusal(name: "kms", domain: "KMS") != nil)
        #expect(refusal(name: "10.0.0.7", domain: "10.0.0.7") != nil)
        #expect(refusal(name: "::ffff:10.0.0.7", domain: "10.0.0.7") != nil)
        #expect(refusal(name: "0:0:0:0:0:0:0:1", domain: "::1") != nil)
        #expect(refusal(name: "10.0.0.8", domain: "10.0.0.7") == nil)
        #expect(refusal(name: "kms", domain: "") == nil)
        #expect(refusal(IssuancePolicy(), CertificateConfiguration(commonName: "KMS"), domain: "kms") != nil)
    }

    @Test("names beside that of the KMS are not it")
    func neighbours() {
        for name in ["kms2.example.com", "a.kms.example.com", "example.com", "xkms.example.com", "*.kms.example.com"] {
            #expect(refusal(name: name) == nil, "\(name)")
        }
    }

    @Test(
        "no application gets the name of a CA",
        arguments: ["Dstack KMS CA", "dstack app ca", " Dstack Client Temp CA."])
    func authorities(subject: String) { #expect(refusal(subject: subject)?.contains("certificate authority") == true) }

    @Test("absolute names and addresses as URLs have them are issued in the spelling that clients compare")
    func spelling() throws {
        let asked = ["a.test.", "[2001:db8::1]", "*.b.test.", "A.test", "10.0.0.7"]
        let wanted = CertificateConfiguration(commonName: "x", alternativeNames: asked)
        #expect(
            try check(IssuancePolicy(), wanted).alternativeNames
                == ["a.test", "2001:db8::1", "*.b.test", "A.test", "10.0.0.7"])
        #expect(refusal(name: "kms.example.com.")?.contains("the KMS itself") == true)
        #expect(refusal(name: "[::1]", domain: "::1")?.contains("the KMS itself") == true)
    }

    // MARK: What is no name

    @Test(
        "what not every client takes for the same name is refused",
        arguments: [
            "", " ", ".", "[]", "[a]", "[10.0.0.7]", "[::1", "::1]", "[[::1]]", "[a:b]", "a b", "a\0.example.com",
            "a\n", "\u{7F}", "bücher.example", "ｋms.example.com", "a..b", ".a", "a..",
            "-a.b",
            "a-.b", "a/b", "a:80", "https://a", "user@a", "fe80::1%eth0", "010.0.0.7", "10.0.0", "1.2.3.4.5",
            "0x0a000007",
            "a.0x7f", "127", "a.127", "*", "*.com", "a.*.b", "*a.example.com", "a*.example.com", "*.*.example.com",
            "*.1.2",
            String(repeating: "a", count: 64) + ".b", String(repeating: "a.", count: 126) + "ab",
        ])
    func malformed(name: String) {
        let text = refusal(name: name)
        #expect(text?.contains("certificate name") == true)
        #expect(text?.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } == true)
    }

    @Test("names as long as names can be are none of these")
    func long() {
        let label = String(repeating: "a", count: 63)
        let longest = [label, label, label, String(repeating: "a", count: 61)].joined(separator: ".")
        #expect(longest.utf8.count == 253 && refusal(name: longest) == nil)
        #expect(refusal(name: longest + "a") != nil)
        #expect(refusal(name: "*." + longest.dropFirst(2)) == nil)
    }

    @Test(
        "subjects with what cannot be seen are refused",
        arguments: ["a\0", "a\nb", "a\u{202E}b", "a\u{200B}b", "\u{2028}", "\u{E000}", "a*b", "*", "kms*.example.com"])
    func subjects(text: String) {
        #expect(refusal(subject: text) != nil)
        guard !text.contains("*") else { return }
        #expect(refusal(IssuancePolicy(), CertificateConfiguration(commonName: "x", organization: text)) != nil)
    }

    @Test("subjects are bounded, in the identified form as RFC 5280 has it")
    func subjectLengths() {
        var policy = IssuancePolicy()
        for (profile, limit) in [(CertificateProfile.upstream, 253), (.identified, 64)] {
            policy.profile = profile
            #expect(refusal(subject: String(repeating: "ü", count: limit), policy) == nil)
            #expect(refusal(subject: String(repeating: "ü", count: limit + 1), policy) != nil)
            let organization = String(repeating: "ü", count: limit + 1)
            #expect(refusal(policy, CertificateConfiguration(commonName: "x", organization: organization)) != nil)
        }
    }

    @Test("the number of names is bounded")
    func count() {
        var policy = IssuancePolicy()
        policy.maximumNames = 2
        let names = ["a.test", "b.test", "c.test"]
        #expect(refusal(policy, CertificateConfiguration(commonName: "x", alternativeNames: names)) != nil)
        #expect(
            refusal(policy, CertificateConfiguration(commonName: "x", alternativeNames: Array(names.prefix(2)))) == nil)
        let many = [String](repeating: "a.test", count: 101)
        #expect(refusal(IssuancePolicy(), CertificateConfiguration(commonName: "x", alternativeNames: many)) != nil)
    }

    // MARK: Names by rule

    @Test("a reserved name goes only to the application for which it is")
    func reserved() throws {
        var policy = IssuancePolicy()
        policy.reservedNames = try patterns("*.gateway.test", "kms2.test", "192.0.2.0/24", "gateway")
        let refused = [
            "a.gateway.test", "a.b.gateway.test", "*.gateway.test", "kms2.test", "192.0.2.9", "::ffff:192.0.2.9",
            "GATEWAY",
            "*.a.gateway.test",
        ]
        for name in refused {
            #expect(refusal(name: name, policy)?.contains("reserved") == true, "\(name)")
            #expect(refusal(subject: name, policy)?.contains("reserved") == true, "\(name)")
        }
        for name in ["gateway.test", "a.test", "192.0.3.9", "kms2"] {
            #expect(refusal(name: name, policy) == nil, "\(name)")
        }
        policy.namesByApp = [app: try patterns("*.gateway.test")]
        for name in ["a.gateway.test", "*.gateway.test"] { #expect(refusal(name: name, policy) == nil) }
        #expect(refusal(name: "kms2.test", policy) != nil)
        policy.namesByApp = [AppID(FixedBytes(repeating: 8)): try patterns("*.gateway.test")]
        #expect(refusal(name: "a.gateway.test", policy) != nil)
    }

    @Test("a wildcard that may cover what is reserved is refused, also where asterisks stand for several labels")
    func coveringWildcards() throws {
        var policy = IssuancePolicy()
        policy.reservedNames = try patterns("*.gateway.example.org", "a.b.example.net")
        for name in ["*.example.org", "*.gateway.example.org", "*.b.example.net", "*.example.net"] {
            #expect(refusal(name: name, policy)?.contains("reserved") == true, "\(name)")
        }
        for name in ["*.other.example.org", "*.a.b.example.net"] { #expect(refusal(name: name, policy) == nil) }
    }

    @Test("an application has the names of all, and its own")
    func allowed() throws {
        var policy = IssuancePolicy()
        policy.names = try patterns("*.apps.test", "shared.test", "10.0.0.0/8", "2001:db8::/32")
        policy.namesByApp = [app: try patterns("mine.test")]
        let good = [
            "a.apps.test", "a.b.apps.test", "*.apps.test", "*.a.apps.test", "SHARED.test", "10.255.0.1",
            "2001:db8:1::1",
            "mine.test",
        ]
        for name in good { #expect(refusal(name: name, policy) == nil, "\(name)") }
        for name in ["apps.test", "other.test", "11.0.0.1", "2001:db9::1", "*.test.test", "*.shared.test", "localhost"]
        {
            #expect(refusal(name: name, policy)?.contains("not among the names") == true, "\(name)")
        }
        // What is no host's name is a description of the requester.
        for subject in ["dstack-guest-agent", "My Service", "", "shared.test"] {
            #expect(refusal(subject: subject, policy) == nil)
        }
        for subject in ["other.test", "*.other.test", "11.0.0.1", "other.test."] {
            #expect(refusal(subject: subject, policy) != nil)
        }
        policy.names = []
        #expect(refusal(name: "a.apps.test", policy) != nil)
        #expect(refusal(name: "mine.test", policy) == nil)
    }

    @Test("wildcards and addresses can be refused as such")
    func kinds() {
        var policy = IssuancePolicy()
        policy.allowsWildcards = false
        policy.allowsAddresses = false
        for name in ["*.a.test", "10.0.0.7", "::1"] {
            #expect(refusal(name: name, policy) != nil)
            #expect(refusal(subject: name, policy) != nil)
        }
        #expect(refusal(name: "a.test", policy) == nil)
    }

    @Test(
        "patterns that say nothing are refused",
        arguments: [
            "", "*.", "**", "a*", "*a.test", "*.*.test", "a b", "10.0.0.0/33", "10.0.0.1/8", "::/129", "a.test/8",
            "10.0.0.0/", "/8",
            "10.0.0.0/-1", "*.10.0.0.1", "*.[::1]", "bücher.test", "a.test.",
        ])
    func wrongPatterns(text: String) {
        #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) { try CertificateNamePattern(text) }
    }

    @Test("the network of all addresses has them all, and no name")
    func allAddresses() throws {
        var policy = IssuancePolicy()
        policy.names = try patterns("0.0.0.0/0")
        #expect(refusal(name: "255.255.255.255", policy) == nil)
        #expect(refusal(name: "::1", policy) != nil)
        #expect(refusal(name: "a.test", policy) != nil)
    }

    // MARK: Uses and validity

    @Test("uses can be refused, and then none is left open")
    func uses() {
        let asked = [(false, false), (true, false), (false, true), (true, true)].map {
            CertificateConfiguration(commonName: "x", isForServers: $0.0, isForClients: $0.1)
        }
        var policy = IssuancePolicy()
        #expect(asked.map { refusal(policy, $0) == nil } == [true, true, true, true])
        policy.allowsServers = false
        #expect(asked.map { refusal(policy, $0) == nil } == [false, false, true, false])
        (policy.allowsServers, policy.allowsClients) = (true, false)
        #expect(asked.map { refusal(policy, $0) == nil } == [false, true, false, false])
        policy.allowsServers = false
        #expect(asked.map { refusal(policy, $0) == nil } == [false, false, false, false])
    }

    private func end(_ policy: IssuancePolicy, _ asked: UInt64?, until end: Int64 = .max) throws -> UInt64? {
        try check(policy, CertificateConfiguration(commonName: "x", notAfter: asked), until: end).notAfter
    }

    @Test("a certificate holds as long as asked for, up to the limit and the CA's own end")
    func validity() throws {
        let present = UInt64(now)
        var policy = IssuancePolicy()
        policy.defaultLifetime = 100
        policy.maximumLifetime = 1000
        #expect(try end(policy, nil) == present + 100)
        #expect(try end(policy, present + 1000) == present + 1000)
        // A guest's clock may be fast.
        #expect(try end(policy, present + 1000 + 3600) == present + 1000)
        for asked in [present + 1000 + 3601, .max, present, present - 1, 0] {
            #expect(throws: KMSServiceError(.invalidRequest, "", "")) { try end(policy, asked) }
        }
        #expect(try end(policy, present + 1000, until: now + 50) == present + 50)
        #expect(try end(policy, nil, until: now + 50) == present + 50)
        policy.defaultLifetime = .max
        #expect(try end(policy, nil) == present + 1000)
        policy.maximumLifetime = .max
        #expect(try end(policy, nil, until: now + 9) == present + 9)
        #expect(throws: KMSServiceError(.internalFault, "", "")) { try end(policy, nil, until: now) }
    }

    @Test("a certificate that would end before it begins is refused")
    func beginning() {
        var policy = IssuancePolicy()
        policy.maximumLifetime = 1000
        for (start, end) in [(UInt64(now) + 1000, nil), (UInt64(now) + 5, UInt64(now) + 5), (.max, nil)]
            as [(UInt64, UInt64?)]
        {
            let wanted = CertificateConfiguration(commonName: "x", notBefore: start, notAfter: end)
            #expect(refusal(policy, wanted)?.contains("not_before") == true)
        }
        #expect(refusal(policy, CertificateConfiguration(commonName: "x", notBefore: UInt64(now) + 999)) == nil)
    }
}
