import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackKeys
import DstackMockTEE
import DstackSystem
import Glibc

/// The files of a simulation: whether they are there, and how a new set is made.
enum SimulationSet {
    /// There for as long as a creation is under way: the checksums of the files that it writes. Whoever finds it after a
    /// crash may remove exactly these files, which nobody has used yet.
    private static let markerName = ".incomplete"
    /// What the new set's keys come from, for those who want to verify signature chains.
    private static let summaryName = "simulation.json"

    static func read(_ directory: String, _ name: String, limit: Int) throws(GuestError) -> [UInt8] {
        let path = directory + "/" + name
        do {
            return try File.readRegular(path, limit: limit)
        } catch {
            throw GuestError(.invalidFile, error, path)
        }
    }

    private static func exists(_ directory: String, _ name: String) -> Bool {
        access(directory + "/" + name, F_OK) == 0
    }

    /// Removes what a creation left behind that did not come to its end.
    private static func cleanUp(_ directory: String) throws(GuestError) {
        guard exists(directory, markerName) else { return }
        let marker = String(decoding: try read(directory, markerName, limit: 1 << 16), as: UTF8.self)
        for line in marker.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, !words[1].contains("/"), exists(directory, String(words[1])) else { continue }
            let content = try read(directory, String(words[1]), limit: AppCompose.maximumByteCount)
            if SHA256.hash(content).hex == words[0] { _ = unlink(directory + "/" + words[1]) }
        }
        _ = unlink(directory + "/" + markerName)
    }

    /// Whether the directory has a set. What a creation left behind is removed first.
    ///
    /// - Throws: for a part of a set, and for files that a new set would replace.
    static func isComplete(_ directory: String) throws(GuestError) -> Bool {
        try cleanUp(directory)
        return try isWhole(directory)
    }

    /// Whether a creation is under way in the directory, or did not come to its end.
    static func isIncomplete(_ directory: String) -> Bool { exists(directory, markerName) }

    /// As ``isComplete(_:)``, of a directory that is only looked at.
    static func isWhole(_ directory: String) throws(GuestError) -> Bool {
        // Whatever is made in the directory comes after the platform's own file.
        if !exists(directory, MockPlatform.fileName) {
            let foreign = [
                SimulationDirectory.trustRootName, SimulationDirectory.collateralName, summaryName,
            ].filter { exists(directory, $0) }
            guard foreign.isEmpty else {
                throw GuestError(
                    .invalidFile, subject: directory,
                    reason:
                        "it has \(foreign.joined(separator: ", ")), which no simulation made here and which one would "
                        + "replace",
                    hint: "use an empty directory")
            }
        }
        let names = SimulationDirectory.inputNames
        let missing = names.filter { !exists(directory, $0) }
        if missing.isEmpty { return true }
        var present = names.filter { exists(directory, $0) }
        // A record without the evidence that it continues is the rest of another set.
        if present.isEmpty, exists(directory, SimulationDirectory.runtimeLogName) {
            present = [SimulationDirectory.runtimeLogName]
        }
        guard present.isEmpty else { throw partial(directory, present: present, missing: missing) }
        return false
    }

    private static func partial(_ directory: String, present: [String], missing: [String]) -> GuestError {
        let isOlder = exists(directory, "quote.hex") && exists(directory, "eventlog.json")
        return GuestError(
            .invalidFile, subject: directory,
            reason: "it has \(present.joined(separator: ", ")), but not \(missing.joined(separator: ", "))"
                + (isOlder
                    ? "; these are the files of an older simulator, which kept its evidence as quote.hex and eventlog.json"
                    : ""),
            hint: present == [SimulationDirectory.appComposeName]
                ? "for a new set with this application, use an empty directory and --app-compose"
                : "add the missing files, or use an empty directory for a new set")
    }

    // MARK: A new set

    /// An application that does nothing much.
    static let exampleCompose = Array(
        """
        {"manifest_version":2,"name":"example","runner":"docker-compose","docker_compose_file":"services:\\n  web:\\n    image: nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000\\n","kms_enabled":false,"gateway_enabled":false,"local_key_provider_enabled":false,"key_provider":"none","public_logs":true,"public_sysinfo":true,"public_tcbinfo":true,"no_instance_id":false,"secure_time":false,"allowed_envs":[]}

        """.utf8)

    /// Checks that a guest can run a compose file.
    ///
    /// - Parameter path: where it is.
    /// - Throws: ``GuestError/Code/invalidFile`` saying what is wrong with it.
    static func check(
        _ appCompose: [UInt8], at path: String = SimulationDirectory.appComposeName
    ) throws(GuestError) {
        do throws(AttestationError) {
            _ = try AttestationError.decoding(.invalidCompose) { () throws(DecodingFailure) in
                try ComposeFile(parsing: appCompose)
            }
            _ = try Choices(of: appCompose)
        } catch {
            throw GuestError(
                .invalidFile, subject: error.subject(about: path), reason: error.reason, hint: error.hint)
        }
    }

    static func create(in directory: String, appCompose: [UInt8], at now: Int64) async throws(GuestError) {
        do {
            let choices = try Choices(of: appCompose)
            let platform = try MockPlatform.loadOrCreate(in: directory)
            let boot = try MockBoot(
                platform, appCompose: appCompose, seed: choices.hasInstanceID ? SystemRandom().fixed() : nil,
                initScripts: choices.initScripts, eventVersion: choices.eventVersion)
            let kms = KMSRootKeys()
            let keys = try await appKeys(boot, kms, at: now).encoded
            let attestation = try boot.attestation(reportData: ReportData(padding: []))
            let files: [(name: String, bytes: [UInt8])] = [
                (SimulationDirectory.appComposeName, appCompose), (SimulationDirectory.sysConfigName, sysConfig(boot)),
                (summaryName, summary(boot, kms)), (SimulationDirectory.attestationName, attestation.encoded.bytes),
            ]
            var checksums = "\(SHA256.hash(keys.bytes).hex)  \(SimulationDirectory.appKeysName)\n"
            for file in files { checksums += "\(SHA256.hash(file.bytes).hex)  \(file.name)\n" }
            let marker = directory + "/" + markerName
            try AtomicFile.write(checksums, to: marker, mode: .readable)
            try AtomicFile.write(
                keys.bytes, to: directory + "/" + SimulationDirectory.appKeysName, mode: .secret, existing: .keep)
            for file in files {
                try AtomicFile.write(
                    file.bytes, to: directory + "/" + file.name, mode: .readable, existing: .keep)
            }
            guard unlink(marker) == 0 else { throw SystemError.last("remove", marker) }
        } catch let error as GuestError {
            throw error
        } catch let error as SystemError {
            throw GuestError(.invalidFile, error, directory)
        } catch {
            let isOfWorld = (error as? MockTEEError)?.isOfWorld == true
            throw GuestError(isOfWorld ? .systemUnavailable : .invalidFile, subject: directory, reason: "\(error)")
        }
    }

    /// What of a compose file shows in the measured events.
    private struct Choices {
        let eventVersion: RuntimeEvent.Version
        let hasInstanceID: Bool
        let initScripts: [[UInt8]]

        /// As many as a guest runs.
        private static let maximumInitScripts = 5

        init(of appCompose: [UInt8]) throws(AttestationError) {
            _ = try AppCompose(parsing: appCompose)
            self = try AttestationError.decoding(.invalidCompose) { () throws(DecodingFailure) in
                try Choices(JSONDocument(parsing: appCompose, subject: SimulationDirectory.appComposeName).root)
            }
        }

        private init(_ root: JSONNode) throws(DecodingFailure) {
            hasInstanceID = try root.optionalMember("no_instance_id")?.bool() != true
            let version = try root.optionalMember("event_log_version")
            guard let known = RuntimeEvent.Version(rawValue: try version?.integer() ?? 1) else {
                throw (version ?? root).failure("runtime events have version 1 or 2", .unsupported)
            }
            eventVersion = known
            initScripts = try Self.initScripts(root)
        }

        /// One text or a list of texts.
        private static func initScripts(_ root: JSONNode) throws(DecodingFailure) -> [[UInt8]] {
            guard let member = try root.optionalMember("init_script") else { return [] }
            if member.kind == .string { return [Array(try member.string().utf8)] }
            var scripts: [[UInt8]] = []
            for script in try member.array() { scripts.append(Array(try script.string().utf8)) }
            guard scripts.count <= maximumInitScripts else {
                throw member.failure("\(scripts.count) scripts where \(maximumInitScripts) are allowed", .tooLarge)
            }
            return scripts
        }
    }

    /// Keys as a key provider of kind `none` gives them, except that a KMS's signature is there: made with a key that is
    /// forgotten right afterwards, so that signature chains can be verified without anybody becoming a KMS.
    private static func appKeys(
        _ boot: MockBoot, _ kms: borrowing KMSRootKeys, at now: Int64
    ) async throws -> AppKeys {
        let seed = try AppKeySeed(copying: SecretBytes(random: 32).bytes)
        let attested = try await AttestedKey(TLSKey(seed.caKey())) { try boot.attestation(reportData: $0) }
        let evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
        let authority = try CertificateAuthority(
            selfSigned: .appRoot(evidence: evidence, now: now), key: seed.caKey())
        let chain = authority.chain
        return AppKeys(
            diskKey: try seed.diskKey(), environmentKey: nil, rootKey: try kms.appRootKey(boot.appID),
            gatewayAppID: "", caCertificates: chain,
            provider: AppKeyProvider(KeyProviderInfo(kind: .none, id: []), authority: authority))
    }

    private static func sysConfig(_ boot: MockBoot) -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.member("kms_urls", [])
            object.member("gateway_urls", [])
            object.member("pccs_url", "")
            object.member("docker_registry", "")
            object.member("host_api_url", "")
            object.member("vm_config", boot.vmConfig)
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    private static func summary(_ boot: MockBoot, _ kms: borrowing KMSRootKeys) -> [UInt8] {
        let kmsKey = kms.publicKey.hex
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.member("purpose", "a simulated guest for development; its evidence and keys prove nothing")
            object.member("app_id", boot.appID.description)
            object.member("instance_id", boot.instanceID?.description ?? "")
            object.member("kms_public_key", kmsKey)
            object.member("os_image_hash", try? MockImage().osImageHash.hex)
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }
}
