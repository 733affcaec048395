import DstackAttestation
import DstackHTTP
import DstackHTTPServer
import DstackKMSService
import DstackMockTEE
import DstackNetwork
import DstackSystem
import Synchronization
import TestKit
import Testing

private final class Lines: ByteSink {
    private let bytes = Mutex<[UInt8]>([])

    func write(_ more: [UInt8]) { bytes.withLock { $0 += more } }

    var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
}

@Suite("Collateral that cannot be had", .timeLimit(.minutes(2)))
struct CollateralReportTests {
    private func refusal(
        of service: String, _ metrics: KMSMetrics, _ log: LimitedLog
    ) async throws -> KMSServiceError? {
        let (kit, scratch) = (try CallerKit.shared(), try ScratchDirectory())
        try scratch.write(kit.platform.rootCertificatePEM, "root.pem")
        var settings = KMSSettings()
        settings.files.certificateDirectory = scratch.path("certs")
        settings.attestation.trustRoot = scratch.path("root.pem")
        settings.attestation.services = try CollateralEndpoint.list(service)
        let verifier = try settings.makeVerifier(
            metrics: metrics, log: log, clock: FixedWallClock(unixSeconds: CallerKit.now))
        switch await verifier.verify(
            try kit.attestation(), expecting: CallerKit.reportData, askedBy: "somebody")
        {
        case .success: return nil
        case .failure(let error): return KMSServiceError(error)
        }
    }

    @Test("is a warning and a number for operators, and what can be done is in this service's settings")
    func reported() async throws {
        let page = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("pccs", .tcp(host: "127.0.0.1", port: 0))])
        ) { _ in
            HTTPServerResponse(
                200, headers: ["Content-Type": "text/html"], body: Array("<html><title>Sign in</title></html>".utf8))
        }
        let url = try await page.start()[0].description
        for (service, reason) in [(url, "an HTML page"), ("http://127.0.0.1:1", "127.0.0.1:1")] {
            let (metrics, lines) = (KMSMetrics(), Lines())
            // What it writes later goes with it.
            let log = LimitedLog(Log("kms.collateral", to: LogOutput(sink: lines)))
            defer { withExtendedLifetime(log) {} }
            let refusal = try #require(await refusal(of: service, metrics, log))
            #expect(refusal.code == .unavailable)
            for text in [reason, "core.attestation.urls.pccs"] {
                #expect(refusal.description.contains(text), "\(refusal)")
                #expect(try await eventually { lines.text.contains(text) }, "\(lines.text)")
            }
            #expect(
                !refusal.description.contains("verif") || refusal.description.contains("cannot be verified without"))
            #expect(metrics.collateralFailures.value >= 1)
            #expect(metrics.text.contains("dstack_kms_collateral_failures_total \(metrics.collateralFailures.value)\n"))
        }
        await page.stop(within: .zero)
    }
}
