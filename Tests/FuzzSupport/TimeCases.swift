import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

// Other times of verification, and other dates in everything that has one.

extension CaseMaker {
    func time(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        if random.chance(1, in: 2) { return otherTime(number, &random) }
        let (index, seed, source) = pickSimulated(&random)
        var changes: [String] = []
        var (exhibit, window) = try movedDates(source, &changes, &random)
        exhibit.time = Self.near(window ?? Corpus.now...Corpus.now, &random)
        changes.append("verified at \(exhibit.time)")
        return FuzzCase(
            .time, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: window?.contains(exhibit.time) == true ? expected(seed) : .rejected)
    }

    /// What a seed's own content is judged as, whatever the dates. They are part of the answer, so that only status and
    /// advisories can be compared.
    private func expected(_ seed: Seed) -> Expectation {
        guard let report = try? Oracle.plainReport(seed.exhibit, anchor: seed.anchor), let status = report.status else {
            return .rejected
        }
        return .judged(status, advisoryIDs: report.advisoryIDs)
    }

    private static func near(_ window: ClosedRange<Int64>, _ random: inout FuzzRandom) -> Int64 {
        let edge = random.chance(1, in: 2) ? window.lowerBound : window.upperBound
        return switch random.below(6) {
        case 0: edge - 1
        case 1: edge
        case 2: edge + 1
        case 3: edge + Int64(random.number(in: -5...5))
        case 4: (window.lowerBound + window.upperBound) / 2
        default: edge + Int64(random.number(in: -4_000_000...4_000_000))
        }
    }

    /// A seed as it is, at a time near the edges of its window, or far away from everything.
    private func otherTime(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        while true {
            let index = pickSeed(&random)
            let seed = corpus.seeds[index]
            guard let window = seed.window else { continue }
            var exhibit = seed.exhibit
            exhibit.time =
                random.chance(1, in: 4)
                ? random.pick([
                    .min, .max, -1, 0, 1, 253_402_300_799, 253_402_300_800, Int64(UInt32.max), 2_524_607_999,
                    2_524_608_000,
                ]) : Self.near(window, &random)
            return FuzzCase(
                .time, number: number, seed: index, changes: ["verified at \(exhibit.time)"],
                subject: .exhibit(exhibit),
                expectation: window.contains(exhibit.time) ? expected(seed) : .rejected)
        }
    }

    /// Evidence with one to three dates moved, and the window that follows; nil if there is no time at which all of it
    /// is valid.
    private func movedDates(
        _ source: Seed.Source, _ changes: inout [String], _ random: inout FuzzRandom
    ) throws(FuzzFailure) -> (Exhibit, ClosedRange<Int64>?) {
        // Beginnings and ends that the window is made from; documents begin and end with the second they name,
        // revocation lists end a second before.
        var starts: [String: Int64] = [
            "tcb_info": Corpus.now - 86_400, "qe_identity": Corpus.now - 172_800,
            "root_ca_crl": Corpus.now - 8_640_000, "pck_crl": Corpus.now - 80_000, "PCK": 1_577_836_800,
            "CA": 1_577_836_800, "signer": 1_577_836_800, "root": 1_577_836_800,
        ]
        var ends: [String: Int64] = [
            "tcb_info": Corpus.now + 30 * 86_400, "qe_identity": Corpus.now + 29 * 86_400,
            "root_ca_crl": Corpus.now + 265 * 86_400, "pck_crl": Corpus.now + 30 * 86_400 + 7, "PCK": 2_524_607_999,
            "CA": 2_524_607_999, "signer": 2_524_607_999, "root": 2_524_607_999,
        ]
        for _ in 0..<random.number(in: 1...3) {
            let name = random.pick(starts.keys.sorted())
            let date = Corpus.now + Int64(random.number(in: -3_000_000...3_000_000))
            if random.chance(1, in: 2) {
                // Certificates and lists whose end is before their beginning are never valid.
                starts[name] = min(date, (ends[name] ?? date) - 1)
                changes.append("\(name) from \(starts[name] ?? 0)")
            } else {
                ends[name] = max(date, (starts[name] ?? date) + 1)
                changes.append("\(name) until \(ends[name] ?? 0)")
            }
        }
        func date(_ dates: [String: Int64], _ name: String) -> Int64 { dates[name] ?? 0 }
        var changed = source
        changed.mint = try source.mint.reissued { certificates in
            for (name, part) in [
                ("PCK", \MockCertificates.pck), ("CA", \.platformCA), ("CA", \.processorCA), ("signer", \.tcbSigner),
                ("root", \.root),
            ] as [(String, WritableKeyPath<MockCertificates, MockCertificate>)] {
                certificates[keyPath: part].builder.notBefore = .seconds(date(starts, name))
                certificates[keyPath: part].builder.notAfter = .seconds(date(ends, name))
            }
        }
        let exhibit = try changed.exhibit(editCollateral: { draft in
            draft.tcbInfo.issueDate = date(starts, "tcb_info")
            draft.tcbInfo.nextUpdate = date(ends, "tcb_info")
            draft.qeIdentity.issueDate = date(starts, "qe_identity")
            draft.qeIdentity.nextUpdate = date(ends, "qe_identity")
            draft.rootCRL.builder.thisUpdate = .seconds(date(starts, "root_ca_crl"))
            draft.rootCRL.builder.nextUpdate = .seconds(date(ends, "root_ca_crl"))
            draft.pckCRL.builder.thisUpdate = .seconds(date(starts, "pck_crl"))
            draft.pckCRL.builder.nextUpdate = .seconds(date(ends, "pck_crl"))
        })
        let first = starts.values.max() ?? 0
        let last = ends.map { $0.key.hasSuffix("crl") ? $0.value - 1 : $0.value }.min() ?? 0
        return (exhibit, first <= last ? first...last : nil)
    }
}
