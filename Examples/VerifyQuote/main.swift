// A relying party in thirty lines: is this quote genuine, and was it made for my challenge? Only public API.
import DstackAttestation
import Glibc

/// A small file, whole.
func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let quote = contents(of: arguments[1]), let json = contents(of: arguments[2]),
    let challenge = FixedBytes<64>(hex: arguments[3])
else {
    print("usage: verify-quote QUOTE COLLATERAL REPORT-DATA-HEX")
    exit(2)
}

var policy = VerificationPolicy.standard
policy.expected.reportData = challenge
do {
    let collateral = try QuoteCollateral(parsingJSON: json)
    let report = QuoteVerifier().verify(quote, collateral: collateral, policy: policy, at: Int64(time(nil)))
    if let proof = report.verifiedQuote {
        print("genuine: \(proof.status.rawValue), MRTD \(proof.body.tdReport?.mrTd.hex ?? "none")")
        exit(0)
    }
    print("refused: \(report.failure?.description ?? "")")
} catch {
    print("refused: \(error)")
}
exit(1)
