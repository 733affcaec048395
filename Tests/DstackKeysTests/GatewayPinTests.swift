import DstackAttestation
import DstackEncoding
import DstackKeys
import Testing

@Suite("The gateway that an application trusts")
struct GatewayPinTests {
    private let app = AppID(FixedBytes<20>(Array(repeating: 0xAB, count: 20)) ?? FixedBytes())
    private let text = String(repeating: "ab", count: 20)

    @Test("is compared by its 20 bytes, in any spelling")
    func bytes() {
        for spelling in [text, "0x" + text, text.uppercased()] {
            #expect(GatewayPin(spelling) == .application(app))
            #expect(GatewayPin(spelling).accepts(app))
            #expect(!GatewayPin(spelling).accepts(AppID(FixedBytes())))
            #expect(!GatewayPin(spelling).accepts(nil))
        }
    }

    @Test("is never one by a part of its id, an empty id, or a text with it somewhere inside")
    func parts() {
        for text in ["", " ", "ab", String(text.dropLast(2)), text + "ab", "x" + text, "any " + text, "ANY", "0x"] {
            #expect(GatewayPin(text) == .none, "\(text)")
            #expect(!GatewayPin(text).accepts(app), "\(text)")
            #expect(!GatewayPin(text).accepts(nil), "\(text)")
        }
    }

    @Test("is any where whoever decides says so in that very word")
    func any() {
        #expect(GatewayPin("any").accepts(app))
        #expect(GatewayPin("any").accepts(nil))
    }
}
