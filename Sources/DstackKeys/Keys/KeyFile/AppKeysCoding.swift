import DstackAttestation
package import DstackCrypto
import DstackEncoding

// The JSON form: hexadecimal and PEM texts, the provider as an object with one member that is named for its kind.

extension AppKeys {
    /// Reads the JSON form. Unknown members are ignored, as upstream's readers do.
    ///
    /// - Throws: ``KeysError/Code/invalidKeyFile`` naming the member, for text that is not JSON, a member twice, keys of
    ///   wrong lengths or out of range; ``KeysError/Code/invalidCertificate`` for certificates that cannot be read, or
    ///   that do not belong to their keys. No message contains a part of a value.
    public init(decoding text: RawSpan) throws(KeysError) {
        do {
            self = try Self.read(try SecretJSON(text, subject: "app keys"))
        } catch let error as DecodingFailure {
            throw KeysError(.invalidKeyFile, error)
        } catch let error as CryptoFailure {
            throw KeysError(.invalidKeyFile, error)
        } catch let error as KeysError {
            throw error
        } catch {
            throw KeysError(.invalidKeyFile, subject: "app keys", reason: "they cannot be read")
        }
    }

    private static func read(_ json: borrowing SecretJSON) throws -> AppKeys {
        let diskKey = try json.member("disk_crypt_key").hex(count: 32)
        let root = try Secp256k1.PrivateKey(scalar: try json.member("k256_key").hex(count: 32))
        let issuance = try json.member("k256_signature").publicHex()
        let caCertificates = try CertificatePEM.decode(
            Array(try json.member("ca_cert").publicString().utf8), subject: "ca_cert")
        let provider = try provider(try json.member("key_provider"), caCertificates)
        return AppKeys(
            diskKey: diskKey, environmentKey: try environmentKey(json),
            rootKey: AppRootKey(key: root, issuance: issuance),
            gatewayAppID: try json.member("gateway_app_id").publicString(), caCertificates: caCertificates,
            provider: provider)
    }

    private static func environmentKey(_ json: borrowing SecretJSON) throws -> X25519.PrivateKey? {
        guard try json.has("env_crypt_key") else { return nil }
        let member = try json.member("env_crypt_key")
        let bytes = try member.hex()
        if bytes.count == 0 { return nil }
        guard bytes.count == 32 else { throw member.failure("\(bytes.count) bytes where 32 are needed, or none") }
        return try X25519.PrivateKey(bytes)
    }

    private static func provider(
        _ json: borrowing SecretJSON, _ caCertificates: [[UInt8]]
    ) throws -> AppKeyProvider {
        let names = try json.names()
        guard names.count == 1 else {
            throw json.failure("one member expected, found \(names.count); known are None, Local, Tpm and Kms")
        }
        let info: KeyProviderInfo
        switch names[0] {
        case "None": info = KeyProviderInfo(kind: .none, id: [])
        case "Local": info = KeyProviderInfo(kind: .localSGX, id: try json.member("Local").member("mr").publicHex())
        case "Tpm": info = KeyProviderInfo(kind: .tpm, id: try json.member("Tpm").member("pubkey").publicHex())
        case "Kms":
            let kms = try json.member("Kms")
            let certificate = try CertificatePEM.decode(
                Array(try kms.member("tmp_ca_cert").publicString().utf8), subject: "tmp_ca_cert")
            return AppKeyProvider(
                kms: try kms.member("url").publicString(), publicKey: try kms.member("pubkey").publicHex(),
                temporaryAuthority: try CertificateAuthority(
                    key: try privateKey(kms.member("tmp_ca_key")), chain: certificate))
        default: throw json.failure("known providers are None, Local, Tpm and Kms", .unsupported)
        }
        return AppKeyProvider(
            info,
            authority: try CertificateAuthority(
                key: try privateKey(json.member(names[0]).member("key")), chain: caCertificates))
    }

    private static func privateKey(_ json: borrowing SecretJSON) throws -> P256.PrivateKey {
        let text = try json.string()
        return try P256.PrivateKey(pem: text.bytes)
    }

    /// The JSON form, compact, the members in upstream's order.
    package var encoded: SecretBytes {
        borrowing get {
            var text = SecretText()
            text.append("{\"disk_crypt_key\":\"")
            text.appendHex(diskKey.bytes)
            text.append("\",\"env_crypt_key\":\"")
            switch environmentKey {
            case .some(let key): text.appendHex(key.secret.bytes)
            case .none: break
            }
            text.append("\",\"k256_key\":\"")
            text.appendHex(rootKey.key.scalar.bytes)
            text.append("\",\"k256_signature\":\"\(Hex.encode(rootKey.issuance))\",\"gateway_app_id\":")
            text.appendString(Array(gatewayAppID.utf8).span.bytes)
            text.append(",\"ca_cert\":")
            Self.appendCertificates(caCertificates, to: &text)
            text.append(",\"key_provider\":")
            appendProvider(to: &text)
            text.append("}")
            return text.bytes.duplicate()
        }
    }

    private borrowing func appendProvider(to text: inout SecretText) {
        let key = provider.authority.key.pkcs8PEM
        let id = Hex.encode(provider.info.id)
        if let url = provider.url {
            text.append("{\"Kms\":{\"url\":")
            text.appendString(Array(url.utf8).span.bytes)
            text.append(",\"pubkey\":\"\(id)\",\"tmp_ca_key\":")
            text.appendString(key.bytes)
            text.append(",\"tmp_ca_cert\":")
            Self.appendCertificates(provider.authority.chain, to: &text)
            text.append("}}")
            return
        }
        let (name, rest) =
            switch provider.info.kind {
            case .localSGX: ("Local", ",\"mr\":\"\(id)\"")
            case .tpm: ("Tpm", ",\"pubkey\":\"\(id)\"")
            case .none, .kms: ("None", "")
            }
        text.append("{\"\(name)\":{\"key\":")
        text.appendString(key.bytes)
        text.append("\(rest)}}")
    }

    private static func appendCertificates(_ certificates: [[UInt8]], to text: inout SecretText) {
        let pem = certificates.map { CertificatePEM.encode($0) }.joined()
        text.appendString(Array(pem.utf8).span.bytes)
    }
}
