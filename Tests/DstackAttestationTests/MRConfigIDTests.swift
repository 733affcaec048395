import DstackAttestation
import DstackCrypto
import DstackEncoding
import Testing

@Suite("MRCONFIGID")
struct MRConfigIDTests {
    let identity: ApplicationIdentity
    let atBootTime: ApplicationIdentity

    init() throws {
        identity = try ApplicationIdentityTests.identity(ApplicationIdentityTests.boot)
        atBootTime = try ApplicationIdentityTests.identity(ApplicationIdentityTests.boot, at: .bootTime)
    }

    var fullDocument: MRConfigDocument {
        var document = MRConfigDocument(composeHash: identity.composeHash, keyProvider: .kms)
        document.appID = identity.appID
        document.instanceID = identity.instanceID
        document.gpuPolicyHash = identity.gpuPolicyHash
        document.keyProviderID = identity.keyProvider?.id
        document.initScriptHashes = identity.initScriptHashes
        return document
    }

    func pin(_ text: String) -> MRConfigID { .document(MRConfigDocument.hash(text)) }

    @Test("all versions read back from their registers")
    func registers() throws {
        let content = FixedBytes<32>(repeating: 8)
        for id in [.unset, .composeHash(ComposeHash(content)), .keyProvider(content), .document(content)]
            as [MRConfigID]
        {
            #expect(try MRConfigID(id.register) == id)
        }
        #expect(
            MRConfigID.composeHash(ComposeHash(content)).register.hex == "01" + content.hex
                + String(repeating: "0", count: 30))
    }

    @Test("other versions and bytes behind the content are refused")
    func badRegisters() {
        for (index, byte) in [(0, 0), (0, 4), (0, 0xFF), (33, 1), (47, 1)] as [(Int, UInt8)] {
            var register = MRConfigID.composeHash(identity.composeHash).register
            register[index] = byte
            #expect(throws: AttestationError.self) { try MRConfigID(register) }
        }
    }

    @Test("version 1 pins the compose hash")
    func version1() throws {
        try MRConfigID.composeHash(identity.composeHash).check(identity, document: nil)
        #expect(throws: AttestationError.self) {
            try MRConfigID.composeHash(ComposeHash(FixedBytes())).check(identity, document: nil)
        }
        try MRConfigID.unset.check(identity, document: nil)
    }

    @Test("version 2 pins compose hash, application and key provider, or any of the provider's kind")
    func version2() throws {
        let preimage = identity.composeHash.bytes.bytes + identity.appID.bytes.bytes + [2, 0x30, 0x59]
        let pinned = MRConfigID.keyProviderHash(
            composeHash: identity.composeHash, appID: identity.appID, kind: .kms, id: [0x30, 0x59])
        #expect(pinned == Keccak.hash256(preimage))
        try MRConfigID.keyProvider(pinned).check(identity, document: nil)
        for (kind, id, fits) in [
            (.kms, [], true), (.kms, [1], false), (.none, [], false), (.localSGX, [], false), (.tpm, [], false),
        ] as [(KeyProviderInfo.Kind, [UInt8], Bool)] {
            let hash = MRConfigID.keyProviderHash(
                composeHash: identity.composeHash, appID: identity.appID, kind: kind, id: id)
            let passes = (try? MRConfigID.keyProvider(hash).check(identity, document: nil)) != nil
            #expect(passes == fits, "\(kind) \(id)")
        }
        #expect(throws: AttestationError.self) { try MRConfigID.keyProvider(pinned).check(atBootTime, document: nil) }
    }

    @Test("version 3 pins a document's text and what it says")
    func version3() throws {
        let text = fullDocument.canonicalText
        #expect(
            text
                == #"{"app_id":"\#(String(repeating: "01", count: 20))","compose_hash":"\#(String(repeating: "02", count: 32))","#
                + #""gpu_policy_hash":"\#(String(repeating: "05", count: 32))","init_script_hashes":["#
                + #""\#(String(repeating: "03", count: 32))","\#(String(repeating: "04", count: 32))"],"#
                + #""instance_id":"\#(String(repeating: "06", count: 20))","key_provider":"kms","key_provider_id":"3059","version":3}"#
        )
        #expect(try MRConfigDocument(parsing: text) == fullDocument)
        #expect(
            MRConfigDocument.hash(text) == SHA256.hash(Array("dstack-mr-config-v3:".utf8) + [0] + Array(text.utf8)))
        try pin(text).check(identity, document: text)
        try pin(text).check(atBootTime, document: text)
        // The text counts, not what it means.
        #expect(throws: AttestationError.self) { try pin(text).check(identity, document: text + " ") }
        #expect(throws: AttestationError.self) { try pin(text).check(identity, document: nil) }
        let small = MRConfigDocument(composeHash: identity.composeHash, keyProvider: .kms).canonicalText
        try pin(small).check(identity, document: small)
    }

    static let otherPins: [(member: String, edit: @Sendable (inout MRConfigDocument) -> Void)] = [
        ("compose_hash", { $0.composeHash = ComposeHash(FixedBytes()) }),
        ("key_provider", { $0.keyProvider = .tpm }),
        ("app_id", { $0.appID = AppID(FixedBytes()) }),
        ("instance_id", { $0.instanceID = InstanceID(FixedBytes()) }),
        ("gpu_policy_hash", { $0.gpuPolicyHash = FixedBytes() }),
        ("key_provider_id", { $0.keyProviderID = [1] }),
        ("init_script_hashes", { $0.initScriptHashes = [] }),
        ("init_script_hashes", { $0.initScriptHashes?.reverse() }),
    ]

    @Test("a document that pins something else is refused, by the member", arguments: otherPins.indices)
    func pinned(index: Int) {
        let (member, edit) = Self.otherPins[index]
        var document = fullDocument
        edit(&document)
        let text = document.canonicalText
        let error = #expect(throws: AttestationError.self) { try pin(text).check(identity, document: text) }
        #expect(error?.reason.contains("mr_config \(member):") == true)
    }

    @Test(
        "documents with unknown members, other versions or values of other lengths are refused",
        arguments: [
            #"{"compose_hash":"H","key_provider":"kms","x":1}"#,
            #"{"compose_hash":"H","key_provider":"kms","version":2}"#,
            #"{"compose_hash":"00","key_provider":"kms"}"#, #"{"compose_hash":"H","key_provider":"local-sgx"}"#,
            #"{"compose_hash":"H"}"#, #"{"key_provider":"kms"}"#,
            #"{"compose_hash":"H","key_provider":"kms","app_id":"00"}"#,
            #"{"compose_hash":"H","key_provider":"kms","key_provider":"kms"}"#,
            #"{"compose_hash":"H","key_provider":"kms","init_script_hashes":["00"]}"#,
            #"{"compose_hash":"H","key_provider":"kms","init_script_hashes":"H"}"#, "[]", "",
        ])
    func badDocuments(text: String) throws {
        let text = text.replacing("H", with: String(repeating: "02", count: 32))
        #expect(throws: AttestationError.self) { try MRConfigDocument(parsing: text) }
        #expect(throws: AttestationError.self) { try pin(text).check(identity, document: text) }
    }
}
