import DstackCrypto
import DstackEncoding
import DstackSystem
import Synchronization

/// Collateral that was fetched before, in memory and, if there is a directory, on disk.
///
/// Nothing here is trusted: verification checks signatures and dates of what comes out as of what comes from a network.
/// An entry that cannot be read, is damaged, or is about something else counts as absent and is replaced.
final class CollateralStore: Sendable {
    /// Collateral of one platform family, with what is known about its age.
    struct Entry: Hashable, Sendable {
        /// Without PCK certificate chain, which belongs to one machine.
        var collateral: QuoteCollateral
        let source: String
        /// Unix seconds.
        let fetchedAt: Int64
        /// The first of all dates in it by which it must be replaced; Unix seconds, the last good one.
        let expires: Int64
        /// How new its parts say that they are.
        let marks: CollateralMarks

        init(collateral: QuoteCollateral, source: String, fetchedAt: Int64, dates: CollateralDates) {
            self.collateral = collateral
            self.source = source
            self.fetchedAt = fetchedAt
            expires = dates.lastGoodSecond
            marks = dates.marks
        }
    }

    /// A PCK certificate chain of one machine.
    struct PCKEntry: Hashable, Sendable {
        let chain: String
        let source: String
        let fetchedAt: Int64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var chains: [String: PCKEntry] = [:]
    }

    private let directory: String?
    private let state = Mutex(State())

    private static let maximumEntries = 256
    private static let maximumFileBytes = 8 << 20

    init(directory: String?) { self.directory = directory }

    // MARK: Collateral

    func entry(for request: CollateralRequest) -> Entry? {
        let name = request.cacheName
        if let entry = state.withLock({ $0.entries[name] }) { return entry }
        guard let entry = read(name).flatMap({ Self.decodeEntry($0, request) }) else { return nil }
        remember { $0.entries.insertBounded(entry, name, Self.maximumEntries) { $0.fetchedAt } }
        return entry
    }

    /// - Parameter obstacle: why nothing may be written to disk; nil if it may.
    /// - Returns: why it was not written to disk, if so; it is kept in memory all the same.
    func keep(_ entry: Entry, for request: CollateralRequest, unless obstacle: String?) -> String? {
        let name = request.cacheName
        remember { $0.entries.insertBounded(entry, name, Self.maximumEntries) { $0.fetchedAt } }
        let json = entry.collateral.json
        var writer = JSONWriter()
        writer.object { object in
            object.member("format", Self.format)
            object.member("source", entry.source)
            object.member("fetched_at", entry.fetchedAt)
            object.member("sha256", SHA256.hash(json).hex)
            object.raw("collateral", json)
        }
        return write(writer.bytes, name, unless: obstacle)
    }

    // MARK: PCK certificates

    func chain(for request: PCKCertificateRequest) -> PCKEntry? {
        let name = request.cacheName
        if let entry = state.withLock({ $0.chains[name] }) { return entry }
        guard let entry = read(name).flatMap(Self.decodeChain) else { return nil }
        remember { $0.chains.insertBounded(entry, name, Self.maximumEntries) { $0.fetchedAt } }
        return entry
    }

    /// As for collateral.
    func keep(_ entry: PCKEntry, for request: PCKCertificateRequest, unless obstacle: String?) -> String? {
        let name = request.cacheName
        remember { $0.chains.insertBounded(entry, name, Self.maximumEntries) { $0.fetchedAt } }
        var writer = JSONWriter()
        writer.object { object in
            object.member("format", Self.format)
            object.member("source", entry.source)
            object.member("fetched_at", entry.fetchedAt)
            object.member("sha256", SHA256.hash(Array(entry.chain.utf8)).hex)
            object.member("chain", entry.chain)
        }
        return write(writer.bytes, name, unless: obstacle)
    }

    // MARK: Files

    /// Of the files: from 2 on, what was verified before is kept beside them (``CollateralFloors``). Other numbers are other
    /// formats, which are not read.
    private static let format = 2
    private static let readableFormats = 1...2

    private func remember(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }

    private func path(_ name: String) -> String? { directory.map { "\($0)/\(name).json" } }

    private func read(_ name: String) -> [UInt8]? {
        guard let path = path(name) else { return nil }
        return try? File.readRegular(path, limit: Self.maximumFileBytes)
    }

    private func write(_ bytes: [UInt8], _ name: String, unless obstacle: String?) -> String? {
        guard let path = path(name) else { return nil }
        if let obstacle { return "the cache was not written: \(obstacle)" }
        do throws(SystemError) {
            try AtomicFile.write(bytes, to: path, mode: .readable)
            return nil
        } catch {
            return "the cache could not be written: \(error.description)"
        }
    }

    /// The digest finds damage, not malice: who can write the file can write the digest.
    private static func decode(_ bytes: [UInt8]) -> (root: JSONNode, source: String, fetchedAt: Int64, digest: String)?
    {
        guard let root = try? JSONDocument(parsing: bytes, subject: "cache").root,
            let found = try? root.member("format").integer(Int.self), readableFormats.contains(found),
            let source = try? root.member("source").string(),
            let fetchedAt = try? root.member("fetched_at").integer(Int64.self),
            let digest = try? root.member("sha256").string(),
            // From 1970 to 9999, so that ages cannot overflow.
            (0..<253_402_300_800).contains(fetchedAt)
        else { return nil }
        return (root, source, fetchedAt, digest)
    }

    private static func decodeEntry(_ bytes: [UInt8], _ request: CollateralRequest) -> Entry? {
        guard let (root, source, fetchedAt, digest) = decode(bytes), let node = try? root.member("collateral"),
            case let json = node.rawBytes, SHA256.hash(json).hex == digest,
            let collateral = try? QuoteCollateral(parsingJSON: json),
            let dates = try? CollateralDates(collateral, for: request)
        else { return nil }
        return Entry(collateral: collateral, source: source, fetchedAt: fetchedAt, dates: dates)
    }

    private static func decodeChain(_ bytes: [UInt8]) -> PCKEntry? {
        guard let (root, source, fetchedAt, digest) = decode(bytes), let chain = try? root.member("chain").string(),
            SHA256.hash(Array(chain.utf8)).hex == digest
        else { return nil }
        return PCKEntry(chain: chain, source: source, fetchedAt: fetchedAt)
    }
}

extension Dictionary {
    /// Adds a value; where there are too many, the oldest goes.
    fileprivate mutating func insertBounded(
        _ value: Value, _ key: Key, _ limit: Int, _ age: (Value) -> Int64
    ) {
        if self[key] == nil, count >= limit, let oldest = self.min(by: { age($0.value) < age($1.value) })?.key {
            self[oldest] = nil
        }
        self[key] = value
    }
}

/// What the dates and numbers in collateral say, which nobody has verified yet.
struct CollateralDates {
    /// The last second at which none of its parts is outdated.
    let lastGoodSecond: Int64
    let marks: CollateralMarks

    /// - Throws: ``CollateralFailure`` for collateral that cannot be read or is not for what was asked.
    init(_ collateral: QuoteCollateral, for request: CollateralRequest) throws(CollateralFailure) {
        do throws(DecodingFailure) {
            let decoded = DecodedCollateral(collateral)
            let (info, identity) = (try decoded.tcbInfo.get(), try decoded.qeIdentity.get())
            guard info.fmspc == request.fmspc, info.id == request.tee.name,
                identity.id == (request.tee == .tdx ? "TD_QE" : "QE")
            else { throw DecodingFailure(.malformed, "collateral", "it is for something else") }
            let (rootCRL, pckCRL) = (try decoded.rootCRL.get(), try decoded.pckCRL.get())
            var last = min(info.nextUpdate, identity.nextUpdate)
            for list in [rootCRL, pckCRL] {
                // A list is good before its next update, documents are so up to and including theirs.
                if let next = list.nextUpdate { last = min(last, next &- 1) }
            }
            lastGoodSecond = last
            marks = CollateralMarks(decoded)
        } catch {
            throw .permanent(error)
        }
    }
}

extension CollateralStore {
    /// Whether a directory has collateral that was kept together with ``CollateralFloors``.
    static func hasEntriesUnderFloors(_ directory: String) -> Bool {
        guard let names = try? CollateralDirectory.names(directory) else { return false }
        return names.contains { name in
            guard name != FloorsFile.name else { return false }
            let path = "\(directory)/\(name)"
            guard let bytes = try? File.readRegular(path, limit: maximumFileBytes) else { return false }
            return String(decoding: bytes.prefix(64), as: UTF8.self).hasPrefix("{\"format\":2,")
        }
    }
}
