import DstackAttestation
import DstackGuest
import DstackKeys
import DstackSystem
import Glibc
import Testing

@Suite("Errors of modules")
struct ModuleErrorTests {
    @Test("an error reads as subject, reason and what to do, and is equal by code")
    func text() {
        func check<Failure: ModuleError & Equatable & CustomStringConvertible>(
            _ make: (Failure.Code, String, String, String) -> Failure, _ code: Failure.Code, _ other: Failure.Code
        ) {
            let error = make(code, "app-compose.json", "not there", "write one")
            #expect("\(error)" == "app-compose.json: not there (write one)")
            #expect("\(make(code, "a", "b", ""))" == "a: b")
            #expect(error == make(code, "x", "y", ""))
            #expect(error != make(other, "app-compose.json", "not there", "write one"))
        }
        check({ GuestError($0, subject: $1, reason: $2, hint: $3) }, .invalidFile, .invalidRequest)
        check({ KeysError($0, subject: $1, reason: $2, hint: $3) }, .storage, .invalidKey)
        check({ AttestationError($0, subject: $1, reason: $2, hint: $3) }, .invalidQuote, .collateralBusy)
    }

    @Test("what was given wrong ends a program with 2, and a world that fails with 3")
    func statuses() {
        func status(_ error: some ModuleError) -> DstackSystem.ExitStatus { error.exitStatus }
        #expect(status(GuestError(.invalidConfiguration, subject: "", reason: "")) == .wrongRequest)
        #expect(status(GuestError(.systemUnavailable, subject: "", reason: "")) == .worldFailed)
        #expect(status(KeysError(.invalidKeyFile, subject: "", reason: "")) == .wrongRequest)
        #expect(status(KeysError(.storage, subject: "", reason: "")) == .worldFailed)
        #expect(status(AttestationError(.invalidPolicy, subject: "", reason: "")) == .wrongRequest)
        #expect(status(AttestationError(.measurementTooLarge, subject: "", reason: "")) == .wrongRequest)
        #expect(status(AttestationError(.quoteUnavailable, subject: "", reason: "")) == .worldFailed)
        #expect(status(AttestationError(.collateralUnavailable, subject: "", reason: "")) == .worldFailed)
    }

    @Test("a disk that is full or fails is the world's failure, and a file that is not there the request's")
    func disk() {
        for code in [ENOSPC, EDQUOT, EIO] {
            let error = GuestError(.invalidFile, SystemError("write", "keys", code: code), "directory")
            #expect(error.code == .systemUnavailable && error.exitStatus == .worldFailed && error.subject == "keys")
        }
        for code in [ENOENT, EACCES, EISDIR] {
            let error = GuestError(.invalidFile, SystemError("open", code: code), "directory")
            #expect(error.code == .invalidFile && error.exitStatus == .wrongRequest && error.subject == "directory")
        }
    }
}
