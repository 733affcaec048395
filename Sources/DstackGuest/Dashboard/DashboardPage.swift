import DstackEncoding
import DstackHTTPServer
import DstackPages

/// `/`: whether this is the code that one thinks it is, and below that everything else.
extension Dashboard {
    func page() async -> HTTPServerResponse {
        async let containers = containerList()
        let facts: DashboardFacts
        do {
            facts = try await content.dashboardFacts()
        } catch {
            return Self.unavailable("\(error)").response(500)
        }
        let machine = machineInformation()
        // A part that cannot be had is said where it would be; the status tells those who only look at that.
        var status = 200
        if case .failure? = machine { status = 500 }
        return page(facts, await containers, machine).response(status)
    }

    private func page(
        _ facts: DashboardFacts, _ containers: ContainerList, _ machine: Result<SystemInformation, GuestError>?
    ) -> Page {
        var navigation: [(String, PageLink)] = [("Identity", .here("identity"))]
        if settings.publicTCBInformation {
            navigation += [("Measurements", .here("measurements")), ("Events", .here("events"))]
        }
        navigation.append(("Containers", .here("containers")))
        if machine != nil { navigation.append(("Machine", .here("machine"))) }
        return Page(
            title: "\(facts.appName) · dstack", name: "dstack guest", badges: [Self.platformBadge(facts)],
            navigation: navigation, refresh: settings.refresh, assets: [.dashboardStyle],
            footer: footer(facts, machine != nil)
        ) {
            answer(facts, containers)
            identity(facts)
            if settings.publicTCBInformation {
                measurements(facts)
                events(facts)
            } else {
                HTML.section("Measurements", id: "measurements") {
                    HTML.element(.p, .class("quiet")) { "The application keeps them to itself (public_tcbinfo)." }
                }
            }
            containersSection(containers)
            if let machine { machineSection(machine) }
        }
    }

    static func platformBadge(_ facts: DashboardFacts) -> HTML {
        facts.isSimulated
            ? HTML.badge("simulated", .warning, title: "There is no hardware behind this: it proves nothing.")
            : HTML.badge("Intel TDX", .accent)
    }

    private static func unavailable(_ reason: String) -> Page {
        Page(title: "dstack guest", name: "dstack guest") {
            HTML.element(.h1) { "Nothing to show" }
            HTML.notice(.bad) {
                HTML.element(.p) { "The guest cannot tell what runs here: \(reason)" }
            }
        }
    }

    // MARK: The answer

    private func answer(_ facts: DashboardFacts, _ containers: ContainerList) -> HTML {
        HTML.element(.section, .class("answer"), .ariaLabel("Is this the code you think it is?")) {
            HTML.element(.div) {
                HTML.element(.p, .class("quiet question")) { "Is this the code you think it is?" }
                HTML.element(.h1) { facts.appName.isEmpty ? "(no name)" : facts.appName }
                if facts.isSimulated {
                    HTML.notice(.warning) {
                        HTML.element(.p) {
                            HTML.element(.strong) { "Simulated TEE. " }
                            "No hardware stands behind what is said here. For development only."
                        }
                    }
                }
                HTML.keyValues([
                    ("Compose hash", HTML.hash(Hex.encode(facts.composeHash), label: "compose hash")),
                    ("App ID", HTML.hash(Hex.encode(facts.appID), label: "app ID")),
                    ("Keys from", Self.keyProvider(facts)),
                ])
                HTML.element(.h3) { "Find out, without believing this page" }
                HTML.steps(verificationSteps(facts))
            }
            HTML.element(.div, .class("picture")) { trustGraph(facts, containers).html }
        }
    }

    private func verificationSteps(_ facts: DashboardFacts) -> [(title: HTML, tone: HTML.Tone, detail: HTML)] {
        let command =
            settings.verificationCommand
            ?? "dstack verify https://THIS-APP --app-compose app-compose.json"
            + (facts.isSimulated ? " --trust-root root.pem" : "")
        return [
            (
                .text("Take the compose file that you expect"), .neutral,
                HTML.group {
                    "From its author, not from here. Its hash must be the one above:"
                    HTML.command("sha256sum app-compose.json", label: "command")
                }
            ),
            (
                .text("Let the hardware answer"), .neutral,
                HTML.group {
                    "A page can say anything. This asks for evidence over the application's own connection and checks it "
                    "from \(facts.isSimulated ? "the simulator's" : "Intel's") root key down to your copy of the file:"
                    HTML.command(command, label: "command")
                }
            ),
        ]
    }

    private func trustGraph(_ facts: DashboardFacts, _ containers: ContainerList) -> TrustGraph {
        func short(_ bytes: [UInt8]) -> String {
            bytes.isEmpty ? "not recorded" : Hex.encode(bytes.prefix(6)) + "…"
        }
        let count =
            switch containers {
            case .known(let list): list.count == 1 ? "1 container" : "\(list.count) containers"
            default: "its containers"
            }
        let root: TrustGraph.Link =
            facts.isSimulated
            ? .init("The simulator's root key", "made on a developer's machine", .warning)
            : .init("Intel's root key", "built into the verifier", .neutral)
        return TrustGraph(
            [
                root,
                .init(
                    "This machine's quote", "a new one for every question", .neutral,
                    relation: "signs the key that signs"),
                .init(
                    "Firmware and system image", "image \(short(facts.osImageHash))", .neutral,
                    relation: "holds MRTD and RTMR 0 to 2, which are"),
                .init(
                    "Compose file", "hash \(short(facts.composeHash))", .neutral,
                    relation: "holds RTMR 3, into which went the"),
                .init(facts.appName, count, .neutral, relation: "says what to run, which is"),
            ],
            label:
                "Chain of trust: the root key signs the quote; the quote holds the measurements of firmware and system, "
                + "and of the compose file; the compose file says which containers run.")
    }

    // MARK: Identity

    static func keyProvider(_ facts: DashboardFacts) -> HTML {
        switch facts.keyProviderName {
        case "": HTML.element(.span, .class("quiet")) { "not recorded" }
        case "kms": HTML.badge("KMS", .accent)
        case "none":
            HTML.group {
                HTML.badge("no provider", .warning)
                HTML.element(.span, .class("quiet small")) { " made at random at boot" }
            }
        default: HTML.badge(facts.keyProviderName)
        }
    }

    private func identity(_ facts: DashboardFacts) -> HTML {
        var rows: [(String, HTML)] = [
            ("Instance ID", HTML.hash(Hex.encode(facts.instanceID), label: "instance ID")),
            ("Device ID", HTML.hash(Hex.encode(facts.deviceID), label: "device ID")),
            ("System image", HTML.hash(Hex.encode(facts.osImageHash), label: "system image hash")),
        ]
        if !facts.keyProviderName.isEmpty {
            rows.append(("Key provider", .text(facts.keyProviderName)))
            if !facts.keyProviderID.isEmpty {
                rows.append(("Key provider ID", HTML.shortHash(facts.keyProviderID, label: "key provider ID")))
            }
        }
        if !facts.cloudVendor.isEmpty || !facts.cloudProduct.isEmpty {
            rows.append(
                (
                    "Machine",
                    .text(
                        facts.cloudProduct.isEmpty
                            ? facts.cloudVendor : "\(facts.cloudVendor) (\(facts.cloudProduct))")
                ))
        }
        return HTML.section("Identity", id: "identity") { HTML.keyValues(rows) }
    }

    private func footer(_ facts: DashboardFacts, _ hasMetrics: Bool) -> HTML {
        HTML.element(.p) {
            "dstack guest agent \(facts.version) · the same for programs: "
            HTML.element(.a, .href(.path("prpc", "Worker.Info"))) { "Info" }
            if hasMetrics {
                " · "
                HTML.element(.a, .href(.path("metrics"))) { "metrics" }
            }
        }
    }
}
