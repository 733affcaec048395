import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeyProvider
import TestKit
import Testing

@Suite("Messages of local key providers")
struct LocalKeyProviderTests {
    private static let response = SealingKeyResponse(
        encryptedKey: (0..<80).map { $0 }, providerQuote: [0, 9, 10, 99, 100, 255])

    @Test("frames and messages equal the vectors", .needsVectors("keys/sealed-box.json"))
    func frames() throws {
        let frames = try Vectors.object("keys/sealed-box.json").row("frames")
        let request = SealingKeyRequest(quote: try frames.bytes("quote"))
        let response = SealingKeyResponse(
            encryptedKey: try frames.bytes("encrypted_key"), providerQuote: try frames.bytes("provider_quote"))
        #expect(try Hex.encode(SealingKeyFrame.encode(request.json)) == frames.text("request"))
        #expect(try Hex.encode(SealingKeyFrame.encode(response.json)) == frames.text("response"))
        for (name, count) in [("request", request.json.count), ("response", response.json.count)] {
            let frame = try frames.bytes(name)
            #expect(try SealingKeyFrame.byteCount(prefix: Array(frame.prefix(4))) == count)
            #expect(frame.count == 4 + count)
        }
        #expect(try SealingKeyRequest(json: Array(frames.bytes("request").dropFirst(4))) == request)
        #expect(try SealingKeyResponse(json: Array(frames.bytes("response").dropFirst(4))) == response)
        let data = SealingKeyExchange.reportData(of: response.encryptedKey)
        #expect(try data.hex == frames.text("provider_report_data"))
    }

    @Test("what providers derive, from which part of a quote", .needsVectors("keys/sealed-box.json"))
    func derivation() throws {
        for row in try Vectors.object("keys/sealed-box.json").rows("local_key_provider_key") {
            // A header of 48 bytes and the report of a trust domain; nothing behind them is a quote's.
            let quote = try row.bytes("td_quote_prefix")
            let report = Array(quote[48..<(48 + 584)])
            #expect(try Hex.encode(quote[28..<44]) == row.text("qe_id"))
            // MRTD, the four registers, report data: their places in the report (Intel TDX DCAP quoting, appendix A.3.2).
            let measurements = Array(report[136..<184]) + Array(report[328..<520])
            #expect(try Hex.encode(measurements) == row.text("measurements_240"))
            #expect(try SHA256.hash(row.bytes("sgx_sealing_key") + measurements).hex == row.text("key"))
            #expect(try Hex.encode(report[520..<552]) == row.text("recipient_public"))
        }
    }

    @Test("frames are bounded on both ends")
    func bounds() throws {
        #expect(try SealingKeyFrame.byteCount(prefix: [0, 0x80, 0, 0]) == 8 << 20)
        #expect(try SealingKeyFrame.byteCount(prefix: [0, 0, 0, 1]) == 1)
        for prefix in [[0, 0x80, 0, 1], [0, 0, 0, 0], [0xFF, 0, 0, 0], [], [0, 0, 1], [0, 0, 0, 0, 1]] as [[UInt8]] {
            #expect(throws: KeyProviderError(.malformed, "", "")) { try SealingKeyFrame.byteCount(prefix: prefix) }
        }
        #expect(throws: KeyProviderError(.malformed, "", "")) { try SealingKeyFrame.encode([]) }
        #expect(throws: KeyProviderError(.malformed, "", "")) {
            try SealingKeyFrame.encode([UInt8](repeating: 0, count: 8 << 20 + 1))
        }
    }

    @Test(
        "an answer of another form is refused",
        arguments: [
            "", "{}", "[]", "null", #"{"encrypted_key":[1]}"#, #"{"provider_quote":[1]}"#,
            #"{"encrypted_key":[],"provider_quote":[1]}"#, #"{"encrypted_key":[1],"provider_quote":[]}"#,
            #"{"encrypted_key":[256],"provider_quote":[1]}"#, #"{"encrypted_key":[-1],"provider_quote":[1]}"#,
            #"{"encrypted_key":[1.5],"provider_quote":[1]}"#, #"{"encrypted_key":["1"],"provider_quote":[1]}"#,
            #"{"encrypted_key":"01","provider_quote":[1]}"#, #"{"encrypted_key":[[1]],"provider_quote":[1]}"#,
            #"{"encrypted_key":[1],"encrypted_key":[1],"provider_quote":[1]}"#,
            #"{"encrypted_key":[01],"provider_quote":[1]}"#, #"{"encrypted_key":[1000],"provider_quote":[1]}"#,
            #"{"encrypted_key":[1e1],"provider_quote":[1]}"#, #"{"encrypted_key":[1 2],"provider_quote":[1]}"#,
            #"{"encrypted_key":[1],"provider_quote":[1],"x":[1]}"#, #"{"encrypted_key":[1],"provider_quote":[1],}"#,
            #"{"\u0065ncrypted_key":[1],"provider_quote":[1]}"#, #"{"encrypted_key":[1]"provider_quote":[1]}"#,
            #"{"encrypted_key":[1],"provider_quote":[1]} "x""#, #"{"encrypted_key":null,"provider_quote":[1]}"#,
            #"{"encrypted_key":[1,],"provider_quote":[1]}"#, #"{"encrypted_key":[1],"provider_quote":[1]"#,
        ])
    func refused(text: String) {
        #expect(throws: KeyProviderError(.malformed, "", "")) { try SealingKeyResponse(json: Array(text.utf8)) }
    }

    @Test("members come in any order, with space between")
    func spaced() throws {
        let text = " {\n\t\"provider_quote\" : [ 1 , 255 ] ,\r\n \"encrypted_key\":[0] } \n"
        let expected = SealingKeyResponse(encryptedKey: [0], providerQuote: [1, 255])
        #expect(try SealingKeyResponse(json: Array(text.utf8)) == expected)
    }

    @Test("more bytes than a quote has are not kept")
    func large() throws {
        let limit = SealingKeyResponse.maximumQuoteBytes
        var response = SealingKeyResponse(encryptedKey: [1], providerQuote: [UInt8](repeating: 1, count: limit))
        #expect(try SealingKeyResponse(json: response.json) == response)
        response.providerQuote.append(1)
        #expect(throws: KeyProviderError(.malformed, "", "")) { try SealingKeyResponse(json: response.json) }
        response.providerQuote = [UInt8](repeating: 1, count: 3 << 20)
        #expect(throws: KeyProviderError(.malformed, "", "")) { try SealingKeyResponse(json: response.json) }
        let request = SealingKeyRequest(quote: [UInt8](repeating: 7, count: SealingKeyRequest.maximumQuoteBytes))
        #expect(try SealingKeyRequest(json: request.json) == request)
    }

    @Test("an answer cut off anywhere is refused")
    func truncated() {
        let json = Self.response.json
        for count in 0..<json.count {
            #expect(throws: KeyProviderError(.malformed, "", ""), "\(count)") {
                try SealingKeyResponse(json: Array(json.prefix(count)))
            }
        }
    }

    @Test("a damaged answer is refused, or read as what it says")
    func mutations() throws {
        var state: UInt64 = 5
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let json = Self.response.json
        var read = 0
        for _ in 0..<5000 {
            var damaged = json
            for _ in 0...random(3) {
                let place = random(damaged.count)
                switch random(4) {
                case 0: damaged.remove(at: place)
                case 1: damaged.insert(Array("0123456789,[]{}\":- e.".utf8)[random(21)], at: place)
                default: damaged[place] = UInt8(random(256))
                }
            }
            do throws(KeyProviderError) {
                let response = try SealingKeyResponse(json: damaged)
                read += 1
                // It can be written again, and is then the same.
                let again = try SealingKeyResponse(json: response.json)
                #expect(again == response)
            } catch {
                #expect(error.code == .malformed)
            }
        }
        #expect(read > 50)
    }
}
