/// A chain of trust, from what one has to believe down to what one wants to know, as boxes with arrows.
///
/// It is a list, so that it grows with the reader's text, wraps, and reads the same without style.
package struct TrustChain: Sendable {
    package struct Link: Sendable {
        /// "Intel's root key"
        package var title: String
        /// One line below the title, such as a short digest.
        package var subtitle: String
        package var tone: HTML.Tone
        /// Beside the arrow that leads here from above: "signs", "measures".
        package var relation: String

        package init(_ title: String, _ subtitle: String, _ tone: HTML.Tone, relation: String = "") {
            self.title = title
            self.subtitle = subtitle
            self.tone = tone
            self.relation = relation
        }
    }

    package var links: [Link]
    /// What the list is, for those who do not see it.
    package var label: String

    package init(_ links: [Link], label: String) {
        self.links = links
        self.label = label
    }

    /// From the root key down to an application.
    ///
    /// - Parameters:
    ///   - image: the system image's hash, hexadecimal; empty where it is not known.
    ///   - composeHash: hexadecimal.
    ///   - runs: what the application consists of: "2 containers".
    package static func application(
        _ name: String, runs: String, composeHash: String, image: String = "", isSimulated: Bool
    ) -> TrustChain {
        func short(_ what: String, _ hash: String) -> String {
            hash.isEmpty ? "\(what) not recorded" : "\(what) \(hash.prefix(12))…"
        }
        return TrustChain(
            [
                isSimulated
                    ? .init("The simulator's root key", "made on a developer's machine", .warning)
                    : .init("Intel's root key", "built into the verifier", .neutral),
                .init(
                    "This machine's quote", "a new one for every question", .neutral,
                    relation: "signs the key that signs"),
                .init(
                    "Firmware and system image",
                    image.isEmpty ? "measured by the \(isSimulated ? "simulator" : "hardware")" : short("image", image),
                    .neutral, relation: "holds MRTD and RTMR 0 to 2, which are"),
                .init(
                    "Compose file", short("hash", composeHash), .neutral,
                    relation: "holds RTMR 3, into which went the"),
                .init(name.isEmpty ? "(no name)" : name, runs, .neutral, relation: "says what to run, which is"),
            ], label: "Chain of trust, from the root key down to the application")
    }

    package var html: HTML {
        .element(.ol, .class("chain"), .ariaLabel(label)) {
            links.map { link in
                HTML.element(.li, toneClass(link.tone)) {
                    if !link.relation.isEmpty { HTML.element(.span, .class("relation")) { link.relation } }
                    HTML.element(.span, .class("link")) {
                        HTML.element(.strong) { cut(link.title, 80) }
                        " "
                        HTML.element(.span, .class("quiet small")) { cut(link.subtitle, 80) }
                    }
                }
            }
        }
    }

    private func toneClass(_ tone: HTML.Tone) -> HTMLAttribute? {
        switch tone {
        case .neutral, .accent: nil
        case .good: .class("good")
        case .warning: .class("warning")
        case .bad: .class("bad")
        }
    }

    private func cut(_ text: String, _ most: Int) -> String {
        text.count <= most ? text : text.prefix(most - 1) + "…"
    }
}
