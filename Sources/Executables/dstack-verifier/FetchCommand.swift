import DstackAttestation
import DstackCommandLine
import DstackSystem

/// `fetch-collateral`: the one step that needs a network; what it writes, `verify` reads anywhere.
enum FetchCommand {
    private static let quote = Option("quote", .file, "the quote, binary or hexadecimal")
    private static let attestation = Option("attestation", .file, "an attestation envelope in place of a quote")
    private static let output = Option(
        "output", .outputFile, short: "o", "where to write the collateral; standard output if left out")
    private static let urls = Option(
        repeated: "url", .text("URL"), environment: "PCCS_URL",
        "a PCS or PCCS service, tried in the order given; pccs.phala.network, then Intel's, if left out")
    private static let cache = Option("cache", .directory, "a directory to keep collateral in until it expires")
    private static let update = Option(
        "update", .text("standard|early|NUMBER"), default: "standard",
        "which TCB data: standard, early, or of an evaluation data number")
    private static let authorities = Option(
        "ca", .file, "CA certificates of the service, PEM; the system's if left out")

    static let command = Command(
        "fetch-collateral", "gets what the verification of a quote needs from Intel or a cache",
        examples: ["dstack-verifier fetch-collateral --quote q.bin --output c.json"],
        notes: [
            "Nothing that comes back is trusted: verify checks every signature and date. Proxies are taken from "
                + "http_proxy, https_proxy and no_proxy."
        ],
        arguments: [quote, attestation, output, urls, cache, update, authorities],
        rules: [.exactlyOne(of: quote, attestation)]
    ) { arguments, console in
        var configuration = CollateralService.Configuration()
        configuration.cacheDirectory = arguments[cache]
        configuration.tlsAuthorities = try arguments.read(authorities, limit: 1 << 20)
        let parsed: Quote
        do throws(AttestationError) {
            if !arguments[urls].isEmpty {
                var endpoints: [CollateralEndpoint] = []
                for url in arguments[urls] { endpoints.append(try CollateralEndpoint(url)) }
                configuration.endpoints = endpoints
            }
            configuration.selector = try selector(arguments[update])
        } catch {
            throw CommandFailure(.wrongRequest, error.description)
        }
        let quoteBytes = try arguments.read(quote, limit: 16 << 20)
        let envelope = try arguments.read(attestation, limit: 16 << 20)
        do throws(AttestationError) {
            if let envelope {
                parsed = try Attestation(decoding: Evidence.binary(from: envelope)).parsedQuote()
            } else {
                parsed = try Quote(parsing: Evidence.binary(from: quoteBytes ?? []))
            }
        } catch {
            throw CommandFailure(.no, "not a quote: \(error.description)")
        }
        let fetched: FetchedCollateral
        do {
            fetched = try await CollateralService(configuration).fetch(for: parsed)
        } catch let error as AttestationError {
            throw CommandFailure(.worldFailed, error.description, hint: error.hint.isEmpty ? nil : error.hint)
        }
        for note in fetched.notes { console.note(note) }
        if let path = arguments[output] {
            do throws(SystemError) {
                try AtomicFile.write(fetched.collateral.json, to: path, mode: .readable)
            } catch {
                throw CommandFailure(.worldFailed, error.description)
            }
            console.note("wrote \(path)")
        } else {
            console.print(String(decoding: fetched.collateral.json, as: UTF8.self))
        }
        return .done
    }

    private static func selector(_ text: String) throws(AttestationError) -> TCBDataSelector {
        switch text {
        case "standard": return .standard
        case "early": return .early
        default:
            guard let number = UInt32(text) else {
                throw AttestationError(
                    .invalidPolicy, subject: "--update", reason: "standard, early or a number expected, found \(text)")
            }
            return .evaluationDataNumber(number)
        }
    }
}
