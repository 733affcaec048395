import DstackCrypto
import DstackEncoding

/// By what operators show who they are: a token, passwords, or both.
package struct AdminCredentials: Sendable {
    /// SHA-256 of the token: comparing takes the same time by it, whatever the lengths.
    private let tokenDigest: SharedSecret?
    let passwords: PasswordFile?
    /// Whether there are no credentials, and that is meant.
    package let isOpen: Bool

    /// - Throws: ``KMSServiceError`` `invalidConfiguration` where there is neither a token nor a password, unless settings say
    ///   that everybody is let in; and for a file of passwords that cannot be used.
    package init(_ settings: KMSSettings.Admin) throws(KMSServiceError) {
        passwords = if let path = settings.passwordFile { try PasswordFile(reading: path) } else { nil }
        tokenDigest = settings.token?.withBytes(Self.digest)
        isOpen = settings.allowsEveryone && tokenDigest == nil && passwords == nil
        guard tokenDigest != nil || passwords != nil || isOpen else {
            throw KMSServiceError(
                .invalidConfiguration, "core.admin", "is enabled, and nobody could be let in: there are no credentials",
                hint: "set core.admin.htpasswd_file or core.admin.auth_token, or the variable DSTACK_KMS_ADMIN_TOKEN")
        }
    }

    func isToken(_ presented: RawSpan) -> Bool {
        guard let tokenDigest, presented.byteCount > 0 else { return false }
        return tokenDigest.isEqual(to: Self.digest(presented))
    }

    private static func digest(_ bytes: RawSpan) -> SharedSecret {
        var digest = SHA256.hash(bytes).bytes
        return SharedSecret(absorbing: &digest)
    }
}
