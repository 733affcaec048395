import DstackAttestation
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackPages
import DstackSystem

/// `/`: whether this is the code that one thinks it is, and below that everything else.
extension Dashboard {
    func page(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        async let containers = containerList()
        let facts: DashboardFacts
        do {
            facts = try await content.dashboardFacts()
        } catch {
            return problemPage("Nothing to show", "The guest cannot tell what runs here: \(error)", .bad).response(500)
        }
        let machine = machineInformation()
        // A part that cannot be had is said where it would be; the status tells those who only look at that.
        var status = 200
        if case .failure? = machine { status = 500 }
        let answer = answer(facts, await containers, request)
        return page(facts, answer, await containers, machine).response(status)
    }

    private func page(
        _ facts: DashboardFacts, _ answer: ApplicationAnswer, _ containers: ContainerList,
        _ machine: Result<SystemInformation, GuestError>?
    ) -> Page {
        var navigation: [(String, PageLink)] = [("Identity", .here("identity"))]
        if settings.publicTCBInformation {
            navigation += [("Measurements", .here("measurements")), ("Events", .here("events"))]
        }
        navigation.append(("Containers", .here("containers")))
        if machine != nil { navigation.append(("Machine", .here("machine"))) }
        return Page(
            title: "\(facts.appName) · dstack", name: "dstack guest",
            badges: [ApplicationAnswer.platformBadge(isSimulated: facts.isSimulated)],
            navigation: navigation, refresh: settings.refresh, assets: ApplicationAnswer.assets + [.dashboardStyle],
            footer: footer(facts, machine != nil)
        ) {
            answer.html
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

    // MARK: The answer

    private func answer(
        _ facts: DashboardFacts, _ containers: ContainerList, _ request: HTTPServerRequest
    ) -> ApplicationAnswer {
        let runs =
            switch containers {
            case .known(let list): list.count == 1 ? "1 container" : "\(list.count) containers"
            default: "its containers"
            }
        let composeHash = Hex.encode(facts.composeHash)
        var answer = ApplicationAnswer(
            name: facts.appName, composeHash: composeHash, appID: Hex.encode(facts.appID),
            isSimulated: facts.isSimulated,
            chain: .application(
                facts.appName, runs: runs, composeHash: composeHash, image: Hex.encode(facts.osImageHash),
                isSimulated: facts.isSimulated),
            commands: settings.commands)
        answer.facts = [("Keys from", Self.keyProvider(facts))]
        answer.problems = HTML.group {
            if let problem = Self.logProblem(facts), settings.publicTCBInformation {
                HTML.notice(.bad) {
                    HTML.element(.p) {
                        problem + " "
                        HTML.element(.a, .href(.here("events"))) { "Events" }
                    }
                }
            }
            containerProblems(containers)
        }
        answer.address = applicationAddress
        answer.agentAddress = PageAddress.url(
            host: request.headers["Host"], isTLS: request.peer.tls != nil,
            forwardedProtocol: request.headers["X-Forwarded-Proto"])
        return answer
    }

    /// Nil where nobody has said it, or what was said is no address.
    private var applicationAddress: String? {
        let text: String?
        switch settings.address {
        case .unknown: text = nil
        case .url(let url): text = url
        case .file(let path): text = (try? File.readText(path, limit: 4_096))?.trimmed
        }
        return text.flatMap { (try? EndpointAddress($0)) == nil ? nil : $0 }
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
