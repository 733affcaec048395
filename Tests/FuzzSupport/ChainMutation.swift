import DstackCrypto
import DstackEncoding

/// Changes to a PEM text of certificates.
enum ChainMutation {
    /// One change; returns what was done.
    static func apply(to text: inout [UInt8], pool: [[UInt8]], _ random: inout FuzzRandom) -> String {
        guard random.chance(4, in: 5), var blocks = try? PEM.decode(text, label: "CERTIFICATE"), !blocks.isEmpty else {
            return "chain text: " + changeText(&text, &random)
        }
        let what = changeList(&blocks, pool: pool, &random)
        text = render(blocks, &random)
        return "chain: " + what
    }

    private static func changeList(_ blocks: inout [[UInt8]], pool: [[UInt8]], _ random: inout FuzzRandom) -> String {
        let index = random.below(blocks.count)
        switch random.below(13) {
        case 0:
            blocks.remove(at: index)
            return "certificate \(index) dropped"
        case 1:
            blocks.insert(blocks[index], at: random.below(blocks.count + 1))
            return "certificate \(index) twice"
        case 2:
            blocks = random.shuffled(blocks)
            return "shuffled"
        case 3:
            // The order behind the leaf does not matter.
            blocks = [blocks[0]] + random.shuffled(Array(blocks.dropFirst()))
            return "shuffled behind the leaf"
        case 4:
            blocks[index] = random.pick(pool)
            return "certificate \(index) replaced"
        case 5:
            blocks.insert(random.pick(pool), at: random.number(in: 1...blocks.count))
            return "a certificate added behind the leaf"
        case 6:
            blocks.insert(random.pick(pool), at: 0)
            return "another leaf in front"
        case 7:
            let count = random.number(in: 1...8)
            for _ in 0..<count { blocks.append(random.pick(pool)) }
            return "\(count) certificates added"
        case 8:
            if blocks.count > 1 { blocks.removeLast() }
            return "last certificate dropped"
        case 9:
            let what = ByteMutation.apply(to: &blocks[index], &random, donors: pool)
            return "certificate \(index): \(what)"
        case 10:
            let what = ByteMutation.apply(to: &blocks[0], &random, donors: pool)
            return "leaf: \(what)"
        case 11:
            blocks[index] = otherSignature(blocks[index])
            return "certificate \(index) with the other signature (r, n − s)"
        default:
            return "written anew"
        }
    }

    /// The same certificate or list with (r, n − s): nobody's secret is needed for it.
    static func otherSignature(_ der: [UInt8]) -> [UInt8] {
        guard let parts = SignedParts(der), let raw = parts.rawSignature else { return der }
        return parts.assembled(signature: FuzzKey.der(FuzzKey.malleated(raw)))
    }

    /// The blocks as PEM, in one of many ways to write it.
    private static func render(_ blocks: [[UInt8]], _ random: inout FuzzRandom) -> [UInt8] {
        let style = random.below(8)
        var text: [UInt8] = []
        for block in blocks {
            var pem = PEM.encode("CERTIFICATE", block)
            switch style {
            case 1: pem = pem.replacing("\n", with: "\r\n")
            case 2: pem = "# a comment\n" + pem + "\n"
            case 3: pem = oneLine(block)
            case 4: pem = pem.replacing("\n", with: "\n ")
            case 5: pem = "subject=CN = \u{FFFD}\u{E9}\n" + pem
            default: break
            }
            text += pem.utf8
        }
        if style == 6 { text.append(0) }
        if style == 7 { text += [UInt8](repeating: 0x0A, count: 3) }
        return text
    }

    private static func oneLine(_ block: [UInt8]) -> String {
        "-----BEGIN CERTIFICATE-----\n\(Base64.encode(block))\n-----END CERTIFICATE-----\n"
    }

    private static func changeText(_ text: inout [UInt8], _ random: inout FuzzRandom) -> String {
        let position = random.below(text.count + 1)
        switch random.below(10) {
        case 0:
            text.insert(random.pick([0x20, 0x0A, 0x0D, 0x09, 0x0B, 0x0C]), at: position)
            return "white space at \(position)"
        case 1:
            text.append(0)
            return "a NUL appended"
        case 2:
            text.insert(contentsOf: Array("# comment\n".utf8), at: position)
            return "a comment at \(position)"
        case 3:
            text = Array("junk in front \u{7}\n".utf8) + text
            return "junk in front"
        case 4:
            text += Array("junk behind -----\n".utf8)
            return "junk behind"
        case 5:
            let (old, new) = random.pick([
                ("BEGIN CERTIFICATE", "BEGIN TRUSTED CERTIFICATE"), ("BEGIN CERTIFICATE", "BEGIN X509 CERTIFICATE"),
                ("END CERTIFICATE", "END X509 CRL"), ("-----END", "----END"), ("CERTIFICATE", "certificate"),
                ("\n", ""), ("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nProc-Type: 4\n\n"),
            ])
            text = Array(String(decoding: text, as: UTF8.self).replacing(old, with: new, maxReplacements: 1).utf8)
            return "\(old.debugDescription) written as \(new.debugDescription)"
        case 6:
            let (old, new) = random.pick([("=", ""), ("=", "=="), ("A", "a"), ("+", "-"), ("/", "_"), ("M", "=")])
            text = Array(String(decoding: text, as: UTF8.self).replacing(old, with: new, maxReplacements: 1).utf8)
            return "\(old.debugDescription) written as \(new.debugDescription)"
        default: return ByteMutation.apply(to: &text, &random)
        }
    }
}

/// The three parts of a certificate or revocation list: what is signed, by which algorithm, the signature.
struct SignedParts {
    let message: [UInt8]
    private let algorithm: [UInt8]
    /// Content of the BIT STRING without its count of unused bits.
    private let signature: [UInt8]

    init?(_ der: [UInt8]) {
        var outer = DERReader(der.span.bytes)
        do throws(DecodingFailure) {
            var fields = try outer.constructed(.sequence, "signed structure")
            message = Array(der[try fields.content(.sequence, "message").encodingRange])
            algorithm = Array(der[try fields.content(.sequence, "algorithm").encodingRange])
            signature = Array(der[try fields.bitString("signature").range])
        } catch {
            return nil
        }
    }

    /// r‖s, if the signature is an ECDSA-Sig-Value of P-256.
    var rawSignature: FixedBytes<64>? { try? P256Signature(der: signature.span.bytes).raw }

    /// The structure with another signature or another message.
    func assembled(message: [UInt8]? = nil, signature: [UInt8]) -> [UInt8] {
        DER.sequence(message ?? self.message, algorithm, DER.bitString(signature))
    }
}
