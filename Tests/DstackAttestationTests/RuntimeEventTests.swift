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
