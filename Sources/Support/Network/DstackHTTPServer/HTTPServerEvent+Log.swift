import DstackHTTP
package import DstackSystem

extension HTTPServerEvent {
    /// Writes a line: at `debug` for what was answered, with the other levels for what strangers cause as often as they like.
    package func write(to limited: LimitedLog) {
        switch self {
        case .answered(let listener, let peer, let method, let path, let status):
            limited.log.debug(
                "answered",
                [
                    "listener": listener, "peer": "\(peer)", "method": method.rawValue, "path": path,
                    "status": status,
                ])
        case .refused(let listener, let peer, let refusal):
            limited.info("refused", ["listener": listener, "peer": "\(peer)", "reason": refusal.reason])
        case .handshakeFailed(let listener, let peer, let reason):
            limited.info("handshake failed", ["listener": listener, "peer": "\(peer)", "reason": reason])
        case .clientRefused(let listener, let peer, let reason):
            limited.info("client refused", ["listener": listener, "peer": "\(peer)", "reason": reason])
        case .overloaded(let listener): limited.warn("too many connections", ["listener": listener])
        case .acceptFailed(let listener, let reason):
            limited.error("cannot accept connections", ["listener": listener, "reason": reason])
        case .invalidResponse(let listener, let path, let reason):
            limited.error("invalid response", ["listener": listener, "path": path, "reason": reason])
        }
    }
}
