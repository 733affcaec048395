import DstackAttestation
import DstackEncoding
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Quote sources: the host's quote generation service")
struct QGSQuoteProviderTests {
    let folder: ScratchDirectory
    let domain: FakeTrustDomain
    let data: ReportData

    init() throws {
        folder = try ScratchDirectory()
        domain = try FakeTrustDomain()
        data = try ReportData(padding: [4, 5, 6])
    }

    private func quote(_ service: FakeQuoteService, within milliseconds: Int = 20_000) throws -> [UInt8] {
        // The service ends with its value.
        defer { withExtendedLifetime(service) {} }
        return try QGSQuoteProvider(endpoint: service.endpoint, device: domain).quote(
            reportData: data, deadline: soon(milliseconds))
    }

    private func failure(_ behaviour: FakeQuoteService.Behaviour, within milliseconds: Int = 20_000) throws -> String {
        let service = try FakeQuoteService(in: folder, domain, behaviour)
        let error = #expect(throws: AttestationError.self) { try quote(service, within: milliseconds) }
        #expect(error?.code == .quoteUnavailable)
        return "\(try #require(error))"
    }

    @Test("the report goes there and the quote comes back, at once or byte by byte")
    func quotes() throws {
        for behaviour in [FakeQuoteService.Behaviour.honest, .dribbling] {
            let service = try FakeQuoteService(in: folder, domain, behaviour)
            for _ in 0..<3 {
                let parsed = try Quote(parsing: quote(service))
                #expect(parsed.body.reportData == data.bytes)
                #expect(parsed.body.tdReport?.rtMr0 == domain.registers[0])
            }
            #expect(service.requestCount == 3)
        }
    }

    @Test("a response with another version, type, error, size or rest is refused with what is wrong")
    func malformed() throws {
        let good = FakeQuoteService.response([1, 2, 3])
        func changed(_ offset: Int, _ byte: UInt8) -> FakeQuoteService.Behaviour {
            var bytes = good
            bytes[4 + offset] = byte
            return .answer(bytes)
        }
        #expect(try failure(changed(0, 2)).contains("major version"))
        #expect(try failure(changed(4, 0)).contains("message type"))
        #expect(try failure(changed(8, 1)).contains("message size"))
        #expect(try failure(changed(12, 0x14)).contains("failed with 0x14"))
        #expect(try failure(changed(16, 200)).contains("identifier"))
        #expect(try failure(changed(20, 200)).contains("quote"))
        #expect(try failure(changed(20, 2)).contains("response"))
        #expect(try failure(.answer(FakeQuoteService.response([]))).contains("empty"))
        #expect(try failure(.answer([0, 0, 0x40, 1])).contains("16385"))
        #expect(try failure(.answer([0xFF, 0xFF, 0xFF, 0xFF])).contains("4294967295"))
        #expect(try failure(.answer([0, 0, 0, 15])).contains("15"))
    }

    @Test("a minor version that is not known yet is compatible")
    func minorVersion() throws {
        var message = Array(FakeQuoteService.response([9, 9]).dropFirst(4))
        message[2] = 1
        #expect(try QGSMessage.quote(in: message) == [9, 9])
    }

    @Test("a service that hangs up is told, and where", arguments: [0, 3, 4, 20, 1000])
    func hangsUp(after count: Int) throws {
        #expect(try failure(.cut(count)).contains("hung up"))
    }

    @Test("a service that says nothing is given up on in time")
    func silence() throws {
        #expect(try failure(.silent, within: 100).contains("timed out"))
    }

    @Test("a service that is not there is told by its address")
    func absent() throws {
        for endpoint in [
            QGSQuoteProvider.Endpoint.unix(folder.path("nobody.sock")), .vsock(context: 1, port: 4050),
            .unix("/" + String(repeating: "x", count: 200)),
        ] {
            let error = #expect(throws: AttestationError.self) {
                try QGSQuoteProvider(endpoint: endpoint, device: domain).quote(reportData: data, deadline: soon(200))
            }
            #expect(error?.subject.contains("\(endpoint)") == true, "\(String(describing: error))")
        }
    }

    @Test("a report over other data than was asked for is not sent")
    func wrongReport() throws {
        let service = try FakeQuoteService(in: folder, domain)
        domain.answersWrongly.withLock { $0 = true }
        // The device itself checks; a fake one does not, so that the quote is what tells.
        let quote = try Quote(parsing: quote(service))
        #expect(quote.body.reportData != data.bytes)
        let missing = TDXGuestDevice(path: folder.path("no-device"))
        let error = #expect(throws: AttestationError.self) { try missing.report(reportData: data) }
        #expect(error?.code == .quoteUnavailable)
        let notOne = TDXGuestDevice(path: "/dev/null")
        #expect(throws: AttestationError(.quoteUnavailable, subject: "", reason: "")) {
            try notOne.report(reportData: data)
        }
        #expect(throws: AttestationError(.measurementFailed, subject: "", reason: "")) {
            try notOne.extend(.rtmr3, with: Measurement384())
        }
    }

    @Test(
        "the port is read from Intel's configuration file",
        arguments: [
            ("port = 4050\n", 4050 as UInt32?), ("port=1", 1), ("# port = 2\n\n port\t= 3 # three\n", 3),
            ("other = 1\n", nil), ("", nil), ("port = 4294967294\n", 4_294_967_294), ("portal = 5\nport = 6\n", 6),
        ])
    func configuration(text: String, port: UInt32?) throws {
        try folder.write(text.utf8, "tdx-attest.conf")
        let found = try QGSQuoteProvider.endpoint(configuredIn: folder.path("tdx-attest.conf"))
        #expect(found == port.map { .vsock(context: 2, port: $0) })
    }

    @Test("a port that is none is refused; a file that is not there is no error")
    func badConfiguration() throws {
        for text in ["port = \n", "port = 0\n", "port = x\n", "port = 4294967295\n", "port = -1", "port = 1 2 x"] {
            try folder.write(text.utf8, "tdx-attest.conf")
            #expect(throws: AttestationError.self, "\(text)") {
                try QGSQuoteProvider.endpoint(configuredIn: folder.path("tdx-attest.conf"))
            }
        }
        try folder.write([0xFF, 0xFE], "tdx-attest.conf")
        #expect(throws: AttestationError.self) {
            try QGSQuoteProvider.endpoint(configuredIn: folder.path("tdx-attest.conf"))
        }
        #expect(try QGSQuoteProvider.endpoint(configuredIn: folder.path("none.conf")) == nil)
    }

    @Test("no changed or truncated response traps, and what is taken is within the response")
    func mutations() throws {
        let quote = [UInt8](0...255)
        let good = Array(FakeQuoteService.response(quote).dropFirst(4))
        #expect(try QGSMessage.quote(in: good) == quote)
        for count in 0..<good.count {
            #expect(throws: DecodingFailure.self) { try QGSMessage.quote(in: Array(good.prefix(count))) }
        }
        var generator = SeededGenerator(seed: 1)
        var refused = 0
        for _ in 0..<5000 {
            let mutated = generator.mutated(good)
            do {
                #expect(try QGSMessage.quote(in: mutated).count <= mutated.count)
            } catch {
                refused += 1
            }
            _ = try? QGSMessage.byteCount(prefix: Array(mutated.prefix(4)))
        }
        #expect(refused > 500)
    }
}
