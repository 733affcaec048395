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
            if !facts.tcbInfo.isEmpty { Self.document("TCB info, as programs get it (JSON)", facts.tcbInfo) }
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
            if facts.measurements != nil { Self.replayed(facts) }
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
    private static func replayed(_ facts: DashboardFacts) -> HTML {
        guard let problem = logProblem(facts) else {
            return HTML.notice(.good) {
                HTML.element(.p) { "Replaying this log gives \(told(facts)) of the quote." }
            }
        }
        return HTML.notice(.bad) { HTML.element(.p) { problem } }
    }

    /// Which registers the log tells of: recorded ones may leave out the boot.
    private static func told(_ facts: DashboardFacts) -> String {
        guard let measurements = facts.measurements,
            let comparisons = try? facts.eventLog.replay().compare(with: measurements.rtmrs)
        else { return "the registers" }
        let told = comparisons.filter(\.isTold).map(\.register.description)
        if told.count == comparisons.count { return "all four registers" }
        return told.joined(separator: ", ") + " (of the others it does not tell)"
    }

    /// What is wrong with the log; nil if it leads to the registers, or there are none.
    static func logProblem(_ facts: DashboardFacts) -> String? {
        guard let measurements = facts.measurements else { return nil }
        do {
            let differing = try facts.eventLog.replay().mismatches(with: measurements.rtmrs)
            guard !differing.isEmpty else { return nil }
            return "Replaying this log does not give "
                + differing.map { $0.register.description }.joined(separator: ", ") + " of the quote."
        } catch {
            return "This log cannot be replayed: \(error)"
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
                    Self.document("Docker Compose file inside it", containers)
                }
                Self.document("App compose file, byte for byte as measured", facts.appCompose, id: "compose")
            }
        }
    }

    /// Above this a page would be a burden for whoever looks at it, and for the guest.
    private static let longestDocument = 512 << 10

    private static func document(_ title: String, _ text: String, id: String? = nil) -> HTML {
        guard text.utf8.count > longestDocument else { return HTML.evidence(title, text, id: id) }
        return HTML.element(.p) {
            title
            HTML.element(.span, .class("quiet")) {
                ": \(Figures.size(UInt64(text.utf8.count))), which is too long for a page; "
            }
            HTML.element(.a, .href(.path("prpc", "Worker.Info"))) { "Info" }
            " has it."
        }
    }

    private static func containerFile(_ appCompose: String) -> String? {
        try? JSONDocument(parsing: appCompose, subject: "app compose file").root.optionalMember("docker_compose_file")?
            .string()
    }
}
