// A client that talks to the code that it expects and to nobody else; here under the root of a simulated TEE. Only public API.
//
//     attested-client https://127.0.0.1:8443/ simulation
import DstackAttestation
import Glibc

/// A small file, whole.
func contents(of path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw Problem(description: "cannot read \(path)") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
}

struct Problem: Error, CustomStringConvertible { let description: String }

func run(_ url: String, _ directory: String) async throws {
    // What you expect comes from you: your own copy of the compose file, and the image that you trust.
    var policy = VerificationPolicy.standard
    policy.expected.composeHash = ComposeHash(ofFile: try contents(of: directory + "/app-compose.json")).bytes
    policy.expected.osImageHash = FixedBytes(hex: simulatedImage)

    // Without `trusting:` and `collateral:` it is Intel's root, and what belongs to it is fetched.
    let client = try AttestedHTTPClient(
        policy: policy, trusting: TrustAnchor(path: directory + "/root.pem"),
        collateral: OfflineCollateral(path: directory + "/collateral.json"))
    let response = try await client.get(url)
    print(response.text ?? "", terminator: "")
    print("verified:", response.peer.report.verdict, "under", response.peer.report.trustAnchor.name)
}

/// The image of every simulated TEE (`os_image_hash` in simulation.json).
let simulatedImage = "ad8db2c8da89d5e2d0c1dc7f66bfd7878c30ee39c1b34142bb32dade27427e43"

guard CommandLine.arguments.count == 3 else {
    print("usage: attested-client URL DIRECTORY-OF-SIMULATION")
    exit(2)
}
do {
    try await run(CommandLine.arguments[1], CommandLine.arguments[2])
} catch {
    // One line that says what to do; an error that leaves a program ends it with a crash report instead.
    var line = "attested-client: \(error)\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(3)
}
