import DstackCrypto
import DstackRPC
import DstackRPCServer
import Synchronization

/// The services of the Unix sockets.
extension GuestAgent {
    /// DstackGuest, as upstream has had it since 0.5.0.
    var guestService: RPCService {
        var service = RPCService(AgentRPC.DstackGuest.name)
        addGuestMethods(to: &service)
        return service
    }

    /// Tappd, and all of DstackGuest: the clients of the older socket inherit its methods.
    var tappdService: RPCService {
        typealias Methods = AgentRPC.Tappd
        var service = RPCService(Methods.name)
        addGuestMethods(to: &service)
        service.on(Methods.deriveKey) { [self] in try await derivedTLSKey($0, $1) }
        service.on(
            Methods.deriveK256Key, limits: .withoutWaiting,
            immediately: { [self] in try cachedKey($0, $1).map { RPCReply($0.k256Response) } },
            handler: { [self] in try key($0, $1).k256Response })
        service.on(Methods.tdxQuote) { [self] request, _ in try await tdxQuote(request) }
        service.on(Methods.rawQuote) { [self] request, _ in try await rawQuote(request) }
        return service
    }

    private func addGuestMethods(to service: inout RPCService) {
        typealias Methods = AgentRPC.DstackGuest
        service.on(Methods.getTLSKey) { [self] request, _ in try await tlsKey(request) }
        service.on(
            Methods.getKey, limits: .withoutWaiting,
            immediately: { [self] request, call in try cachedKey(request, call)?.reply(to: call) },
            replying: { [self] in try key($0, $1).reply(to: $1) })
        service.on(Methods.getQuote) { [self] request, _ in try await quote(request) }
        service.on(Methods.attest) { [self] request, _ in
            let bytes = try await attest(request.reportData)
            return .with { $0.attestation = bytes }
        }
        service.on(Methods.attestSession) { [self] request, _ in try await attestSession(request) }
        service.on(
            Methods.info, immediately: { [self] _, _ in currentInfo?.full },
            replying: { [self] _, _ in try await info().full })
        service.on(Methods.gpuInfo) { [self] _, _ in
            let text = gpus.textOfBoot
            return .with { $0.attestation = text }
        }
        service.on(Methods.sign, limits: .withoutWaiting) { [self] request, _ in try sign(request) }
        service.on(Methods.verify, limits: .withoutWaiting) { [self] request, _ in try verify(request) }
        service.on(Methods.emitEvent) { [self] request, _ in try await emitEvent(request) }
        addVersion(Methods.version, to: &service)
    }

    func addVersion(
        _ method: RPCMethod<RPCEmpty, AgentRPC.WorkerVersion>, to service: inout RPCService
    ) {
        let reply = RPCReply<AgentRPC.WorkerVersion>.prepared(version.message)
        service.on(method, immediately: { _, _ in reply }, replying: { _, _ in reply })
    }

    /// DstackGuest of the newer paths.
    var guestServiceV1: RPCService {
        typealias Methods = AgentRPCv1.DstackGuest
        var service = RPCService(Methods.name)
        service.on(Methods.issueCert) { [self] request, _ in try await tlsKey(request) }
        service.on(
            Methods.getKey, limits: .withoutWaiting,
            immediately: { [self] in try cachedKey($0, $1).map { RPCReply($0.responseV1) } },
            handler: { [self] in try key($0, $1).responseV1 })
        service.on(Methods.attest) { [self] request, _ in
            let bytes = try await attest(request.reportData)
            return .with {
                $0.attestation = bytes
                if request.includesBootTimeGPUEvidence { $0.bootTimeGPUEvidence = gpus.evidenceOfBoot }
            }
        }
        // The queue of the GPUs has a limit of its own, which is longer.
        service.on(Methods.attestGPU, limits: .init(timeout: nil)) { [self] request, _ in
            let bundles = try await gpus.evidence(over: request.nonce)
            return .with { $0.bundles = bundles }
        }
        service.on(
            Methods.info, immediately: { [self] _, _ in currentInfo?.fullV1 },
            replying: { [self] _, _ in try await info().fullV1 })
        addVersion(Methods.version, to: &service)
        return service
    }
}

/// The services of the public port and of the host.
extension GuestAgent {
    /// What strangers may ask. Nothing of it is secret, and none of it costs more than is configured.
    var workerService: RPCService {
        typealias Methods = AgentRPC.Worker
        var service = RPCService(Methods.name)
        service.on(
            Methods.info, immediately: { [self] _, _ in currentInfo?.visible },
            replying: { [self] _, _ in try await info().visible })
        addVersion(Methods.version, to: &service)
        service.on(
            Methods.getAttestationForAppKey,
            immediately: { [self] request, _ in appKeyEvidence.current(try signingKeyAlgorithm(request)) },
            replying: { [self] request, _ in
                let algorithm = try signingKeyAlgorithm(request)
                return try await appKeyEvidence.reply(algorithm) { [self] in try await appKeyQuote(algorithm) }
            })
        return service
    }

    var workerServiceV1: RPCService {
        typealias Methods = AgentRPCv1.Worker
        var service = RPCService(Methods.name)
        service.on(
            Methods.info, immediately: { [self] _, _ in currentInfo?.visibleV1 },
            replying: { [self] _, _ in try await info().visibleV1 })
        addVersion(Methods.version, to: &service)
        service.on(Methods.health) { [self] _, _ in try await health.answer() }
        return service
    }

    /// What the host may ask: what it needs to show the machine to its operator, and to end it.
    var guestAPIService: RPCService {
        typealias Methods = GuestAPIRPC.GuestApi
        var service = RPCService(Methods.name)
        service.on(
            Methods.info, immediately: { [self] _, _ in currentInfo?.guest },
            replying: { [self] _, _ in try await info().guest })
        service.on(Methods.sysInfo) { [self] _, _ in try await knownHost.systemInformation() }
        service.on(Methods.networkInfo) { [self] _, _ in try await knownHost.networkInformation() }
        service.on(Methods.listContainers) { [self] _, _ in try await knownHost.containers() }
        service.on(Methods.shutdown) { [self] _, _ in
            // Asked again, it is under way already.
            guard !isShuttingDown.exchange(true, ordering: .relaxed) else { return RPCEmpty() }
            // The answer goes out first: nobody would get it from a machine that is off.
            Task { [self] in
                try? await Task.sleep(for: .milliseconds(100))
                await actions.shutDown()
                // One that failed can be asked for again.
                isShuttingDown.store(false, ordering: .relaxed)
            }
            return RPCEmpty()
        }
        return service
    }

    private var knownHost: any GuestHost {
        get throws {
            guard let host else { throw RPCError("this agent does not look at its machine", status: 501) }
            return host
        }
    }
}

extension KeyAnswer {
    fileprivate var k256Response: AgentRPC.DeriveK256KeyResponse {
        .with {
            $0.k256Key = secret
            $0.k256SignatureChain = signatureChain
        }
    }

    fileprivate var responseV1: AgentRPCv1.GetKeyResponse {
        .with {
            $0.key = secret
            $0.publicKey = publicKey
            $0.signatureChain = signatureChain
        }
    }
}
