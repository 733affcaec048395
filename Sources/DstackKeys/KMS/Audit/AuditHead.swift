package import DstackCrypto
package import DstackEncoding
package import DstackKeys

/// The key that signs how far a log has come.
///
/// It is a key of its own, derived from the root CA's key and the log's id, and not the RPC key:
///
/// - The RPC key is made anew when its file is lost, which must not break the log; and it signs what peers of TLS choose.
/// - Every service with the same roots can compute its public half, and the root CA vouches for it to everybody else: who pins
///   the root, as guests do, can check the log of any of its services.
/// - Each log has another: what one service signs is no word about another's log.
///
/// What a signature cannot do is to say that there is nothing behind a head. Who has the disk and not the trust domain can put
/// back an older disk, whose head is older and good. So heads leave the machine: the service gives its head to whoever asks for
/// its metadata, replicas keep the highest that they saw (``AuditWitness``) and write it into their own logs, operators keep
/// them with their exports; a log that ends before a head that somebody has was cut off.
package struct AuditKey: ~Copyable, Sendable {
    let key: P256.PrivateKey
    package let log: FixedBytes<16>
    private let endorsement: [UInt8]

    /// The key of a log.
    package init(_ log: FixedBytes<16>, of roots: borrowing KMSRootKeys) throws(KMSStateError) {
        let key = try Self.key(log, of: roots)
        do throws(CryptoFailure) {
            endorsement = try roots.caKey.signature(
                for: SignedAuditHead.endorsedText(log: log, publicKey: key.publicKey.spki)
            ).raw
        } catch {
            throw KMSStateError(.invalidKey, error.subject, error.reason)
        }
        self.log = log
        self.key = key
    }

    private static func key(
        _ log: FixedBytes<16>, of roots: borrowing KMSRootKeys
    ) throws(KMSStateError) -> P256.PrivateKey {
        do throws(KeysError) {
            return try roots.auditKey(log: log)
        } catch {
            throw KMSStateError(.invalidKey, error)
        }
    }

    /// Signs how far the log has come.
    ///
    /// - Parameter time: Unix milliseconds.
    package borrowing func sign(
        count: UInt64, hash: FixedBytes<32>, time: Int64
    ) throws(KMSStateError) -> SignedAuditHead {
        let text = AuditTime.text(time)
        do throws(CryptoFailure) {
            let signature = try key.signature(
                for: SignedAuditHead.signedText(log: log, count: count, hash: hash, time: text))
            return SignedAuditHead(
                log: log, count: count, hash: hash, time: text, publicKey: key.publicKey.spki,
                endorsement: endorsement, signature: signature.raw)
        } catch {
            throw KMSStateError(.invalidKey, error.subject, error.reason)
        }
    }
}

/// A service's word that its log has so many entries and ends in this one.
package struct SignedAuditHead: Sendable, Hashable {
    package let log: FixedBytes<16>
    package let count: UInt64
    /// Of the last entry; zeros for a log without.
    package let hash: FixedBytes<32>
    /// When it was signed; RFC 3339.
    package let time: String
    /// The log's key: SubjectPublicKeyInfo, DER.
    package let publicKey: [UInt8]
    /// The root CA's word for the key: r ‖ s.
    package let endorsement: [UInt8]
    /// The key's word for the rest: r ‖ s.
    package let signature: [UInt8]

    static func signedText(log: FixedBytes<16>, count: UInt64, hash: FixedBytes<32>, time: String) -> [UInt8] {
        var writer = ByteWriter(capacity: 160)
        writer.framed("dstack-kms-audit-head/v1".utf8)
        writer.framed(log.bytes)
        writer.bigEndian(count)
        writer.framed(hash.bytes)
        writer.framed(time.utf8)
        return writer.bytes
    }

    /// Begins with a length and not as a certificate does, which is what else the root CA's key signs.
    static func endorsedText(log: FixedBytes<16>, publicKey: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: 160)
        writer.framed("dstack-kms-audit-key/v1".utf8)
        writer.framed(log.bytes)
        writer.framed(publicKey)
        return writer.bytes
    }

    /// Checks that a service under this root signed it.
    ///
    /// - Parameter root: the root CA's key, from somewhere else than the head.
    /// - Throws: ``KMSStateError/Code/notAuthentic``.
    package func verify(root: P256.PublicKey) throws(KMSStateError) {
        guard let endorsement = try? P256.Signature(raw: endorsement),
            root.isValidSignature(endorsement, for: Self.endorsedText(log: log, publicKey: publicKey))
        else {
            throw KMSStateError(.notAuthentic, "head of log \(log)", "the root CA does not vouch for its key")
        }
        guard let key = try? P256.PublicKey(spki: publicKey), let signature = try? P256.Signature(raw: signature),
            key.isValidSignature(
                signature, for: Self.signedText(log: log, count: count, hash: hash, time: time))
        else {
            throw KMSStateError(
                .notAuthentic, "head of log \(log)", "its signature is not one of the log's key over it")
        }
    }

    // MARK: As text

    /// Canonical JSON, one object.
    package var json: [UInt8] {
        var writer = JSONWriter()
        // In the order of their names, and nothing in them needs an escape: this is the canonical form.
        writer.object { head in
            head.member("count", count)
            head.member("endorsement", Hex.encode(endorsement))
            head.member("hash", hash.hex)
            head.member("key", Hex.encode(publicKey))
            head.member("log", log.hex)
            head.member("signature", Hex.encode(signature))
            head.member("time", time)
        }
        return writer.bytes
    }

    /// Reads what ``json`` writes, to the letter. Nothing is verified.
    package init(json: [UInt8]) throws(KMSStateError) {
        do throws(DecodingFailure) {
            guard json.count <= 4_096 else { throw DecodingFailure(.tooLarge, "audit head", "more than 4096 bytes") }
            let head = try JSONDocument(parsing: json, subject: "audit head", maximumDepth: 4).root
            log = try head.member("log").fixedHex(prefix: .none)
            count = try head.member("count").integer()
            hash = try head.member("hash").fixedHex(prefix: .none)
            time = try head.member("time").string()
            publicKey = try head.member("key").hexBytes(prefix: .none)
            endorsement = try head.member("endorsement").hexBytes(prefix: .none)
            signature = try head.member("signature").hexBytes(prefix: .none)
            _ = try AuditTime.seconds(time)
            guard self.json == json else { throw head.failure("it is not in canonical form") }
        } catch {
            throw KMSStateError(.malformed, error)
        }
    }

    init(
        log: FixedBytes<16>, count: UInt64, hash: FixedBytes<32>, time: String, publicKey: [UInt8],
        endorsement: [UInt8], signature: [UInt8]
    ) {
        self.log = log
        self.count = count
        self.hash = hash
        self.time = time
        self.publicKey = publicKey
        self.endorsement = endorsement
        self.signature = signature
    }
}
