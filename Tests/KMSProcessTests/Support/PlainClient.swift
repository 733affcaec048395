import Foundation
import TestKit
import Testing

/// A client that shares none of our code: Python's `ssl` and `http.client`, which verifies the service by its root.
struct PlainClient {
    private let service: KMSProcess

    init(_ service: KMSProcess) throws { self.service = service }

    /// Asks as upstream's clients do: a bare method name, JSON in and out.
    ///
    /// - Returns: status 0 with a text that says why, where no answer came.
    func call(
        _ method: String, _ body: String = "{}", _ identity: ClientIdentity? = nil
    ) async throws -> KMSProcess.Answer {
        let files = try ScratchDirectory()
        try files.write(identity?.chainPEM ?? "", "client.pem")
        try files.write(identity?.key ?? [], "client.key")
        try files.write(body, "body.json")
        let program = try await Program.run(
            "/usr/bin/python3",
            ["-c", Self.script, "\(service.port)", service.rootFile, identity == nil ? "" : "with", method],
            in: files.url)
        try #require(program.status == 0, "\(program)")
        let parts = program.output.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        return KMSProcess.Answer(status: Int(parts[0]) ?? 0, text: parts.count > 1 ? String(parts[1]) : "")
    }

    private static let script = """
        import http.client, ssl, sys
        port, root, identity, method = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
        context = ssl.create_default_context(cafile=root)
        if identity: context.load_cert_chain("client.pem", "client.key")
        try:
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
            connection.request("POST", "/prpc/" + method + "?json", open("body.json", "rb").read(),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            print(response.status)
            print(response.read().decode())
        except (OSError, http.client.HTTPException) as error:
            print(0)
            print(repr(error))
        """
}
