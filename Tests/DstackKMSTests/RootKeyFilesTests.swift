import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@Suite("Files of root keys")
struct RootKeyFilesTests {
    private let directory = Scratch.path("certs")
    private static let now: Int64 = 1_800_000_000

    private func create(_ files: RootKeyFiles, _ label: String = "a") throws {
        let material = RootKeyMaterial(random: PredictableBytesForTests(label))
        let domain = try KMSDomainName("kms.example.com")
        let certificates = try material.certificates(domain: domain, evidence: [], at: Self.now)
        try files.create(
            material, certificates: certificates, domain: domain, bootstrapInfo: Array(#"{"ca_pubkey":""}"#.utf8))
    }

    private func contents() throws -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        for name in try File.names(in: directory) where !name.hasSuffix(".lock") {
            contents[name] = try File.read("\(directory)/\(name)", limit: 100_000)
        }
        return contents
    }

    private func publicKey(_ files: RootKeyFiles) throws -> String { try files.load().material.roots.publicKey.hex }

    @Test("a set has upstream's names, forms and modes")
    func forms() throws {
        let files = RootKeyFiles(directory)
        #expect(try files.state() == .absent)
        #expect(throws: KMSStateError(.noKeys, "", "")) { _ = try files.load() }
        try create(files)
        #expect(try files.state() == .complete)
        let expected: [String: mode_t] = [
            "tmp-ca.key": 0o600, "root-ca.key": 0o600, "rpc.key": 0o600, "root-k256.key": 0o600, "tmp-ca.crt": 0o644,
            "root-ca.crt": 0o644, "rpc.crt": 0o644, "rpc-domain": 0o644, "bootstrap-info.json": 0o644,
        ]
        let contents = try contents()
        #expect(Set(contents.keys) == Set(expected.keys))
        for (name, mode) in expected {
            var status = stat()
            #expect(lstat("\(directory)/\(name)", &status) == 0 && status.st_mode & 0o777 == mode, "\(name)")
            #expect(status.st_nlink == 1)
        }
        #expect(contents["root-k256.key"]?.count == 32)
        #expect(contents["rpc-domain"] == Array("kms.example.com".utf8))
        for name in ["tmp-ca.key", "root-ca.key", "rpc.key"] {
            let text = String(decoding: contents[name] ?? [], as: UTF8.self)
            #expect(text.hasPrefix("-----BEGIN PRIVATE KEY-----\n") && text.hasSuffix("-----END PRIVATE KEY-----\n"))
        }
        let loaded = try files.load()
        #expect(loaded.missing.isEmpty)
        #expect(loaded.domain?.name == "kms.example.com")
        let same = RootKeyMaterial(random: PredictableBytesForTests("a"))
        let (one, other) = (loaded.material.roots.caPublicKey, same.roots.caPublicKey)
        #expect(one == other)
        let (key, otherKey) = (loaded.material.rpcKey.publicKey, same.rpcKey.publicKey)
        #expect(key == otherKey)
    }

    @Test("root keys that are there are never replaced")
    func kept() throws {
        let files = RootKeyFiles(directory)
        try create(files)
        let before = try contents()
        #expect(throws: KMSStateError(.keysExist, "", "")) { try create(files, "b") }
        #expect(try contents() == before)
    }

    @Test("a part of a set is refused by what is there and what is missing, and nothing is made in its place")
    func partial() throws {
        let files = RootKeyFiles(directory)
        try create(files)
        let whole = try contents()
        for missing in ["root-ca.key", "root-k256.key", "tmp-ca.key"] {
            try AtomicFile.write(whole[missing] ?? [], to: directory + "/aside", mode: .secret)
            unlink("\(directory)/\(missing)")
            let attempts: [() throws -> Void] = [
                { _ = try files.state() }, { _ = try files.load() }, { try create(files, "b") },
            ]
            for attempt in attempts {
                let error = #expect(throws: KMSStateError.self) { try attempt() }
                #expect(error?.code == .partialKeys)
                #expect(error?.reason.hasSuffix("and \(missing) are missing") == true, "\(error?.reason ?? "")")
                #expect(error?.reason.contains("rpc.key") == true)
            }
            rename(directory + "/aside", "\(directory)/\(missing)")
        }
        #expect(try contents() == whole)
        // What an older service's crash leaves: its record, and no keys.
        for name in whole.keys where name != "bootstrap-info.json" { unlink("\(directory)/\(name)") }
        let error = #expect(throws: KMSStateError(.partialKeys, "", "")) { try create(files, "b") }
        #expect(error?.reason.contains("bootstrap-info.json are there") == true)
        unlink(directory + "/bootstrap-info.json")
        // A domain alone is configuration.
        try AtomicFile.write("old.example.com", to: directory + "/rpc-domain", mode: .readable)
        try create(files, "b")
        #expect(try files.load().domain?.name == "kms.example.com")
    }

    @Test("what follows from root keys is made anew from them, and the root keys stay as they are")
    func renewed() throws {
        let files = RootKeyFiles(directory)
        try create(files)
        let before = try contents()
        for name in ["rpc.key", "rpc.crt", "root-ca.crt", "tmp-ca.crt"] { unlink("\(directory)/\(name)") }
        let loaded = try files.load()
        #expect(loaded.missing == [.rpcKey, .temporaryCACertificate, .rootCACertificate, .rpcCertificate])
        let (certificates, written) = try files.renew(loaded, evidence: [], at: Self.now)
        #expect(written == [.rpcKey, .rootCACertificate, .temporaryCACertificate, .rpcCertificate])
        let after = try contents()
        for name in ["root-ca.key", "root-k256.key", "tmp-ca.key", "rpc-domain"] {
            #expect(after[name] == before[name])
        }
        #expect(after["rpc.key"] != before["rpc.key"])
        let rpc = try Certificate(der: certificates.rpc)
        let key = try files.load().material.rpcKey.publicKey
        #expect(Array(rpc.subjectPublicKeyInfo) == key)

        // The next start writes the RPC certificate alone; near their end, the others too.
        let again = try files.load()
        #expect(try files.renew(again, evidence: [], at: Self.now).written == [.rpcCertificate])
        let late = Self.now + 3_000 * 86_400 + 300 * 86_400
        #expect(
            try files.renew(again, evidence: [], at: late).written
                == [.rootCACertificate, .temporaryCACertificate, .rpcCertificate])
        let moved = try KMSDomainName("new.example.com")
        #expect(try files.renew(again, domain: moved, evidence: [], at: late).written.last == .domain)
        #expect(try files.load().domain == moved)
    }

    @Test("a service that changes the form of its certificates keeps those of its CAs", .needsOpenSSLProgram)
    func otherForm() throws {
        let files = RootKeyFiles(directory)
        try create(files)
        let loaded = try files.load()
        let (certificates, written) = try files.renew(loaded, evidence: [], .identified, at: Self.now)
        #expect(written == [.rpcCertificate])
        let scratch = try ScratchDirectory()
        let root = try scratch.write(CertificatePEM.encode(certificates.root), "root")
        let server = try scratch.write(CertificatePEM.encode(certificates.rpc), "server")
        let result = try OpenSSLProgram.run([
            "verify", "-x509_strict", "-attime", "\(Self.now)", "-purpose", "sslserver", "-verify_hostname",
            "kms.example.com", "-CAfile", root, server,
        ])
        #expect(result.status == 0, "\(result.output)")
        let material = RootKeyMaterial(random: PredictableBytesForTests("a"))
        let domain = try KMSDomainName("kms.example.com")
        let new = try material.certificates(domain: domain, evidence: [], .identified, at: Self.now)
        for der in [new.root, new.temporary, new.rpc] {
            #expect(try Certificate(der: der).notBefore == Self.now - 3600)
        }
    }

    @Test("sets that were mixed up, keys that others can read and files that are no keys are refused")
    func refused() throws {
        let files = RootKeyFiles(directory)
        try create(files)
        let other = RootKeyFiles(Scratch.path("certs"))
        try create(other, "b")
        let before = try contents()
        func refusal(_ name: String, _ bytes: [UInt8], mode: FileMode = .secret) throws -> KMSStateError? {
            try AtomicFile.write(bytes, to: "\(directory)/\(name)", mode: mode)
            defer { try? AtomicFile.write(before[name] ?? [], to: "\(directory)/\(name)", mode: .secret) }
            return #expect(throws: KMSStateError.self) { _ = try files.load() }
        }
        for name in ["root-ca.key", "tmp-ca.key", "root-ca.crt", "tmp-ca.crt"] {
            let foreign = try File.read("\(other.directory)/\(name)", limit: 10_000)
            #expect(try refusal(name, foreign)?.code == .invalidKey)
        }
        #expect(try refusal("root-k256.key", [UInt8](repeating: 0, count: 32))?.code == .invalidKey)
        #expect(try refusal("root-k256.key", [UInt8](repeating: 1, count: 31))?.code == .invalidKey)
        #expect(try refusal("root-ca.key", Array("nonsense".utf8))?.code == .invalidKey)
        #expect(try refusal("root-ca.key", before["root-ca.key"] ?? [], mode: .readable)?.code == .storage)
        #expect(try publicKey(files) == RootKeyMaterial(random: PredictableBytesForTests("a")).roots.publicKey.hex)
    }

    @Test("domains that no host has are refused in upstream's words")
    func domains() throws {
        for good in ["a", "kms.example.com", "A-1.b", String(repeating: "a", count: 63)] { _ = try KMSDomainName(good) }
        for bad in ["", "a.", ".a", "a..b", "-a", "a-", "a_b", "ä.de", "a b", String(repeating: "a", count: 64)] {
            #expect(throws: KMSStateError(.malformed, "", ""), "\(bad)") { try KMSDomainName(bad) }
        }
        #expect(throws: KMSStateError(.malformed, "", "")) {
            try KMSDomainName(Array(repeating: "abcdefg", count: 32).joined(separator: "."))
        }
    }

    // MARK: Crashes

    private struct Run {
        var made: String?
        var has: String?
        var wasKilled: Bool
    }

    /// Makes keys, or finds them, in a process of its own, which kills itself after so many steps.
    private func run(_ directory: String, label: String, killedAfter step: Int) async throws -> Run {
        let probe = try RunningProgram(BesideTests.program("state-probe"), ["keys", directory, label, "\(step)"])
        var output: [UInt8] = []
        while true {
            let piece = try await probe.read(within: .seconds(60))
            output += piece.output
            guard let ending = piece.ending else { continue }
            var run = Run(wasKilled: ending == .signal(SIGKILL))
            try #require(
                run.wasKilled || ending == .success, "\(ending): \(String(decoding: piece.errors, as: UTF8.self))")
            for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                if words.first == "makes" { run.made = words.last }
                if words.first == "has" { run.has = words.last }
            }
            return run
        }
    }

    @Test(
        "killed after any step, and after any step of putting that right, there is the whole set or none",
        .timeLimit(.minutes(10)))
    func crashes() async throws {
        var outcomes: Set<String> = []
        var step = 1
        while true {
            let directory = Scratch.path("certs")
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let first = try await run(directory, label: "first", killedAfter: step)
            let made = try #require(first.made)
            // A crash while the next start puts it right, at each of its steps in turn.
            var inner = 1
            while true {
                let copy = Scratch.path("certs")
                defer { try? FileManager.default.removeItem(atPath: copy) }
                try FileManager.default.copyItem(atPath: directory, toPath: copy)
                try relink(directory, copy)
                let second = try await run(copy, label: "second", killedAfter: inner)
                let files = RootKeyFiles(copy)
                let state = try files.state()
                #expect(
                    try File.names(in: copy).allSatisfy {
                        !$0.hasPrefix(".dstack-keys.n") && !$0.hasPrefix(".dstack-keys.r")
                    })
                switch state {
                case .absent:
                    outcomes.insert("absent")
                    #expect(second.wasKilled)
                case .complete:
                    let key = try publicKey(files)
                    // Once a set was announced, no start ever makes another.
                    #expect(second.made == nil ? key == made : key == second.made, "step \(step), \(inner)")
                    if let has = second.has { #expect(has == key) }
                    outcomes.insert(key == made ? "first" : "second")
                    #expect(try files.load().missing.isEmpty)
                }
                if !second.wasKilled { break }
                // Some of them each time, others another time: a process for every pair would take minutes.
                inner += 1 + step % 3
            }
            if !first.wasKilled { break }
            step += 1
        }
        #expect(step > 20)
        #expect(outcomes == ["absent", "first", "second"])
    }

    /// Files that were one under two names are so in the copy, too.
    private func relink(_ original: String, _ copy: String) throws {
        for name in (try? File.names(in: original + "/.dstack-keys.ready")) ?? [] {
            var (first, second) = (stat(), stat())
            guard lstat("\(original)/.dstack-keys.ready/\(name)", &first) == 0,
                lstat("\(original)/\(name)", &second) == 0,
                first.st_ino == second.st_ino
            else { continue }
            unlink("\(copy)/\(name)")
            try #require(link("\(copy)/.dstack-keys.ready/\(name)", "\(copy)/\(name)") == 0)
        }
    }

    @Test("everything is on the disk before a set is announced, and the root keys come to their places last")
    func steps() throws {
        let steps = Shared<[String]>([])
        try create(RootKeyFiles(directory) { step in steps.edit { $0.append(step) } })
        let names = steps.value
        let announced = try #require(names.firstIndex(of: "announce the set"))
        for file in RootKeyFile.allCases {
            #expect(try #require(names.firstIndex(of: "write \(file.rawValue)")) < announced)
            #expect(try #require(names.firstIndex(of: "publish \(file.rawValue)")) > announced)
        }
        let published = names.filter { $0.hasPrefix("publish") }
        #expect(published.suffix(2) == ["publish root-k256.key", "publish root-ca.key"])
        let flushed = try #require(names.firstIndex(of: "flush the names"))
        #expect(names[flushed...].contains { $0.hasPrefix("remove root-ca.key") })
        #expect(!names[..<flushed].contains { $0.hasPrefix("remove") })
    }
}
