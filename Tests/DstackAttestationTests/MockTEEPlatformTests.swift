import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

@Suite("Simulated TEE: platform")
struct MockTEEPlatformTests {
    private static let seed = FixedBytes<32>(repeating: 0x17)
    private static let now: Int64 = 1_790_000_000

    private func isSigned(_ der: [UInt8], by issuer: [UInt8]) throws -> Bool {
        let certificate = try Certificate(der: der)
        let key = try P256.PublicKey(spki: Array(try Certificate(der: issuer).subjectPublicKeyInfo))
        let signature = try P256.Signature(der: Array(certificate.signature))
        let isNamed = certificate.issuer.elementsEqual(try Certificate(der: issuer).subject)
        return isNamed && key.isValidSignature(signature, for: Array(certificate.toBeSigned))
    }

    @Test("certificates chain to a root that nobody can take for Intel's")
    func chain() throws {
        for authority in MockPlatform.Configuration.PCKAuthority.allCases {
            var configuration = MockPlatform.Configuration()
            configuration.authority = authority
            let platform = try MockPlatform(seed: Self.seed, configuration)
            let root = try Certificate(der: platform.rootCertificate)
            #expect(root.subjectCommonName.hasPrefix("Simulated") && root.subject == root.issuer)
            #expect(!root.subjectCommonName.contains("Intel SGX"))
            #expect(root.basicConstraints?.isCA == true && root.basicConstraints?.pathLength == 1)
            let pck = platform.pckChain
            #expect(try isSigned(pck[0], by: pck[1]) && isSigned(pck[1], by: pck[2]) && isSigned(pck[2], by: pck[2]))
            #expect(pck[2] == platform.rootCertificate)
            let leaf = try Certificate(der: pck[0])
            #expect(leaf.subjectCommonName.contains("SGX PCK Certificate"))
            #expect(leaf.issuerCommonName.contains(authority == .platform ? "PCK Platform CA" : "PCK Processor CA"))
            let signer = platform.tcbSigningChain
            #expect(try isSigned(signer[0], by: signer[1]))
            #expect(try Certificate(der: signer[0]).subjectCommonName.contains("SGX TCB Signing"))
        }
    }

    @Test("a seed gives the same keys, names and serial numbers every time; no seed gives others")
    func determinism() throws {
        let first = try MockPlatform(seed: Self.seed)
        let second = try MockPlatform(seed: Self.seed)
        let other = try MockPlatform()
        for (left, right) in [
            (first.rootCertificate, second.rootCertificate), (first.pckCertificate, second.pckCertificate),
            (first.tcbSigningCertificate, second.tcbSigningCertificate),
        ] {
            #expect(try Certificate(der: left).toBeSigned == Certificate(der: right).toBeSigned)
        }
        #expect(first.ppid == second.ppid && first.ppid != other.ppid)
        #expect(first.keys.attestation.point == second.keys.attestation.point)
        #expect(first.keys.root.point != other.keys.root.point)
        let points = [first.keys.root, first.keys.platformCA, first.keys.processorCA, first.keys.pck].map(\.point)
        #expect(Set(points + [first.keys.tcbSigner.point, first.keys.attestation.point]).count == 6)
    }

    @Test("the PCK certificate says what the configuration says")
    func pckExtension() throws {
        var configuration = MockPlatform.Configuration()
        configuration.pceSvn = 0x9C40
        configuration.fmspc = FixedBytes(repeating: 0xF5)
        let platform = try MockPlatform(seed: Self.seed, configuration)
        let certificate = try Certificate(der: platform.pckCertificate)
        let value = Array(try #require(certificate.value(of: MockSGXExtension.identifier)))
        let ppid = DER.octetString(platform.ppid.bytes)
        let fmspc = DER.octetString(configuration.fmspc.bytes)
        // A positive INTEGER of 16 bits needs a third octet.
        for element in [ppid, fmspc, [0x02, 0x03, 0x00, 0x9C, 0x40], [0x0A, 0x01, 0x01]] {
            #expect(value.indices.contains { value[$0...].starts(with: element) })
        }
    }

    @Test("quotes of every version and report form parse to what was attested", arguments: [4, 5] as [UInt16])
    func tdxQuotes(version: UInt16) throws {
        let platform = try MockPlatform(seed: Self.seed)
        var domain = MockTrustDomain(on: platform)
        for form in MockTrustDomain.ReportForm.allCases where version == 5 || form == .td10 {
            domain.reportForm = form
            let reportData = FixedBytes<64>(repeating: 0xD7)
            let bytes = try domain.quote(reportData: reportData, version: version)
            let quote = try Quote(parsing: bytes)
            #expect(quote.encoded == bytes)
            #expect(quote.header.version == version && quote.header.teeType == .tdx)
            #expect(quote.body == domain.report(reportData: reportData) && quote.body.reportData == reportData)
            #expect(quote.signature.outerType == 6 && quote.signature.certificationData.type == 5)
            try expectSigned(quote, by: platform)
        }
    }

    @Test("SGX quotes of version 3, 4 and 5 parse to what was attested", arguments: [3, 4, 5] as [UInt16])
    func sgxQuotes(version: UInt16) throws {
        let platform = try MockPlatform(seed: Self.seed)
        let report = platform.enclaveReport(reportData: FixedBytes(repeating: 0x56))
        let quote = try Quote(parsing: platform.quote(.sgxEnclave(report), version: version))
        #expect(quote.header.version == version && quote.body.enclaveReport == report)
        #expect(quote.signature.outerType == (version == 3 ? nil : 6))
        try expectSigned(quote, by: platform)
    }

    private func expectSigned(_ quote: Quote, by platform: MockPlatform) throws {
        let signature = quote.signature
        let key = try P256.PublicKey(coordinates: signature.attestationKey.bytes)
        #expect(key.isValidSignature(P256.Signature(signature.isvSignature), for: quote.signedBytes))
        #expect(
            platform.keys.pck.privateKey.publicKey.isValidSignature(
                P256.Signature(signature.qeReportSignature), for: signature.qeReport.encoded))
        let binding = SHA256.hash(signature.attestationKey.bytes + signature.qeAuthData)
        #expect(signature.qeReport.reportData.bytes == binding.bytes + [UInt8](repeating: 0, count: 32))
    }

    @Test("encrypted platform identifiers come with the versions that select the PCK certificate")
    func encryptedPPID() throws {
        let platform = try MockPlatform(seed: Self.seed)
        for (certification, count) in [(MockCertification.encryptedPPIDRSA2048, 256), (.encryptedPPIDRSA3072, 384)] {
            let body = MockTrustDomain(on: platform).report(reportData: FixedBytes())
            let quote = try Quote(parsing: platform.quote(body, certification: certification))
            let selector: CertificationData.PCKSelector
            switch quote.signature.certificationData.content {
            case .ppidEncryptedRSA2048(let ppid, let found), .ppidEncryptedRSA3072(let ppid, let found):
                #expect(ppid.count == count)
                selector = found
            default:
                Issue.record("type \(quote.signature.certificationData.type)")
                return
            }
            #expect(selector.cpuSvn == platform.configuration.cpuSvn && selector.pceSvn == 13)
        }
        let collateral = try platform.collateral(for: .tdx, at: Self.now) { $0.includesPCKChain = true }
        #expect(collateral.pckCertificateChain == MockPlatform.pem(platform.pckChain))
    }

    @Test("collateral is signed over its exact text and lists nothing as revoked", arguments: TEEType.allCases)
    func collateral(tee: TEEType) throws {
        let platform = try MockPlatform(seed: Self.seed)
        let collateral = try platform.collateral(for: tee, at: Self.now)
        for (text, signature) in [
            (collateral.tcbInfo, collateral.tcbInfoSignature),
            (collateral.qeIdentity, collateral.qeIdentitySignature),
        ] {
            let root = try JSONDocument(parsing: text, subject: "document").root
            #expect(try root.member("issueDate").string() == RFC3339.format(Self.now - 86_400))
            #expect(try root.member("nextUpdate").string() == RFC3339.format(Self.now + 30 * 86_400))
            #expect(
                platform.keys.tcbSigner.privateKey.publicKey.isValidSignature(
                    try P256.Signature(raw: signature), for: Array(text.utf8)))
        }
        #expect(collateral.tcbInfo.hasPrefix(#"{"id":"\#(tee.name)","version":3,"#))
        #expect(collateral.qeIdentity.hasPrefix(#"{"id":"\#(tee == .sgx ? "QE" : "TD_QE")","version":2,"#))
        for (der, issuer) in [
            (collateral.rootCACRL, platform.rootCertificate), (collateral.pckCRL, platform.pckAuthorityCertificate),
        ] {
            let list = try CertificateRevocationList(der: der)
            #expect(list.revokedCount == 0 && list.numberValue == 1)
            #expect(list.issuer.elementsEqual(try Certificate(der: issuer).subject))
        }
        #expect(try QuoteCollateral(parsingJSON: collateral.json) == collateral)
    }

    @Test("revoked certificates are on the list of their issuer")
    func revocation() throws {
        let platform = try MockPlatform(seed: Self.seed)
        let collateral = try platform.collateral(for: .sgx, at: Self.now) {
            $0.revokePCK()
            $0.revokePCKAuthorities()
            $0.revokeTCBSigner()
        }
        let root = try CertificateRevocationList(der: collateral.rootCACRL)
        let pck = try CertificateRevocationList(der: collateral.pckCRL)
        #expect(root.revokedCount == 3 && pck.revokedCount == 1)
        #expect(try root.revokes(serialNumber: Certificate(der: platform.tcbSigningCertificate).serialNumber))
        #expect(try root.revokes(serialNumber: Certificate(der: platform.pckAuthorityCertificate).serialNumber))
        #expect(try pck.revokes(serialNumber: Certificate(der: platform.pckCertificate).serialNumber))
    }
}

@Suite("Simulated TEE: trust domain")
struct MockTEETrustDomainTests {
    @Test("registers start at zero and extend as SHA-384 of old value and digest")
    func registers() throws {
        var domain = MockTrustDomain(on: try MockPlatform())
        let fresh = domain
        let digest = SHA384.hash(Array("event".utf8))
        try domain.extend(3, with: digest)
        let once = SHA384.hash([UInt8](repeating: 0, count: 48) + digest.bytes)
        #expect(domain.registers == [FixedBytes(), FixedBytes(), FixedBytes(), once])
        try domain.extend(3, with: digest)
        #expect(domain.registers[3] == SHA384.hash(once.bytes + digest.bytes))
        #expect(fresh.registers[3].isZero)
        #expect(domain.report(reportData: FixedBytes()).tdReport?.runtimeRegisters == domain.registers)
    }

    @Test("there is no fifth register", arguments: [-1, 4])
    func noSuchRegister(index: Int) throws {
        var domain = MockTrustDomain(on: try MockPlatform())
        #expect(throws: MockTEEError.self) { try domain.extend(index, with: FixedBytes()) }
        #expect(domain.registers == [Measurement384](repeating: FixedBytes(), count: 4))
    }

    @Test("a production domain shows the host that it will not accept injected faults, and nothing else")
    func attributes() throws {
        let report = MockTrustDomain(on: try MockPlatform()).report(reportData: FixedBytes()).tdReport
        #expect(report?.tdAttributes.hex == "0000001000000000")
    }

    @Test("short report data is filled with zeros; more than 64 bytes are refused")
    func reportData() throws {
        let domain = MockTrustDomain(on: try MockPlatform())
        let quote = try Quote(parsing: domain.quote(reportData: [1, 2, 3]))
        #expect(quote.body.reportData.bytes == [1, 2, 3] + [UInt8](repeating: 0, count: 61))
        let failure = #expect(throws: MockTEEError.self) {
            try domain.quote(reportData: [UInt8](repeating: 1, count: 65))
        }
        #expect(failure?.description == "report data: 65 bytes, at most 64 fit")
    }
}

@Suite("Simulated TEE: storage")
struct MockTEEStorageTests {
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("dstack-mock-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    @Test("a platform that was kept comes back with the same keys and the very same certificates")
    func roundTrip() throws {
        try withDirectory { directory in
            var configuration = MockPlatform.Configuration()
            configuration.authority = .processor
            configuration.smtEnabled = nil
            configuration.ppid = FixedBytes(repeating: 9)
            let platform = try MockPlatform(configuration)
            try platform.save(to: directory)
            let loaded = try MockPlatform.load(from: directory)
            #expect(loaded.configuration == configuration && loaded.ppid == platform.ppid)
            #expect(loaded.pckChain == platform.pckChain && loaded.tcbSigningChain == platform.tcbSigningChain)
            #expect(loaded.keys.attestation.point == platform.keys.attestation.point)
            let root = try String(contentsOfFile: directory + "/root.pem", encoding: .utf8)
            #expect(root == platform.rootCertificatePEM)
        }
    }

    @Test("the file with the seed can be read by its owner only")
    func modes() throws {
        try withDirectory { directory in
            try MockPlatform().save(to: directory)
            let modes = try ["simulated-platform.json", "root.pem"].map { name in
                try FileManager.default.attributesOfItem(atPath: directory + "/" + name)[.posixPermissions] as? Int
            }
            #expect(modes == [0o600, 0o644])
        }
    }

    @Test("loading or creating gives one platform, however often and from however many sides")
    func loadOrCreate() async throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("dstack-mock-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let roots = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<8 {
                group.addTask { try MockPlatform.loadOrCreate(in: directory).rootCertificate }
            }
            return try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        #expect(roots.count == 1)
        let root = try String(contentsOfFile: directory + "/root.pem", encoding: .utf8)
        #expect(try root == MockPlatform.load(from: directory).rootCertificatePEM)
    }

    @Test("a root certificate of somebody else's is never replaced, nor believed", arguments: [false, true])
    func foreignRoot(besidePlatform: Bool) throws {
        try withDirectory { directory in
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            if besidePlatform { try MockPlatform().save(to: directory) }
            try "mine".write(toFile: directory + "/root.pem", atomically: true, encoding: .utf8)
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            let failure = #expect(throws: MockTEEError.self) { try MockPlatform.loadOrCreate(in: directory) }
            #expect(failure?.code == .foreignFile && failure?.subject == directory + "/root.pem")
            #expect(try String(contentsOfFile: directory + "/root.pem", encoding: .utf8) == "mine")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == names)
        }
    }

    @Test("a file that was changed so that keys and certificates no longer fit is refused")
    func tampered() throws {
        try withDirectory { directory in
            try MockPlatform().save(to: directory)
            let path = directory + "/simulated-platform.json"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let changed = text.replacing(
                /"seed": "[0-9a-f]{64}"/, with: "\"seed\": \"\(String(repeating: "11", count: 32))\"")
            #expect(changed != text)
            for broken in [
                changed, String(text.dropLast(40)), text.replacing("\"version\": 1", with: "\"version\": 2"),
            ] {
                try broken.write(toFile: path, atomically: true, encoding: .utf8)
                let failure = #expect(throws: MockTEEError.self) { try MockPlatform.load(from: directory) }
                #expect(failure?.code == .storage)
            }
        }
    }

    @Test("an edited value that the PCK certificate contradicts is refused; without the certificate it counts")
    func editedPlatform() throws {
        try withDirectory { directory in
            try MockPlatform().save(to: directory)
            let path = directory + "/simulated-platform.json"
            let stored = try String(contentsOfFile: path, encoding: .utf8)
            let cpuSvn = FixedBytes<16>(repeating: 1)
            for (member, other, element) in [
                ("pcesvn", "20", DER.integer(20 as UInt16)),
                ("cpusvn", "\"\(cpuSvn.hex)\"", DER.octetString(cpuSvn.bytes)),
            ] {
                let edited = stored.replacing(try Regex("\"\(member)\" *: *[^,]*"), with: "\"\(member)\": \(other)")
                #expect(edited != stored)
                try edited.write(toFile: path, atomically: true, encoding: .utf8)
                let failure = #expect(throws: MockTEEError.self) { try MockPlatform.load(from: directory) }
                #expect(failure?.code == .storage && failure?.description.contains("pcesvn") == true)

                try edited.replacing(/"pck" *: *[^,]*,/, with: "").write(
                    toFile: path, atomically: true, encoding: .utf8)
                let platform = try MockPlatform.load(from: directory)
                let certificate = try Certificate(der: platform.pckCertificate)
                let stated = Array(try #require(certificate.value(of: MockSGXExtension.identifier)))
                #expect(stated.indices.contains { stated[$0...].starts(with: element) })
            }
        }
    }

    @Test("a directory without a platform is an error with its path")
    func absent() throws {
        // A pipe is not waited for.
        let piped = try ScratchDirectory()
        #expect(mkfifo(piped.path("simulated-platform.json"), 0o600) == 0)
        #expect(throws: MockTEEError.self) { try MockPlatform.load(from: piped.path) }
        let failure = #expect(throws: MockTEEError.self) { try MockPlatform.load(from: "/nonexistent/platform") }
        #expect(failure?.description.contains("/nonexistent/platform") == true)
    }
}
