import DstackEncoding
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Keys stand in the files of keys and in answers to whom they are for, and nowhere else.
@Suite("Where keys do not stand", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct SecretsTests {
    @Test("not in what a service logs at its most talkative, nor in its audit log, its store and its errors")
    func everywhere() async throws {
        let service = try await KMSProcess(
            .init(autoBootstrapDomain: "localhost", environment: ["DSTACK_LOG": "debug"])
        ).start()
        let host = service.host
        let material = try KeyMaterial(of: service)
        let vmConfig = String(decoding: try JSONEncoder().encode(host.app.vmConfig), as: UTF8.self)
        let body = #"{"api_version":1,"vm_config":\#(vmConfig)}"#
        for _ in 0..<3 { _ = try await service.appKeys() }
        let root = try await service.call(
            "GetKmsKey", #"{"vm_config":""}"#, ClientIdentity(host.kms).credentials)
        #expect(root.status == 200)
        let advanced = try await service.command("epoch", "advance", "--all")
        #expect(advanced.status == 0, "\(advanced)")
        for wrong in ["{", #"{"api_version":7}"#, #"{"api_version":1,"epoch":9}"#, #"{"vm_config":"{"}"#] {
            let answer = try await service.call("GetAppKey", wrong, ClientIdentity(host.app).credentials)
            #expect(answer.status == 400, "\(wrong): \(answer)")
            material.expectAbsent(in: wrong, answer.text)
        }
        for page in ["/metrics", "/health", "/"] {
            material.expectAbsent(in: page, try await service.ask(service.url + page).text)
        }
        let exported = try await service.command("audit", "export")
        material.expectAbsent(in: "the audit log", exported.output + exported.errors)
        // The search finds what is there to find.
        let given = try await service.call("GetAppKey", body, ClientIdentity(host.app).credentials)
        #expect(
            material.found(in: given.text.utf8)
                == ["the disk's key", "the environment's key", "the application's key"])
        #expect(material.found(in: root.text.utf8) == ["the root CA's key", "the root key"])
        for name in ["root-ca.key", "root-k256.key", "rpc.key"] {
            let bytes = try #require(FileManager.default.contents(atPath: service.directory + "/" + name))
            for text in [Array(bytes), Array(Hex.encode(Array(bytes)).utf8), Array(Base64.encode(Array(bytes)).utf8)] {
                #expect(name != "root-k256.key" || material.found(in: text) == ["the root key"])
            }
            #expect(material.found(in: bytes).count == 1, "\(name)")
        }
        try await service.stop()
        try material.expectAbsent(fromAllOf: service)
        #expect(service.written.contains("debug"), "\(service.written)")
    }
}
