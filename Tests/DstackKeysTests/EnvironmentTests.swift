import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Encrypted environments")
struct EnvironmentTests {
    private func file() throws -> [String: Any] { try Vectors.object("keys/env-encryption.json") }

    private func decode(_ text: String, allowed: Set<String>) throws -> EnvironmentVariables {
        let bytes = Array(text.utf8)
        return try EnvironmentVariables(decoding: bytes.span.bytes, allowed: allowed)
    }

    private func values(_ environment: EnvironmentVariables) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: environment.variables.map {
                ($0.name, String(decoding: $0.value.copiedToUnprotectedMemory(), as: UTF8.self))
            })
    }

    private func seal(_ text: String, _ row: [String: Any]) throws -> [UInt8] {
        let recipient = try X25519.PublicKey(row.fixed("recipient_public"))
        let ephemeral = try X25519.PrivateKey(secret(row.text("ephemeral_secret")))
        #expect(try ephemeral.sharedSecret(with: recipient).hexForTest() == row.text("shared"))
        let bytes = Array(text.utf8)
        return try EncryptedEnvironment.seal(
            bytes.span.bytes, to: recipient, ephemeral: ephemeral, nonce: row.fixed("iv"))
    }

    private func open(_ row: [String: Any], _ name: String = "recipient_secret") throws -> String {
        let key = try X25519.PrivateKey(secret(row.text(name)))
        let text = try EncryptedEnvironment.open(row.bytes("sealed"), with: key)
        return String(decoding: text.copiedToUnprotectedMemory(), as: UTF8.self)
    }

    @Test("environments of all SDKs are opened, read and made", .needsVectors("keys/env-encryption.json"))
    func vectors() throws {
        for row in try file().rows("cases") {
            let text = try row.text("plaintext_utf8")
            #expect(try open(row) == text)
            #expect(try Hex.encode(seal(text, row)) == row.text("sealed"))
            let ephemeral = try X25519.PrivateKey(secret(row.text("ephemeral_secret")))
            #expect(try ephemeral.publicKey.bytes.hex == row.text("ephemeral_public"))
            let recipient = try X25519.PrivateKey(secret(row.text("recipient_secret")))
            #expect(try recipient.publicKey.bytes.hex == row.text("recipient_public"))
            var expected: [String: String] = [:]
            let variables = try row.rows("envs").map { (name: try $0.text("key"), value: try $0.text("value")) }
            for (name, value) in variables { expected[name] = value }
            #expect(try values(decode(text, allowed: Set(expected.keys))) == expected)
            // Python leaves spaces between, and escapes what JavaScript writes as it is.
            let isPython = try row.text("style") == "python"
            #expect(text.contains("\"env\": [") == isPython)
            let written = EnvironmentVariables.encode(
                variables.map { ($0.name, SharedSecret(copying: Array($0.value.utf8).span.bytes)) })
            let again = String(decoding: written.copiedToUnprotectedMemory(), as: UTF8.self)
            #expect(try values(decode(again, allowed: Set(expected.keys))) == expected)
            if !isPython { #expect(again.replacing("\\u0009", with: "\\t") == text) }
        }
        let known = try file().row("upstream_known_answer")
        #expect(try open(known, "secret") == known.text("plaintext_utf8"))
        let published = try file().row("to_sdk_test_key")
        let text = #"{"env":[{"key":"TEST","value":"value"}]}"#
        #expect(try Hex.encode(seal(text, published)) == published.text("sealed"))
    }

    @Test("what was changed, cut or made for everyone is refused", .needsVectors("keys/env-encryption.json"))
    func mustFail() throws {
        for row in try file().rows("must_fail") {
            #expect(throws: KeysError.self, "\(row["why"] ?? "")") { try open(row) }
        }
        let text: [UInt8] = Array("{\"env\":[]}".utf8)
        #expect(throws: KeysError(.invalidKey, subject: "", reason: "")) {
            try EncryptedEnvironment.seal(text.span.bytes, to: X25519.PublicKey(FixedBytes()))
        }
    }

    @Test("an environment opens for its application alone, and not after any change")
    func roundTrip() throws {
        let key = X25519.PrivateKey()
        let text: [UInt8] = Array("{\"env\":[]}".utf8)
        let sealed = try EncryptedEnvironment.seal(text.span.bytes, to: key.publicKey)
        #expect(try EncryptedEnvironment.open(sealed, with: key).copiedToUnprotectedMemory() == text)
        let other = X25519.PrivateKey()
        #expect(throws: KeysError(.notAuthentic, subject: "", reason: "")) {
            _ = try EncryptedEnvironment.open(sealed, with: other)
        }
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            // X25519 ignores the highest bit of a point (RFC 7748 section 5).
            if index == 31 { changed[index] ^= 3 }
            #expect(throws: KeysError(.notAuthentic, subject: "", reason: ""), "\(index)") {
                _ = try EncryptedEnvironment.open(changed, with: key)
            }
        }
        for count in 0..<sealed.count {
            let cut = Array(sealed.prefix(count))
            #expect(throws: KeysError.self) { _ = try EncryptedEnvironment.open(cut, with: key) }
        }
        let long = [UInt8](repeating: 9, count: EncryptedEnvironment.maximumByteCount + 1)
        #expect(throws: KeysError(.invalidEnvironment, subject: "", reason: "")) {
            _ = try EncryptedEnvironment.open(long, with: key)
        }
    }

    @Test("only what the compose file allows is kept", .needsVectors("keys/env-encryption.json"))
    func filter() throws {
        let filter = try file().row("filter")
        #expect(try filter.number("max_items") == UInt64(EnvironmentVariables.maximumCount))
        #expect(try filter.number("max_name_bytes") == UInt64(EnvironmentVariables.maximumNameBytes))
        #expect(try filter.number("max_value_bytes") == UInt64(EnvironmentVariables.maximumValueBytes))
        #expect(try filter.number("max_total_bytes") == UInt64(EnvironmentVariables.maximumTotalBytes))
        let pattern = try filter.text("name_pattern")
        #expect(pattern == "^[a-zA-Z_][a-zA-Z0-9_]*$")
        for row in try filter.rows("cases") {
            let variables = try row.rows("envs").map {
                "{\"key\":\"\(try $0.text("key"))\",\"value\":\"\(try $0.text("value"))\"}"
            }
            let text = "{\"env\":[\(variables.joined(separator: ","))]}"
            let kept = try #require(row["kept"] as? [String: String])
            #expect(try values(decode(text, allowed: Set(row.texts("allowed")))) == kept)
        }
    }

    private func variable(_ name: String, _ value: String = "") -> String {
        "{\"key\":\"\(name)\",\"value\":\"\(value)\"}"
    }

    private func text(_ variables: [String]) -> String { "{\"env\":[\(variables.joined(separator: ","))]}" }

    @Test("variables come in the order of their names, the last of each")
    func order() throws {
        let all = text([variable("b", "1"), variable("a", "2"), variable("B", "3"), variable("b", "4"), variable("_1")])
        let read = try decode(all, allowed: ["a", "b", "B", "_1"])
        #expect(read.variables.map(\.name) == ["B", "_1", "a", "b"])
        #expect(values(read)["b"] == "4")
    }

    @Test(
        "an allowed variable that no environment can have is refused; one that is not allowed is left out",
        arguments: ["", "1", "a-b", "a b", "a=b", "é", "a\\u0000", "a\\n", String(repeating: "a", count: 256)])
    func names(name: String) throws {
        let spelled = name.replacing("\\u0000", with: "\0").replacing("\\n", with: "\n")
        #expect(throws: KeysError(.invalidEnvironment, subject: "", reason: "")) {
            try decode(text([variable(name)]), allowed: [spelled])
        }
        #expect(try decode(text([variable(name)]), allowed: ["a"]).variables.isEmpty)
    }

    @Test("numbers and sizes are bounded")
    func bounds() throws {
        func isRead(_ variables: [String], allowed: Set<String>) -> Bool {
            (try? decode(text(variables), allowed: allowed)) != nil
        }
        let value = String(repeating: "v", count: 128 << 10)
        #expect(isRead([variable("a", value)], allowed: ["a"]))
        #expect(!isRead([variable("a", value + "v")], allowed: ["a"]))
        #expect(isRead([variable("a", value + "v")], allowed: []))
        let many = (0..<1025).map { variable("a\($0)") }
        #expect(isRead(Array(many.prefix(1024)), allowed: []))
        #expect(!isRead(many, allowed: []))
        let names = (0..<8).map { "a\($0)" }
        #expect(!isRead(names.map { variable($0, value) }, allowed: Set(names)))
        #expect(isRead(names.prefix(7).map { variable($0, value) }, allowed: Set(names)))
    }

    @Test(
        "a text of another form is refused",
        arguments: [
            "", "[]", "{}", "null", #"{"env":{}}"#, #"{"env":null}"#, #"{"env":[1]}"#, #"{"env":[{"key":"a"}]}"#,
            #"{"env":[{"value":"a"}]}"#, #"{"env":[{"key":"a","value":1}]}"#, #"{"env":[{"key":"a","value":null}]}"#,
            #"{"env":[{"key":"a","value":"b"}]"#, #"{"env":[{"key":"a","value":"\ud800"}]}"#, #"{"env":[],"env":[]}"#,
            #"[{"key":"","value":""}]"#,
        ])
    func malformed(text: String) {
        let error = #expect(throws: KeysError.self) { try decode(text, allowed: ["a"]) }
        #expect(error?.code == .invalidEnvironment)
    }

    @Test("escapes become what they mean, in values of every kind")
    func escapes() throws {
        let text = #"{"env":[{"key":"\u0061","value":"\u00e9\u4e16\ud83c\udf0d\"\\\/\b\f\n\r\t\u0000é世🌍"}]}"#
        let expected = "é世🌍\"\\/\u{8}\u{C}\n\r\t\0é世🌍"
        #expect(try values(decode(text, allowed: ["a"])) == ["a": expected])
    }

    @Test("damaged texts are refused or read, and no refusal shows a value")
    func mutations() throws {
        var random = SeededGenerator(seed: 3)
        let original = Array(text([variable("a", "hidden-value"), variable("b", "\\u00e9hidden-value")]).utf8)
        var read = 0
        for _ in SeededGenerator.rounds(3000) {
            let damaged = random.mutated(original)
            do throws(KeysError) {
                _ = try EnvironmentVariables(decoding: damaged.span.bytes, allowed: ["a", "b"])
                read += 1
            } catch {
                #expect(error.code == .invalidEnvironment)
                #expect(!error.description.contains("hidden"))
            }
        }
        #expect(read > 100)
    }
}
