import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackShells
import DstackSystem

/// `verify`: evidence in, report out.
enum VerifyCommand {
    private static let collateral = Option("collateral", .file, "Intel's collateral, JSON; `-` for standard input")
    private static let fetch = Flag("fetch", "fetch the collateral, in place of a file")
    private static let services = CollateralOptions.services("url")

    static let command = Command(
        "verify", "decides whether a quote or an attestation is genuine and acceptable",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json",
            "dstack-verifier verify --attestation a.bin --collateral c.json --at 2026-10-20T00:00:00Z --json",
            "dstack-verifier verify --quote q.bin --fetch --cache ~/.cache/dstack",
            "dstack-verifier verify --quote q.bin --collateral c.json --report-data 6d79206368616c6c656e6765",
        ],
        notes: [
            "Presets: authentic (genuine, not revoked, not debug; any other TCB status passes and is reported), standard "
                + "(UpToDate or SWHardeningNeeded; an OS image that is named must be verified), strict (UpToDate only; no "
                + "dynamic platform, cached keys or multithreading; an OS image must be there). A policy file is a JSON "
                + "object; docs/verification.md lists its members.",
            "--report-data, --compose-hash, --app-id and --os-image-hash hold on top of any policy. `dstack-verifier "
                + "report-data` computes report data from a challenge.",
            "Without --fetch nothing is asked of a network. What is fetched is trusted no more than a file.",
        ],
        arguments: [
            EvidenceFiles.quote, EvidenceFiles.attestation, collateral, fetch, EvidenceFiles.eventLog,
            EvidenceFiles.appCompose, EvidenceFiles.vmConfig, ExpectationOptions.reportData,
        ] + ExpectationOptions.ofApplication + JudgementOptions.declarations + [
            services, CollateralOptions.cache, CollateralOptions.authorities, CollateralOptions.update,
            CollateralOptions.timeout,
        ],
        rules: [
            .exactlyOne(of: EvidenceFiles.quote, EvidenceFiles.attestation), .exactlyOne(of: collateral, fetch),
            .atMostOne(of: EvidenceFiles.attestation, EvidenceFiles.eventLog),
            .atMostOne(of: EvidenceFiles.attestation, EvidenceFiles.vmConfig),
            .atMostOne(of: EvidenceFiles.appCompose, ExpectationOptions.composeHash),
            .argument(services, requires: fetch), .argument(CollateralOptions.cache, requires: fetch),
            .argument(CollateralOptions.authorities, requires: fetch),
            .argument(CollateralOptions.update, requires: fetch), .argument(CollateralOptions.timeout, requires: fetch),
        ],
        statuses: [
            .yes: "accepted", .no: "rejected, with the reason",
            .worldFailed: "the collateral cannot be fetched, or the result not be written",
        ],
        run: run)

    private static func run(_ arguments: Arguments, _ console: Console) async throws -> ExitStatus {
        let verifier = try JudgementOptions.verifier(arguments)
        var policy = try JudgementOptions.policy(arguments)
        try ExpectationOptions.addAll(to: &policy, arguments)
        let configuration = try CollateralOptions.configuration(
            arguments, console, services: services, update: CollateralOptions.update)
        let file = try arguments.read(collateral, limit: QuoteCollateral.maximumByteCount)
        let (evidence, reader) = try EvidenceFiles.evidence(arguments, under: policy)
        let time = JudgementOptions.time(arguments)

        if let file {
            let given = try CommandFailure.wrongFile(collateral, arguments) { () throws(AttestationError) in
                try QuoteCollateral(parsingJSON: file)
            }
            return console.show(
                verifier.verify(evidence, collateral: given, policy: policy, at: time), arguments)
        }

        // What does not lead to the root is a no whatever is fetched, and nobody is asked about it.
        let leading = verifier.verifyWithoutCollateral(evidence, policy: policy, at: time)
        let quote: Quote
        do throws(AttestationError) { quote = try reader.quote() } catch { return console.show(leading, arguments) }
        if let failure = leading.failureToReachAnchor {
            let reason = Reason(
                code: failure.code.rawValue, check: failure.check.name, message: failure.message, hint: leading.hint)
            return console.refuse(
                quote.encodedDescription, reason, simulated: leading.simulationNote, remedy: leading.remedy, arguments)
        }
        do throws(AttestationError) {
            let service = CollateralService(configuration)
            let fetched = try await service.fetch(for: quote, verifiedBy: verifier)
            for note in fetched.notes { console.note(note) }
            // As of now nothing older is accepted than what was verified before.
            let floors = JudgementOptions.isAtGivenTime(arguments) ? nil : service.floors
            let report = verifier.verify(
                evidence, collateral: fetched.collateral, policy: policy, at: time, floors: floors)
            return console.show(report, arguments)
        } catch {
            throw CommandFailure(fetching: error, for: arguments)
        }
    }
}
