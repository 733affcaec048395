package import DstackRPC
import DstackSystem
import Glibc

/// How this machine is connected.
///
///     reply(try await NetworkInformation.current().message)
package struct NetworkInformation: Sendable, Hashable {
    /// Addresses of `nameserver` lines in `/etc/resolv.conf`.
    package var nameServers: [String]
    /// Addresses of default routes, IPv4 first.
    package var gateways: [String]
    /// WireGuard's (`dstack-wg0`) and the cards' (`enp…`, `eth…`); containers' and bridges are left out.
    package var interfaces: [Interface]
    /// What `wg` says, or why it says nothing.
    package var wireGuard: String

    package struct Interface: Sendable, Hashable {
        package var name: String
        package var addresses: [Address]
        package var receivedBytes: UInt64
        package var sentBytes: UInt64
        package var receiveErrors: UInt64
        package var sendErrors: UInt64
    }

    package struct Address: Sendable, Hashable {
        package var text: String
        /// Bits of the network's part.
        package var prefixLength: Int

        package init(text: String, prefixLength: Int) {
            self.text = text
            self.prefixLength = prefixLength
        }
    }

    /// Where addresses and WireGuard's state come from, which no file tells; tests give their own.
    package struct Peers: Sendable {
        /// All interfaces' addresses by interface.
        package var addresses: @Sendable () throws(GuestError) -> [String: [Address]]
        package var wireGuard: @Sendable () async -> String

        package init(
            addresses: @escaping @Sendable () throws(GuestError) -> [String: [Address]],
            wireGuard: @escaping @Sendable () async -> String
        ) {
            self.addresses = addresses
            self.wireGuard = wireGuard
        }

        /// The kernel's addresses and the program `wg`.
        package static let system = Peers(
            addresses: { () throws(GuestError) in try InterfaceAddresses.all() }, wireGuard: { await wireGuardState() })
    }

    /// - Throws: ``GuestError`` with ``GuestError/Code/systemUnavailable``, naming the file. A machine without `wg` is no
    ///   error.
    package static func current(
        from source: SystemSource = SystemSource(), peers: Peers = .system
    ) async throws(GuestError) -> NetworkInformation {
        NetworkInformation(
            nameServers: try nameServers(source), gateways: try gateways(source),
            interfaces: try interfaces(source, try peers.addresses()), wireGuard: await peers.wireGuard())
    }

    package var message: GuestAPIRPC.NetworkInformation {
        var message = GuestAPIRPC.NetworkInformation()
        message.dnsServers = nameServers
        message.gateways = gateways.map { address in
            var message = GuestAPIRPC.Gateway()
            message.address = address
            return message
        }
        message.interfaces = interfaces.map { $0.message }
        message.wireGuardInfo = wireGuard
        return message
    }

    private static func wireGuardState() async -> String {
        do {
            let written = try await ProgramOutput.of("wg", limit: 1 << 20, patience: .seconds(5))
            return String(decoding: written.output, as: UTF8.self)
        } catch {
            return "\(error)"
        }
    }

    // MARK: Files

    static func nameServers(_ source: SystemSource) throws(GuestError) -> [String] {
        guard let text = try source.optionalText("/etc/resolv.conf") else { return [] }
        return text.split(separator: "\n").compactMap { line in
            let words = line.split { $0 == " " || $0 == "\t" }
            return words.count >= 2 && words[0] == "nameserver" ? String(words[1]) : nil
        }
    }

    static func interfaces(
        _ source: SystemSource, _ addresses: [String: [Address]]
    ) throws(GuestError) -> [Interface] {
        let path = "/proc/net/dev"
        var interfaces: [Interface] = []
        // Two lines of titles.
        for line in try source.text(path).split(separator: "\n").dropFirst(2) {
            guard let colon = line.firstIndex(of: ":") else { throw .unexpected(path, "a line without a colon") }
            let name = line[..<colon].trimmed
            guard name == "dstack-wg0" || name.hasPrefix("enp") || name.hasPrefix("eth") else { continue }
            let numbers = line[line.index(after: colon)...].split(separator: " ").map { UInt64($0) }
            guard numbers.count >= 11, let received = numbers[0], let receiveErrors = numbers[2],
                let sent = numbers[8], let sendErrors = numbers[10]
            else { throw .unexpected(path, "eleven numbers or more expected for \(name)") }
            interfaces.append(
                Interface(
                    name: name, addresses: addresses[name] ?? [], receivedBytes: received, sentBytes: sent,
                    receiveErrors: receiveErrors, sendErrors: sendErrors))
        }
        return interfaces
    }

    static func gateways(_ source: SystemSource) throws(GuestError) -> [String] {
        var gateways: [String] = []
        func add(_ address: String) {
            if !gateways.contains(address) { gateways.append(address) }
        }
        // Fields: interface, destination, gateway, flags, …; addresses as the number the machine holds in memory.
        for line in try source.optionalText("/proc/net/route")?.split(separator: "\n").dropFirst() ?? [] {
            let words = line.split { $0 == "\t" || $0 == " " }
            guard words.count > 3, words[1].allSatisfy({ $0 == "0" }), let flags = UInt32(words[3], radix: 16),
                flags & routeHasGateway != 0
            else { continue }
            guard let number = UInt32(words[2], radix: 16) else {
                throw .unexpected("/proc/net/route", "a gateway of eight hexadecimal digits expected")
            }
            let bytes = withUnsafeBytes(of: number) { Array($0) }
            add(bytes.map { "\($0)" }.joined(separator: "."))
        }
        // Fields: destination, its prefix length, source, its prefix length, next hop, metric, …, flags, interface.
        for line in try source.optionalText("/proc/net/ipv6_route")?.split(separator: "\n") ?? [] {
            let words = line.split(separator: " ")
            guard words.count >= 10, words[1] == "00", words[0].allSatisfy({ $0 == "0" }),
                let flags = UInt32(words[8], radix: 16), flags & routeHasGateway != 0
            else { continue }
            guard let address = InterfaceAddresses.ipv6(hex: words[4]) else {
                throw .unexpected("/proc/net/ipv6_route", "a next hop of 32 hexadecimal digits expected")
            }
            add(address)
        }
        return gateways
    }

    /// `RTF_GATEWAY`
    private static let routeHasGateway: UInt32 = 2
}

extension NetworkInformation.Interface {
    var message: GuestAPIRPC.Interface {
        var message = GuestAPIRPC.Interface()
        message.name = name
        message.addresses = addresses.map { address in
            var message = GuestAPIRPC.IpAddress()
            message.address = address.text
            message.prefix = UInt32(clamping: address.prefixLength)
            return message
        }
        message.receivedBytes = receivedBytes
        message.sentBytes = sentBytes
        message.receiveErrors = receiveErrors
        message.sendErrors = sendErrors
        return message
    }
}
