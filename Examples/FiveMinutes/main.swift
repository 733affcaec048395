// What docs/app-author.md shows, as one program; a test runs it and compares the two.
import DstackAttestation
import Glibc

func run() async throws {
    let client = DstackClient()
    let info = try await client.info()
    print("I am", info.appName, info.appID, "and run the compose file with hash", info.composeHash)

    // The same key for every instance of this application, after every restart, and for no other application.
    let key = try await client.key(path: "wallet", purpose: "ethereum")
    print("my address is", key.ethereumAddress ?? "none")

    // Others can check that the key is this application's, if they know the KMS's key.
    if CommandLine.arguments.count > 1, let kmsKey = FixedBytes<33>(hex: CommandLine.arguments[1]) {
        try key.proof.verify(appID: info.appID, kmsKey: kmsKey.bytes)
        print("which the KMS vouches for")
    }

    // Evidence for whoever sent a challenge: hash it under a tag of your own, never quote a stranger's bytes as they are.
    let challenge = Array("a challenge that somebody sent".utf8)
    let quote = try await client.quote(reportData: ReportData(tag: .appData, content: challenge))
    let log = try quote.replayedEventLog()
    print("a quote of", quote.bytes.count, "bytes;", log.runtimeEvents.count, "events lead to its registers")
    print(quote.isSimulated ? "this TEE is simulated" : "led to Intel: \(quote.leadsToIntel)")

    // Measured for good: every later quote shows it.
    try await client.emitEvent("model-loaded", payload: Array("sha256 of the model".utf8))

    // A signature by a key that stays in the agent.
    let signed = try await client.sign(Array("a message".utf8), using: .ed25519)
    print("signed with", signed.algorithm, try signed.isValid(for: Array("a message".utf8)))

    // A key and a certificate that carries evidence, for a day.
    var request = TLSIdentityRequest(subject: "localhost")
    let now = Int64(time(nil))
    request.validity = now...(now + 86_400)
    let identity = try await client.tlsIdentity(request)
    print(identity, "until", identity.notAfter)
}

do {
    try await run()
} catch {
    // One line that says what to do; an error that leaves a program ends it with a crash report instead.
    var line = "five-minutes: \(error)\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(3)
}
