import DstackCrypto
import DstackEncoding
import DstackSystem
internal import Glibc
import Synchronization

/// Remembers how new collateral was when it was last verified, so that nothing older is accepted later: not from whoever
/// serves it, and not by a clock that was set back.
///
/// Everything in collateral is signed, and everything stays valid for weeks; so whoever serves it can give out the old
/// revocation list again that a platform is not on yet, or the TCB data of before a recovery. Here is kept, for every trust
/// anchor, the highest CRL number of each authority, the highest TCB evaluation data number for each TEE and platform family
/// and each quoting enclave, with their dates of issue, and the newest of these dates. Only documents that were verified
/// raise it.
///
/// Every verification that is given floors compares with them and raises them. With a directory they outlive the process:
/// they are written, durably, before the verification that raised them is answered; where that fails the report says so
/// (``VerificationReport/notes``), and the next verification tries again. A
/// file that is damaged, or that is missing beside collateral which was kept together with it, is an error of everything that
/// needs it, since starting anew is what somebody who rolls back wants.
public final class CollateralFloors: Sendable {
    private typealias Anchor = FixedBytes<64>
    private typealias Subject = CollateralMarks.Subject
    private typealias Mark = CollateralMarks.Mark

    private struct Key: Hashable, Sendable {
        let anchor: Anchor
        let subject: String
    }

    private struct State {
        var floors: [Key: Mark] = [:]
        /// Why what was kept cannot be used; nothing is accepted then.
        var problem: AttestationError?
        /// Counts what raised them, and how much of that is on the disk.
        var raised: UInt64 = 0
        var written: UInt64 = 0
        /// Why the last attempt to write failed.
        var writeProblem: String?
    }

    /// Where they are kept; nil for in memory.
    package let directory: String?
    private let generation: String
    private let state = Mutex(State())

    /// The file's name in the directory.
    static let fileName = "floors.json"
    private static let format = 1
    private static let maximumFileBytes = 4 << 20

    /// Floors of one kind of collateral.
    ///
    /// - Parameters:
    ///   - directory: an existing directory that they are kept in; nil for as long as the value lives.
    ///   - selector: which generation of TCB data: early data has higher numbers than standard data, which is no rollback.
    public init(directory: String? = nil, selector: TCBDataSelector = .standard) {
        self.directory = directory
        generation = selector.description
        guard let directory else { return }
        do throws(AttestationError) {
            let floors = try Self.load(directory)
            state.withLock { $0.floors = floors }
        } catch {
            state.withLock { $0.problem = error }
        }
    }

    /// Why what was kept cannot be used; nil if it can. While there is a reason, nothing is accepted.
    public var problem: AttestationError? { state.withLock { $0.problem } }

    /// Why what was verified could not be written, so that it is forgotten when the process ends; nil if nothing is missing on
    /// the disk. It counts all the same until then.
    public var writeProblem: String? { state.withLock { $0.writeProblem } }

    // MARK: Comparing

    /// What of collateral is older than what was verified before; nil if nothing is.
    func shortfall(of marks: CollateralMarks, under anchor: TrustAnchor) -> CheckIssue? {
        state.withLock { state in
            if let problem = state.problem {
                return CheckIssue(.rolledBack, "what was verified before cannot be read: \(problem.message)")
            }
            for (subject, mark) in marks.marks {
                guard let floor = state.floors[key(anchor, subject)], mark < floor else { continue }
                return CheckIssue(
                    .rolledBack,
                    "\(subject.title) has \(mark.description), older than what was verified before: "
                        + "\(floor.description)",
                    found: .text(mark.description), expected: .text("\(floor.description) or newer"))
            }
            return nil
        }
    }

    /// The newest date of issue that was verified, which no right clock is behind; nil if there is none. Unix seconds.
    func clockFloor(under anchor: TrustAnchor) -> Int64? {
        state.withLock { $0.floors[key(anchor, .clock)]?.issued }
    }

    /// Records both checks of a verification.
    func record(_ collateral: CollateralEvaluation, at now: Int64, in checks: inout CheckList) {
        if let marks = collateral.marks ?? CollateralMarks(collateral.decoded) {
            if let issue = shortfall(of: marks, under: collateral.anchor) {
                checks.fail(.collateralFloor, issue)
            } else {
                checks.pass(.collateralFloor, found: .literal("nothing newer was verified before"))
            }
        }
        guard let floor = clockFloor(under: collateral.anchor) else {
            return checks.pass(.clockFloor, found: .time(now))
        }
        checks.require(
            .clockFloor, now >= floor, .rolledBack,
            "the clock says \(RFC3339.format(now)), but what was verified before was issued at \(RFC3339.format(floor))",
            found: .time(now), expected: .text("\(RFC3339.format(floor)) or later"))
    }

    // MARK: Raising

    /// Takes over what a verification found genuine, whatever else it says, and notes in its report if that could not be
    /// written.
    func raise(by report: inout VerificationReport) {
        if let marks = CollateralMarks(verified: report.facts.collateral, report.facts.platform) {
            raise(to: marks, under: report.trustAnchor)
        }
        note(in: &report)
    }

    /// Notes in a report what a restart would forget.
    func note(in report: inout VerificationReport) {
        if let writeProblem { report.notes.append(writeProblem) }
    }

    /// Takes over marks of what was found genuine. Once this returns they are on the disk, or ``writeProblem`` says why not.
    func raise(to marks: CollateralMarks, under anchor: TrustAnchor) {
        let wanted: UInt64? = state.withLock { state in
            guard state.problem == nil else { return nil }
            var isHigher = false
            for (subject, mark) in marks.marks + [(.clock, Mark(0, issued: marks.newest))] {
                let key = key(anchor, subject)
                if let floor = state.floors[key], !(floor < mark) { continue }
                state.floors[key] = mark
                isHigher = true
            }
            if isHigher { state.raised += 1 }
            // Also what another thread is writing just now, or what could not be written before.
            return state.raised == state.written && state.writeProblem == nil ? nil : state.raised
        }
        if let wanted { save(wanted) }
    }

    private func key(_ anchor: TrustAnchor, _ subject: Subject) -> Key {
        // Revocation lists and time have no generations.
        let isTCBData = subject.name.hasPrefix("tcb_info") || subject.name.hasPrefix("qe_identity")
        return Key(anchor: anchor.point, subject: isTCBData ? "\(subject.name) \(generation)" : subject.name)
    }

    // MARK: The file

    /// Writes everything.
    ///
    /// - Parameter wanted: what is to be written; not again if another thread has done so in the meantime.
    private func save(_ wanted: UInt64? = nil) {
        guard let directory else { return state.withLock { $0.written = $0.raised } }
        do throws(SystemError) {
            // One writer at a time, also among processes: none lowers what another one raised.
            let lock = try FileDescriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY, doing: "lock")
            guard retryingInterrupts({ flock(lock.number, LOCK_EX) }) == 0 else { throw .last("lock", directory) }
            if let wanted, state.withLock({ $0.written >= wanted && $0.writeProblem == nil }) { return }
            let kept: [Key: Mark]
            do throws(AttestationError) {
                kept = try Self.load(directory)
            } catch {
                return state.withLock { state in
                    state.problem = error
                    state.writeProblem = Self.forgetting(error.message)
                }
            }
            let (floors, revision) = state.withLock { state in
                for (key, mark) in kept { state.floors[key] = max(mark, state.floors[key] ?? mark) }
                return (state.floors, state.raised)
            }
            try AtomicFile.write(Self.encode(floors), to: "\(directory)/\(Self.fileName)", mode: .readable)
            try lock.closeReporting()
            state.withLock { state in
                state.written = max(state.written, revision)
                state.writeProblem = nil
            }
        } catch {
            state.withLock { $0.writeProblem = Self.forgetting(error.description) }
        }
    }

    private static func forgetting(_ reason: String) -> String {
        "how new this collateral is could not be kept, so that older may be accepted after a restart: \(reason)"
    }

    private static func encode(_ floors: [Key: Mark]) -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { object in
            object.member("format", format)
            object.array("floors") { array in
                let sorted = floors.sorted { ($0.key.anchor.hex, $0.key.subject) < ($1.key.anchor.hex, $1.key.subject) }
                for (key, mark) in sorted {
                    array.object { item in
                        item.member("anchor", key.anchor.hex)
                        item.member("subject", key.subject)
                        item.member("number", Hex.encode(mark.number))
                        item.member("issued", mark.issued)
                    }
                }
            }
        }
        return writer.bytes
    }

    private static func load(_ directory: String) throws(AttestationError) -> [Key: Mark] {
        let path = "\(directory)/\(fileName)"
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(path, limit: maximumFileBytes)
        } catch {
            guard error.code == ENOENT else { throw unusable(path, error.reason) }
            guard !CollateralStore.hasEntriesUnderFloors(directory) else {
                throw unusable(path, "it is missing, and collateral that was kept together with it is there")
            }
            return [:]
        }
        do throws(DecodingFailure) {
            let root = try JSONDocument(parsing: bytes, subject: fileName).root
            guard try root.member("format").integer(Int.self) == format else {
                throw DecodingFailure(.unsupported, fileName, "another format than \(format)")
            }
            var floors: [Key: Mark] = [:]
            for item in try root.member("floors").array() {
                let key = Key(
                    anchor: try item.member("anchor").fixedHex(), subject: try item.member("subject").string())
                floors[key] = Mark(
                    number: try item.member("number").hexBytes(), issued: try item.member("issued").integer())
            }
            return floors
        } catch {
            throw unusable(path, "it is damaged: \(error.description)")
        }
    }

    private static func unusable(_ path: String, _ reason: String) -> AttestationError {
        AttestationError(
            .damagedFloors, subject: path,
            reason:
                "\(reason); it says how new collateral was when it was last verified, so that nothing older is accepted",
            hint: "restore it; or, if you know why it is so, remove the directory's *.json together and begin anew")
    }

    /// Makes the file, so that collateral which is kept beside it can tell whether it has gone.
    func establish() {
        guard let directory, problem == nil else { return }
        if (try? File.read("\(directory)/\(Self.fileName)", limit: Self.maximumFileBytes)) == nil { save() }
    }
}
