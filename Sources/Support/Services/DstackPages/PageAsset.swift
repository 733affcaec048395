import DstackCrypto
import DstackEncoding

/// A style sheet or a script that is part of the program. A page carries it inside, and its content-security policy
/// allows it by its hash, and nothing else.
package struct PageAsset: Sendable {
    enum Kind: String, Sendable {
        case style
        case script
    }

    let kind: Kind
    let text: String
    /// As content-security policies name it: `'sha256-…'`.
    let source: String

    private init(_ kind: Kind, _ text: StaticString) {
        self.kind = kind
        self.text = "\(text)"
        precondition(!self.text.contains("</"), "an asset must not end its own element")
        source = "'sha256-\(Base64.encode(SHA256.hash(Array(self.text.utf8)).bytes))'"
    }

    /// A style sheet. Make it a `static let`: its hash is computed here.
    package static func style(_ text: StaticString) -> PageAsset { PageAsset(.style, text) }

    /// A script. Make it a `static let`: its hash is computed here.
    package static func script(_ text: StaticString) -> PageAsset { PageAsset(.script, text) }
}
