import DstackKMSService
import DstackSystem
import TestKit
import Testing

@Suite("KMS: password files")
struct PasswordFileTests {
    private static let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

    private func problem(_ text: String) -> String {
        do throws(KMSServiceError) {
            _ = try PasswordFile(parsing: Array(text.utf8), name: "htpasswd")
            return ""
        } catch {
            return error.description
        }
    }

    @Test("what htpasswd writes is read")
    func good() throws {
        let text = "# people\nann:\(Self.hash)\r\n\n\u{FC}nal:\(Self.hash)\nx y:\(Self.hash)"
        #expect(try PasswordFile(parsing: Array(text.utf8), name: "htpasswd").count == 3)
    }

    @Test(
        "what is no bcrypt entry is refused, with its line and without what stands there",
        arguments: [
            // As htpasswd without -B, with -s, -d, -p, -2, -5 writes them; of the faulty implementation; without a scheme.
            "ann:$apr1$abcdefgh$0123456789abcdefghijk/", "ann:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=", "ann:rl.3StKT.4T8M",
            "ann:plain", "ann:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
            "ann:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI68OTLiBFdcbYEdFCoEOfaS35inz1",
            "ann:$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "ann:$2$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx",
            "ann:$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "ann:$2b$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "ann:$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "ann:$2b$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx",
            "ann:$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "ann:\(hash)x", "ann:\(hash):x",
            "ann:\(hash) ", "ann: \(hash)", "ann:$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO!W",
            "ann:", ":\(hash)", "ann", "\(hash)",
        ])
    func bad(line: String) {
        let problem = problem("bob:\(Self.hash)\n\(line)\n")
        #expect(problem.contains("htpasswd:2: "), "\(problem)")
        #expect(!problem.contains("CCCC") && !problem.contains("plain"))
    }

    @Test("a file without entries is refused, and one that has a name twice, since only one of them would count")
    func empty() {
        for text in ["", "\n", "# nobody\n\r\n"] { #expect(problem(text).contains("has no entry")) }
        #expect(problem("ann:\(Self.hash)\nann:\(Self.hash)").contains("htpasswd:2: has a name that stands before"))
    }

    @Test("a file that cannot be read is refused")
    func unreadable() throws {
        let folder = try ScratchDirectory()
        for path in ["/nowhere/htpasswd", folder.path] {
            #expect(throws: KMSServiceError(.invalidConfiguration, "", "")) { try PasswordFile(reading: path) }
        }
    }

    @Test("no damaged file is taken for another one")
    func damaged() {
        let text = Array("ann:\(Self.hash)\n".utf8)
        for count in 0..<(text.count - 1) {
            #expect(throws: KMSServiceError.self) { try PasswordFile(parsing: Array(text[..<count]), name: "x") }
        }
        for place in text.indices {
            for byte in [0x00, 0x0A, 0x3A, 0x80, 0xFF] as [UInt8] where text[place] != byte {
                var damaged = text
                damaged[place] = byte
                // Names may be anything without a colon or a line break; an empty line before one is none.
                let isName = place < 3 && byte != 0x3A && (byte != 0x0A || place == 0)
                let isRead = (try? PasswordFile(parsing: damaged, name: "x")) != nil
                #expect(isRead == isName, "\(place): \(byte)")
            }
        }
    }
}
