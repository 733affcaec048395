import DstackEncoding
import DstackSystem
internal import Glibc
import Synchronization

/// Remembers the newest collateral that was verified, so that nothing older counts later: not from whoever serves it, and not
/// by a clock that was set back.
///
/// Everything in collateral is signed, and everything stays valid for weeks; so whoever serves it can give out the old
/// revocation list again that a platform is not on yet, or the TCB data of before a recovery. Here is kept, for every trust
/// anchor, how new each document was that was found genuine: the root's revocation list, that of each PCK authority, TCB info
/// for each TEE and platform family and the identity of each quoting enclave by evaluation data number; and the newest date
/// of issue of them all.
///
/// Revocation lists and QE identities are nobody's own: they are kept themselves, and **stand in** for older ones that other
/// collateral has, which is then judged as if it had brought them. So news from one platform family holds for all at once,
/// and no family is refused because another one's collateral was fetched later. What has no such substitute is refused: older
/// TCB info of the same family, and whatever is older than a document that is not at hand.
///
/// Why that is safe. A document that stands in is verified with all the rest, at every use, as if it had been served: it is
/// believed for its signature, not for being here, so that whoever can change the file can have collateral refused and
/// nothing accepted. It takes the place only of an older one of the same authority on the same subject, so that the answer is
/// that for collateral served a little later. It may be expired, or not be valid yet by this clock: then the answer is a no
/// and the older one is not fallen back on. Who is to be verified chooses none of it: only documents that lead to the trust
/// anchor get in, each with all that it rests on, and the older never displaces the newer.
///
/// Of TCB data several generations are current at a time. Which one a document belongs to is told by the document
/// (``CollateralMarks/Item/isStandard``), never by what it was the answer to: data of any number shows what is `early`, and only
/// what is of age shows what is `standard`. So early data that is served for standard data is taken for what it is,
/// and raises nothing that honest standard data would fall below.
///
/// Every verification that is given floors is judged by them and raises them. With a directory they outlive the process:
/// they are written, durably, before the verification that raised them is answered; where that fails the report says so
/// (``VerificationReport/notes``), and the next verification tries again. A
/// file that is damaged, or that is missing beside collateral which was kept together with it, is an error of everything that
/// needs it, since starting anew is what somebody who rolls back wants.
public final class CollateralFloors: Sendable {
    typealias Anchor = FixedBytes<64>
    typealias Mark = CollateralMarks.Mark

    /// What is remembered of one subject under one anchor.
    struct Key: Hashable, Sendable {
        let anchor: Anchor
        let subject: String
    }

    /// A document that was verified.
    struct Record: Sendable {
        var mark: Mark
        /// For TCB data: whether a document of this number was standard data.
        var isStandard = false
        /// Nil where it cannot stand in for others.
        var document: CollateralDocument?
    }

    private struct State {
        /// One of a subject; of TCB data one for each evaluation data number.
        var records: [Key: [Record]] = [:]
        /// Why what was kept cannot be used; nothing is accepted then.
        var problem: AttestationError?
        /// Counts what changed them, and how much of that is on the disk.
        var raised: UInt64 = 0
        var written: UInt64 = 0
        /// Why the last attempt to write failed.
        var writeProblem: String?
    }

    /// Where they are kept; nil for in memory.
    package let directory: String?
    private let selector: TCBDataSelector
    private let state = Mutex(State())
    /// Held by the thread that writes: the lock of the directory is one among processes. In it is until when that one is waited
    /// for; nil while nobody keeps it.
    private let writing = Mutex<ContinuousClock.Instant?>(nil)

    /// Floors of one kind of collateral.
    ///
    /// - Parameters:
    ///   - directory: an existing directory that they are kept in; nil for as long as the value lives.
    ///   - selector: which generation of TCB data is the least: early data has higher numbers than standard data.
    public init(directory: String? = nil, selector: TCBDataSelector = .standard) {
        self.directory = directory
        self.selector = selector
        guard let directory else { return }
        do throws(AttestationError) {
            let records = try FloorsFile.load(directory)
            state.withLock { $0.records = records }
        } catch {
            state.withLock { $0.problem = error }
        }
    }

    /// Why what was kept cannot be used; nil if it can. While there is a reason, nothing is accepted.
    public var problem: AttestationError? { state.withLock { $0.problem } }

    /// Why what was verified could not be written, so that it is forgotten when the process ends; nil if nothing is missing on
    /// the disk. It counts all the same until then.
    public var writeProblem: String? { state.withLock { $0.writeProblem } }

    /// Changes whenever what collateral is compared with changes.
    var revision: UInt64 { state.withLock { $0.raised } }

    // MARK: Comparing

    /// Collateral as it is to be judged.
    struct Renewal: Sendable {
        /// ``CollateralFloors/revision`` at that time.
        let revision: UInt64
        /// With newer documents in place of older ones.
        var collateral: QuoteCollateral
        var replaced: [ReplacedDocument] = []
        /// What is older and has no substitute; nil if nothing is.
        var issue: CheckIssue?
    }

    /// Puts what is newer in place of what is older.
    ///
    /// - Parameter marks: of this collateral.
    func renewal(of collateral: QuoteCollateral, _ marks: CollateralMarks, under anchor: TrustAnchor) -> Renewal {
        state.withLock { state in
            var renewal = Renewal(revision: state.raised, collateral: collateral)
            if let problem = state.problem {
                renewal.issue = CheckIssue(
                    .rolledBack, "what was verified before cannot be read: \(problem.message)")
                return renewal
            }
            for item in marks.items {
                guard let newer = newer(than: item, anchor, state) else { continue }
                guard let document = newer.document else {
                    renewal.issue =
                        renewal.issue
                        ?? CheckIssue(
                            .rolledBack,
                            "\(item.subject.title) has \(item.mark.description), older than what was verified before: "
                                + "\(newer.mark.description)",
                            found: .text(item.mark.description), expected: .text("\(newer.mark.description) or newer"))
                    continue
                }
                document.replace(in: &renewal.collateral)
                renewal.replaced.append(
                    ReplacedDocument(
                        name: document.reportName, title: item.subject.title, given: item.mark.description,
                        used: newer.mark.description))
            }
            return renewal
        }
    }

    /// What must be used instead of a document; nil if it is new enough.
    private func newer(than item: CollateralMarks.Item, _ anchor: TrustAnchor, _ state: State) -> Record? {
        let key = Key(anchor: anchor.point, subject: item.subject.name)
        var records = state.records[key] ?? []
        if let former = item.subject.formerName {
            records += state.records[Key(anchor: anchor.point, subject: former)] ?? []
        }
        guard item.isTCBData else {
            return records.max { $0.mark < $1.mark }.flatMap { item.mark < $0.mark ? $0 : nil }
        }
        if let least = leastGeneration(records), item.mark.isBefore(least.mark) { return least }
        // Of the same number the one issued last; what is of a higher number is another generation's, which nobody asked for.
        return records.first { $0.mark.number == item.mark.number && item.mark < $0.mark }
    }

    /// The generation of TCB data that nothing may be older than.
    private func leastGeneration(_ records: [Record]) -> Record? {
        let known =
            switch selector {
            case .standard: records.filter(\.isStandard)
            // New data is given as early data first, so that nothing genuine is ahead of it.
            case .early: records
            case .evaluationDataNumber(let number):
                records.filter { $0.mark.number == Mark(number, issued: 0).number }
            }
        return known.max { $0.mark < $1.mark }
    }

    /// The newest date of issue that was verified, which no right clock is behind; nil if there is none. Unix seconds.
    func clockFloor(under anchor: TrustAnchor) -> Int64? {
        let key = Key(anchor: anchor.point, subject: CollateralMarks.Subject.clock.name)
        return state.withLock { $0.records[key]?.first?.mark.issued }
    }

    /// Records both checks of a verification.
    func record(_ renewal: Renewal, under anchor: TrustAnchor, at now: Int64, in checks: inout CheckList) {
        if let issue = renewal.issue {
            checks.fail(.collateralFloor, issue)
        } else {
            let replaced = renewal.replaced
            checks.pass(
                .collateralFloor,
                found: replaced.isEmpty
                    ? .literal("nothing newer was verified before")
                    : .text(replaced.map(\.description).joined(separator: "; ")))
        }
        guard let floor = clockFloor(under: anchor) else {
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
        raise(
            to: CollateralMarks(verified: report.facts.collateral, report.facts.platform), under: report.trustAnchor)
        note(in: &report)
    }

    /// Notes in a report what a restart would forget.
    func note(in report: inout VerificationReport) {
        if let writeProblem { report.notes.append(writeProblem) }
    }

    /// Takes over what was found genuine. Once this returns it is on the disk, or ``writeProblem`` says why not.
    func raise(to marks: CollateralMarks, under anchor: TrustAnchor) {
        let wanted: UInt64? = state.withLock { state in
            guard state.problem == nil else { return nil }
            var isHigher = false
            for item in marks.items {
                let key = Key(anchor: anchor.point, subject: item.subject.name)
                let record = Record(mark: item.mark, isStandard: item.isStandard, document: item.document)
                let isNew = Self.merge(record, into: &state.records[key, default: []], byNumber: item.isTCBData)
                isHigher = isHigher || isNew
            }
            if let newest = marks.newest {
                let key = Key(anchor: anchor.point, subject: CollateralMarks.Subject.clock.name)
                let record = Record(mark: Mark(0, issued: newest))
                if Self.merge(record, into: &state.records[key, default: []], byNumber: false) { isHigher = true }
            }
            if isHigher { state.raised += 1 }
            // Also what another thread is writing just now, or what could not be written before.
            return state.raised == state.written && state.writeProblem == nil ? nil : state.raised
        }
        if let wanted { save(wanted) }
    }

    /// The most evaluation data numbers of a subject: Intel has four or five in use at a time.
    private static let maximumGenerations = 16

    /// Adds what is new about a subject.
    ///
    /// - Returns: whether there was anything.
    static func merge(_ new: Record, into records: inout [Record], byNumber: Bool) -> Bool {
        let place = byNumber ? records.firstIndex { $0.mark.number == new.mark.number } : records.indices.first
        guard let index = place else {
            records.append(new)
            records.sort { $0.mark < $1.mark }
            if records.count > maximumGenerations { records.removeFirst() }
            return true
        }
        let known = records[index]
        // Neither of two that differ in content alone is the older one: the first stays.
        let isNewer =
            known.mark < new.mark || !(new.mark < known.mark) && known.document == nil && new.document != nil
        if isNewer { records[index] = new }
        let isStandard = known.isStandard || new.isStandard
        records[index].isStandard = isStandard
        return isNewer || isStandard != known.isStandard
    }

    // MARK: On the disk

    /// How long to wait for another process that writes: in all, until it has been seen to let go. One verification writes more
    /// than once, and many at a time want to; each would wait behind all others before it.
    private static let patience = Duration.seconds(5)

    /// Writes everything.
    ///
    /// - Parameter wanted: what is to be written; not again if another thread has done so in the meantime.
    private func save(_ wanted: UInt64? = nil) {
        guard let directory else { return state.withLock { $0.written = $0.raised } }
        writing.withLock { deadline in
            if let wanted, state.withLock({ $0.written >= wanted && $0.writeProblem == nil }) { return }
            do throws(SystemError) {
                // One writer at a time, also among processes: none lowers what another one raised. The lock is a file that
                // only this user can open: that of the directory is anybody's to take and keep.
                let path = "\(directory)/\(FloorsFile.lockName)"
                let limit = deadline ?? .now + Self.patience
                guard let lock = try LockFile.taken(path, until: limit) else {
                    deadline = limit
                    throw SystemError(
                        "lock", path, code: EWOULDBLOCK,
                        reason: "another process has held it for \(Self.patience.components.seconds) s")
                }
                deadline = nil
                try write(to: directory)
                _ = consume lock
            } catch {
                state.withLock { $0.writeProblem = Self.forgetting(error.description) }
            }
        }
    }

    private func write(to directory: String) throws(SystemError) {
        let kept: [Key: [Record]]
        do throws(AttestationError) {
            kept = try FloorsFile.load(directory)
        } catch {
            return state.withLock { state in
                state.problem = error
                state.raised += 1
                state.writeProblem = Self.forgetting(error.message)
            }
        }
        let (records, revision) = state.withLock { state in
            var isHigher = false
            for (key, others) in kept {
                let byNumber = FloorsFile.isTCBData(key)
                for record in others {
                    let isNew = Self.merge(record, into: &state.records[key, default: []], byNumber: byNumber)
                    isHigher = isHigher || isNew
                }
            }
            if isHigher { state.raised += 1 }
            return (state.records, state.raised)
        }
        try FloorsFile.write(records, to: directory)
        state.withLock { state in
            state.written = max(state.written, revision)
            state.writeProblem = nil
        }
    }

    private static func forgetting(_ reason: String) -> String {
        "how new this collateral is could not be kept, so that older may be accepted after a restart: \(reason)"
    }

    /// Makes the file, so that collateral which is kept beside it can tell whether it has gone.
    ///
    /// - Returns: why there is none, so that nothing may be kept beside it: those who come later would take it for gone, for
    ///   good.
    func establish() -> String? {
        guard let directory, !FloorsFile.exists(in: directory) else { return nil }
        if let problem { return problem.message }
        save()
        return FloorsFile.exists(in: directory) ? nil : writeProblem ?? problem?.message ?? "floors.json is not there"
    }
}
