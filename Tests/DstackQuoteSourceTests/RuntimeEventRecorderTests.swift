import DstackAttestation
import DstackConcurrency
import DstackEncoding
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Quote sources: recording runtime events")
struct RuntimeEventRecorderTests {
    let folder: ScratchDirectory
    let domain: FakeTrustDomain
    let recorder: RuntimeEventRecorder

    init() throws {
        folder = try ScratchDirectory()
        domain = try FakeTrustDomain()
        recorder = Self.recorder(folder, domain)
    }

    private static func recorder(
        _ folder: ScratchDirectory, _ domain: FakeTrustDomain, version: RuntimeEvent.Version = .v1
    ) -> RuntimeEventRecorder {
        RuntimeEventRecorder(
            directory: folder.path("log"), register: DeviceRegister(domain), defaultVersion: version)
    }

    private func event(_ name: String, _ payload: [UInt8] = [1, 2]) throws -> RuntimeEvent {
        try RuntimeEvent(emitting: name, payload: payload)
    }

    private func record(_ names: String...) throws {
        for name in names { try recorder.record(event(name), deadline: soon(10_000)) }
    }

    private func names() throws -> [String] { try recorder.events(deadline: soon(10_000)).map { $0.name } }

    private func code(_ body: () throws -> Void) throws -> AttestationError.Code {
        try #require(#expect(throws: AttestationError.self) { try body() }).code
    }

    private func line(_ name: String) throws -> [UInt8] { Array(try event(name).logLine.utf8) }

    private var log: [UInt8] { (try? folder.read("log/runtime_events.log")) ?? [] }

    @Test("an event is in the register and in the record, in the guest's format, for its owner alone")
    func records() throws {
        try record("a", "b")
        #expect(try names() == ["a", "b"])
        #expect(try log == line("a") + [10] + line("b") + [10])
        #expect(try EventLog(runtimeEvents: [event("a"), event("b")]).replay().registers.rtmr3 == domain.rtmr3)
        #expect(try folder.read("log/runtime_event_version") == Array("1".utf8))
        #expect(access(recorder.pendingPath, F_OK) != 0)
        for name in ["runtime_events.log", "runtime_event.lock", "runtime_event_version"] {
            let mode = try FileManager.default.attributesOfItem(atPath: folder.path("log/\(name)"))[.posixPermissions]
            #expect(mode as? Int == 0o600, "\(name)")
        }
    }

    @Test("a record that is not there yet has no events")
    func empty() throws {
        #expect(try names() == [])
        #expect(try recorder.version() == .v1)
    }

    @Test("the first event decides the version of a boot")
    func version() throws {
        let second = Self.recorder(folder, domain, version: .v2)
        #expect(try code { try second.record(event("old"), deadline: soon(1000)) } == .measurementFailed)
        #expect(domain.rtmr3.isZero)
        let new = try RuntimeEvent(emitting: "new", payload: [], version: .v2)
        try second.record(new, deadline: soon(10_000))
        #expect(try recorder.version() == .v2)
        #expect(try code { try record("old") } == .measurementFailed)
        #expect(try recorder.events(deadline: soon(1000)) == [new])
        try folder.write("3".utf8, "log/runtime_event_version")
        #expect(try code { try record("x") } == .measurementFailed)
    }

    @Test("a name that could be read as another event is not measured")
    func ambiguous() throws {
        let event = RuntimeEvent(name: "app-id:x", payload: [])
        #expect(try code { try recorder.record(event, deadline: soon(1000)) } == .ambiguousName)
        #expect(domain.rtmr3.isZero)
    }

    @Test("what evidence has no room for is not measured, and what is small still is")
    func full() throws {
        func refused(_ name: String, _ count: Int) throws {
            let (before, bytes) = (domain.rtmr3, log)
            let large = RuntimeEvent(name: name, payload: [UInt8](repeating: 7, count: count))
            #expect(try code { try recorder.record(large, deadline: soon(1000)) } == .measurementTooLarge)
            #expect(domain.rtmr3 == before && log == bytes && access(recorder.pendingPath, F_OK) != 0)
        }
        try refused(String(repeating: "n", count: 100_000), 0)
        try refused("a", RuntimeEvent.maximumPayloadBytes + 1)
        for _ in 0..<2 {
            try recorder.record(event("large", [UInt8](repeating: 7, count: 16 << 10)), deadline: soon(10_000))
        }
        try refused("one more", 16 << 10)
        try record("small")
        #expect(try names() == ["large", "large", "small"])
    }

    // MARK: Failures

    @Test("when the register refuses, nothing happened, and the next event is taken")
    func registerRefuses() throws {
        try record("a")
        domain.onExtend.withLock { $0 = { throw CocoaError(.featureUnsupported) } }
        #expect(try code { try record("b") } == .measurementFailed)
        domain.onExtend.withLock { $0 = nil }
        try record("c")
        #expect(try names() == ["a", "c"])
    }

    /// A register that fails after it was extended, and maybe cannot be read.
    private struct Treacherous: RuntimeRegister {
        let domain: FakeTrustDomain
        let isReadable: Shared<Bool>

        func value() throws(AttestationError) -> Measurement384 {
            guard isReadable.value else {
                throw AttestationError(.measurementFailed, subject: "register", reason: "unreadable")
            }
            return domain.rtmr3
        }

        func extend(with digest: Measurement384) throws(AttestationError) {
            try domain.extend(.rtmr3, with: digest)
            throw AttestationError(.measurementFailed, subject: "register", reason: "interrupted")
        }
    }

    @Test("an extension that reports failure but happened is recorded")
    func extendedAnyway() throws {
        let register = Treacherous(domain: domain, isReadable: Shared(true))
        let recorder = RuntimeEventRecorder(directory: folder.path("log"), register: register)
        try recorder.record(event("a"), deadline: soon(1000))
        #expect(try recorder.events(deadline: soon(1000)).map { $0.name } == ["a"])
    }

    @Test("an extension of which nobody knows whether it happened leaves the event in doubt until the register is read")
    func unknown() throws {
        let isReadable = Shared(true)
        let domain = domain
        domain.onExtend.withLock { $0 = { isReadable.edit { $0 = false } } }
        let recorder = RuntimeEventRecorder(
            directory: folder.path("log"), register: Treacherous(domain: domain, isReadable: isReadable))
        #expect(try code { try recorder.record(event("a"), deadline: soon(1000)) } == .measurementInDoubt)
        #expect(throws: AttestationError.self) { try recorder.events(deadline: soon(1000)) }
        isReadable.edit { $0 = true }
        #expect(try recorder.events(deadline: soon(1000)).map { $0.name } == ["a"])
    }

    @Test("an event that was measured but could not be recorded is in doubt, and recorded as soon as that is possible")
    func cannotRecord() throws {
        try record("a")
        let (log, aside) = (recorder.logPath, folder.path("aside"))
        domain.onExtend.withLock {
            $0 = {
                // The record becomes something that cannot be appended to.
                rename(log, aside)
                mkdir(log, 0o700)
            }
        }
        #expect(try code { try record("b") } == .measurementInDoubt)
        domain.onExtend.withLock { $0 = nil }
        #expect(try code { _ = try names() } == .measurementInDoubt)
        #expect(try code { try record("c") } == .measurementInDoubt)
        #expect(rmdir(log) == 0 && rename(aside, log) == 0)
        #expect(try names() == ["a", "b"])
        try record("c")
        #expect(try names() == ["a", "b", "c"])
    }

    @Test("an event that cannot even be noted is not measured")
    func cannotNote() throws {
        try record("a")
        let before = domain.rtmr3
        #expect(mkdir(recorder.pendingPath, 0o700) == 0)
        #expect(throws: AttestationError.self) { try record("b") }
        #expect(domain.rtmr3 == before)
    }

    @Test("a record that somebody has locked is given up on in time")
    func locked() throws {
        try record("a")
        let file = try FileDescriptor(opening: recorder.lockPath, flags: O_RDWR)
        #expect(flock(file.number, LOCK_EX) == 0)
        #expect(try code { try recorder.record(event("b"), deadline: soon(60)) } == .measurementFailed)
        #expect(throws: AttestationError.self) { try recorder.events(deadline: soon(60)) }
        #expect(flock(file.number, LOCK_UN) == 0)
        #expect(try names() == ["a"])
    }

    // MARK: After a crash

    @Test("a torn line that was not measured is cut off")
    func tornUnmeasured() throws {
        try record("a", "b")
        for torn in [Array("{\"event\":\"c\",\"pay".utf8), try line("c")] {
            try folder.write(log + torn, "log/runtime_events.log")
            #expect(try names() == ["a", "b"])
        }
        #expect(try log == line("a") + [10] + line("b") + [10])
    }

    @Test("a line that lacks only its end and was measured is completed")
    func tornMeasured() throws {
        try record("a", "b")
        try folder.write(log.dropLast(), "log/runtime_events.log")
        #expect(try names() == ["a", "b"])
        #expect(log.last == 10)
    }

    @Test("an event that was noted and measured, but not recorded, is recorded; torn or not")
    func pendingMeasured() throws {
        for torn in [[], Array("{\"eve".utf8)] {
            try record("a")
            let noted = try event("b")
            try folder.write(try line("b") + [10], "log/runtime_event.pending")
            try domain.extend(.rtmr3, with: noted.digest)
            try folder.write(log + torn, "log/runtime_events.log")
            let before = log.filter { $0 == 10 }.count
            #expect(try names().last == "b")
            #expect(log.filter { $0 == 10 }.count == before + 1)
            #expect(access(recorder.pendingPath, F_OK) != 0)
        }
    }

    @Test("an event that was noted and not measured is dropped; one that was recorded already is not recorded twice")
    func pendingUnmeasured() throws {
        try record("a")
        for name in ["b", "a"] {
            try folder.write(try line(name) + [10], "log/runtime_event.pending")
            #expect(try names() == ["a"])
            #expect(access(recorder.pendingPath, F_OK) != 0)
        }
    }

    @Test("a register that no record explains is told, and no events are given or taken any more")
    func inDoubt() throws {
        try record("a")
        try domain.extend(.rtmr3, with: event("unknown").digest)
        let error = try #require(
            #expect(throws: AttestationError.self) { try recorder.events(deadline: soon(1000)) })
        #expect(error.code == .measurementInDoubt)
        #expect(error.reason.contains(domain.rtmr3.hex))
        #expect(try code { try record("b") } == .measurementInDoubt)
        try folder.write(log + Array("{\"ev".utf8), "log/runtime_events.log")
        let torn = #expect(throws: AttestationError.self) { try recorder.events(deadline: soon(1000)) }
        #expect(torn?.reason.contains("last line is incomplete") == true)
    }

    // MARK: Many

    @Test("writers at the same time all get their events measured and recorded in one order")
    func concurrent() async throws {
        let (folder, domain) = (folder, domain)
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                let worker = BlockingWorker(capacity: 1)
                group.addTask {
                    _ = await worker.run(within: .seconds(120), onceStarted: .waitFor) {
                        let recorder = Self.recorder(folder, domain)
                        for number in 0..<5 {
                            let event = RuntimeEvent(name: "w\(writer)", payload: [UInt8(number)])
                            try? recorder.record(event, deadline: soon(100_000))
                        }
                    }
                }
            }
        }
        let events = try recorder.events(deadline: soon(10_000))
        #expect(events.count == 20)
        for writer in 0..<4 {
            #expect(events.filter { $0.name == "w\(writer)" }.map { $0.payload } == (0..<5).map { [$0] })
        }
        #expect(try EventLog(runtimeEvents: events).replay().registers.rtmr3 == domain.rtmr3)
    }

    @Test("a record that somebody changed is refused, or explains the register; it never traps")
    func mutations() throws {
        try record("one", "two", "three")
        let good = log
        var generator = SeededGenerator(seed: 3)
        var refused = 0
        for _ in 0..<400 {
            try folder.write(generator.mutated(good), "log/runtime_events.log")
            if Bool.random(using: &generator) {
                try folder.write(generator.mutated(try line("x") + [10]), "log/runtime_event.pending")
            }
            do {
                let events = try recorder.events(deadline: soon(1000))
                #expect(try EventLog(runtimeEvents: events).replay().registers.rtmr3 == domain.rtmr3)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 200)
    }

    @Test("the kernel's file for the register extends once a write, and gives its value")
    func sysfs() throws {
        let kernel = try FakeKernel()
        let register = SysfsRegister(path: kernel.register, files: kernel)
        let recorder = RuntimeEventRecorder(directory: folder.path("log"), register: register)
        try recorder.record(event("a"), deadline: soon(1000))
        #expect(try register.value() == kernel.domain.rtmr3)
        kernel.fail("write rtmr3:sha384", EBUSY)
        #expect(try code { try recorder.record(event("b"), deadline: soon(1000)) } == .measurementFailed)
        kernel.fail("after write rtmr3:sha384", EINTR)
        try recorder.record(event("c"), deadline: soon(1000))
        #expect(try recorder.events(deadline: soon(1000)).map { $0.name } == ["a", "c"])
        try folder.write([1, 2, 3], "short")
        #expect(throws: AttestationError.self) { try SysfsRegister(path: folder.path("short")).value() }
        #expect(throws: AttestationError.self) { try SysfsRegister(path: folder.path("none")).value() }
    }
}
