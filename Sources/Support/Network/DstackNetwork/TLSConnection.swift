import COpenSSL

/// What may be asked of a connection of OpenSSL (`SSL *`), whoever made it. Not to be called while another thread uses the
/// connection.
package enum TLSConnection {
    /// What the peer presented, leaf first, DER; empty if it presented none.
    package static func peerCertificates(_ connection: OpaquePointer) -> [[UInt8]] {
        var found: [[UInt8]] = []
        withUnsafeMutablePointer(to: &found) { found in
            _ = dstack_tls_peer_chain(connection, found) { found, chain, count in
                found?.assumingMemoryBound(to: [[UInt8]].self).pointee = TLSConnection.copy(chain, count)
                return true
            }
        }
        return found
    }

    /// "TLSv1.3"
    package static func version(_ connection: OpaquePointer) -> String { String(cString: SSL_get_version(connection)) }

    /// 32 bytes of exported keying material with an empty context (RFC 5705; RFC 8446 section 7.5), which only the two ends
    /// of the connection know. Nil before the end of the handshake, and for a connection that is not of TLS 1.3: older
    /// exporters do not cover the whole handshake unless an extension says so.
    package static func export(_ label: String, from connection: OpaquePointer) -> [UInt8]? {
        var material = [UInt8](repeating: 0, count: 32)
        return dstack_tls_export(connection, label, &material, material.count) ? material : nil
    }

    /// SubjectPublicKeyInfo (DER) of the certificate that this end presented in the connection, which need not be the
    /// context's of today; nil for none.
    package static func localKey(_ connection: OpaquePointer) -> [UInt8]? {
        var found: [UInt8]?
        withUnsafeMutablePointer(to: &found) { found in
            dstack_tls_local_key(connection, found) { found, key, count in
                found?.assumingMemoryBound(to: [UInt8]?.self).pointee = [UInt8](
                    UnsafeBufferPointer(start: key, count: count))
            }
        }
        return found
    }

    /// Leaves an object with a connection, which holds it to its end, in place of one that is there.
    @discardableResult
    package static func keep(_ object: AnyObject, in connection: OpaquePointer) -> Bool {
        dstack_tls_keep(connection, Unmanaged.passRetained(object).toOpaque()) { object in
            guard let object else { return }
            Unmanaged<AnyObject>.fromOpaque(object).release()
        }
    }

    /// The object that was left with a connection.
    package static func kept(in connection: OpaquePointer) -> AnyObject? {
        dstack_tls_kept(connection).map { Unmanaged<AnyObject>.fromOpaque($0).takeUnretainedValue() }
    }

    static func copy(_ chain: UnsafePointer<dstack_certificate>?, _ count: Int) -> [[UInt8]] {
        UnsafeBufferPointer(start: chain, count: count).map {
            [UInt8](UnsafeBufferPointer(start: $0.bytes, count: $0.count))
        }
    }
}

/// The other end of a server's TLS connection.
package struct TLSPeer: Sendable, Hashable {
    /// What the client presented, leaf first, DER; empty if it presented none. TLS proved that the client holds the leaf's
    /// key; whatever else is true of it, the listener's ``TLSServerSettings/ClientCertificates`` says.
    package let certificates: [[UInt8]]
    /// The name that the client asked for.
    package let serverName: String?
    /// "TLSv1.3"
    package let version: String
}
