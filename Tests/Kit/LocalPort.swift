import Glibc

/// A port of this machine that is taken while the value is open.
package struct LocalPort {
    package let number: UInt16
    private let descriptor: Int32

    /// - Parameter port: 0 for any free one.
    package init(_ port: UInt16) throws { (descriptor, number) = try TCPSocket.listening(at: port) }

    package func close() { Glibc.close(descriptor) }
}
