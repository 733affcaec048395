import DstackAttestation
import DstackCommandLine
import DstackSystem
import DstackVerifierService
import Glibc

/// The command lines of upstream's program, which has options in place of commands: `--config FILE` serves, `--verify
/// FILE` and `--verify-cert FILE` answer one question and end with 0 for a yes and 1 for anything else.
enum UpstreamCommands {
    private static let config = Option("config", .file, short: "c", "settings of the service, TOML; alone: serve")
    private static let verify = Option(
        "verify", .file, "answer a request of the service from a file, also into FILE.verification.json")
    private static let verifyCertificate = Option(
        "verify-cert", .file, "verify an RA-TLS certificate, PEM or DER, into FILE.ratls-verification.json")

    static let arguments: [any ArgumentDeclaration] = [config, verify, verifyCertificate]
    static let rules: [ArgumentRule] = [.atMostOne(of: verify, verifyCertificate)]
    static let examples = [
        "dstack-verifier --verify request.json", "dstack-verifier --verify-cert server.pem",
    ]

    /// Evidence, and a compose file of the largest size with its quotation marks and line breaks escaped.
    private static let limit = EvidenceFile.maximumByteCount + 2 * AppCompose.maximumByteCount

    @Sendable
    static func run(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        if let path = arguments[verify] { return try await answer(path, arguments, console) }
        if let path = arguments[verifyCertificate] { return try await judge(path, arguments, console) }
        guard arguments.has(config) else {
            throw CommandFailure(
                .wrongRequest, "a command is needed", hint: "`dstack-verifier --help` lists them with examples")
        }
        return try await ServeCommand.serve(arguments.path(config), console)
    }

    private static func service(_ arguments: Arguments, _ console: Console) throws -> VerifierService {
        let configuration = try VerifierConfiguration.load(arguments.path(config))
        if let exposure = configuration.collateral.cacheDirectory.flatMap(CollateralDirectory.exposure) {
            console.warn("collateral.cache_dir: \(exposure)")
        }
        return try VerifierService(configuration)
    }

    private static func answer(_ path: String, _ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let service = try service(arguments, console)
        let response: VerifierResponse
        do throws(SystemError) {
            response = await service.verify(
                requestFile: try arguments.content(of: path, limit: limit), named: arguments.source(verify))
            try write(response.json(pretty: true), path, ".verification.json")
        } catch {
            remove(path, ".verification.json")
            console.print(String(decoding: VerifierResponse.unanswered("\(error)").json(), as: UTF8.self))
            return .no
        }
        for note in response.notes { console.note(note) }
        console.print(String(decoding: response.json(), as: UTF8.self))
        return response.isValid ? .yes : .no
    }

    private static func judge(_ path: String, _ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let service = try service(arguments, console)
        let ending = ".ratls-verification.json"
        do throws(SystemError) {
            let response = await service.verify(
                certificate: try arguments.content(of: path, limit: RATLSCertificate.maximumByteCount))
            for note in response.report?.notes ?? [] { console.note(note) }
            if let reason = response.reason {
                remove(path, ending)
                let file = arguments.source(verifyCertificate) ?? path
                console.fail("certificate verification failed: \(file): \(reason)")
                return .no
            }
            let json = response.json(pretty: true)
            try write(json, path, ending)
            console.print(String(decoding: json, as: UTF8.self))
            return .yes
        } catch {
            remove(path, ending)
            console.fail("certificate verification failed: \(verifyCertificate.specification.label): \(error)")
            return .no
        }
    }

    /// An answer of an earlier run must not be there after this one failed. Where there is none, nothing happens.
    private static func remove(_ path: String, _ ending: String) {
        if path != StandardInput.name { _ = unlink(path + ending) }
    }

    /// Beside the file of the question; what came by standard input is answered on standard output alone.
    private static func write(_ json: [UInt8], _ path: String, _ ending: String) throws(SystemError) {
        guard path != StandardInput.name else { return }
        let path = path + ending
        try AtomicFile.write(json + [UInt8(ascii: "\n")], to: path, mode: .readable)
    }
}
