import DstackAttestation
import DstackCrypto
import DstackEncoding

// Changes to quotes by field, with and without new signatures.

extension CaseMaker {
    func quoteFields(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        let isForged = random.chance(2, in: 5)
        return isForged ? forgedQuote(number, &random) : damagedQuote(number, &random)
    }

    /// Changes that nobody signed.
    private func damagedQuote(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let index = pickSeed(&random)
        var exhibit = corpus.seeds[index].exhibit
        var changes: [String] = []
        if var quote = QuoteBytes(exhibit.quote) {
            for _ in 0..<random.pick([1, 1, 1, 2]) { changes.append(damage(&quote, &random)) }
            exhibit.quote = quote.bytes
        }
        return FuzzCase(.quoteFields, number: number, seed: index, changes: changes, subject: .exhibit(exhibit))
    }

    private func damage(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        let fields = quote.layout.fields.map(\.name)
        switch random.below(12) {
        case 0...3: return quote.mutate(random.pick(fields), &random)
        case 4, 5: return takeOver(&quote, &random)
        case 6:
            let size = random.pick(fields.filter { $0.hasSuffix("size") })
            let value = ByteMutation.changed(quote.number(size), &random)
            quote.setNumber(size, value)
            return "\(size): \(value)"
        case 7: return changeSignature(&quote, &random)
        case 8: return changeSpace(&quote, &random)
        case 9: return changeVersion(&quote, &random)
        case 10:
            return quote.mutate(
                random.pick(["certification data type", "outer type", "tee_type", "version", "attestation_key_type"]),
                &random)
        default: return changeKey(&quote, &random)
        }
    }

    /// One or several fields of another genuine quote.
    private func takeOver(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        guard let donor = QuoteBytes(random.pick(corpus.donorQuotes)) else { return "nothing taken over" }
        let groups: [[String]] = [
            ["isv_signature.r", "isv_signature.s"], ["attestation_key"],
            ["isv_signature.r", "isv_signature.s", "attestation_key"],
            ["qe_report_signature.r", "qe_report_signature.s"], ["qe_auth_data"], ["certification data"],
            ["qe_report.report_data"], ["mr_td", "rt_mr0", "rt_mr1", "rt_mr2", "rt_mr3"], ["report_data"],
            ["user_data"], donor.layout.fields.map(\.name).filter { $0.hasPrefix("qe_report") },
            donor.layout.fields.map(\.name).filter { $0.hasPrefix("qe_report") || $0 == "qe_auth_data" }
                + ["attestation_key"],
            donor.layout.fields.map(\.name).filter { !$0.hasPrefix("qe_") && $0 != "certification data" },
            [random.pick(donor.layout.fields).name],
        ]
        let group = random.pick(groups)
        for name in group {
            guard let value = donor[name] else { continue }
            if name == "certification data" || name == "qe_auth_data" {
                quote.replace(name, with: value)
            } else {
                quote.set(name, value)
            }
        }
        return "\(group.count == 1 ? group[0] : "\(group.count) fields from \(group[0])") of another quote"
    }

    private func changeSignature(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        let name = random.pick(["isv_signature", "qe_report_signature"])
        let zeros = [UInt8](repeating: 0, count: 32)
        let (r, s) = (quote[name + ".r"] ?? zeros, quote[name + ".s"] ?? zeros)
        func put(_ r: [UInt8], _ s: [UInt8]) {
            quote.set(name + ".r", r)
            quote.set(name + ".s", s)
        }
        var one = zeros
        one[31] = 1
        switch random.below(9) {
        case 0: put(zeros, s)
        case 1: put(r, zeros)
        case 2: put(P256Scalar.orderBytes, s)
        case 3: put(r, P256Scalar.orderBytes)
        case 4: put(s, r)
        case 5: put(r.reversed(), s.reversed())
        case 6: put(one, one)
        case 7: put(r, [UInt8](repeating: 0xFF, count: 32))
        default:
            let raw = FuzzKey.malleated(FixedBytes(r + s) ?? FixedBytes())
            put(Array(raw.bytes[..<32]), Array(raw.bytes[32...]))
            return "\(name): (r, n − s)"
        }
        return "\(name): other numbers"
    }

    private func changeKey(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        let key = quote["attestation_key"] ?? []
        var changed = key
        switch random.below(5) {
        case 0: changed = [UInt8](repeating: 0, count: 64)
        case 1: changed = Array(key.suffix(32) + key.prefix(32))
        case 2: changed = [4] + key.dropLast()
        case 3: changed = random.pick(corpus.strangers).attestation.point.bytes
        default: if !changed.isEmpty { changed[63] ^= 1 }
        }
        quote.set("attestation_key", changed)
        return "attestation_key: another"
    }

    /// Bytes where none belong, with lengths that account for them.
    private func changeSpace(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        let count = random.number(in: 1...40)
        let filling = random.chance(1, in: 2) ? [UInt8](repeating: 0, count: count) : random.bytes(count)
        var changed = quote
        switch random.below(6) {
        case 0:
            quote.replace("qe_auth_data", with: random.bytes(random.pick([0, 1, 31, 33, 64, 300])))
            return "qe_auth_data of another length"
        case 1:
            let data = quote["certification data"] ?? []
            quote.replace("certification data", with: Array(data.prefix(random.below(data.count))))
            return "certification data shortened"
        case 2:
            let data = quote["certification data"] ?? []
            quote.replace("certification data", with: data + filling)
            return "\(count) bytes added to the certification data"
        case 3:
            // Inside the sizes around the certification data, outside of its own.
            let data = quote["certification data"] ?? []
            changed.replace("certification data", with: data + filling)
            changed.setNumber("certification data size", UInt64(data.count))
            quote = QuoteBytes(changed.bytes) ?? quote
            return "\(count) bytes behind the certification data"
        case 4:
            let data = quote["certification data"] ?? []
            changed.replace("certification data", with: data + filling)
            changed.setNumber("certification data size", UInt64(data.count))
            if changed.layout.range(of: "outer size") != nil {
                changed.setNumber("outer size", quote.number("outer size"))
            }
            quote = QuoteBytes(changed.bytes) ?? quote
            return "\(count) bytes at the end of the signature data"
        default:
            quote.replace("trailing", with: (quote["trailing"] ?? []) + filling, keepingSizes: true)
            if quote.layout.range(of: "trailing") == nil, let longer = QuoteBytes(quote.bytes + filling) {
                quote = longer
            }
            return "\(count) bytes behind the quote"
        }
    }

    /// The same body under another version or type.
    private func changeVersion(_ quote: inout QuoteBytes, _ random: inout FuzzRandom) -> String {
        var bytes = quote.bytes
        if bytes[0] == 5, random.chance(1, in: 2) {
            bytes.removeSubrange(48..<54)
            bytes[0] = 4
        } else if bytes[0] == 4, random.chance(1, in: 2) {
            bytes.insert(contentsOf: [2, 0, 0x48, 2, 0, 0], at: 48)
            bytes[0] = 5
        } else {
            bytes[0] = random.pick([0, 1, 2, 3, 4, 5, 6, 255])
            if random.chance(1, in: 2) { bytes[4] = bytes[4] == 0 ? 0x81 : 0 }
            if bytes[0] == 5, random.chance(1, in: 2) { bytes[48] = random.byte() & 7 }
        }
        quote = QuoteBytes(bytes) ?? quote
        return "version \(bytes[0]), TEE type \(bytes[4])"
    }

    // MARK: New signatures

    /// Bodies and reports changed and then signed: by those who may, who then say something else; or by somebody else.
    private func forgedQuote(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
        let (index, seed, source) = pickSimulated(&random)
        var exhibit = seed.exhibit
        var changes: [String] = []
        var expectation = Expectation.rejected
        guard var quote = QuoteBytes(exhibit.quote) else {
            return FuzzCase(.quoteFields, number: number, seed: index, changes: [], subject: .exhibit(exhibit))
        }
        let mint = source.mint
        switch random.below(8) {
        case 0, 1:
            // The platform itself, about another body.
            let body = quote.layout.fields.filter { quote.layout.signedRange.contains($0.range.lowerBound) }
            changes.append(quote.mutate(random.pick(body).name, &random) + ", signed by the attestation key")
            sign(&quote, mint.attestation)
            expectation = quote.signed == QuoteBytes(exhibit.quote)?.signed ? .untrusted : .issued
        case 2 where seed.tee == .tdx:
            let bit = random.below(64)
            quote.edit("td_attributes") { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
            sign(&quote, mint.attestation)
            changes.append("TD attribute \(bit) changed, signed by the attestation key")
            // Defined, and harmless: ICSSD, 18 to 22, LASS, PKS, KL, TPA, PERFMON (Intel TDX Module ABI, ATTRIBUTES).
            let isAllowed = bit == 16 || 18...22 ~= bit || bit == 27 || bit == 30 || bit == 31 || bit >= 62
            expectation = isAllowed ? .issued : .rejected
        case 2, 3:
            // The platform's quoting enclave with another report.
            let report = quote.layout.fields.filter { $0.name.hasPrefix("qe_report.") }
            changes.append(quote.mutate(random.pick(report).name, &random) + ", signed by the PCK")
            setReportSignature(&quote, mint.pck)
            expectation = .issued
        case 4:
            // The platform's quoting enclave about another key: its own affair, but the body must be under that key.
            let (name, key) = wrongKey(mint, besides: mint.attestation, &random)
            quote.set("attestation_key", key.point.bytes)
            let hasBinding = random.chance(2, in: 3)
            if hasBinding { bind(&quote) }
            let signsReport = random.chance(1, in: 2)
            if signsReport { setReportSignature(&quote, mint.pck) }
            let signsBody = random.chance(2, in: 3)
            if signsBody { sign(&quote, key) }
            changes.append(
                "attestation key of \(name)" + (hasBinding ? ", bound" : "") + (signsReport ? ", report signed" : "")
                    + (signsBody ? ", body signed by it" : ""))
            expectation = hasBinding && signsReport && signsBody ? .issued : .rejected
        case 5:
            let (name, key) = wrongKey(mint, besides: mint.attestation, &random)
            let changesBody = random.chance(1, in: 2)
            if changesBody { changes.append(quote.mutate("report_data", &random)) }
            sign(&quote, key)
            changes.append("body signed by \(name)")
        case 6:
            let (name, key) = wrongKey(mint, besides: mint.pck, &random)
            if random.chance(1, in: 2) { changes.append(quote.mutate("qe_report.isv_svn", &random)) }
            setReportSignature(&quote, key)
            changes.append("QE report signed by \(name)")
        default:
            // Auth data of another length, bound and signed as if it were in order.
            let count = random.pick([0, 1, 31, 33, 48, 64, 1_000])
            quote.replace("qe_auth_data", with: random.bytes(count))
            bind(&quote)
            setReportSignature(&quote, mint.pck)
            sign(&quote, mint.attestation)
            changes.append("QE auth data of \(count) bytes, bound and signed")
        }
        exhibit.quote = quote.bytes
        return FuzzCase(
            .quoteFields, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: expectation)
    }

    private func sign(_ quote: inout QuoteBytes, _ key: FuzzKey) {
        let raw = key.sign(quote.signed).bytes
        quote.set("isv_signature.r", raw[..<32])
        quote.set("isv_signature.s", raw[32...])
    }

    private func setReportSignature(_ quote: inout QuoteBytes, _ key: FuzzKey) {
        let raw = key.sign(quote.qeReport).bytes
        quote.set("qe_report_signature.r", raw[..<32])
        quote.set("qe_report_signature.s", raw[32...])
    }

    private func bind(_ quote: inout QuoteBytes) {
        let hash = SHA256.hash((quote["attestation_key"] ?? []) + (quote["qe_auth_data"] ?? []))
        quote.set("qe_report.report_data", hash.bytes + [UInt8](repeating: 0, count: 32))
    }
}
