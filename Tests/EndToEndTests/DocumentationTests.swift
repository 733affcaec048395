import Foundation
import TestKit
import Testing

/// README and the guides as their readers use them: each page's blocks are pasted, one after the other, into a shell in a
/// fresh directory.
@Suite("What the pages show", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct DocumentationTests {
    private static let package: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root
    }()

    private static func pages() throws -> [(name: String, page: Markdown)] {
        let guides = try FileManager.default.contentsOfDirectory(
            atPath: package.appendingPathComponent("docs").path)
        let names =
            ["README.md", "CONTRIBUTING.md"] + guides.filter { $0.hasSuffix(".md") }.sorted().map { "docs/\($0)" }
        return try names.map { name in
            (name, Markdown(try String(contentsOf: package.appendingPathComponent(name), encoding: .utf8)))
        }
    }

    /// What is not pasted here, by its mark, and why. Everything else is.
    private static let notPasted = [
        "README.md": ["installation", "build", "evidence of a machine and the network", "root"],
        "CONTRIBUTING.md": ["build", "build"],
        "docs/app-author.md": ["build", "own package", "own package", "container engine and the network"],
        "docs/dashboard.md": ["virtual machine"],
        "docs/guest-agent.md": ["virtual machine"],
        "docs/kms.md": ["key management service"],
        "docs/kms-setup.md": ["key management service"],
        "docs/verification.md": ["network", "network"],
    ]

    @Test("every block that is not pasted is listed here, and every block of commands says that it is one")
    func marks() throws {
        for (name, page) in try Self.pages() {
            #expect(page.blocks.compactMap(\.mark) == Self.notPasted[name] ?? [], "\(name)")
            let commands = [
                "dstack", "curl ", "make ", "swift ", "attested-service", "five-minutes", "docker ", "export ",
            ]
            for block in page.blocks where block.language.isEmpty {
                #expect(!commands.contains { block.text.hasPrefix($0) }, "\(name):\(block.line) is no block `sh`")
            }
            for (line, text) in page.indentedLines {
                #expect(!commands.contains { text.hasPrefix($0) }, "\(name):\(line) is no block `sh`")
            }
        }
    }

    @Test(
        "the blocks of a page, pasted as they stand, do what they say",
        .enabled(if: Program.path("/usr/bin/curl") != nil, "curl is missing"))
    func pasted() async throws {
        let programs = try #require(Program.directory)
        for (name, page) in try Self.pages() {
            let blocks = page.blocks.filter { $0.language == "sh" && $0.mark == nil }
            guard !blocks.isEmpty else { continue }
            let scratch = try ScratchDirectory()
            var script = Self.opening
            for block in blocks { script += "echo '== \(name):\(block.line)'\n" + block.text }
            let file = try scratch.write(try Self.withFreePorts(script), "pasted.sh")
            try FileManager.default.createDirectory(atPath: scratch.path("fresh"), withIntermediateDirectories: false)
            let result = try await Program.run(
                "/usr/bin/setsid", ["-w", "/bin/bash", file],
                environment: [
                    "PATH": "\(programs.path):/usr/bin:/bin", "HOME": scratch.path("fresh"), "TMPDIR": scratch.path,
                ], in: URL(fileURLWithPath: scratch.path("fresh")))
            let last = result.output.components(separatedBy: "== ").last?.split(separator: "\n").first ?? ""
            #expect(result.status == 0, "\(last): \(result)")
            #expect(!result.errors.contains("Fatal error"), "\(last): \(result)")
            // What was left running is the reader's; here it goes.
            withExtendedLifetime(scratch) { Self.endAll(in: scratch.path) }
        }
    }

    /// Where a reader who begins with README comes by what, in the order of its table.
    private static let reading = [
        "README.md", "docs/app-author.md", "docs/guest-agent.md", "docs/dashboard.md", "docs/commands.md",
        "docs/attested-tls.md", "docs/verification.md", "docs/verifier-service.md", "docs/authorization.md",
    ]
    /// What stands in for what takes minutes: `make` has been, and `swift` finds out whether the package could be read.
    private static let standIns = ["installation", "build", "own package"]

    @Test(
        "README's blocks and then the guides', pasted into one shell, do what they say and leave nothing that git would add",
        .enabled(if: Program.path("/usr/bin/curl") != nil, "curl is missing"),
        .enabled(if: Program.path("/usr/bin/git") != nil, "git is missing"))
    func pastedInOrder() async throws {
        let programs = try #require(Program.directory)
        let scratch = try ScratchDirectory()
        let files = FileManager.default
        let clone = scratch.path("clone")
        for directory in ["clone/.build", "bin"] {
            try files.createDirectory(atPath: scratch.path(directory), withIntermediateDirectories: true)
        }
        try files.createSymbolicLink(atPath: clone + "/.build/release", withDestinationPath: programs.path)
        for name in [".gitignore", "Package.swift"] {
            try files.copyItem(atPath: Self.package.appendingPathComponent(name).path, toPath: clone + "/" + name)
        }
        try scratch.write(
            "#!/bin/sh\n[ -f Package.swift ] || { echo 'no Makefile here' >&2; exit 2; }\n", "bin/make")
        // swift run --package-path DIR PRODUCT: the manifest, and those of the packages that it depends on.
        try scratch.write(
            """
            #!/bin/sh
            [ "$1 $2" = "run --package-path" ] || exit 2
            path=$(sed -n 's/.*path: "\\(.*\\)".*/\\1/p' "$3/Package.swift") || exit
            [ -f "$3/$path/Package.swift" ] ||
                { echo "the package manifest at '$3/$path/Package.swift' cannot be accessed" >&2; exit 1; }
            [ -f "$3/Sources/$4/main.swift" ] || { echo "no target $4" >&2; exit 1; }
            [ -S "$DSTACK_SIMULATOR_ENDPOINT" ] || { echo "no agent" >&2; exit 1; }

            """, "bin/swift")
        for name in ["make", "swift"] { chmod(scratch.path("bin/" + name), 0o755) }

        var script = Self.opening + "git init -q .; git add .; git -c user.name=n -c user.email=e commit -qm base\n"
        for (name, page) in try Self.pages().sorted(by: { Self.place($0.name) < Self.place($1.name) })
        where Self.reading.contains(name) {
            for block in page.blocks
            where block.language == "sh" && (block.mark == nil || Self.standIns.contains(block.mark ?? "")) {
                script += "echo '== \(name):\(block.line)'\n" + block.text
            }
        }
        script += "echo '== what is left'\ngit status --porcelain\n"
        let file = try scratch.write(try Self.withFreePorts(script), "pasted.sh")
        let result = try await Program.run(
            "/usr/bin/setsid", ["-w", "/bin/bash", file],
            environment: [
                "PATH": "\(scratch.path("bin")):/usr/bin:/bin", "HOME": scratch.path, "TMPDIR": scratch.path,
            ], in: URL(fileURLWithPath: clone))
        let parts = result.output.components(separatedBy: "== ")
        #expect(result.status == 0, "\(parts.last?.split(separator: "\n").first ?? ""): \(result)")
        #expect(parts.last == "what is left\n", "\(parts.last ?? "")")
        // A service that is started where one still runs would not say so: the one before answers.
        #expect(!result.errors.contains("in use"), "\(result.errors)")
        withExtendedLifetime(scratch) { Self.endAll(in: scratch.path) }
    }

    private static func place(_ name: String) -> Int { reading.firstIndex(of: name) ?? reading.count }

    @Test("the order in which README is followed is that of its table")
    func order() throws {
        let page = try String(contentsOf: Self.package.appendingPathComponent("README.md"), encoding: .utf8)
        let linked = page.matches(of: /^\| \[(docs\/[\w-]+\.md)\]/.anchorsMatchLineEndings()).map { String($0.1) }
        #expect(linked.filter { Self.reading.contains($0) } == Array(Self.reading.dropFirst()))
    }

    // MARK: Shells

    /// Pasted lines come one after the other and nobody waits for the one before; `-e` tells which one failed. What else this
    /// process has open is not for programs that live on: whoever waits for the shell waits for them.
    private static let opening = """
        for f in /proc/$$/fd/*; do n=${f##*/}; case $n in 0|1|2|255) ;; *) eval "exec $n>&-" ;; esac; done
        set -e -o pipefail

        """

    /// A port that another program has is another one here.
    private static func withFreePorts(_ script: String) throws -> String {
        var script = script
        for port in ["8443", "8080", "3000"] where !isFree(port) {
            script = script.replacingOccurrences(of: port, with: "\(try freePort())")
        }
        return script
    }

    /// Ends what works in a directory.
    private static func endAll(in path: String) {
        for _ in 0..<50 {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            let left = names.compactMap { Int32($0) }.filter { id in
                guard id != getpid() else { return false }
                let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/cwd")
                return place == path || place?.hasPrefix(path + "/") == true
            }
            if left.isEmpty { return }
            for id in left { kill(id, SIGKILL) }
            usleep(20_000)
        }
    }

    private static func isFree(_ port: String) -> Bool {
        guard let number = UInt16(port), let socket = try? LocalPort(number) else { return false }
        socket.close()
        return true
    }

    private static func freePort() throws -> UInt16 {
        let socket = try LocalPort(0)
        defer { socket.close() }
        return socket.number
    }

    // MARK: A container for an application

    @Test("the Dockerfile of the guide installs the packages of the libraries that programs load, and no others")
    func runtimePackages() async throws {
        try #require(Program.path("/usr/bin/dpkg-query") != nil, "dpkg is missing")
        let (_, page) = try #require(try Self.pages().first { $0.name == "docs/app-author.md" })
        let file = try #require(page.blocks.first { $0.language == "dockerfile" }?.text)
        let stage = try #require(file.components(separatedBy: "FROM debian:12-slim").last)
        let words = Set(stage.split { " \n\\".contains($0) }.map(String.init))
        var needed: Set<String> = []
        for program in ["attested-service", "attested-client", "five-minutes"] {
            let dynamic = try await Program.run("/usr/bin/readelf", ["-d", try #require(Program.path(program))])
            for match in dynamic.output.matches(of: /NEEDED.*\[(.+)\]/) { needed.insert(String(match.1)) }
        }
        // The Swift libraries are linked into the program there; these come with every Debian.
        let base: Set = ["libc6", "libgcc-s1", "libstdc++6"]
        var packages: Set<String> = []
        for library in needed.sorted() where !library.hasPrefix("libswift") && !library.hasPrefix("lib_") {
            let isToolchain = library.hasPrefix("libFoundation") || library.hasPrefix("libdispatch")
            if isToolchain || library.hasPrefix("libBlocksRuntime") { continue }
            let owner = try await Program.run("/usr/bin/dpkg-query", ["-S", "*/\(library)"])
            let package = try #require(owner.output.split(separator: ":").first, "nobody owns \(library)")
            if !base.contains(String(package)) { packages.insert(String(package)) }
        }
        #expect(packages.isSubset(of: words), "missing: \(packages.subtracting(words).sorted())")
        let installed = words.filter { $0.hasPrefix("lib") || $0.hasPrefix("zlib") }
        #expect(installed.subtracting(base) == packages, "not needed: \(installed.subtracting(packages).sorted())")
        #expect(words.contains("ca-certificates"))
    }

    // MARK: Headers

    @Test("a header that is missing says which package brings it", arguments: try wrappers())
    func missingHeader(_ file: String) async throws {
        // As on a machine that has none of the libraries, nor anything else.
        let path = Self.package.appendingPathComponent(file).path
        let folder = Self.package.appendingPathComponent(file.split(separator: "/").prefix(4).joined(separator: "/"))
        let result = try await Program.run(
            "/usr/bin/gcc", ["-E", "-nostdinc", "-I", folder.path + "/include", path])
        #expect(result.status != 0)
        #expect(
            result.errors.contains("install the Debian package lib") || result.errors.contains("package zlib1g-dev"),
            "\(result)")
    }

    /// The files that include a library's header.
    private static func wrappers() throws -> [String] {
        let support = "Sources/Support/C"
        let libraries = /#include <(openssl|curl|cryptopp|event2|secp256k1|toml\+\+|zlib)[\/._]/
        return try (FileManager.default.subpathsOfDirectory(atPath: package.appendingPathComponent(support).path))
            .filter { file in [".c", ".h", ".cpp"].contains { file.hasSuffix($0) } }
            .map { "\(support)/\($0)" }.sorted()
            .filter { path in
                try String(contentsOf: package.appendingPathComponent(path), encoding: .utf8).contains(libraries)
            }
    }
}

/// A package of somebody's own, built from nothing: minutes of compiling.
@Suite("A package that depends on this one", .enabled(if: DevSystem.isSoak, "takes minutes: set DSTACK_SOAK=1"))
struct PackageDependencySoakTests {
    @Test("a checkout may have any name: the guide's package builds and runs with it")
    func otherName() async throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let scratch = try ScratchDirectory()
        // Sources and manifest alone, under another name; a link would be seen through.
        let checkout = scratch.path("some-other-name")
        try FileManager.default.createDirectory(atPath: checkout, withIntermediateDirectories: false)
        for name in ["Package.swift", "Sources", "Examples", "Tests", "Benchmarks"] {
            try FileManager.default.copyItem(
                atPath: root.appendingPathComponent(name).path, toPath: checkout + "/" + name)
        }
        let page = Markdown(
            try String(contentsOf: root.appendingPathComponent("docs/app-author.md"), encoding: .utf8))
        let blocks = page.blocks.filter { $0.mark == "own package" }
        let script = "set -e\n" + blocks.map(\.text).joined()
        let agent = try StartedProgram("dstack-guest-agent", ["--simulate", scratch.path("sim")])
        let toolchain = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let result = try await Program.run(
            "/bin/bash", [scratch.write(script, "own.sh")],
            environment: [
                "PATH": toolchain, "HOME": scratch.path,
                "DSTACK_SIMULATOR_ENDPOINT": scratch.path("sim/dstack.sock"),
            ], in: URL(fileURLWithPath: checkout))
        #expect(result.status == 0 && result.output.contains("I am example"), "\(result)")
        agent.signal(SIGTERM)
        _ = await agent.end()
    }
}
