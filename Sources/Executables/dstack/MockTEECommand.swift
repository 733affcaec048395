import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackMockTEE
import DstackShells
import DstackSystem
import Glibc

/// `mock-tee`: a simulated trust domain's evidence, to develop and test verifiers with.
enum MockTEECommand {
    private static let directory = Positional(required: .directory, "where to write the files")
    private static let appCompose = Option(
        "app-compose", .file, "the app-compose.json to measure; a small example if left out")
    private static let reportData = Option(
        "report-data", .hex("HEX", bytes: 1...64), "up to 64 bytes to have signed; zeros if left out")

    static let command = Command(
        "mock-tee",
        "writes evidence of a simulated TEE: root, quote, collateral, event log, configuration, compose file",
        examples: [
            "dstack mock-tee evidence",
            "dstack-verifier verify --quote evidence/quote.bin --collateral evidence/collateral.json "
                + "--event-log evidence/event-log.json --app-compose evidence/app-compose.json "
                + "--vm-config evidence/vm-config.json --trust-root evidence/root.pem",
            "dstack-verifier verify --attestation evidence/attestation.bin --collateral evidence/collateral.json "
                + "--app-compose evidence/app-compose.json --trust-root evidence/root.pem",
        ],
        notes: [
            "The quote chains to a root that is made in the directory, never to Intel's, and every report under that root "
                + "says so. A directory that has a platform keeps it.",
            "Files of somebody else's are never replaced: a directory in which one has the name of a file to be written is "
                + "refused. What was written is listed in \(EvidenceDirectory.listName), for sha256sum -c.",
        ],
        arguments: [directory, appCompose, reportData, Flag.json]
    ) { arguments, console in
        let path = arguments[directory]
        do {
            let compose = try arguments.composeFile(appCompose) ?? Array(example.utf8)
            let names = [
                "app-compose.json", "quote.bin", "event-log.json", "vm-config.json", "attestation.bin",
                "collateral.json",
            ]
            let directory = try EvidenceDirectory(path, toWrite: names, except: ("app-compose.json", compose))
            let platform = try MockPlatform.loadOrCreate(in: path)
            let boot = try MockBoot(platform, appCompose: compose)
            let attestation = try boot.attestation(
                reportData: ReportData(padding: arguments[reportData] ?? []))
            let collateral = try platform.collateral(for: .tdx, at: SystemWallClock().unixSeconds)
            try directory.write(
                zip(
                    names,
                    [
                        compose, attestation.quote ?? [], Array(boot.eventLog.json.utf8), Array(boot.vmConfig.utf8),
                        attestation.encoded.bytes, collateral.json,
                    ]
                ).map { ($0, $1) })
            let files = names + [MockPlatform.rootFileName]
            if arguments[Flag.json] {
                var writer = JSONWriter()
                writer.object { object in
                    object.member("directory", path)
                    object.member("files", files)
                    object.member("simulated", true)
                }
                console.print(writer.text)
            } else {
                for name in files { console.print(SafeText.line(path + "/" + name)) }
            }
            return .done
        } catch let error as AttestationError {
            throw CommandFailure(.wrongRequest, error, for: arguments)
        }
    }

    private static let example = """
        {"manifest_version":2,"name":"example","runner":"docker-compose","docker_compose_file":"services:\\n  web:\\n    image: nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000\\n","kms_enabled":false,"gateway_enabled":false,"public_logs":true,"public_sysinfo":true}
        """
}
