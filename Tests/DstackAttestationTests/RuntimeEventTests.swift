import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("Runtime events")
struct RuntimeEventTests {
    static let appID = "5bb4ff9a3837357f19dc176407a5709c62eb6c56"

    @Test("the digest of version 1 is over type, name and payload with colons")
    func version1() throws {
        let event = RuntimeEvent(name: "app-id", payload: hex(Self.appID))
        #expect(
            event.digest.hex
                == "ddd202447c612b8bb8723d2ce3b9882b7cfc0ede203c36b15639cc80b181b61a7692850c5333a1c6effef82a73d0a4f2")
        let empty = RuntimeEvent(name: "system-preparing", payload: [])
        #expect(
            empty.digest.hex
                == "f9974020ef507068183313d0ca808e0d1ca9b2d1ad0c61f5784e7157c362c06536f5ddacdad4451693f48fcc72fff624")
    }

    @Test("the digest of version 2 is over a canonical JSON object")
    func version2() throws {
        let event = RuntimeEvent(name: "app-id", payload: hex(Self.appID), version: .v2)
        #expect(
            String(decoding: event.preimage, as: UTF8.self)
                == #"{"name":"app-id","payload":"\#(Self.appID)","type":134217729}"#)
        #expect(
            event.digest.hex
                == "f47c886443745c881b9b56ff908516c83817f25ca9187bfa4e972959281128e3220d47ce057e580e30eb57bfdc04d69a")
    }

    @Test(
        "preimages and digests in both banks equal the vectors",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func vectors() throws {
        let rows = try Vectors.json("guest-agent/derived-vectors.json").member("runtime_event_digest")
        #expect(rows.count == 12)
        for row in rows.elements {
            let event = RuntimeEvent(
                name: try row.member("event").string(), payload: try row.member("payload").hexBytes(),
                version: try row.member("version").integer(Int.self) == 2 ? .v2 : .v1)
            #expect(event.preimage == (try row.member("preimage").hexBytes()))
            #expect(event.digest.bytes == (try row.member("sha384").hexBytes()))
            #expect(event.digest(in: .sha384) == event.digest.bytes)
            #expect(event.digest(in: .sha256) == (try row.member("sha256").hexBytes()))
        }
    }

    @Test("a name with a colon is refused when an event is emitted", arguments: RuntimeEvent.Version.allCases)
    func colon(version: RuntimeEvent.Version) throws {
        let error = #expect(throws: AttestationError.self) {
            try RuntimeEvent(emitting: "app-id:x", payload: [], version: version)
        }
        #expect(error?.code == .ambiguousName)
        #expect(try RuntimeEvent(emitting: "app-id", payload: [1], version: version).payload == [1])
        // Why: these two events of version 1 have one digest.
        #expect(
            RuntimeEvent(name: "a", payload: Array("b:c".utf8)).digest
                == RuntimeEvent(name: "a:b", payload: Array("c".utf8)).digest)
    }

    @Test("no event adds more to an attestation than it is counted for", arguments: RuntimeEvent.Version.allCases)
    func size(version: RuntimeEvent.Version) throws {
        func evidence(_ events: [RuntimeEvent], _ form: Attestation.WireForm) throws -> Int {
            let log = EventLog(runtimeEvents: events).stripped(.upstream).withPreimages()
            return try Attestation(
                platform: .tdx(.init(quote: [], eventLog: log)), runtimeEvents: events,
                reportData: ReportData(padding: []), config: ""
            ).encoded(as: form).count
        }
        let most = RuntimeEvent.maximumPayloadBytes
        for (name, length) in [("", 0), ("a", 32), (String(repeating: "\u{1}", count: 1_024), 300), ("b", most)] {
            let event = RuntimeEvent(name: name, payload: [UInt8](repeating: 0xFF, count: length), version: version)
            for form in Attestation.WireForm.allCases where form != .v0 || version == .v1 {
                let other = RuntimeEvent(name: "other", payload: [], version: version)
                let added = try evidence([other, event], form) - evidence([other], form)
                #expect(added <= event.evidenceByteCount && added > event.evidenceByteCount - 128, "\(form) \(length)")
            }
        }
    }

    @Test("what may be measured is bounded: names, payloads, and all events together")
    func measurable() throws {
        func check(_ name: Int, _ payload: Int, after count: Int = 0) -> AttestationError? {
            let event = RuntimeEvent(
                name: String(repeating: "é", count: name / 2) + String(repeating: "n", count: name % 2),
                payload: [UInt8](repeating: 0, count: payload))
            // 1,024 bytes each in evidence.
            let before = [RuntimeEvent](
                repeating: RuntimeEvent(name: "", payload: [UInt8](repeating: 0, count: 448)), count: count)
            do { try event.checkMeasurable(after: before) } catch { return error }
            return nil
        }
        #expect(check(1_024, 16 << 10) == nil && check(0, 0) == nil)
        #expect(check(1_025, 0)?.reason == "1025 bytes, an event's name has 1024 at most")
        #expect(
            check(1, 16 << 10 | 1)?.description == "payload: 16385 bytes, an event has 16384 at most (measure a hash)")
        #expect(check(0, 448, after: 71) == nil)
        let full = try #require(check(1, 448, after: 71))
        #expect(
            full.code == .measurementTooLarge
                && full.reason.contains("would have 73730 bytes in evidence, 72704 without"))
        #expect(full.hint == "a new boot begins with an empty record")
    }

    @Test("names are compared byte for byte, not by canonical equivalence")
    func names() {
        let composed = RuntimeEvent(name: "caf\u{E9}", payload: [])
        let decomposed = RuntimeEvent(name: "cafe\u{301}", payload: [])
        #expect(composed != decomposed)
        #expect(composed.name == decomposed.name)
    }

    @Test("a register of either bank starts as zeros and is extended in order")
    func banks() throws {
        let events = [RuntimeEvent(name: "a", payload: [1]), RuntimeEvent(name: "b", payload: [2], version: .v2)]
        for bank in RegisterBank.allCases {
            let zeros = [UInt8](repeating: 0, count: bank.byteCount)
            #expect(bank.replay([]) == zeros)
            let first = bank.extend(zeros, with: events[0].digest(in: bank))
            #expect(bank.replay(events) == bank.extend(first, with: events[1].digest(in: bank)))
            #expect(bank.replay(events.reversed()) != bank.replay(events))
        }
        #expect(
            RegisterBank.sha384.replay(events) == (try EventLog(runtimeEvents: events).replay()).registers.rtmr3.bytes)
    }

    // MARK: The guest's record

    @Test("a line of the guest's record has upstream's form and reads back")
    func line() throws {
        let first = RuntimeEvent(name: "storage-fs", payload: Array("zfs".utf8))
        #expect(first.logLine == #"{"event":"storage-fs","payload":"emZz"}"#)
        let second = RuntimeEvent(name: "a\"\n", payload: [], version: .v2)
        #expect(second.logLine == #"{"event":"a\"\n","payload":"","version":2}"#)
        let log = Array("\(first.logLine)\n\(second.logLine)\n".utf8)
        #expect(try RuntimeEvent.parse(log: log) == [first, second])
        #expect(try RuntimeEvent.parse(log: Array(log.dropLast())) == [first, second])
        #expect(try RuntimeEvent.parse(log: []) == [])
        #expect(try RuntimeEvent(logLine: first.logLine) == first)
    }

    @Test("a torn line, an empty line or an unknown version is refused with its number")
    func badLines() throws {
        let good = RuntimeEvent(name: "x", payload: [1, 2, 3]).logLine
        for bad in [
            String(good.dropLast(3)), "", #"{"event":"x"}"#, #"{"event":"x","payload":"AQI"}"#,
            #"{"event":"x","payload":"AQID","version":3}"#, #"{"event":"x","event":"y","payload":""}"#,
            #"{"event":1,"payload":""}"#, #"{"event":"x","payload":"","version":"2"}"#, "[]", "null",
        ] {
            let error = #expect(throws: AttestationError.self, "\(bad)") {
                try RuntimeEvent.parse(log: Array("\(good)\n\(bad)\n".utf8))
            }
            #expect(error?.description.hasPrefix("line 2 of the runtime event log") == true)
        }
    }
}
