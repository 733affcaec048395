import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackShells
import DstackSystem

/// `fetch-collateral`: the one step that needs a network; what it writes, `verify` reads anywhere.
enum FetchCommand {
    private static let output = Option(
        "output", .outputFile, short: "o", "where to write the collateral; standard output if left out or `-`")
    private static let services = CollateralOptions.services("url")

    static let command = Command(
        "fetch-collateral", "gets what the verification of a quote needs from Intel or a cache",
        examples: ["dstack-verifier fetch-collateral --quote q.bin --output c.json"],
        notes: [
            "Nothing that comes back is trusted: verify checks every signature and date. Proxies are taken from "
                + "http_proxy, https_proxy and no_proxy."
        ],
        arguments: [
            EvidenceFiles.quote, EvidenceFiles.attestation, output, services, CollateralOptions.cache,
            CollateralOptions.update, CollateralOptions.authorities, CollateralOptions.timeout, Flag.json,
        ],
        rules: [.exactlyOne(of: EvidenceFiles.quote, EvidenceFiles.attestation)],
        statuses: [
            .worldFailed: "the collateral cannot be fetched, or the result not be written"
        ]
    ) { arguments, console in
        let configuration = try CollateralOptions.configuration(
            arguments, console, services: services, update: CollateralOptions.update)
        let quote = try EvidenceFiles.quote(arguments)
        // Nothing older than what was verified before is taken for a quote of Intel's; others are one's own affair.
        let failure = QuoteVerifier().originFailure(of: quote)
        let fetched: FetchedCollateral
        do throws(AttestationError) {
            fetched = try await CollateralService(configuration).fetch(
                for: quote, verifiedBy: failure == nil ? QuoteVerifier() : nil)
        } catch {
            throw CommandFailure(fetching: error, for: arguments)
        }
        for note in fetched.notes { console.note(note) }
        if let failure, failure.check != .pckCertificateSource {
            console.note(
                "the quote does not lead to Intel's root (\(failure.description)): only whoever trusts another root accepts it"
            )
        }
        let path = arguments[output].flatMap { $0 == StandardInput.name ? nil : $0 }
        guard let path else {
            console.print(String(decoding: fetched.collateral.json, as: UTF8.self))
            return .done
        }
        try AtomicFile.write(fetched.collateral.json, to: path, mode: .readable)
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.member("output", path)
                object.member("expires", RFC3339.format(fetched.expires))
                object.member("notes", fetched.notes)
            }
            console.print(writer.text)
        } else {
            console.note("wrote \(path), which expires at \(RFC3339.format(fetched.expires))")
        }
        return .done
    }
}
