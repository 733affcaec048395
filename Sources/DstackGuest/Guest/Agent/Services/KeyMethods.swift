import DstackCrypto
import DstackKeys
import DstackRPC
import DstackRPCServer
import DstackSystem

/// Keys, signatures and certificates, as the methods ask for them.
extension GuestAgent {
    /// The key of a path, from the cache if it was asked for before.
    func key(_ request: AgentRPC.GetKeyArgs, _ call: RPCCall) throws -> KeyAnswer {
        let lookup = try keyRequest(request, call)
        if let answer = cachedKey(lookup, call) { return answer }
        let key = try files.keys.rootKey.derivedKey(
            path: request.path, purpose: request.purpose, algorithm: lookup.algorithm)
        return kept(KeyAnswer(key, path: request.path), lookup, call)
    }

    /// The same if it is in the cache.
    func cachedKey(_ request: AgentRPC.GetKeyArgs, _ call: RPCCall) throws -> KeyAnswer? {
        cachedKey(try keyRequest(request, call), call)
    }

    private func keyRequest(_ request: AgentRPC.GetKeyArgs, _ call: RPCCall) throws(RPCError) -> KeyCache.Request {
        try checkAccess(call, path: request.path)
        try checkSigner(call, path: request.path, purpose: request.purpose)
        guard let algorithm = KeyAlgorithm(label: request.algorithm) else { throw RPCError("Unsupported algorithm") }
        return KeyCache.Request(
            derivation: .path(purpose: request.purpose), name: request.path, algorithm: algorithm)
    }

    func key(_ request: AgentRPCv1.GetKeyArgs, _ call: RPCCall) throws -> KeyAnswer {
        let lookup = try keyRequest(request, call)
        if let answer = cachedKey(lookup, call) { return answer }
        let key = try files.keys.rootKey.derivedKey(domain: request.domain, algorithm: lookup.algorithm)
        return kept(KeyAnswer(key, path: request.domain), lookup, call)
    }

    func cachedKey(_ request: AgentRPCv1.GetKeyArgs, _ call: RPCCall) throws -> KeyAnswer? {
        cachedKey(try keyRequest(request, call), call)
    }

    private func keyRequest(_ request: AgentRPCv1.GetKeyArgs, _ call: RPCCall) throws(RPCError) -> KeyCache.Request {
        try checkAccess(call, path: request.domain)
        // Neither aliases nor a default: the name is part of the derivation.
        guard let algorithm = KeyAlgorithm(rawValue: request.algorithm) else {
            throw RPCError("Unsupported algorithm")
        }
        return KeyCache.Request(derivation: .domain, name: request.domain, algorithm: algorithm)
    }

    /// Who is refused leaves in the log for what; other calls note their path with the answer, whose label is kept.
    private func checkAccess(_ call: RPCCall, path: String) throws(RPCError) {
        do {
            try settings.access?.check(call, path: path)
        } catch {
            call.note(KeyAnswer.label(path))
            throw error
        }
    }

    /// Refuses the private key of Sign, and chains that make another key pass for it, to those to whom Sign is refused: the
    /// key signs whatever its holder likes. Without rules and without ``GuestSettings/Signing/requiresContext`` Sign is
    /// everybody's, and so is its key.
    private func checkSigner(_ call: RPCCall, path: String, purpose: String) throws(RPCError) {
        let isPath = AppRootKey.isMessageSigner(path: path)
        guard isPath || AppRootKey.isMessageSigner(purpose: purpose) else { return }
        let reason: String
        if settings.signing.requiresContext {
            reason = "core.signing.require_context asks for a context, which this key would sign without"
        } else if let access = settings.access, !access.allow("Sign", call) {
            reason = "no rule of core.access allows Sign to this process"
        } else {
            return
        }
        call.note(KeyAnswer.label(path))
        let what =
            isPath ? "path \"\(path)\" is that of Sign's own key" : "purpose \"\(purpose)\" is that of Sign's key"
        throw RPCError("\(what): \(reason); use another one", status: 403)
    }

    private func cachedKey(_ lookup: KeyCache.Request, _ call: RPCCall) -> KeyAnswer? {
        guard let answer = keyCache.answer(to: lookup) else { return nil }
        call.note(answer.pathLabel)
        return answer
    }

    private func kept(_ answer: KeyAnswer, _ lookup: KeyCache.Request, _ call: RPCCall) -> KeyAnswer {
        keyCache.keep(answer, for: lookup)
        call.note(answer.pathLabel)
        return answer
    }

    // MARK: Signatures

    func sign(_ request: AgentRPC.SignRequest) throws -> AgentRPC.SignResponse {
        guard let algorithm = MessageSignatureAlgorithm(label: request.algorithm) else {
            throw RPCError("Unsupported algorithm")
        }
        if algorithm == .secp256k1Prehashed, request.data.count != 32 {
            throw RPCError(
                "Pre-hashed signing requires a 32-byte digest, but received \(request.data.count) bytes")
        }
        guard !request.context.isEmpty || !settings.signing.requiresContext else {
            throw RPCError(
                "context is needed: core.signing.require_context asks for it, so that signatures say what for")
        }
        guard !request.context.isEmpty || !request.data.starts(with: Self.contextMark) else {
            throw RPCError("data: it begins as messages with a context do; give the context by its name")
        }
        let message = try Self.framed(request.data, request.context, algorithm)
        let signed = try files.signer.sign(message, algorithm: algorithm)
        return .with {
            $0.signature = signed.signature
            $0.signatureChain = signed.signatureChain
            $0.publicKey = signed.publicKey
        }
    }

    func verify(_ request: AgentRPC.VerifyRequest) throws -> AgentRPC.VerifyResponse {
        guard let algorithm = MessageSignatureAlgorithm(label: request.algorithm) else {
            throw RPCError("Unsupported algorithm")
        }
        let message = try Self.framed(request.data, request.context, algorithm)
        do {
            let isValid = try MessageSigner.isValidSignature(
                request.signature, over: message, publicKey: request.publicKey, algorithm: algorithm)
            return .with { $0.isValid = isValid }
        } catch {
            let isKey = error.subject.contains("public key")
            throw RPCError(isKey ? "invalid public key: \(error.reason)" : "invalid signature: \(error.reason)")
        }
    }

    /// What is signed for some data in a context: a text of its own kind, the context and the data, the first two with
    /// their lengths, so that no data of another context is ever the same bytes.
    static func framed(
        _ data: [UInt8], _ context: String, _ algorithm: MessageSignatureAlgorithm
    ) throws(RPCError) -> [UInt8] {
        guard !context.isEmpty else { return data }
        guard algorithm != .secp256k1Prehashed else {
            throw RPCError("context: a digest is signed as it is; give the data, or leave out the context")
        }
        return contextMark + lengthPrefixed(Array(context.utf8)) + data
    }

    /// What begins every message with a context. Nothing without a context that begins so is signed, or a context could be
    /// claimed by whoever builds the frame himself. A digest does not show what is behind it.
    private static let contextMark = lengthPrefixed(Array("dstack-sign-context/1".utf8))

    private static func lengthPrefixed(_ part: [UInt8]) -> [UInt8] {
        withUnsafeBytes(of: UInt32(clamping: part.count).bigEndian) { Array($0) } + part
    }

    // MARK: Certificates

    func tlsKey(_ request: AgentRPC.GetTlsKeyArgs) async throws -> AgentRPC.GetTlsKeyResponse {
        let order = try CertificateOrder(request, settings.certificates, now: clock.unixSeconds)
        return response(try await issuer.issue(order))
    }

    func tlsKey(_ request: AgentRPCv1.IssueCertArgs) async throws -> AgentRPC.GetTlsKeyResponse {
        try await tlsKey(
            AgentRPC.GetTlsKeyArgs.with {
                $0.subject = request.subject
                $0.altNames = request.altNames
                $0.usageRATLS = request.usageRATLS
                $0.usageServerAuth = request.usageServerAuth
                $0.usageClientAuth = request.usageClientAuth
                $0.notBefore = request.notBefore
                $0.notAfter = request.notAfter
                $0.withAppInfo = request.withAppInfo
            })
    }

    func derivedTLSKey(_ request: AgentRPC.DeriveKeyArgs, _ call: RPCCall) async throws -> AgentRPC.GetTlsKeyResponse {
        call.note(KeyAnswer.label(request.path))
        try settings.access?.check(call, path: request.path)
        // A fresh key is nobody's, and the certificate of a P-256 key says nothing of a purpose.
        if !request.randomSeed { try checkSigner(call, path: request.path, purpose: "") }
        let order = try CertificateOrder(request, settings.certificates, now: clock.unixSeconds)
        let key = request.randomSeed ? TLSKey() : try files.keys.rootKey.tlsKey(path: request.path)
        return response(try await issuer.issue(order, key: key))
    }

    private func response(_ issued: CertificateIssuer.Issued) -> AgentRPC.GetTlsKeyResponse {
        .with {
            $0.key = issued.key
            $0.certificateChain = issued.chain
        }
    }
}
