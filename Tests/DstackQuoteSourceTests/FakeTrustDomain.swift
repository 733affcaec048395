import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit

/// A simulated trust domain as its kernel sees it: gives TDREPORTs and extends registers.
final class FakeTrustDomain: TDXDevice {
    let platform: MockPlatform
    let image: MockImage
    private let domain: Mutex<MockTrustDomain>
    /// Called before each extension.
    let onExtend = Mutex<(@Sendable () throws -> Void)?>(nil)
    /// Whether reports have other report data than was asked for.
    let answersWrongly = Mutex(false)

    init() throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x33))
        image = try MockImage()
        var domain = MockTrustDomain(on: platform)
        domain.mrTd = image.mrTd
        for event in image.bootLog.events {
            if let digest = event.digest { try domain.extend(Int(event.register.rawValue), with: digest) }
        }
        self.domain = Mutex(domain)
    }

    var registers: [Measurement384] { domain.withLock { $0.registers } }
    var rtmr3: Measurement384 { registers[3] }

    func extend(_ register: RTMR, with digest: Measurement384) throws(AttestationError) {
        do {
            try onExtend.withLock { $0 }?()
            try domain.withLock { try $0.extend(Int(register.rawValue), with: digest) }
        } catch {
            throw AttestationError(.measurementFailed, subject: "fake device", reason: "\(error)")
        }
    }

    func report(reportData: ReportData) throws(AttestationError) -> [UInt8] {
        let report = domain.withLock { $0 }.report(reportData: reportData.bytes).tdReport ?? TDReport()
        var writer = ByteWriter()
        writer.append([0x81, 0, 0, 0])
        writer.zeros(124)
        writer.fixed(answersWrongly.withLock { $0 } ? FixedBytes(repeating: 0xEE) : reportData.bytes)
        writer.zeros(512 - 192)
        writer.fixed(report.tdAttributes)
        writer.fixed(report.xfam)
        for register in [report.mrTd, report.mrConfigId, report.mrOwner, report.mrOwnerConfig] {
            writer.fixed(register)
        }
        for register in [report.rtMr0, report.rtMr1, report.rtMr2, report.rtMr3] { writer.fixed(register) }
        writer.zeros(1024 - writer.bytes.count)
        return writer.bytes
    }

    /// What the platform's quoting enclave signs.
    func quote(_ reportData: [UInt8]) throws -> [UInt8] {
        try domain.withLock { $0 }.quote(reportData: reportData)
    }

    /// The firmware's log of this boot, binary.
    var ccel: [UInt8] {
        let entries = image.bootLog.events.map { event in
            TCGEventLog.Entry(
                registerIndex: UInt32(event.register.rawValue) + 1, type: event.type,
                digests: [event.digest.flatMap { TCGEventLog.Digest(.sha384, $0.bytes) }].compactMap { $0 },
                data: event.payload)
        }
        return TCGEventLog(
            header: TCGEventLog.Header(), entries: entries, unused: [UInt8](repeating: 0xFF, count: 64)
        ).encoded
    }
}

/// A kernel with configfs-tsm and the registers' files. The tree is in a temporary directory; a thread plays the driver,
/// which takes report data when a descriptor that wrote it is closed, as configfs does.
final class FakeKernel: PseudoFiles {
    let folder: ScratchDirectory
    let domain: FakeTrustDomain
    private let state = Mutex(State())

    private struct State {
        var hooks: [String: [@Sendable () throws -> Int32]] = [:]
        var isDriverAsleep = false
        var provider = "tdx_guest\n"
        var quoter: (@Sendable ([UInt8]) throws -> [UInt8])?
        var takesPart: Int?
    }

    init() throws {
        folder = try ScratchDirectory()
        domain = try FakeTrustDomain()
        try FileManager.default.createDirectory(
            atPath: folder.path("report"), withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            atPath: folder.path("measurements"), withIntermediateDirectories: true)
        try publishRegister()
    }

    var entry: String { folder.path("report/com.intel.dcap") }
    var register: String { folder.path("measurements/rtmr3:sha384") }

    func set(provider: String) { state.withLock { $0.provider = provider } }
    func sleep() { state.withLock { $0.isDriverAsleep = true } }
    func set(quoter: @escaping @Sendable ([UInt8]) throws -> [UInt8]) { state.withLock { $0.quoter = quoter } }
    func takeOnly(_ count: Int) { state.withLock { $0.takesPart = count } }

    /// What happens at the next calls of a kind on a file: `write inblob`. 0 lets the call go on.
    func plan(_ call: String, _ actions: [@Sendable () throws -> Int32]) {
        state.withLock { $0.hooks[call, default: []] += actions }
    }

    func fail(_ call: String, _ codes: Int32...) { plan(call, codes.map { code in { code } }) }

    private func check(_ call: String, _ path: String) throws(SystemError) {
        let name = "\(call) \(path.split(separator: "/").last ?? "")"
        let action = state.withLock { state in
            state.hooks[name].flatMap { $0.isEmpty ? nil : $0 }.map { hooks in
                state.hooks[name] = Array(hooks.dropFirst())
                return hooks[0]
            }
        }
        let code: Int32
        do {
            code = try action?() ?? 0
        } catch {
            code = EIO
        }
        if code != 0 { throw SystemError(call, path, code: code) }
    }

    // MARK: Calls

    func makeDirectory(_ path: String) throws(SystemError) {
        try check("mkdir", path)
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .last("make", path) }
        // The kernel populates a request's directory before mkdir returns.
        do {
            let provider = state.withLock { $0.provider }
            for (name, text) in [("provider", provider), ("generation", "0\n"), ("inblob", ""), ("outblob", "")] {
                try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/" + name))
            }
        } catch {
            throw SystemError("populate", path, code: EIO)
        }
        startDriver(path)
    }

    func open(_ path: String, flags: Int32) throws(SystemError) -> FileDescriptor {
        try check("open", path)
        return try FileDescriptor(opening: path, flags: flags)
    }

    func write(_ bytes: [UInt8], to file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> Int {
        try check("write", path)
        if path == register {
            do {
                guard let digest = Measurement384(bytes) else { throw SystemError("write to", path, code: EINVAL) }
                try domain.extend(.rtmr3, with: digest)
                try publishRegister()
            } catch {
                throw SystemError("write to", path, code: EIO)
            }
            try check("after write", path)
            return bytes.count
        }
        let part = state.withLock { $0.takesPart } ?? bytes.count
        return bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, min(part, $0.count)) }
    }

    func read(_ count: Int, from file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> [UInt8] {
        try check("read", path)
        var buffer = [UInt8](repeating: 0, count: count)
        let done = buffer.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress, $0.count) }
        guard done >= 0 else { throw .last("read", path) }
        return Array(buffer.prefix(done))
    }

    private func publishRegister() throws {
        try Data(domain.rtmr3.bytes).write(to: URL(fileURLWithPath: register))
    }

    /// A process that follows no rules: writes report data without taking the lock, and waits until it counts.
    func writeRudely(_ byte: UInt8) throws {
        let before = generation
        let file = try FileDescriptor(opening: entry + "/inblob", flags: O_WRONLY)
        try file.writeAll([UInt8](repeating: byte, count: 64).span.bytes)
        try file.closeReporting()
        while generation == before { usleep(1000) }
    }

    var generation: Int {
        let text = (try? String(contentsOfFile: entry + "/generation", encoding: .utf8)) ?? ""
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? -1
    }

    // MARK: Driver

    private func startDriver(_ entry: String) {
        let watch = inotify_init1(Int32(IN_CLOEXEC))
        inotify_add_watch(watch, entry + "/inblob", UInt32(IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE_SELF))
        let thread = Thread { [weak self] in
            defer { close(watch) }
            var generation = 0
            var isModified = false
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                var request = pollfd(fd: watch, events: Int16(POLLIN), revents: 0)
                let status = poll(&request, 1, 200)
                guard let self else { return }
                guard status > 0 else { continue }
                let count = Glibc.read(watch, &buffer, buffer.count)
                var position = 0
                while position + 16 <= count {
                    let event = buffer[position..<(position + 16)]
                    let start = event.startIndex
                    let mask = event[(start + 4)..<(start + 8)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
                    let length = event[(start + 12)..<(start + 16)].reversed().reduce(0) { $0 << 8 | Int($1) }
                    position += 16 + length
                    if mask & UInt32(IN_DELETE_SELF | IN_IGNORED) != 0 { return }
                    if mask & UInt32(IN_MODIFY) != 0 { isModified = true }
                    // A descriptor that is closed without having written, such as the one with the lock, counts nothing.
                    guard mask & UInt32(IN_CLOSE_WRITE) != 0, isModified else { continue }
                    isModified = false
                    generation += 1
                    self.take(entry, generation)
                }
            }
        }
        thread.start()
    }

    private func take(_ entry: String, _ generation: Int) {
        let (isAsleep, quoter) = state.withLock { ($0.isDriverAsleep, $0.quoter) }
        guard !isAsleep, let data = FileManager.default.contents(atPath: entry + "/inblob") else { return }
        let quote = (try? quoter?([UInt8](data)) ?? domain.quote([UInt8](data))) ?? []
        try? Data(quote).write(to: URL(fileURLWithPath: entry + "/outblob"), options: .atomic)
        try? Data("\(generation)\n".utf8).write(to: URL(fileURLWithPath: entry + "/generation"), options: .atomic)
    }
}

func soon(_ milliseconds: Int) -> ContinuousClock.Instant { .now + .milliseconds(milliseconds) }
