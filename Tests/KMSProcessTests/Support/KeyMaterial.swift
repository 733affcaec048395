import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Secrets, and every spelling in which one of them might have got out.
struct KeyMaterial {
    private var spellings: [(name: String, bytes: Data)] = []

    /// What no service may ever write down or tell whom it refuses.
    init(of service: KMSProcess) throws {
        let roots = try service.roots()
        add("the root CA's key", roots.caKey.scalar.copiedToUnprotectedMemory())
        add("the root key", roots.key.scalar.copiedToUnprotectedMemory())
        let app = service.host.app
        for epoch in [KeyEpoch(0), KeyEpoch(1), KeyEpoch(2)] {
            add("the application's CA key", try roots.appCAKey(app.appID, epoch: epoch).scalar)
            add("the disk's key", try roots.diskKey(app.appID, instance: app.instanceID, epoch: epoch))
            add("the environment's key", try roots.environmentKey(app.appID, epoch: epoch).secret)
            add("the application's key", try roots.appRootKey(app.appID, epoch: epoch).key.scalar)
        }
        for name in ["rpc.key"] {
            let pem = [UInt8](try Data(contentsOf: URL(fileURLWithPath: service.directory + "/" + name)))
            add("the key of \(name)", try P256.PrivateKey(pem: pem.span.bytes).scalar)
        }
    }

    private mutating func add(_ name: String, _ secret: borrowing SecretBytes) {
        add(name, secret.copiedToUnprotectedMemory())
    }

    private mutating func add(_ name: String, _ bytes: [UInt8]) {
        var texts = [Hex.encode(bytes), Hex.encode(bytes).uppercased(), "\(bytes)"]
        // As a part of something longer that is encoded, in each of the three ways to lie in groups of three bytes; the
        // characters at both ends have bits of what is beside.
        for offset in 0..<3 {
            let whole = Base64.encode([UInt8](repeating: 0, count: offset) + bytes)
            texts.append(String(whole.dropFirst(offset == 0 ? 0 : 4).dropLast(4)))
        }
        spellings += texts.map { (name, Data($0.utf8)) } + [(name, Data(bytes))]
    }

    /// Which of them stand in something, in whatever spelling.
    func found(in bytes: some Sequence<UInt8>) -> Set<String> {
        // PEM breaks lines, JSON spells the breaks.
        let whole = Data(bytes)
        let joined = Data(
            String(decoding: whole, as: UTF8.self).replacing("\\n", with: "").filter { !$0.isNewline }.utf8)
        return Set(
            spellings.filter { whole.range(of: $0.bytes) != nil || joined.range(of: $0.bytes) != nil }.map(\.name))
    }

    /// Expects that none stands in something.
    func expectAbsent(
        in place: String, _ bytes: some Sequence<UInt8>, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(found(in: bytes).isEmpty, "in \(place)", sourceLocation: sourceLocation)
    }

    func expectAbsent(in place: String, _ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        expectAbsent(in: place, text.utf8, sourceLocation: sourceLocation)
    }

    /// Expects that none stands in what a service has written: its output, its store, and its files but those of keys.
    func expectAbsent(fromAllOf service: KMSProcess, sourceLocation: SourceLocation = #_sourceLocation) throws {
        expectAbsent(in: "the output", service.written, sourceLocation: sourceLocation)
        let files = try #require(FileManager.default.enumerator(atPath: service.scratch.path))
        for case let name as String in files where !name.hasSuffix(".key") {
            guard let bytes = FileManager.default.contents(atPath: service.scratch.path(name)) else { continue }
            expectAbsent(in: name, bytes, sourceLocation: sourceLocation)
        }
    }
}
