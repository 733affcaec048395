import DstackEncoding
import DstackKMS
import DstackKeys
import DstackPages
import DstackRPC
import DstackSystem

/// The page by which a person sets a service up.
///
/// What stands on it is made here, also after each step: the script sends what was typed, and then fetches the page again.
struct OnboardingPage {
    private enum State {
        case absent
        /// Nil where the record of it cannot be read.
        case complete(KMSRPC.BootstrapResponse?, publicKey: String, domain: String)
        case broken(String)
    }

    private let information: Result<KMSRPC.AttestationInfoResponse, any Error>
    private let state: State
    private let needsToken: Bool
    private let isLocal: Bool
    private let canOnboard: Bool
    private let address: String

    init(
        _ listener: OnboardingListener, host: String,
        information: Result<KMSRPC.AttestationInfoResponse, any Error>
    ) {
        self.information = information
        state = Self.state(of: listener.onboarding.files)
        needsToken = listener.access.needsToken
        isLocal = listener.rules.isLocal
        canOnboard = listener.onboarding.source != nil && listener.onboarding.evidence.isAvailable
        address = "http://" + (host.isEmpty ? "localhost" : SafeText.line(host, limit: 300))
    }

    private static func state(of files: RootKeyFiles) -> State {
        do throws(KMSStateError) {
            guard try files.state() == .complete else { return .absent }
            let keys = try files.load()
            let info = keys.bootstrapInfo.flatMap { try? KMSRPC.BootstrapResponse(json: $0) }
            return .complete(info, publicKey: keys.material.roots.publicKey.hex, domain: keys.domain?.name ?? "")
        } catch {
            return .broken(error.description)
        }
    }

    var page: Page {
        Page(
            title: "Set-up · dstack KMS", name: "dstack KMS", badges: [HTML.badge("set-up", .accent)],
            assets: [.onboardingStyle, .onboardingScript],
            footer: HTML.element(.p) {
                "This page goes away when set-up is finished; the service itself then answers by TLS at the same port."
            }
        ) {
            HTML.element(.div, .id("state"), .class("setup")) { content }
        }
    }

    @HTMLBuilder private var content: HTML {
        switch state {
        case .absent:
            head("This key service has no keys yet", "Until it has, no application gets any from it.")
            machine
            keys
            byHand
        case .complete(let info, let publicKey, let domain):
            head("This key service has its keys", "It begins to serve as soon as set-up is finished.")
            made(info, publicKey, domain)
            finish
            machine
        case .broken(let reason):
            HTML.element(.section) {
                HTML.element(.h1) { "This service cannot be set up" }
                HTML.notice(.bad) { HTML.element(.p) { reason } }
            }
        }
    }

    private func head(_ title: String, _ lead: String) -> HTML {
        .element(.section) {
            HTML.element(.h1) { title }
            HTML.element(.p, .class("quiet")) { lead }
            if !needsToken {
                HTML.notice(.warning) {
                    HTML.element(.p) {
                        isLocal
                            ? "No token is needed: every program of this machine can do what this page does."
                            : "No token is needed: everybody who reaches this page can decide how the keys come into "
                                + "being (insecure_no_auth)."
                    }
                }
            }
        }
    }

    // MARK: This machine

    private var machine: HTML {
        .section("This machine", id: "machine") {
            switch information {
            case .success(let info):
                HTML.element(.p, .class("quiet")) {
                    "Whoever decides which services may have keys needs to know these."
                }
                HTML.keyValues(facts(info))
            case .failure(let error):
                HTML.notice(.warning) {
                    HTML.element(.p) { "This machine cannot show evidence of itself. \(error)" }
                }
            }
        }
    }

    private func facts(_ info: KMSRPC.AttestationInfoResponse) -> [(name: String, value: HTML)] {
        func hash(_ bytes: [UInt8], _ label: String) -> HTML { .hash(Hex.encode(bytes), label: label) }
        var rows: [(name: String, value: HTML)] = []
        if !info.siteName.isEmpty { rows.append(("Site", .text(info.siteName))) }
        rows += [
            ("Platform", .element(.code) { info.teeVariant }),
            ("Measurement", hash(info.mrAggregated, "aggregated measurement")),
            ("Device", hash(info.deviceID, "device identifier")),
            ("System image", hash(info.osImageHash, "image hash")),
        ]
        if !info.ppid.isEmpty { rows.append(("Platform's own id", hash(info.ppid, "platform identifier"))) }
        if !info.kmsContractAddress.isEmpty {
            rows.append(("Contract", .hash(info.kmsContractAddress, label: "contract address")))
        }
        if !info.ethereumRPCURL.isEmpty { rows.append(("Chain", .element(.code) { info.ethereumRPCURL })) }
        return rows
    }

    // MARK: Keys

    private var keys: HTML {
        .section("Keys", id: "keys") {
            HTML.element(.form, .id("setup"), .hidden) {
                tokenField
                HTML.element(.div, .class("field")) {
                    HTML.element(.label, .for("domain")) { "Host name of this service" }
                    HTML.element(
                        .input,
                        attributes: [
                            .id("domain"), .type("text"), .placeholder("kms.example.com"), .autocomplete("off"),
                            .required, .ariaDescribedBy("domain-help"),
                        ] + HTMLAttribute.verbatim)
                    HTML.element(.p, .id("domain-help"), .class("small quiet")) {
                        "Applications call it by this name; its certificate is for it."
                    }
                }
                HTML.element(.div, .class("field"), .role("radiogroup"), .ariaLabel("Where the keys come from")) {
                    choice(
                        "new", "Make new keys", "For the first service. All keys of all applications follow from them.",
                        isChecked: true)
                    if canOnboard {
                        choice(
                            "copy", "Take the keys of a running service",
                            "For another one beside it. It must be allowed there, and be on genuine hardware itself.",
                            isChecked: false)
                    }
                }
                HTML.element(.div, .class("field"), .id("source-field"), .hidden) {
                    HTML.element(.label, .for("source")) { "Address of the running service" }
                    HTML.element(
                        .input,
                        attributes: [
                            .id("source"), .type("url"), .placeholder("https://kms.example.com:8000"),
                            .autocomplete("off"),
                        ] + HTMLAttribute.verbatim)
                }
                HTML.element(.div, .class("field"), .id("root-field"), .hidden) {
                    HTML.element(.label, .for("root")) { "Expected root key (optional)" }
                    HTML.element(
                        .input,
                        attributes: [
                            .id("root"), .type("text"), .autocomplete("off"), .ariaDescribedBy("root-help"),
                        ] + HTMLAttribute.verbatim)
                    HTML.element(.p, .id("root-help"), .class("small quiet")) {
                        "Hexadecimal: the key of the CA, as that service's set-up showed it. Keys of any other root are refused."
                    }
                }
                HTML.element(.div, .class("actions")) {
                    HTML.element(.button, .id("go"), .class("primary"), .type("submit")) { "Make new keys" }
                    HTML.element(.span, .class("quiet progress"), .role("status")) { "" }
                }
                HTML.element(.div, .class("problem"), .role("alert")) { "" }
            }
            HTML.element(.p, .class("noscript")) {
                "The form needs script. The commands below do the same from any machine that reaches this one."
            }
        }
    }

    private func choice(_ value: String, _ title: String, _ help: String, isChecked: Bool) -> HTML {
        .element(.label, .class("choice")) {
            HTML.element(
                .input, .type("radio"), .name("origin"), .value(value), .id("origin-\(value)"),
                isChecked ? .checked : nil)
            HTML.element(.span) {
                HTML.element(.strong) { title }
                HTML.element(.span, .class("small quiet")) { help }
            }
        }
    }

    private var tokenField: HTML {
        guard needsToken else { return .empty }
        return .element(.div, .class("field")) {
            HTML.element(.label, .for("token")) { "Token" }
            HTML.element(
                .input, .id("token"), .type("password"), .autocomplete("off"), .required,
                .ariaDescribedBy("token-help"))
            HTML.element(.p, .id("token-help"), .class("small quiet")) {
                "From the settings, or from the log of this service's start. The page forgets it when it is closed."
            }
        }
    }

    private func call(_ method: String, _ body: String) -> HTML {
        let token = needsToken ? " -H 'Authorization: Bearer TOKEN'" : ""
        return .command(
            "curl -X POST \(ShellWord.quoted("\(address)/prpc/\(method)?json"))\(token) -d \(ShellWord.quoted(body))",
            label: "command for \(method)")
    }

    private var byHand: HTML {
        .section("By hand", id: "by-hand") {
            HTML.element(.details, .class("by-hand"), .open) {
                HTML.element(.summary) { "Commands that do the same" }
                HTML.element(.p) { "New keys:" }
                call("Bootstrap", #"{"domain":"kms.example.com"}"#)
                if canOnboard {
                    HTML.element(.p) { "The keys of a running service:" }
                    call("Onboard", #"{"source_url":"https://kms.example.com:8000","domain":"kms2.example.com"}"#)
                }
                HTML.element(.p) { "Then, to begin serving:" }
                call("Finish", "{}")
            }
        }
    }

    // MARK: Afterwards

    private func made(_ info: KMSRPC.BootstrapResponse?, _ publicKey: String, _ domain: String) -> HTML {
        .section("Public keys", id: "public-keys") {
            HTML.element(.p, .class("quiet")) {
                info == nil
                    ? "They are those of the service that they came from: compare them."
                    : "Register them where applications look for them, such as the contract."
            }
            HTML.keyValues(rows(info, publicKey, domain))
            if let info, !info.attestation.isEmpty {
                HTML.evidence("Evidence that they were made here", Hex.encode(info.attestation), id: "attestation")
            }
        }
    }

    private func rows(
        _ info: KMSRPC.BootstrapResponse?, _ publicKey: String, _ domain: String
    ) -> [(name: String, value: HTML)] {
        var rows: [(name: String, value: HTML)] = [
            ("Host name", .element(.code) { domain }),
            ("secp256k1 key", .hash(publicKey, label: "secp256k1 public key")),
        ]
        if let info { rows.append(("Key of the CA", .hash(Hex.encode(info.caPublicKey), label: "CA's public key"))) }
        return rows
    }

    private var finish: HTML {
        .section("Finish", id: "finish") {
            HTML.element(.form, .id("end"), .hidden) {
                tokenField
                HTML.element(.div, .class("actions")) {
                    HTML.element(.button, .id("done"), .class("primary"), .type("submit")) { "Begin serving" }
                    HTML.element(.span, .class("quiet progress"), .role("status")) { "" }
                }
                HTML.element(.div, .class("problem"), .role("alert")) { "" }
            }
            HTML.element(.div, .class("noscript")) { call("Finish", "{}") }
        }
    }
}
