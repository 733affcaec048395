import DstackGuest
import DstackSystem
import Glibc
import Testing

@Suite("Errors of the guest")
struct GuestErrorTests {
    @Test("an error reads as subject, reason and what to do, and is equal by code")
    func text() {
        let error = GuestError(.invalidFile, subject: "app-compose.json", reason: "not there", hint: "write one")
        #expect("\(error)" == "app-compose.json: not there (write one)")
        #expect(error == GuestError(.invalidFile, subject: "x", reason: "y"))
        #expect(error != GuestError(.invalidRequest, subject: "app-compose.json", reason: "not there"))
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
