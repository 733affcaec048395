import DstackNetwork

/// What holds for the connections of a listener, and may be replaced while they stand. Lives on the loop's thread.
final class ListenerRules {
    /// For handshakes from now on; connections that stand keep theirs.
    private(set) var tls: TLSServerContext?
    /// Whom requests are taken from, on connections that stand, too; nil for anybody.
    private(set) var clients: HTTPServerTLS.ClientCertificates?
    var asksClients: Bool { clients != nil }
    /// From the next phase of each connection on.
    var limits: HTTPServerLimits
    private var settings: HTTPServerTLS?

    init(_ listener: HTTPListener, _ limits: HTTPServerLimits) throws(HTTPServerError) {
        self.limits = listener.limits ?? limits
        try use(Self.prepare(listener.tls, listener.name))
    }

    /// Settings with what was made of them.
    struct Prepared {
        let settings: HTTPServerTLS?
        let context: TLSServerContext?
    }

    /// - Throws: for what cannot be used.
    static func prepare(_ settings: HTTPServerTLS?, _ listener: String) throws(HTTPServerError) -> Prepared {
        guard let settings else { return Prepared(settings: nil, context: nil) }
        do throws(TLSFailure) {
            return Prepared(settings: settings, context: try TLSServerContext(settings))
        } catch {
            throw HTTPServerError(.tls, listener, "TLS cannot be set up: \(error)")
        }
    }

    func use(_ prepared: Prepared) {
        settings = prepared.settings
        tls = prepared.context
        clients = prepared.settings?.clientCertificates
    }

    /// - Throws: for what cannot be used; then nothing is changed.
    func changeTLS(_ change: (inout HTTPServerTLS) -> Void, listener: String) throws(HTTPServerError) {
        guard var new = settings else { return }
        change(&new)
        use(try Self.prepare(new, listener))
    }
}
