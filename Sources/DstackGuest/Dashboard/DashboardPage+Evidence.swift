import DstackAttestation
import DstackEncoding
import DstackPages

/// The evidence, as far as a page can show it.
extension Dashboard {
    func measurements(_ facts: DashboardFacts) -> HTML {
        HTML.section("Measurements", id: "measurements") {
            if let measurements = facts.measurements {
                HTML.keyValues(
                    [("MRTD", HTML.hash(measurements.mrtd.hex, label: "MRTD"))]
                        + zip(RTMR.allCases, Self.meanings).map { register, meaning in
                            (
                                register.description,
                                HTML.group {
                                    HTML.hash(measurements.rtmrs[register].hex, label: register.description)
                                    HTML.element(.div, .class("quiet small")) { meaning }
                                }
                            )
                        }
                        + [
                            (
                                "Aggregated",
                                HTML.hash(Hex.encode(facts.aggregatedMeasurement), label: "aggregated measurement")
                            )
                        ])
            } else {
                HTML.element(.p, .class("quiet")) { "This platform has no TDX measurements." }
            }
            if !facts.tcbInfo.isEmpty { HTML.evidence("TCB info, as programs get it (JSON)", facts.tcbInfo) }
        }
    }

    private static let meanings = [
        "firmware configuration", "kernel", "kernel command line and initial RAM disk",
        "what the running system recorded: the events below",
    ]

    func events(_ facts: DashboardFacts) -> HTML {
        let runtime = facts.eventLog.events.filter { $0.type == .runtime }
        let boot = facts.eventLog.events.filter { $0.type != .runtime }
        return HTML.section("Events", id: "events", live: .live("events")) {
            if let measurements = facts.measurements { Self.replayed(facts.eventLog, measurements) }
            HTML.table(
                caption: "Events recorded into RTMR3", columns: ["Event", "Payload", "Digest"],
                rows: runtime.map { event in
                    [
                        HTML.element(.strong) { event.name.isEmpty ? "(no name)" : event.name },
                        Self.payload(event.payload),
                        HTML.shortHash(Self.digest(event), label: "digest of \(event.name)"),
                    ]
                }, empty: "No runtime event was recorded.")
            if !boot.isEmpty {
                HTML.element(.details, .class("evidence")) {
                    HTML.element(.summary) { "\(boot.count) events of the boot (RTMR 0 to 2)" }
                    HTML.table(
                        caption: "Events of the boot", columns: ["Register", "Type", "Digest"],
                        rows: boot.map { event in
                            [
                                .text(event.register.description),
                                .text(event.name.isEmpty ? "\(event.type)" : "\(event.type): \(event.name)"),
                                HTML.shortHash(Self.digest(event), label: "digest"),
                            ]
                        })
                }
            }
            composeFile(facts)
        }
    }

    /// Whether log and registers tell the same story. Anybody may check that with what the page shows.
    private static func replayed(_ log: EventLog, _ measurements: DashboardFacts.Measurements) -> HTML {
        do {
            let differing = try log.replay().compare(with: measurements.rtmrs).filter { !$0.matches }
            guard !differing.isEmpty else {
                return HTML.notice(.good) {
                    HTML.element(.p) { "Replaying this log gives all four registers of the quote." }
                }
            }
            return HTML.notice(.bad) {
                HTML.element(.p) {
                    "Replaying this log does not give "
                        + differing.map { $0.register.description }.joined(separator: ", ") + " of the quote."
                }
            }
        } catch {
            return HTML.notice(.bad) { HTML.element(.p) { "This log cannot be replayed: \(error)" } }
        }
    }

    private static func digest(_ event: LoggedEvent) -> String {
        (event.digest ?? event.runtimeEvent?.digest)?.hex ?? ""
    }

    /// Text where it is plain text, else hexadecimal.
    private static func payload(_ bytes: [UInt8]) -> HTML {
        if bytes.isEmpty { return HTML.element(.span, .class("quiet")) { "empty" } }
        if bytes.count <= 512, bytes.allSatisfy({ 0x20..<0x7F ~= $0 }) {
            return HTML.element(.code) { String(decoding: bytes, as: UTF8.self) }
        }
        return HTML.shortHash(Hex.encode(bytes), label: "payload")
    }

    private func composeFile(_ facts: DashboardFacts) -> HTML {
        HTML.group {
            if !facts.appCompose.isEmpty {
                if let containers = Self.containerFile(facts.appCompose) {
                    HTML.evidence("Docker Compose file inside it", containers)
                }
                HTML.evidence("App compose file, byte for byte as measured", facts.appCompose, id: "compose")
            }
        }
    }

    private static func containerFile(_ appCompose: String) -> String? {
        try? JSONDocument(parsing: appCompose, subject: "app compose file").root.optionalMember("docker_compose_file")?
            .string()
    }
}
