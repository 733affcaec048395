package import DstackCrypto
import Glibc

/// Names that certificates are for, as requests spell them.
package enum AlternativeName {
    /// An IP address if the text is one, else a DNS name.
    ///
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` for an empty text and for anything but visible ASCII. A
    ///   client that reads names as C strings would see another name where there is a NUL.
    package static func parse(_ text: String) throws(KeysError) -> X509.GeneralName {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw KeysError(
                .invalidCertificateContent, subject: "alternative name",
                reason: "a name of visible ASCII characters is needed (international names in their xn-- form)")
        }
        return address(text).map { .ip($0) } ?? .dns(text)
    }

    /// 4 or 16 bytes; nil if the text is no address.
    private static func address(_ text: String) -> [UInt8]? {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            // No NUL is in the text, so that all of it is looked at.
            if inet_pton(family, text, &bytes) == 1 { return bytes }
        }
        return nil
    }
}
