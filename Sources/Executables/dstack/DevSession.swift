import DstackAttestation
import DstackCommandLine
import DstackCrypto
import DstackDevelopment
import DstackEncoding
import DstackShells
import DstackSystem
import Glibc

/// One `dstack dev up`: from nothing to an application that has proved what it runs.
struct DevSession: Sendable {
    private let plan: DevelopmentPlan
    private let appCompose: [UInt8]
    private let console: Console
    private let system: DevelopmentSystem
    private let stopCommand: String
    /// Whether a program reads what is printed: then only the failure is.
    private let isJSON: Bool

    init(_ plan: DevelopmentPlan, appCompose: [UInt8], console: Console, stopCommand: String, isJSON: Bool) {
        self.plan = plan
        self.appCompose = appCompose
        self.console = console
        self.stopCommand = stopCommand
        self.isJSON = isJSON
        system = DevelopmentSystem(plan.directory, note: { console.note($0) })
    }

    // MARK: Up

    /// Starts what does not run, verifies it, and says what to do with it. Throws with nothing left running.
    func up() async throws {
        var (url, dashboard, isReused) = try await start()
        do {
            var report: EndpointReport
            do {
                report = try await verify(url)
            } catch  where isReused && !Task.isCancelled {
                console.note("what runs does not answer; starting anew")
                _ = try await system.down()
                (url, dashboard, isReused) = try await start()
                report = try await verify(url)
            }
            var style = ReportStyle(console)
            // Much of it is about real machines. Below stands a command that lists it.
            style.listsUnchecked = report.verdict != .accepted
            if !isJSON { console.print(String(report.text(style: style).dropLast())) }
            guard report.verdict == .accepted else {
                throw CommandFailure(
                    .no, "the application did not prove that it runs the compose file",
                    hint: "look at the logs in \(plan.directory.path)/log")
            }
            try AtomicFile.write(Array("\(url)\n".utf8), to: plan.applicationURLPath, mode: .readable)
            if !isJSON, !console.isQuiet { explain(url, dashboard, report) }
        } catch {
            // In a task of its own: this one may be cancelled, and nothing must be left running.
            let system = system
            _ = try await Task { try await system.down() }.value
            throw Task.isCancelled ? DevelopmentError(.interrupted, "interrupted; nothing is left running") : error
        }
    }

    private func start() async throws -> (url: String, dashboard: String?, isReused: Bool) {
        let clock = ContinuousClock()
        let began = clock.now
        let components = plan.components(composeHash: "\(ComposeHash(ofFile: appCompose))")
        let (running, isReused) = try await system.up(components, prepare: prepare)
        guard let url = running.first(where: { $0.name == DevelopmentPlan.applicationName })?.address else {
            throw DevelopmentError(.component, "the application did not say where it listens")
        }
        if isReused {
            console.note("\(running.map(\.name).joined(separator: " and ")) run already")
        } else {
            let milliseconds = (clock.now - began) / .milliseconds(1)
            console.note("started \(running.map(\.name).joined(separator: " and ")) in \(Int(milliseconds)) ms")
        }
        return (url, running.compactMap(\.pages).first, isReused)
    }

    /// The operator's copy of the compose file; the simulated guest makes its own files from it.
    private func prepare() async throws {
        // The address of the last one, which has ended.
        unlink(plan.applicationURLPath)
        try AtomicFile.write(appCompose, to: plan.appComposePath, mode: .readable)
        // A guest is of one application for good.
        guard
            let other = try? File.readRegular(
                plan.guestPath + "/app-compose.json", limit: AppCompose.maximumByteCount),
            other != appCompose
        else {
            return
        }
        console.note("another application than before: making a new simulated guest")
        try plan.directory.removeAll(plan.guestPath)
    }

    /// What a stranger does who knows the simulated root and has his own copy of the compose file.
    private func verify(_ url: String) async throws -> EndpointReport {
        let root = try TrustAnchor(certificate: File.readRegular(plan.trustRootPath, limit: 1 << 20))
        var verifier = EndpointVerifier(
            quoteVerifier: QuoteVerifier(trustAnchor: root),
            collateral: try OfflineCollateral(path: plan.collateralPath))
        verifier.binding = .sessionBound
        verifier.appCompose = try File.readRegular(plan.appComposePath, limit: AppCompose.maximumByteCount)
        return try await verifier.verify(EndpointAddress(url), at: SystemWallClock().unixSeconds)
    }

    private func explain(_ url: String, _ dashboard: String?, _ report: EndpointReport) {
        let style = console.style
        let key = report.certificate.map { Base64.encode(SHA256.hash($0.publicKey).bytes) } ?? ""
        let program = ShellWord.quoted(ThisProgram.word)
        console.print()
        console.heading(
            "Ask it",
            "(-k because evidence vouches for its certificate, and no authority does; the pin keeps curl to the key that "
                + "was just verified)")
        console.print("  curl -k --pinnedpubkey 'sha256//\(key)' \(ShellWord.quoted(url))/")
        console.print()
        console.print(style.bold("Verify it again"))
        console.print(
            "  \(program) verify \(ShellWord.quoted(url)) --app-compose \(ShellWord.quoted(plan.appComposePath)) \\")
        console.print(
            "    --trust-root \(ShellWord.quoted(plan.trustRootPath)) --collateral \(ShellWord.quoted(plan.collateralPath))"
        )
        console.print()
        if let dashboard {
            console.heading("See what runs", "(the guest agent's dashboard, in a browser on this machine)")
            console.print("  \(SafeText.line(dashboard))")
            console.print()
        }
        console.print(style.bold("Logs"))
        console.print("  \(SafeText.line(plan.directory.path))/log")
        console.print()
        console.print(style.bold("Stop it"))
        console.print("  \(stopCommand)")
    }

    // MARK: Foreground

    /// Stays until the task is cancelled or a component ends; then ends everything.
    func stay() async throws -> ExitStatus {
        console.note("running; Ctrl-C ends everything")
        let names = system.status.running.map(\.name)
        var ended: [String] = []
        while ended.isEmpty {
            do { try await Task.sleep(for: .milliseconds(200)) } catch { break }
            let running = Set(system.status.running.map(\.name))
            ended = names.filter { !running.contains($0) }
        }
        let system = system
        _ = try await Task { try await system.down() }.value
        guard ended.isEmpty else {
            throw DevelopmentError(
                .component, "\(ended.joined(separator: " and ")) ended; nothing is left running",
                hint: "look at the logs in \(plan.directory.path)/log")
        }
        console.note("ended everything")
        return .done
    }
}
