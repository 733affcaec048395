import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import Foundation
import TestKit
import Testing

@Suite("Guest agent: values of upstream's fixture", .enabled(if: GuestFixture.isAvailable, GuestFixture.absence))
struct AgentVectorTests {
    @Test("GetKey gives the recorded keys and chains, the first time and from the cache")
    func keys() async throws {
        let agent = try await AgentFixture(recorded: true)
        let rows = try AgentVectors.load().rows("v0_get_key")
        #expect(rows.count == 20)
        for row in rows {
            let (path, purpose) = (try row.text("path"), try row.text("purpose"))
            let request = ["path": path, "purpose": purpose, "algorithm": try row.text("algorithm")]
            for _ in 0..<2 {
                let answer = try await agent.post("dstack", "/GetKey", request).json
                #expect(try answer.text("key") == row.text("key"), "\(request)")
                #expect(try answer.texts("signature_chain") == row.texts("signature_chain"), "\(request)")
            }
            let older = try await agent.post("tappd", "/prpc/Tappd.DeriveK256Key", request).json
            #expect(try older.text("k256_key") == row.text("key"))
            #expect(try older.texts("k256_signature_chain") == row.texts("signature_chain"))
        }
    }

    @Test("DeriveKey gives the recorded keys, bit for bit, and certificates for them")
    func olderKeys() async throws {
        let agent = try await AgentFixture(recorded: true)
        for row in try AgentVectors.load().rows("tappd_derive_key") {
            let answer = try await agent.post(
                "tappd", "/prpc/Tappd.DeriveKey",
                ["path": try row.text("path"), "subject": "test", "usage_ra_tls": true]
            ).json
            #expect(try answer.text("key") == row.text("pem"))
            let chain = try answer.texts("certificate_chain")
            #expect(chain.count == 2)
            let certificate = try RATLSCertificate(parsing: PEM.decode(chain[0]))
            #expect(try certificate.publicKey == hex(row.text("spki_der")))
            let attestation = try #require(certificate.attestation)
            #expect(try attestation.reportData.hex == row.text("ratls_report_data"))
        }
    }

    @Test("keys of the newer interface are the recorded ones")
    func newerKeys() async throws {
        let vectors = try AgentVectors.load().row("v1_get_key")
        let agent = try await AgentFixture(recorded: true, rootKey: try vectors.text("app_root_key"))
        for row in try vectors.rows("rows") {
            let request = ["domain": try row.text("domain"), "algorithm": try row.text("algorithm")]
            for _ in 0..<2 {
                let answer = try await agent.post("dstack", "/v1/GetKey", request).json
                #expect(try answer.text("key") == row.text("key"), "\(request)")
                #expect(try answer.text("public_key") == row.text("public_key"))
                #expect(try answer.texts("signature_chain").first == row.text("link0"))
            }
        }
    }

    @Test("Sign gives the recorded signatures, and Verify accepts them")
    func signatures() async throws {
        let agent = try await AgentFixture(recorded: true)
        for row in try AgentVectors.load().rows("v0_sign") {
            let request = ["algorithm": try row.text("algorithm"), "data": try row.text("data")]
            let answer = try await agent.post("dstack", "/Sign", request).json
            #expect(try answer.text("signature") == row.text("signature"))
            #expect(try answer.text("public_key") == row.text("public_key"))
            #expect(try answer.texts("signature_chain") == row.texts("signature_chain"))
            let check = request.merging([
                "signature": try answer.text("signature"), "public_key": try answer.text("public_key"),
            ]) { $1 }
            #expect(try await agent.post("dstack", "/Verify", check).json.flag("valid"))
        }
    }

    @Test("Verify tells what is wrong from what is malformed")
    func verification() async throws {
        let agent = try await AgentFixture(recorded: true)
        for row in try AgentVectors.load().rows("v0_verify") {
            var request: [String: String] = [:]
            for name in ["algorithm", "data", "signature", "public_key"] { request[name] = try row.text(name) }
            let answer = try await agent.post("dstack", "/Verify", request)
            let name = try row.text("name")
            if let isValid = row["valid"] as? Bool {
                #expect(answer.status == 200, "\(name)")
                #expect(try answer.json.flag("valid") == isValid, "\(name)")
            } else {
                #expect(answer.status == 400, "\(name)")
                let error = try #require(answer.error)
                let isSignature = name.contains("signature") || name == "zero r"
                #expect(error.hasPrefix(isSignature ? "invalid signature" : "invalid public key"), "\(error)")
            }
        }
    }

    @Test("TdxQuote quotes the recorded report data and echoes what it did")
    func olderReportData() async throws {
        let agent = try await AgentFixture(recorded: true)
        for row in try AgentVectors.load().rows("tappd_tdx_report_data") {
            var request: [String: String] = [:]
            for name in ["hash_algorithm", "prefix", "report_data"] { request[name] = try row.text(name) }
            let answer = try await agent.post("tappd", "/prpc/Tappd.TdxQuote", request)
            guard let effective = row.optionalText("effective") else {
                #expect(answer.status == 400)
                let isRaw = request["hash_algorithm"] == "raw"
                #expect(answer.error == (isRaw ? "invalid content length" : "invalid hash algorithm"))
                continue
            }
            let json = try answer.json
            #expect(try AgentFixture.reportData(ofQuote: json.text("quote")) == effective, "\(request)")
            #expect(try json.text("hash_algorithm") == row.text("echo_hash_algorithm"))
            #expect(try json.text("prefix") == row.text("echo_prefix"))
        }
    }

    @Test("GetQuote takes hexadecimal text by the recorded rules, in a body and in a query")
    func reportData() async throws {
        let agent = try await AgentFixture(recorded: true)
        for row in try AgentVectors.load().rows("get_quote_report_data") {
            let text = try row.text("in")
            let query = text.replacingOccurrences(of: " ", with: "%20")
            for answer in [
                try await agent.post("dstack", "/GetQuote", ["report_data": text]),
                try await agent.get("dstack", "/GetQuote?report_data=\(query)"),
            ] {
                guard let padded = row.optionalText("padded") else {
                    #expect(answer.status == 400, "\(text)")
                    if let error = row.optionalText("error") { #expect(answer.error == error) }
                    continue
                }
                let json = try answer.json
                #expect(try json.text("report_data") == padded)
                #expect(try AgentFixture.reportData(ofQuote: json.text("quote")) == padded)
            }
        }
    }

    @Test("public evidence about the signing keys names them as recorded")
    func appKeys() async throws {
        for row in try AgentVectors.load().rows("app_key_attestation") {
            let agent = try await AgentFixture(recorded: true, rootKey: try row.text("k256_key"))
            let path = "/prpc/Worker.GetAttestationForAppKey?algorithm=\(try row.text("algorithm"))"
            let first = try await agent.external(path)
            let json = try first.json
            #expect(try json.text("report_data") == row.text("report_data"))
            #expect(try AgentFixture.reportData(ofQuote: json.text("quote")) == row.text("report_data"))
            // The second is the same quote: strangers do not cause one each.
            #expect(try await agent.external(path).body == first.body)
        }
    }

    @Test("events are measured with the recorded digests")
    func events() async throws {
        var settings = AgentFixture.settings
        settings.evidence.acceptsEvents = true
        let agent = try await AgentFixture(recorded: true, settings)
        for row in try AgentVectors.load().rows("runtime_event_digest") where row["version"] as? Int == 1 {
            let event = ["event": try row.text("event"), "payload": try row.text("payload")]
            let answer = try await agent.post("dstack", "/EmitEvent", event)
            #expect(answer.status == 200 && answer.text == "null", "\(event) \(answer.text)")
            let log = try await agent.post("dstack", "/GetQuote").json.text("event_log")
            let events = try #require(try JSONSerialization.jsonObject(with: Data(log.utf8)) as? [[String: Any]])
            #expect(try events.last?["digest"] as? String == row.text("sha384"))
        }
    }

    @Test("Info says what the recording says, on every socket")
    func info() async throws {
        let agent = try await AgentFixture(recorded: true)
        let decoded = try GuestFixture.decoded()
        let expected = decoded.expected_info
        for answer in [
            try await agent.post("dstack", "/Info"), try await agent.post("tappd", "/prpc/Tappd.Info"),
            try await agent.external("/prpc/Worker.Info"), try await agent.post("dstack", "/v0/Info"),
        ] {
            let info = try answer.json
            #expect(try info.text("app_id") == expected.app_id)
            #expect(try info.text("instance_id") == expected.instance_id)
            #expect(try info.text("compose_hash") == expected.compose_hash)
            #expect(try info.text("device_id") == expected.device_id)
            #expect(try info.text("mr_aggregated") == expected.mr_aggregated)
            #expect(try info.text("key_provider_info") == expected.key_provider_info)
            #expect(try info.text("os_image_hash") == expected.os_image_hash_from_embedded_config)
            #expect(try info.text("app_name") == "guest-agent")
            let vmConfig = try JSONSerialization.jsonObject(with: Data(GuestFixture.read("sys-config.json")))
            #expect(try info.text("vm_config") == JSONDictionary(vmConfig).text("vm_config"))
            let tcb = try JSONDictionary(JSONSerialization.jsonObject(with: Data(info.text("tcb_info").utf8)))
            for register in ["mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"] {
                #expect(try tcb.text(register) == decoded.measurements[register])
            }
            #expect(try tcb.text("mr_aggregated") == expected.mr_aggregated)
            #expect(try tcb.text("compose_hash") == expected.compose_hash)
            #expect(
                try tcb.text("app_compose") == String(decoding: GuestFixture.read("app-compose.json"), as: UTF8.self))
            let log = try JSONSerialization.jsonObject(with: Data(decoded.get_quote_event_log_simulator.utf8))
            #expect((tcb["event_log"] as? NSArray) == (log as? NSArray))
        }
        let quote = try await agent.post("dstack", "/GetQuote").json
        #expect(try quote.text("event_log") == decoded.get_quote_event_log_simulator)
        let attestation = try Attestation(decoding: hex(quote.text("attestation")))
        #expect(attestation.config == decoded.config)
    }
}
