import DstackCrypto
import DstackHTTP
import DstackNetwork

/// The writing half of a connection.
extension ServerConnection {
    /// Answers a request that reaches no handler, and ends the connection: where the next request would begin is not
    /// known any more.
    func refuse(_ refusal: HTTPRefusal) {
        loop.core.counters.noteRefused()
        loop.report(.refused(listener: listenerName, peer: peer.address, refusal))
        requestNumber += 1
        closesAfterResponse = true
        lingers = true
        respond(
            loop.core.configuration.refusal?(refusal) ?? .text(refusal.status, refusal.reason + "\n"))
    }

    /// A task's answer.
    ///
    /// - Parameter incoming: what an upgraded connection will carry.
    /// - Returns: false where nobody waits for it any more.
    func deliver(_ response: HTTPServerResponse, _ incoming: IncomingBytes?, for request: UInt64) -> Bool {
        guard request == requestNumber, phase == .handling else { return false }
        respond(response, producerRuns: true, incoming)
        resumeInput()
        if isUpgraded { resumeIncoming() }
        return true
    }

    /// - Parameter producerRuns: whether somebody else runs the producer of a streaming body.
    func respond(_ given: HTTPServerResponse, producerRuns: Bool = false, _ upgraded: IncomingBytes? = nil) {
        let response = checked(given)
        let isHead = head?.method == .head
        let isOld = head?.version == .http10
        if response.closesConnection || loop.isStopping { closesAfterResponse = true }

        var body: [UInt8] = []
        var secret: SharedSecret?
        var hasProducer = true
        switch response.body {
        case .bytes(let bytes):
            hasProducer = false
            body = bytes
            responseFraming = .length(bytes.count)
        case .secret(let content):
            hasProducer = false
            secret = content
            responseFraming = .length(content.count)
        case .stream:
            responseFraming = isOld ? .untilClose : .chunked
            if isOld { closesAfterResponse = true }
        case .upgrade:
            responseFraming = .upgrade
            closesAfterResponse = true
        }
        if response.status == 204 || response.status == 304 {
            responseFraming = .none
            body = []
        }
        let sendsBody = !isHead && !(response.status == 204 || response.status == 304)
        // One piece, one system call; a large body is not worth copying for that.
        let joins = sendsBody && body.count <= 16 << 10
        var bytes = loop.encoder.head(
            response, responseFraming, keepsAlive: !closesAfterResponse, isOldClient: isOld,
            roomForBody: joins ? body.count : 0)
        if joins { bytes.append(contentsOf: body) }
        output.append(bytes)
        if sendsBody, !joins { output.append(body) }
        if sendsBody, let secret { output.append(secret) }

        loop.core.counters.noteAnswered()
        if let head, let observer = loop.core.configuration.observer {
            observer(
                .answered(
                    listener: listenerName, peer: peer.address, method: head.method, path: head.path,
                    status: response.status))
        }
        deadline = .max
        if hasProducer, sendsBody {
            phase = .streaming
            streamEnded = false
            var upgraded = upgraded
            if !producerRuns {
                let (produce, incoming) = loop.core.producer(of: response, exchange)
                upgraded = incoming
                if let produce { task = loop.core.startProducer(produce, exchange) }
            }
            if let upgraded { upgrade(upgraded) }
        } else {
            upgraded?.end(.failure(.answered))
            phase = .responding
        }
        flush()
    }

    /// A response that would break the protocol is the handler's mistake, which its client must not pay for with
    /// somebody else's header.
    private func checked(_ response: HTTPServerResponse) -> HTTPServerResponse {
        var problem = response.commonHeaders?.problem ?? response.headers.problem
        if case .upgrade = response.body {
            let asked = response.headers["Upgrade"].map { head?.asksForUpgrade(to: $0) ?? false } ?? false
            if !asked || response.status != 101 { problem = "the request does not ask for what it is upgraded to" }
        } else if !(200...599).contains(response.status) {
            problem = "the status \(response.status) is not 200 to 599"
        }
        guard let problem else { return response }
        loop.report(.invalidResponse(listener: listenerName, path: head?.path ?? "", reason: problem))
        return .text(500, "internal error\n")
    }

    // MARK: Streams

    /// Above this much waiting output a producer is held up.
    private static var highWater: Int { 256 << 10 }

    func stream(_ bytes: [UInt8], for request: UInt64, _ continuation: CheckedContinuation<Bool, Never>) {
        guard request == requestNumber, phase == .streaming, !streamEnded, streamContinuation == nil else {
            // Two tasks that write to one stream at the same time would interleave; the second is refused.
            return continuation.resume(returning: false)
        }
        if case .chunked = responseFraming {
            output.append(HTTPResponseEncoder.chunk(bytes))
        } else {
            output.append(bytes)
        }
        streamContinuation = continuation
        flush()
        releaseProducer()
    }

    private func releaseProducer() {
        guard phase != .streaming || output.count < Self.highWater else { return }
        streamContinuation?.resume(returning: phase == .streaming)
        streamContinuation = nil
    }

    func endStream(for request: UInt64, isComplete: Bool) {
        guard request == requestNumber, phase == .streaming, !streamEnded else { return }
        guard isComplete else {
            channel.resetWhenClosed()
            return close()
        }
        streamEnded = true
        if case .chunked = responseFraming { output.append(HTTPResponseEncoder.lastChunk) }
        phase = .responding
        flush()
        resumeInput()
    }

    // MARK: Output

    func flush() {
        while !output.isEmpty {
            switch output.write(to: channel) {
            case .bytes(let count): noteProgress(count)
            case .blocked(let untilReadable):
                if deadline == .max { setDeadline(rules.limits.writeTimeout) }
                if !untilReadable { setWriting(true) }
                return
            case .ended, .failed: return close()
            }
        }
        setWriting(false)
        switch phase {
        case .responding: finishExchange()
        case .streaming: deadline = .max
        default: break
        }
    }

    /// A client that takes a few bytes now and then is as stuck as one that takes none.
    private func noteProgress(_ count: Int) {
        progressSinceExtension += count
        guard progressSinceExtension >= 4096 else { return }
        progressSinceExtension = 0
        switch phase {
        case .responding, .streaming: deadline = .max
        default: break
        }
    }

    func writable() {
        switch phase {
        case .closed, .lingering: return setWriting(false)
        case .handshaking: return handshake()
        default: break
        }
        flush()
        releaseProducer()
        resumeInput()
    }
}
