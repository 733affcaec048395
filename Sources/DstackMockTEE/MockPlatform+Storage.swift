import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackSystem
import Glibc

// One file holds the whole platform, so that it is there completely or not at all. Beside it lies the root certificate,
// which is public and is what verifiers are given.
extension MockPlatform {
    /// The file with the seed, in the directory given to ``save(to:)``.
    package static let fileName = "simulated-platform.json"
    /// The certificate beside it.
    package static let rootFileName = "root.pem"

    /// Keeps the platform in a directory, which is made if it is not there: `simulated-platform.json` (mode 0600, has the
    /// seed of all keys) and `root.pem` (mode 0644). Each is replaced in one step.
    public func save(to directory: String) throws(MockTEEError) {
        try save(to: directory, existing: .replace)
    }

    private func save(to directory: String, existing: AtomicFile.Existing) throws(MockTEEError) {
        do throws(SystemError) {
            if mkdir(directory, 0o700) != 0, errno != EEXIST { throw SystemError.last("make", directory) }
            try AtomicFile.write(
                stored, to: directory + "/" + Self.fileName, mode: .secret, existing: existing)
            try AtomicFile.write(rootCertificatePEM, to: directory + "/" + Self.rootFileName, mode: .readable)
        } catch {
            throw MockTEEError(error)
        }
    }

    /// The platform that ``save(to:)`` kept: the same keys and the very same certificates.
    ///
    /// Values may be edited by hand, to see what a verifier says of such a platform. Those that the PCK certificate states
    /// (from `ppid` to `smt_enabled`) take the member `pck` out with them: without it one is issued that says what the
    /// values say, anew whenever the platform is loaded.
    ///
    /// - Throws: ``MockTEEError`` with code `storage` where a file is missing, malformed, or was changed by hand so that
    ///   certificates and keys, or the PCK certificate and the values, no longer fit.
    public static func load(from directory: String) throws(MockTEEError) -> MockPlatform {
        let path = directory + "/" + fileName
        let bytes: [UInt8]
        do {
            bytes = try File.readRegular(path, limit: 1 << 20)
        } catch {
            throw MockTEEError(error)
        }
        do {
            return try MockPlatform(stored: JSONDocument(parsing: bytes, subject: fileName).root)
        } catch {
            throw MockTEEError(error, in: path)
        }
    }

    /// The platform kept in a directory, or a new one that is kept there from now on. Several processes may do this at
    /// once: all get the same platform.
    ///
    /// - Parameter configuration: of a new platform; one that is there keeps its own.
    /// - Throws: ``MockTEEError`` with code `foreignFile` where `root.pem` is there and not of the platform, and is left as it
    ///   is; with code `storage` as ``load(from:)``.
    public static func loadOrCreate(
        in directory: String, _ configuration: Configuration = Configuration()
    ) throws(MockTEEError) -> MockPlatform {
        let rootPath = directory + "/" + rootFileName
        // In this order: whoever makes a platform writes its file first, so that a certificate without one is not its.
        if access(rootPath, F_OK) == 0, access(directory + "/" + fileName, F_OK) != 0 { throw foreign(rootPath) }
        if access(directory + "/" + fileName, F_OK) != 0 {
            let made = try MockPlatform(configuration)
            do {
                try made.save(to: directory, existing: .keep)
            } catch {
                // Another process was first, or the directory cannot be written; loading tells which.
                guard access(directory + "/" + fileName, F_OK) == 0 else { throw error }
            }
        }
        let platform = try load(from: directory)
        // Whoever made the platform may have stopped before this file was written.
        if access(rootPath, F_OK) != 0 {
            do {
                try AtomicFile.write(platform.rootCertificatePEM, to: rootPath, mode: .readable)
            } catch {
                throw MockTEEError(error)
            }
        }
        guard (try? File.readRegular(rootPath, limit: 1 << 20)) == Array(platform.rootCertificatePEM.utf8) else {
            throw foreign(rootPath)
        }
        return platform
    }

    private static func foreign(_ path: String) -> MockTEEError {
        MockTEEError(
            .foreignFile, path,
            "it is not the certificate of a simulated platform in this directory; move it away, or use "
                + "an empty directory")
    }

    private var stored: [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.member("purpose", "a simulated TEE platform for development; its quotes prove nothing")
            object.member("version", 1)
            object.member("seed", seed.hex)
            object.member("authority", configuration.authority.rawValue)
            object.member("ppid", configuration.ppid?.hex)
            object.member("cpusvn", configuration.cpuSvn.hex)
            object.member("pcesvn", configuration.pceSvn)
            object.member("pceid", configuration.pceId.hex)
            object.member("fmspc", configuration.fmspc.hex)
            object.member("sgx_type", configuration.sgxType)
            object.member("platform_instance_id", configuration.platformInstanceId?.hex)
            object.member("dynamic_platform", configuration.dynamicPlatform)
            object.member("cached_keys", configuration.cachedKeys)
            object.member("smt_enabled", configuration.smtEnabled)
            object.member("tee_tcb_svn", configuration.teeTcbSvn.hex)
            object.member("qe_mrsigner", configuration.qeMrSigner.hex)
            object.member("qe_isvsvn", configuration.qeIsvSvn)
            object.member("not_before", configuration.notBefore)
            object.member("not_after", configuration.notAfter)
            object.member("root_ca", Hex.encode(rootCertificate))
            object.member("platform_ca", Hex.encode(platformCACertificate))
            object.member("processor_ca", Hex.encode(processorCACertificate))
            object.member("pck", Hex.encode(pckCertificate))
            object.member("tcb_signing", Hex.encode(tcbSigningCertificate))
        }
        return writer.bytes
    }

    private init(stored root: JSONNode) throws(DecodingFailure) {
        let version: Int = try root.member("version").integer()
        guard version == 1 else {
            throw try root.member("version").failure("version 1 expected, found \(version)", .unsupported)
        }
        var configuration = Configuration()
        guard let authority = Configuration.PCKAuthority(rawValue: try root.member("authority").string()) else {
            throw try root.member("authority").failure("`platform` or `processor` expected")
        }
        configuration.authority = authority
        configuration.ppid = try root.optionalMember("ppid")?.fixedHex()
        configuration.cpuSvn = try root.member("cpusvn").fixedHex()
        configuration.pceSvn = try root.member("pcesvn").integer()
        configuration.pceId = try root.member("pceid").fixedHex()
        configuration.fmspc = try root.member("fmspc").fixedHex()
        configuration.sgxType = try root.member("sgx_type").integer()
        configuration.platformInstanceId = try root.optionalMember("platform_instance_id")?.fixedHex()
        configuration.dynamicPlatform = try root.optionalMember("dynamic_platform")?.bool()
        configuration.cachedKeys = try root.optionalMember("cached_keys")?.bool()
        configuration.smtEnabled = try root.optionalMember("smt_enabled")?.bool()
        configuration.teeTcbSvn = try root.member("tee_tcb_svn").fixedHex()
        configuration.qeMrSigner = try root.member("qe_mrsigner").fixedHex()
        configuration.qeIsvSvn = try root.member("qe_isvsvn").integer()
        configuration.notBefore = try root.member("not_before").integer()
        configuration.notAfter = try root.member("not_after").integer()

        let seed: FixedBytes<32> = try root.member("seed").fixedHex()
        let keys = MockKeys(seed: seed)
        func certificate(_ node: JSONNode, _ key: MockKey) throws(DecodingFailure) -> [UInt8] {
            let der = try node.hexBytes()
            guard try Certificate(der: der).p256Point == key.point else {
                throw node.failure("the certificate is not of the key that the seed gives")
            }
            return der
        }
        let ppid =
            configuration.ppid ?? FixedBytes(MockKey.derive("PPID", "", seed: seed).bytes.prefix(16)) ?? FixedBytes()
        let certificates = MockCertificates(configuration, seed: seed, keys: keys, ppid: ppid)
        let pck: [UInt8]
        if let node = try root.optionalMember("pck") {
            pck = try certificate(node, keys.pck)
            // A verifier goes by the certificate: an edited value would have no effect, and nobody would be told.
            let stated = try Certificate(der: pck).value(of: MockSGXExtension.identifier).map(Array.init)
            guard stated == certificates.sgx?.x509.value else {
                throw node.failure(
                    "the certificate does not say what ppid, cpusvn, pcesvn, pceid, fmspc, sgx_type and the members behind "
                        + "them say; without the member pck, one is issued that does")
            }
        } else {
            do {
                pck = try certificates.issuedPCK()
            } catch {
                throw root.failure("no PCK certificate can be issued for these values: \(error)")
            }
        }
        let issued = Issued(
            root: try certificate(root.member("root_ca"), keys.root),
            platformCA: try certificate(root.member("platform_ca"), keys.platformCA),
            processorCA: try certificate(root.member("processor_ca"), keys.processorCA), pck: pck,
            tcbSigner: try certificate(root.member("tcb_signing"), keys.tcbSigner))
        self.init(
            seed: seed, configuration: configuration, ppid: ppid, keys: keys, certificates: certificates, issued: issued
        )
    }
}
