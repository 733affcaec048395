import DstackGuest
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
}
