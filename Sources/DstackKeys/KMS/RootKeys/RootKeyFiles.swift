import DstackCrypto
import DstackEncoding
package import DstackKeys
import DstackSystem
import Glibc

/// The files of a service's root keys, with upstream's names, forms and modes.
package enum RootKeyFile: String, Sendable, CaseIterable {
    // In the order in which they come to their places: what is of no use without root keys first, the root keys last, so that
    // who looks for these alone finds either none or everything.
    case domain = "rpc-domain"
    case bootstrapInfo = "bootstrap-info.json"
    case rpcCertificate = "rpc.crt"
    case temporaryCACertificate = "tmp-ca.crt"
    case rootCACertificate = "root-ca.crt"
    case rpcKey = "rpc.key"
    case temporaryCAKey = "tmp-ca.key"
    case rootK256Key = "root-k256.key"
    case rootCAKey = "root-ca.key"

    var mode: FileMode {
        switch self {
        case .rpcKey, .temporaryCAKey, .rootK256Key, .rootCAKey: .secret
        default: .readable
        }
    }

    /// What services of one root share: if a part is lost, no other part brings it back.
    package static let shared: [RootKeyFile] = [.temporaryCAKey, .rootCAKey, .rootK256Key]
    /// What follows from the shared keys, or is this service's own and can be made anew.
    static let renewable: [RootKeyFile] = [.rpcKey, .temporaryCACertificate, .rootCACertificate, .rpcCertificate]
    /// What every complete set has.
    static let required: [RootKeyFile] = shared + renewable + [.domain]
}

/// The directory of a service's root keys: there is a whole set of them, or none.
///
/// Files under their own names cannot appear all at once. So a new set is written elsewhere and announced by one step:
///
/// 1. All files are written into `.dstack-keys.new`, and are on the disk, each. A crash until here leaves what nobody looks
///    at, and the next start removes.
/// 2. `.dstack-keys.new` is renamed to `.dstack-keys.ready`: the one step that makes the set. It was on the disk as a whole
///    before it had this name.
/// 3. Each file gets its own name as a second one, by a link, which never replaces anything; the names are flushed; the first
///    names go. A crash meanwhile leaves `.dstack-keys.ready`, by which the next start goes on where this one was.
///
/// Who comes first in any of it holds the lock. Nothing here ever replaces or removes a root key that is in its place.
package struct RootKeyFiles: Sendable {
    package enum State: Sendable, Equatable {
        /// There are no root keys, and nothing that tells of any.
        case absent
        /// All keys that services of one root share are there. Files that follow from them may be missing.
        case complete
    }

    package let directory: String
    /// Told after each step that changes the disk; tests end the process there.
    private let step: @Sendable (String) -> Void

    private var new: String { directory + "/.dstack-keys.new" }
    private var ready: String { directory + "/.dstack-keys.ready" }

    /// - Parameter directory: is made if it is not there; must belong to this user, and nobody else may write in it.
    package init(_ directory: String, step: @escaping @Sendable (String) -> Void = { _ in }) {
        self.directory = directory
        self.step = step
    }

    private func path(_ file: RootKeyFile) -> String { "\(directory)/\(file.rawValue)" }

    // MARK: Looking

    /// Whether there are root keys. Finishes first what a crash has interrupted.
    ///
    /// - Throws: ``KMSStateError/Code/partialKeys`` where some files are there and others, which nothing brings back, are not.
    package func state() throws(KMSStateError) -> State {
        let lock = try self.lock()
        let state = try settledState()
        _ = lock
        return state
    }

    private func settledState() throws(KMSStateError) -> State {
        try recover()
        let there = try existing(RootKeyFile.allCases)
        if RootKeyFile.shared.allSatisfy({ there.contains($0) }) { return .complete }
        // A name alone is configuration.
        if there.allSatisfy({ $0 == .domain }) { return .absent }
        let missing = RootKeyFile.shared.filter { !there.contains($0) }
        let isKeyThere = RootKeyFile.shared.contains { there.contains($0) }
        throw KMSStateError(
            .partialKeys, directory,
            "of a set of root keys \(Self.list(there)) are there, and \(Self.list(missing)) are missing",
            hint: isKeyThere
                ? "restore what is missing from a copy, or take the keys from another service of this root; nothing is "
                    + "made in their place, since every application would get other keys"
                : "restore the keys from a copy; if there never were any, remove these files and start again")
    }

    private static func list(_ files: [RootKeyFile]) -> String { files.map(\.rawValue).joined(separator: ", ") }

    // MARK: A new set

    /// Stores a new set: of a service that is set up, or with keys that came from another.
    ///
    /// When this returns the set is complete and on the disk. Where it throws or the process ends before, there is none, or the
    /// whole after the next start.
    ///
    /// - Parameter bootstrapInfo: upstream's record of a bootstrap, compact JSON; nil for keys that came from elsewhere.
    /// - Throws: ``KMSStateError/Code/keysExist`` where there are root keys: they stay as they are.
    package func create(
        _ material: borrowing RootKeyMaterial, certificates: RootKeyCertificates, domain: KMSDomainName,
        bootstrapInfo: [UInt8]? = nil
    ) throws(KMSStateError) {
        let lock = try self.lock()
        guard try settledState() == .absent else {
            throw KMSStateError(
                .keysExist, directory, "there are root keys already, which are never replaced",
                hint: "to begin anew, put the directory away; the keys of all applications go with it")
        }
        do throws(SystemError) {
            guard mkdir(new, 0o700) == 0 else { throw SystemError.last("make", new) }
            step("make the new directory")
            try stage(.domain, Array(domain.name.utf8).span.bytes)
            if let bootstrapInfo { try stage(.bootstrapInfo, bootstrapInfo.span.bytes) }
            try stage(.rpcCertificate, Array(CertificatePEM.encode(certificates.rpc).utf8).span.bytes)
            try stage(.temporaryCACertificate, Array(CertificatePEM.encode(certificates.temporary).utf8).span.bytes)
            try stage(.rootCACertificate, Array(CertificatePEM.encode(certificates.root).utf8).span.bytes)
            try stage(.rpcKey, material.rpcKey.key.pkcs8PEM)
            try stage(.temporaryCAKey, material.temporaryCAKey.pkcs8PEM)
            try stage(.rootK256Key, material.roots.key.scalar.bytes)
            try stage(.rootCAKey, material.roots.caKey.pkcs8PEM)
            // Everything in it is on the disk: its new name says no more than is true, whenever that reaches the disk.
            guard rename(new, ready) == 0 else { throw SystemError.last("announce", ready) }
            step("announce the set")
            try synchronize(directory)
            step("flush the announcement")
        } catch {
            throw KMSStateError(error, directory)
        }
        try publish()
        _ = lock
    }

    private func stage(_ file: RootKeyFile, _ secret: borrowing SecretBytes) throws(SystemError) {
        try stage(file, secret.bytes)
    }

    /// Writes a file of the new set; it is on the disk when this returns.
    private func stage(_ file: RootKeyFile, _ bytes: RawSpan) throws(SystemError) {
        try AtomicFile.write(bytes, to: "\(new)/\(file.rawValue)", mode: file.mode, existing: .keep)
        step("write \(file.rawValue)")
    }

    // MARK: After a crash

    /// Goes on with a set that was announced, and removes what was not.
    private func recover() throws(KMSStateError) {
        if try exists(ready) { try publish() }
        guard try exists(new) else { return }
        do throws(SystemError) {
            // Nobody has ever used these: no key left this process before its set was announced.
            try remove(new)
            step("remove what was never announced")
        } catch {
            throw KMSStateError(error, new)
        }
    }

    /// Puts the files of a set that was announced in their places. May be interrupted anywhere and begun again.
    private func publish() throws(KMSStateError) {
        do throws(SystemError) {
            for file in RootKeyFile.allCases {
                let (source, target) = ("\(ready)/\(file.rawValue)", path(file))
                guard access(source, F_OK) == 0 else { continue }
                if file == .domain { try? FileRemoval.remove(target, unlessSameAs: source) }
                guard link(source, target) != 0 else {
                    step("publish \(file.rawValue)")
                    continue
                }
                // Its own second name, from before a crash. Anything else was put there by somebody, and stays.
                guard errno == EEXIST, FileRemoval.isSame(source, target) else {
                    throw SystemError.last("publish", target)
                }
            }
            // All names are on the disk before the first ones go.
            try synchronize(directory)
            step("flush the names")
            try remove(ready)
            step("remove the announcement")
            try synchronize(directory)
            step("flush its removal")
        } catch {
            throw KMSStateError(error, directory)
        }
    }

    /// Removes a directory and the files in it.
    private func remove(_ path: String) throws(SystemError) {
        for name in try File.names(in: path) {
            guard unlink("\(path)/\(name)") == 0 else { throw SystemError.last("remove", "\(path)/\(name)") }
            step("remove \(name)")
        }
        guard rmdir(path) == 0 else { throw SystemError.last("remove", path) }
    }

    // MARK: The directory

    private func exists(_ path: String) throws(KMSStateError) -> Bool {
        var status = stat()
        guard lstat(path, &status) != 0 else { return true }
        guard errno == ENOENT else { throw KMSStateError(.last("look at", path), path) }
        return false
    }

    private func existing(_ files: [RootKeyFile]) throws(KMSStateError) -> [RootKeyFile] {
        var found: [RootKeyFile] = []
        for file in files where try exists(path(file)) { found.append(file) }
        return found
    }

    private func synchronize(_ path: String) throws(SystemError) {
        try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY).synchronize()
    }

    private func lock() throws(KMSStateError) -> LockFile {
        do throws(SystemError) {
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw SystemError.last("make", directory) }
            let status = try FileDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY).status()
            guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
                throw SystemError(
                    "keep keys in", directory, code: EPERM,
                    reason: "it belongs to another user, or others may write in it; a directory of mode 0700 is right")
            }
            guard let lock = try LockFile.taken("\(directory)/.dstack-keys.lock", until: .now + .seconds(10)) else {
                throw SystemError(
                    "lock", directory, code: EWOULDBLOCK, reason: "another process is at its keys for 10 s already")
            }
            return lock
        } catch {
            throw KMSStateError(error, directory)
        }
    }
}

/// Names of files of which two may be one.
private enum FileRemoval {
    static func isSame(_ one: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        return lstat(one, &first) == 0 && lstat(other, &second) == 0 && first.st_dev == second.st_dev
            && first.st_ino == second.st_ino
    }

    static func remove(_ path: String, unlessSameAs other: String) throws(SystemError) {
        guard !isSame(path, other) else { return }
        guard unlink(path) == 0 || errno == ENOENT else { throw SystemError.last("remove", path) }
    }
}

// MARK: - Reading and renewing

/// Root keys as they were read, and what has to be made anew.
package struct LoadedRootKeys: ~Copyable, Sendable {
    package let material: RootKeyMaterial
    /// DER; nil where it is missing.
    package let rootCertificate: [UInt8]?
    package let temporaryCertificate: [UInt8]?
    package let domain: KMSDomainName?
    package let bootstrapInfo: [UInt8]?
    /// Of ``RootKeyFile/required``, what is not there. ``RootKeyFiles/renew(_:domain:evidence:at:)`` writes it.
    package let missing: [RootKeyFile]

    package consuming func takeMaterial() -> RootKeyMaterial { material }
}

extension RootKeyFiles {
    /// The largest file that is read.
    private static let limit = 64 * 1_024

    /// Reads the keys. An RPC key that is missing is made anew, and is written by ``renew(_:domain:evidence:at:)``.
    ///
    /// - Throws: ``KMSStateError``: `.noKeys`, `.partialKeys`; `.invalidKey` for what is no key, for files that others can
    ///   read, and for certificates of other keys.
    package func load() throws(KMSStateError) -> LoadedRootKeys {
        let lock = try self.lock()
        guard try settledState() == .complete else {
            throw KMSStateError(
                .noKeys, directory, "there are no root keys", hint: "bootstrap, or take them from another service")
        }
        let ca = try key(.rootCAKey)
        let temporary = try key(.temporaryCAKey)
        let scalar = try secret(.rootK256Key)
        let roots: KMSRootKeys
        do {
            roots = KMSRootKeys(caKey: ca, key: try Secp256k1.PrivateKey(scalar: scalar))
        } catch {
            throw KMSStateError(.invalidKey, path(.rootK256Key), error.reason)
        }
        let rpc: TLSKey
        if try exists(path(.rpcKey)) { rpc = TLSKey(try key(.rpcKey)) } else { rpc = TLSKey() }
        let rootCertificate = try certificate(.rootCACertificate, of: roots.caKey.publicKey, .rootCAKey)
        let temporaryCertificate = try certificate(.temporaryCACertificate, of: temporary.publicKey, .temporaryCAKey)
        let found = try existing(RootKeyFile.required)
        let missing = RootKeyFile.required.filter { !found.contains($0) }
        let domain = try text(.domain)
        let info = try text(.bootstrapInfo)
        _ = lock
        return LoadedRootKeys(
            material: RootKeyMaterial(roots: roots, temporaryCAKey: temporary, rpcKey: rpc),
            rootCertificate: rootCertificate, temporaryCertificate: temporaryCertificate,
            domain: try domain.map { (bytes) throws(KMSStateError) in
                try KMSDomainName(String(decoding: bytes, as: UTF8.self).trimmed)
            },
            bootstrapInfo: info, missing: missing)
    }

    /// Writes what follows from the root keys: the RPC certificate always, the CAs' certificates where they are missing, near
    /// their end or of the old kind, an RPC key that is missing. Root keys are not touched.
    ///
    /// The key comes before its certificate: a crash in between leaves an older certificate, which the next start replaces.
    ///
    /// - Parameters:
    ///   - keys: as they were read.
    ///   - domain: the service's host name; nil for the one that is stored.
    ///   - evidence: about the RPC key.
    ///   - profile: the form of what is written. A CA's certificate of the other form stays until it is due.
    ///   - now: Unix seconds.
    /// - Returns: the certificates that hold now, and what was written.
    package func renew(
        _ keys: borrowing LoadedRootKeys, domain: KMSDomainName? = nil,
        evidence: [CertificateTemplate.EvidenceExtension], _ profile: CertificateProfile = .upstream, at now: Int64
    ) throws(KMSStateError) -> (certificates: RootKeyCertificates, written: [RootKeyFile]) {
        guard let domain = domain ?? keys.domain else {
            throw KMSStateError(
                .noKeys, path(.domain), "it is missing, and says the service's host name",
                hint: "name the domain in the configuration")
        }
        let root = try stillGood(keys.rootCertificate, keys.material.roots.caKey, now)
        let temporary = try stillGood(keys.temporaryCertificate, keys.material.temporaryCAKey, now)
        let certificates = try keys.material.certificates(
            domain: domain, evidence: evidence, profile, at: now, root: root, temporary: temporary)
        let lock = try self.lock()
        var written: [RootKeyFile] = []
        do throws(SystemError) {
            func write(_ file: RootKeyFile, _ bytes: RawSpan) throws(SystemError) {
                try AtomicFile.write(bytes, to: path(file), mode: file.mode)
                written.append(file)
                step("renew \(file.rawValue)")
            }
            if keys.missing.contains(.rpcKey) {
                let pem = keys.material.rpcKey.key.pkcs8PEM
                try write(.rpcKey, pem.bytes)
            }
            if root == nil {
                try write(.rootCACertificate, Array(CertificatePEM.encode(certificates.root).utf8).span.bytes)
            }
            if temporary == nil {
                try write(.temporaryCACertificate, Array(CertificatePEM.encode(certificates.temporary).utf8).span.bytes)
            }
            try write(.rpcCertificate, Array(CertificatePEM.encode(certificates.rpc).utf8).span.bytes)
            if domain != keys.domain { try write(.domain, Array(domain.name.utf8).span.bytes) }
        } catch {
            throw KMSStateError(error, directory)
        }
        _ = lock
        return (certificates, written)
    }

    /// The certificate, unless it is to be issued again.
    private func stillGood(
        _ certificate: [UInt8]?, _ key: borrowing P256.PrivateKey, _ now: Int64
    ) throws(KMSStateError) -> [UInt8]? {
        guard let certificate else { return nil }
        do throws(KeysError) {
            let authority = try CertificateAuthority(key: RootKeyMaterial.copy(key), chain: [certificate])
            return authority.isRenewalDue(at: now) ? nil : certificate
        } catch {
            throw KMSStateError(.invalidKey, error)
        }
    }

    private func secret(_ file: RootKeyFile) throws(KMSStateError) -> SecretBytes {
        do throws(SystemError) {
            var status = stat()
            guard lstat(path(file), &status) == 0 else { throw SystemError.last("read", path(file)) }
            guard status.st_mode & S_IFMT == S_IFREG, status.st_mode & 0o077 == 0 else {
                throw SystemError(
                    "use", path(file), code: EPERM,
                    reason: "it is no regular file that only its owner can open (mode 0600)")
            }
            return try SecretFile.read(path(file), limit: Self.limit)
        } catch {
            throw KMSStateError(error, path(file))
        }
    }

    private func key(_ file: RootKeyFile) throws(KMSStateError) -> P256.PrivateKey {
        let pem = try secret(file)
        do {
            return try P256.PrivateKey(pem: pem.bytes)
        } catch {
            throw KMSStateError(.invalidKey, path(file), error.reason)
        }
    }

    private func text(_ file: RootKeyFile) throws(KMSStateError) -> [UInt8]? {
        guard try exists(path(file)) else { return nil }
        do {
            return try File.readRegular(path(file), limit: Self.limit)
        } catch {
            throw KMSStateError(error, path(file))
        }
    }

    /// A certificate, which must be of a key: two sets that were mixed up are noticed before anything is issued.
    private func certificate(
        _ file: RootKeyFile, of publicKey: P256.PublicKey, _ keyFile: RootKeyFile
    ) throws(KMSStateError) -> [UInt8]? {
        guard let pem = try text(file) else { return nil }
        do throws(KeysError) {
            guard let der = try CertificatePEM.decode(pem, subject: file.rawValue).first else { return nil }
            let certificate: Certificate
            do throws(DecodingFailure) {
                certificate = try Certificate(der: der)
            } catch {
                throw KeysError(.invalidCertificate, error)
            }
            guard certificate.subjectPublicKeyInfo.elementsEqual(publicKey.spki) else {
                throw KeysError(
                    .invalidCertificate, subject: path(file), reason: "it is not of the key in \(keyFile.rawValue)",
                    hint: "files of two sets were mixed up; restore the set as a whole")
            }
            return der
        } catch {
            throw KMSStateError(.invalidKey, error)
        }
    }
}
