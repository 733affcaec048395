import DstackAttestation
import DstackConcurrency
import DstackEncoding
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Quote sources: configfs-tsm")
struct ConfigFSQuoteProviderTests {
    let kernel: FakeKernel
    let provider: ConfigFSQuoteProvider

    init() throws {
        kernel = try FakeKernel()
        provider = ConfigFSQuoteProvider(entry: kernel.entry, files: kernel)
    }

    private func data(_ byte: UInt8) throws -> ReportData { try ReportData(padding: [byte, byte]) }

    private func quoted(_ byte: UInt8, within milliseconds: Int = 20_000) throws -> ReportData {
        let quote = try provider.quote(reportData: data(byte), deadline: soon(milliseconds))
        return ReportData(try Quote(parsing: quote).body.reportData)
    }

    private func failure(within milliseconds: Int = 20_000) throws -> AttestationError {
        let error = #expect(throws: AttestationError.self) {
            try provider.quote(reportData: data(1), deadline: soon(milliseconds))
        }
        #expect(error?.code == .quoteUnavailable)
        return try #require(error)
    }

    @Test("a quote has the report data that was asked for, each time")
    func quotes() throws {
        for byte in [1, 2, 3] as [UInt8] { #expect(try quoted(byte) == data(byte)) }
        #expect(kernel.generation == 3)
    }

    @Test("a request's directory that has gone is made again")
    func directory() throws {
        #expect(try quoted(1) == data(1))
        try FileManager.default.removeItem(atPath: kernel.entry)
        #expect(try quoted(2) == data(2))
        #expect(kernel.generation == 1)
    }

    @Test("a directory that cannot be made is tried again the next time")
    func failedDirectory() throws {
        kernel.fail("mkdir com.intel.dcap", ENOENT)
        #expect(try failure().reason.contains("com.intel.dcap"))
        #expect(try quoted(1) == data(1))
    }

    @Test("callers at the same time each get their own quote")
    func concurrent() async throws {
        _ = try quoted(9)
        let (kernel, before) = (kernel, kernel.generation)
        let results = await withTaskGroup(of: (UInt8, ReportData?).self) { group in
            for byte in 0..<6 as Range<UInt8> {
                let worker = BlockingWorker(capacity: 4)
                group.addTask {
                    let result = await worker.run(within: .seconds(120), onceStarted: .waitFor) {
                        let provider = ConfigFSQuoteProvider(entry: kernel.entry, files: kernel)
                        let data = try? ReportData(padding: [byte, byte])
                        let quote = data.flatMap { try? provider.quote(reportData: $0, deadline: soon(100_000)) }
                        return quote.flatMap { try? Quote(parsing: $0) }.map { ReportData($0.body.reportData) }
                    }
                    return (byte, (try? result.get()) ?? nil)
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for byte in 0..<6 as Range<UInt8> { #expect(try results[byte] == data(byte)) }
        #expect(kernel.generation == before + 6)
    }

    @Test("a writer that takes no lock is noticed, before and after the quote was read", arguments: [0, 1, 2])
    func interference(moment: Int) throws {
        _ = try quoted(9)
        let kernel = kernel
        let rudeness: @Sendable () throws -> Int32 = {
            try kernel.writeRudely(0xBB)
            return 0
        }
        switch moment {
        // Between the two looks at the generation that frame the write.
        case 0: kernel.plan("write inblob", [rudeness])
        // Between counting and reading.
        case 1: kernel.plan("read outblob", [rudeness])
        // Twice in a row.
        default: kernel.plan("read outblob", [rudeness, { 0 }, { 0 }, rudeness])
        }
        #expect(try quoted(1) == data(1))
        // Without trying again there would be three.
        #expect(kernel.generation >= 3)
    }

    @Test(
        "a busy kernel is asked again", arguments: ["write inblob", "read outblob"], [EBUSY, EINTR, ETIMEDOUT, EAGAIN])
    func busy(call: String, code: Int32) throws {
        kernel.fail(call, code, code)
        #expect(try quoted(1) == data(1))
    }

    @Test("nothing is locked while a busy kernel is given time")
    func lockIsFree() throws {
        _ = try quoted(9)
        kernel.fail("write inblob", EBUSY, EBUSY)
        let (kernel, locked) = (kernel, Shared<[Bool]>([]))
        // Each try begins with the provider's name.
        let look: @Sendable () throws -> Int32 = {
            let file = try FileDescriptor(opening: kernel.entry + "/inblob", flags: O_RDONLY)
            let isFree = flock(file.number, LOCK_EX | LOCK_NB) == 0
            locked.edit { $0.append(!isFree) }
            return 0
        }
        kernel.plan("open provider", [look, look, look])
        #expect(try quoted(1) == data(1))
        #expect(locked.value == [false, false, false])
    }

    @Test("a kernel that stays busy is given up on in time, with the number of tries and the last reason")
    func alwaysBusy() throws {
        kernel.plan("write inblob", Array(repeating: { EBUSY }, count: 10_000))
        let error = try failure(within: 100)
        #expect(error.reason.contains("tries") && error.reason.contains("busy"), "\(error)")
    }

    @Test(
        "errors that do not pass are told at once",
        arguments: [
            "mkdir com.intel.dcap", "read provider", "open inblob", "write inblob", "read generation", "read outblob",
        ],
        [EACCES, EIO, ENXIO])
    func lasting(call: String, code: Int32) throws {
        kernel.fail(call, code)
        let error = try failure()
        #expect(error.reason.contains(String(cString: strerror(code))), "\(error)")
        #expect(try quoted(1) == data(1))
    }

    @Test("another provider than TDX is refused by name")
    func otherProvider() throws {
        kernel.set(provider: "sev_guest\n")
        #expect(try failure().reason.contains("sev_guest"))
    }

    @Test("a count that is none, an empty quote, an endless quote and half a write are refused")
    func nonsense() throws {
        _ = try quoted(9)
        for text in ["", "one", "-1", "99999999999999999999999"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: kernel.entry + "/generation"))
            #expect(try failure().reason.contains("decimal"))
        }
        try Data("0".utf8).write(to: URL(fileURLWithPath: kernel.entry + "/generation"))
        for (count, word) in [(0, "empty"), (70_000, "larger")] {
            let kernel = try FakeKernel()
            kernel.set { _ in [UInt8](repeating: 1, count: count) }
            let error = #expect(throws: AttestationError.self) {
                try ConfigFSQuoteProvider(entry: kernel.entry, files: kernel).quote(
                    reportData: data(1), deadline: soon(20_000))
            }
            #expect(error?.reason.contains(word) == true, "\(String(describing: error))")
        }
        kernel.takeOnly(32)
        #expect(try failure().reason.contains("32 of 64"))
    }

    @Test("a kernel that never counts the write is given up on")
    func asleep() throws {
        kernel.sleep()
        #expect(try failure(within: 150).reason.contains("generation"))
    }

    @Test("a lock that somebody keeps is given up on")
    func locked() throws {
        _ = try quoted(9)
        let file = try FileDescriptor(opening: kernel.entry + "/inblob", flags: O_RDONLY)
        #expect(flock(file.number, LOCK_EX) == 0)
        #expect(try failure(within: 100).reason.contains("held"))
        #expect(flock(file.number, LOCK_UN) == 0)
        #expect(try quoted(1) == data(1))
    }
}
