import DstackPages
import DstackSystem

/// What runs, and on what.
extension Dashboard {
    enum ContainerList: Sendable {
        case known([Container])
        case noEngine
        case failed(GuestError)
    }

    func containerList() async -> ContainerList {
        guard let containers, containers.engine.isPresent else { return .noEngine }
        do {
            return .known(try await containers.list())
        } catch {
            return .failed(error)
        }
    }

    func containersSection(_ list: ContainerList) -> HTML {
        HTML.section("Containers", id: "containers", live: .live("containers")) {
            switch list {
            case .known(let containers): containerTable(containers)
            case .noEngine:
                HTML.notice(.neutral) {
                    HTML.element(.p) { "There is no container engine here, so no containers are shown." }
                }
            case .failed(let error):
                HTML.notice(.warning) {
                    HTML.element(.p) { "The container engine does not answer, so no containers are shown." }
                    HTML.element(.p, .class("quiet small")) { "\(error)" }
                }
            }
        }
    }

    private func containerTable(_ containers: [Container]) -> HTML {
        HTML.table(
            caption: "Containers", columns: ["Name", "State", "Image"] + (settings.publicLogs ? ["Logs"] : []),
            rows: containers.map { container in
                let name = container.displayName
                var cells: [HTML] = [
                    settings.publicLogs
                        ? HTML.element(.a, .href(.path("containers", name))) { name }
                        : HTML.element(.strong) { name },
                    Self.stateBadge(container),
                    HTML.element(.code) { container.image },
                ]
                if settings.publicLogs {
                    cells.append(
                        HTML.element(.span, .class("links")) {
                            HTML.element(.a, .href(.path("containers", name)), .ariaLabel("Read the log of \(name)")) {
                                "Read"
                            }
                            HTML.element(
                                .a, .href(Self.plainLog(name)), .ariaLabel("Log of \(name) as plain text, live")
                            ) { "Plain" }
                        })
                }
                return cells
            }, empty: "No container has been started.")
    }

    /// As upstream's page links to it.
    static func plainLog(_ name: String) -> PageLink {
        .path(
            "logs", name,
            query: [("text", ""), ("bare", ""), ("timestamps", ""), ("follow", ""), ("tail", "20")])
    }

    private static func tone(_ container: Container) -> HTML.Tone {
        switch container.state {
        case .running: container.status.contains("(unhealthy)") ? .bad : .good
        case .restarting, .paused: .warning
        case .dead: .bad
        case .exited: container.status.hasPrefix("Exited (0)") ? .neutral : .bad
        default: .neutral
        }
    }

    static func stateBadge(_ container: Container) -> HTML {
        HTML.group {
            HTML.badge(container.state.rawValue, tone(container))
            HTML.element(.span, .class("quiet small")) { " " + container.status }
        }
    }

    /// What is wrong with the containers, for the top of the page: those that do not run, or not well. One that ended with
    /// status 0 may have done what it was for, and is told of without alarm.
    func containerProblems(_ list: ContainerList) -> HTML {
        switch list {
        case .noEngine: return .empty
        case .failed:
            return HTML.notice(.warning) {
                HTML.element(.p) {
                    "The "
                    HTML.element(.a, .href(.here("containers"))) { "container engine" }
                    " does not answer: what runs is not known."
                }
            }
        case .known(let containers):
            let ill = containers.filter { Self.tone($0) == .bad || Self.tone($0) == .warning }
            let ended = containers.filter { $0.state == .exited && Self.tone($0) == .neutral }
            return HTML.group {
                if !ill.isEmpty {
                    HTML.notice(ill.contains { Self.tone($0) == .bad } ? .bad : .warning) {
                        ill.prefix(5).map { problem($0) }
                        if ill.count > 5 { HTML.element(.p) { "\(ill.count - 5) more of \(containers.count)." } }
                    }
                }
                if !ended.isEmpty {
                    HTML.notice(.neutral) {
                        if ended.count == 1 {
                            ended.map { problem($0) }
                        } else {
                            HTML.element(.p) {
                                "\(ended.count) of "
                                HTML.element(.a, .href(.here("containers"))) { "\(containers.count) containers" }
                                " have ended with status 0."
                            }
                        }
                    }
                }
            }
        }
    }

    private func problem(_ container: Container) -> HTML {
        let name = container.displayName
        return HTML.element(.p) {
            "Container "
            HTML.element(.strong) { name }
            ": \(container.status.isEmpty ? container.state.rawValue : container.status)."
            if settings.publicLogs {
                " "
                HTML.element(.a, .href(.path("containers", name)), .ariaLabel("Read the log of \(name)")) { "Its log" }
            }
        }
    }

    // MARK: The machine

    /// Nil where it is not public.
    func machineInformation() -> Result<SystemInformation, GuestError>? {
        guard settings.publicSystemInformation else { return nil }
        do {
            let system = try SystemInformation.current(dataDisks: settings.dataDisks, from: source)
            history.add(system, at: clock.unixSeconds)
            return .success(system)
        } catch {
            return .failure(error)
        }
    }

    func machineSection(_ machine: Result<SystemInformation, GuestError>) -> HTML {
        HTML.section("Machine", id: "machine", live: .live("machine")) {
            switch machine {
            case .success(let system): HTML.keyValues(rows(system))
            case .failure(let error):
                HTML.notice(.bad) { HTML.element(.p) { "The system does not tell: \(error)" } }
            }
        }
    }

    private func rows(_ system: SystemInformation) -> [(name: String, value: HTML)] {
        let samples = history.samples
        let cores = system.processorCount == 1 ? "1 core" : "\(system.processorCount) cores"
        var rows: [(name: String, value: HTML)] = [
            ("Operating system", .text("\(system.osName) \(system.osVersion)".trimmed)),
            ("Kernel", .text(system.kernelVersion)),
            ("Processor", .text("\(system.processorModel) (\(cores))")),
            ("Up for", .text(Figures.duration(system.uptime))),
            (
                "Load average",
                HTML.group {
                    [system.load.oneMinute, system.load.fiveMinutes, system.load.fifteenMinutes]
                        .map { Figures.decimals($0, 2) }.joined(separator: " · ")
                    HTML.element(.span, .class("quiet small")) { "  over 1, 5, 15 minutes" }
                    HTML.sparkline(
                        samples.map { $0.load }, floor: 1,
                        label: "Load average over the last hour, now \(Figures.decimals(system.load.oneMinute, 2))")
                }
            ),
            (
                "Memory",
                HTML.group {
                    Self.use(system.memory.used, of: system.memory.total)
                    HTML.sparkline(
                        // The bar says how much of all; this says how it went.
                        samples.map { Double($0.usedMemory) }, floor: Double(system.memory.total) / 64,
                        label: "Memory in use over the last hour")
                }
            ),
        ]
        if system.swap.total > 0 { rows.append(("Swap", Self.use(system.swap.used, of: system.swap.total))) }
        for disk in system.disks {
            rows.append(
                (
                    "Disk \(disk.mountPoint)",
                    HTML.group {
                        Self.use(disk.used, of: disk.total)
                        HTML.element(.div, .class("quiet small")) { disk.name }
                    }
                ))
        }
        return rows
    }

    private static func use(_ used: UInt64, of total: UInt64) -> HTML {
        HTML.bar(
            share: total == 0 ? 0 : Double(used) / Double(total),
            "\(Figures.size(used)) of \(Figures.size(total)) in use")
    }
}
