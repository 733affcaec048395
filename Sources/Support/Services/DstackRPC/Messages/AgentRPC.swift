/// The guest agent's services and their messages (upstream's package `dstack_guest`).
///
/// What is JSON inside JSON stays a text here: its exact bytes may be hashed or signed.
package enum AgentRPC {
    /// The agent's main socket.
    package enum DstackGuest {
        package static let name = "DstackGuest"
        package static let getTLSKey = RPCMethod<GetTlsKeyArgs, GetTlsKeyResponse>(name, "GetTlsKey", .repeatable)
        package static let getKey = RPCMethod<GetKeyArgs, GetKeyResponse>(name, "GetKey", .repeatable)
        package static let getQuote = RPCMethod<RawQuoteArgs, GetQuoteResponse>(name, "GetQuote", .repeatable)
        package static let attest = RPCMethod<RawQuoteArgs, AttestResponse>(name, "Attest", .repeatable)
        /// Evidence bound to one TLS connection; not of upstream. The only method that signs report data with its tag.
        package static let attestSession = RPCMethod<AttestSessionArgs, AttestResponse>(
            name, "AttestSession", .repeatable)
        package static let info = RPCMethod<RPCEmpty, AppInfo>(name, "Info", .repeatable)
        package static let gpuInfo = RPCMethod<RPCEmpty, GpuInfoResponse>(name, "GpuInfo", .repeatable)
        package static let sign = RPCMethod<SignRequest, SignResponse>(name, "Sign", .repeatable)
        package static let verify = RPCMethod<VerifyRequest, VerifyResponse>(name, "Verify", .repeatable)
        package static let version = RPCMethod<RPCEmpty, WorkerVersion>(name, "Version", .repeatable)
        /// Of 0.5.0 to 0.5.11. A register cannot be extended back, so it is never repeated.
        package static let emitEvent = RPCMethod<EmitEventArgs, RPCEmpty>(name, "EmitEvent", .once)
    }

    /// The socket of older applications.
    package enum Tappd {
        package static let name = "Tappd"
        package static let deriveKey = RPCMethod<DeriveKeyArgs, GetTlsKeyResponse>(name, "DeriveKey", .repeatable)
        package static let deriveK256Key = RPCMethod<GetKeyArgs, DeriveK256KeyResponse>(
            name, "DeriveK256Key", .repeatable)
        package static let tdxQuote = RPCMethod<TdxQuoteArgs, TdxQuoteResponse>(name, "TdxQuote", .repeatable)
        package static let rawQuote = RPCMethod<RawQuoteArgs, TdxQuoteResponse>(name, "RawQuote", .repeatable)
        package static let info = RPCMethod<RPCEmpty, AppInfo>(name, "Info", .repeatable)
        package static let version = RPCMethod<RPCEmpty, WorkerVersion>(name, "Version", .repeatable)
    }

    /// The agent's public port.
    package enum Worker {
        package static let name = "Worker"
        package static let info = RPCMethod<RPCEmpty, AppInfo>(name, "Info", .repeatable)
        package static let version = RPCMethod<RPCEmpty, WorkerVersion>(name, "Version", .repeatable)
        package static let getAttestationForAppKey = RPCMethod<GetAttestationForAppKeyRequest, GetQuoteResponse>(
            name, "GetAttestationForAppKey", .repeatable)
    }
}
