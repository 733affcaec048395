import DstackAttestation
import DstackEncoding
package import DstackGuest
package import DstackMockTEE
import DstackSystem
import Glibc

/// Everything that a guest needs for running without a TEE, in one directory: its application, its keys, its evidence, and
/// the authorities behind the evidence.
///
/// ```swift
/// let simulation = try await SimulationDirectory.loadOrCreate(in: "simulation", at: now)
/// let attestation = try await simulation.attester.attestation(reportData: data)
/// // dstack-verifier verify --trust-root simulation/root.pem --collateral simulation/collateral.json ...
/// ```
///
/// An empty directory is filled with a set whose parts belong together: the measured compose file is the one that is
/// there, the keys are of its application, and quotes verify down to the OS image. A directory with upstream's recorded
/// files is used as it is.
///
/// - Important: For development. The evidence chains to a root that was made in this directory, never to Intel's.
package final class SimulationDirectory: Sendable {
    /// Where it is.
    package let path: String
    /// Makes evidence, and keeps what is measured in ``runtimeLogPath``.
    package let attester: RecordedAttester
    /// The simulated machine that signs.
    package let platform: MockPlatform
    /// The compose file, byte for byte.
    package let appCompose: [UInt8]
    /// What a person should know before relying on this set; nil if there is nothing. To be said once.
    package let notice: String?

    /// Keys and certificates of the application (upstream's name).
    package static let appKeysName = "appkeys.json"
    /// The application (upstream's name).
    package static let appComposeName = "app-compose.json"
    /// What the host configured (upstream's name).
    package static let sysConfigName = "sys-config.json"
    /// The recorded evidence (upstream's name).
    package static let attestationName = "attestation.bin"

    static let runtimeLogName = "runtime_events.log"
    static let collateralName = "collateral.json"
    static let trustRootName = "root.pem"
    static let applicationURLName = "app-url"

    /// What upstream's simulator reads; all of them or none are there.
    static let inputNames = [appKeysName, appComposeName, sysConfigName, attestationName]

    /// Path of the keys.
    package var appKeysPath: String { file(Self.appKeysName) }
    /// Path of the compose file.
    package var appComposePath: String { file(Self.appComposeName) }
    /// Path of the system configuration.
    package var sysConfigPath: String { file(Self.sysConfigName) }
    /// Path of the recorded evidence.
    package var attestationPath: String { file(Self.attestationName) }
    /// Path of the root certificate, PEM: what a verifier must be told to trust.
    package var trustRootPath: String { file(Self.trustRootName) }
    /// Path of the collateral, JSON, for a verifier without network.
    package var collateralPath: String { file(Self.collateralName) }
    /// Path of a file in which whoever runs the application may write its HTTPS address: the agent's page then names it.
    package var applicationURLPath: String { file(Self.applicationURLName) }
    /// Path of the record of RTMR3.
    package var runtimeLogPath: String { file(Self.runtimeLogName) }

    private func file(_ name: String) -> String { path + "/" + name }

    private init(_ path: String, platform: MockPlatform, attester: RecordedAttester, appCompose: [UInt8]) {
        self.path = path
        self.platform = platform
        self.attester = attester
        self.appCompose = appCompose
        notice = Self.notice(attester.recording, ComposeHash(ofFile: appCompose), name: Self.appComposeName)
    }

    /// Opens a directory, and fills it first if it is empty or not there.
    ///
    /// Files that are there are never changed, but for ``collateralPath``, which is made anew when it is about to expire.
    /// One process at a time can have a directory open.
    ///
    /// - Parameters:
    ///   - path: the directory; its parent must exist.
    ///   - appCompose: the application of a new set; a small example if nil. A set that is there must be of the same.
    ///   - now: Unix seconds.
    /// - Throws: ``GuestError/Code/invalidFile`` naming the file, for a set of which only a part is there, for files that
    ///   cannot be read or written, and for a set of another application; ``GuestError/Code/inUse`` while another process
    ///   opens it.
    package static func loadOrCreate(
        in path: String, appCompose: [UInt8]? = nil, at now: Int64
    ) async throws(GuestError) -> SimulationDirectory {
        // Nothing comes into being for an application that cannot be run.
        if let appCompose { try SimulationSet.check(appCompose) }
        let directory: FileDescriptor
        do throws(SystemError) {
            if mkdir(path, 0o700) != 0, errno != EEXIST { throw SystemError.last("make", path) }
            directory = try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY)
        } catch {
            throw GuestError(.invalidFile, error, path)
        }
        // Two processes that start at once must not both fill the directory. It is not held for long: the record of RTMR3
        // has a lock of its own.
        guard flock(directory.number, LOCK_EX | LOCK_NB) == 0 else {
            throw GuestError(
                .inUse, subject: path, reason: "another process is opening it", hint: "try again in a moment")
        }
        if try SimulationSet.isComplete(path) {
            if let appCompose { try check(appCompose, in: path) }
        } else {
            try await SimulationSet.create(in: path, appCompose: appCompose ?? SimulationSet.exampleCompose, at: now)
        }
        let simulation = try load(path)
        try simulation.refreshCollateral(at: now)
        return simulation
    }

    /// Looks whether ``loadOrCreate(in:appCompose:at:)`` would take a directory; nothing is made or changed. What goes wrong
    /// only while it is done goes wrong then.
    ///
    /// - Throws: as that.
    package static func check(_ path: String, appCompose: [UInt8]?) throws(GuestError) {
        if let appCompose { try SimulationSet.check(appCompose) }
        guard access(path, F_OK) == 0, !SimulationSet.isIncomplete(path) else { return }
        if try SimulationSet.isWhole(path), let appCompose { try check(appCompose, in: path) }
    }

    private static func load(_ path: String) throws(GuestError) -> SimulationDirectory {
        let compose = try SimulationSet.read(path, appComposeName, limit: AppCompose.maximumByteCount)
        let recorded = try SimulationSet.read(path, attestationName, limit: Attestation.maximumByteCount)
        try SimulationSet.check(compose, at: path + "/" + appComposeName)
        do {
            let recording = try Attestation(decoding: recorded)
            let configuration = try RecordedAttester.configuration(for: recording)
            let platform = try MockPlatform.loadOrCreate(in: path, configuration)
            guard platform.configuration.teeTcbSvn == configuration.teeTcbSvn else {
                throw GuestError(
                    .invalidFile, subject: path,
                    reason: "its simulated platform was made for other evidence than \(attestationName)",
                    hint: "move the evidence into a directory of its own")
            }
            let attester = try RecordedAttester(recorded, on: platform, record: path + "/" + runtimeLogName)
            return SimulationDirectory(path, platform: platform, attester: attester, appCompose: compose)
        } catch let error as GuestError {
            throw error
        } catch let error as AttestationError {
            // A record that another simulator has, or a disk that fails, is nothing that is wrong with the files.
            throw GuestError(
                error.code == .measurementFailed ? .systemUnavailable : .invalidFile, subject: path,
                reason: "\(error.subject): \(error.reason)", hint: error.hint)
        } catch {
            throw GuestError(.invalidFile, subject: path, reason: "\(error)")
        }
    }

    private static func check(_ appCompose: [UInt8], in path: String) throws(GuestError) {
        guard try SimulationSet.read(path, appComposeName, limit: AppCompose.maximumByteCount) == appCompose else {
            throw GuestError(
                .invalidFile, subject: path + "/" + appComposeName,
                reason: "the directory is of another application than the given compose file",
                hint: "use another directory, or remove this one to start anew")
        }
    }

    /// What does not fit together: nil if the compose file is the one that the recording is of.
    static func notice(_ recording: Attestation, _ hash: ComposeHash, name: String) -> String? {
        guard let identity = recording.checkIdentity().identity else {
            return "the recorded events do not say which application was measured"
        }
        guard identity.composeHash != hash else { return nil }
        return "\(name) is not the compose file that was measured: the evidence is a recording with "
            + "compose_hash \(identity.composeHash), this file has \(hash). Verifying the evidence against this file "
            + "will fail"
    }

    // MARK: Collateral

    /// How long before its end collateral is made anew: long enough to hand it on.
    private static let collateralMargin: Int64 = 7 * 86_400

    /// Makes ``collateralPath`` anew if it is missing, of another platform, or expires within a week.
    ///
    /// - Parameter now: Unix seconds.
    /// - Returns: whether the file was written.
    @discardableResult
    package func refreshCollateral(at now: Int64) throws(GuestError) -> Bool {
        let isGood = (try? File.readRegular(collateralPath, limit: 1 << 20)).map { isUsable($0, at: now) } ?? false
        if isGood { return false }
        do {
            let collateral = try platform.collateral(for: .tdx, at: now)
            try AtomicFile.write(collateral.json, to: collateralPath, mode: .readable)
            return true
        } catch let error as SystemError {
            throw GuestError(.invalidFile, error, collateralPath)
        } catch {
            throw GuestError(.invalidFile, subject: collateralPath, reason: "\(error)")
        }
    }

    /// The best judge of collateral is the verifier that will use it.
    private func isUsable(_ bytes: [UInt8], at now: Int64) -> Bool {
        guard let collateral = try? QuoteCollateral(parsingJSON: bytes),
            let anchor = try? TrustAnchor(certificate: platform.rootCertificate),
            let quote = try? platform.quote(MockTrustDomain(on: platform).report(reportData: FixedBytes()))
        else { return false }
        return [now, now + Self.collateralMargin].allSatisfy { time in
            QuoteVerifier(trustAnchor: anchor).verify(quote, collateral: collateral, at: time).verdict == .accepted
        }
    }
}
