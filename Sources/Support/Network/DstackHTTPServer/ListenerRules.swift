import DstackNetwork

/// What holds for the connections of a listener, and may be replaced while they stand. Lives on the loop's thread.
final class ListenerRules {
    /// For handshakes from now on; connections that stand keep theirs.
    private(set) var tls: TLSServerContext?
    /// Whom requests are taken from, on connections that stand, too; nil for anybody.
    private(set) var clients: HTTPServerTLS.ClientCertificates?
    var asksClients: Bool { clients != nil }

    private var settings: HTTPServerTLS?

    init(_ settings: HTTPServerTLS?, listener: String) throws(HTTPServerError) {
        if let settings { try use(settings, listener) }
    }

    /// - Throws: for what cannot be used; then nothing is changed.
    func changeTLS(_ change: (inout HTTPServerTLS) -> Void, listener: String) throws(HTTPServerError) {
        guard var new = settings else { return }
        change(&new)
        try use(new, listener)
    }

    private func use(_ new: HTTPServerTLS, _ listener: String) throws(HTTPServerError) {
        do throws(TLSFailure) {
            tls = try TLSServerContext(new)
        } catch {
            throw HTTPServerError(.tls, listener, "TLS cannot be set up: \(error)")
        }
        clients = new.clientCertificates
        settings = new
    }
}
