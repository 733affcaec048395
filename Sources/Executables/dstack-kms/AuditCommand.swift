import DstackCommandLine
import DstackCrypto
import DstackEncoding
import DstackHTTPClient
import DstackKMS
import DstackKeys
import DstackSystem

/// `audit`: the log of everything that a service gave out.
enum AuditCommand {
    static let command = Command(
        "audit", "exports the audit log, and checks that nothing is missing in it",
        examples: ["dstack-kms audit export > audit.jsonl", "dstack-kms audit check audit.jsonl --root root-ca.crt"],
        notes: [
            "Keep the last line of every export (--known-head): a log that ends before a head that somebody has was cut off, and nobody else "
                + "can tell.",
            AdminConnection.note,
        ],
        subcommands: [export, check])

    private static let export = Command(
        "export", "writes the whole log, one entry a line, its signed head last",
        examples: ["dstack-kms audit export > audit.jsonl"], arguments: AdminConnection.arguments
    ) { arguments, console in
        let stream = try await AdminConnection(arguments).stream("/audit")
        while console.outputFailure == nil, let piece = try await stream.next() { console.write(piece) }
        return .done
    }

    private static let file = Positional(required: .file, "an export; - for standard input")
    private static let root = Option(
        required: "root", .file,
        "the root CA's certificate, PEM, from where you trust it: not from the export's machine")
    private static let keep = Option(
        repeated: "known-head", .file,
        "an earlier export, or its last line: the log must have come as far, in the same way")

    private static let check = Command(
        "check", "checks an export without the service",
        examples: ["dstack-kms audit check audit.jsonl --root root-ca.crt"],
        arguments: [file, root, keep, Flag.json],
        statuses: [
            .yes: "every entry is as it was written, and none is missing", .no: "something is missing or changed",
        ]
    ) { arguments, console in
        let key = try rootKey(arguments)
        var known: [SignedAuditHead] = []
        for path in arguments[keep] { known.append(try head(path)) }
        let report = AuditExport.check(try arguments.read(file, limit: 1 << 30), root: key, known: known)
        if arguments[Flag.json] { console.print(json(report)) } else { show(report, console) }
        return report.isIntact ? .yes : .no
    }

    private static func rootKey(_ arguments: Arguments) throws -> P256.PublicKey {
        do {
            let chain = try CertificatePEM.decode(arguments.read(root, limit: 1 << 20), subject: "certificate")
            return try P256.PublicKey(spki: Array(Certificate(der: chain[0]).subjectPublicKeyInfo))
        } catch {
            throw CommandFailure(
                .wrongRequest, "--root: \(arguments.fileName(root)): \(error)",
                hint: "give the file root-ca.crt of the service")
        }
    }

    /// The head in the last line of an export, or alone.
    private static func head(_ path: String) throws -> SignedAuditHead {
        let bytes = try File.read(path, limit: 1 << 30)
        do throws(KMSStateError) { return try AuditExport.head(of: bytes) } catch {
            throw CommandFailure(
                .wrongRequest, "--known-head: \(path): \(error)", hint: "give an export, or its last line")
        }
    }

    private static func show(_ report: AuditReport, _ console: Console) {
        let style = console.style
        let count = "\(report.count) entries" + (report.lastTime.map { ", the last of \($0)" } ?? "")
        if report.isIntact {
            console.print("\(style.green("INTACT")) \(count)")
        } else {
            console.print("\(style.red("NOT INTACT")) \(count)")
            for finding in report.findings { console.print("  because \(SafeText.line(finding.description))") }
        }
    }

    private static func json(_ report: AuditReport) -> String {
        var writer = JSONWriter()
        writer.object { object in
            object.member("intact", report.isIntact)
            object.member("log", report.log?.hex)
            object.member("count", report.count)
            object.member("last_hash", report.lastHash.hex)
            object.member("first_time", report.firstTime)
            object.member("last_time", report.lastTime)
            object.member("findings", report.findings.map(\.description))
        }
        return writer.text
    }
}
