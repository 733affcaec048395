import DstackHTTPServer
import DstackNetwork
import Glibc

/// Opens what the settings name, or takes what a service manager has opened already.
enum GuestListeners {
    /// Names by which requests say where they came in.
    enum Name {
        static let main = "dstack"
        static let tappd = "tappd"
        static let external = "external"
        static let guestAPI = "guest-api"
    }

    /// - Parameters:
    ///   - inherited: listening sockets of a service manager: the first is for the main socket, the second for that of
    ///     older applications. Containers have mounted these very sockets, which outlive a restart of the agent.
    ///   - identifyingProcesses: whether the processes that call the application's sockets are to be known.
    static func all(
        _ settings: GuestSettings.Listeners, inherited: [Int32], identifyingProcesses: Bool = false
    ) -> [HTTPListener] {
        let passed = settings.usesActivation ? inherited : []
        func usable(_ index: Int) -> Int32? {
            passed.indices.contains(index) && ListeningSocket.isUnixListener(passed[index]) ? passed[index] : nil
        }
        var listeners = [
            listener(Name.main, settings.main, usable(0)), listener(Name.tappd, settings.tappd, usable(1)),
            listener(Name.external, settings.external, nil),
        ]
        for index in 0..<2 { listeners[index].identifiesProcesses = identifyingProcesses }
        if let second = settings.secondExternal {
            listeners.append(listener(Name.external, .init(second), nil))
        }
        listeners.append(listener(Name.guestAPI, settings.guestAPI, nil))
        return listeners
    }

    private static func listener(
        _ name: String, _ settings: GuestSettings.Listener, _ inherited: Int32?
    ) -> HTTPListener {
        var listener = HTTPListener(
            name, inherited.map(ListeningPlace.descriptor) ?? ListeningPlace(settings.address, mode: settings.mode))
        // Clients in use leave it out, and one address has one service here.
        listener.requiresHost = false
        return listener
    }

    /// Refuses a directory in which everybody can put a socket of his own in the place of this one: applications would ask
    /// that one for their keys.
    private static func checkDirectory(of path: String) throws(GuestError) {
        let directory = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let place = directory.isEmpty ? (path.hasPrefix("/") ? "/" : ".") : directory
        var status = stat()
        // One that is not there is told of where the socket cannot be bound.
        guard stat(place, &status) == 0, status.st_mode & S_IWOTH != 0, status.st_mode & S_ISVTX == 0 else { return }
        throw GuestError(
            .invalidConfiguration, subject: place,
            reason: "everybody may write there, and could put another socket in the place of \(path)",
            hint: "chmod o-w \(place), or give another address")
    }

    /// Locks the socket files that may be replaced, and refuses those that may not.
    static func locks(
        _ listeners: [(HTTPListener, GuestSettings.Listener)]
    ) throws(GuestError) -> [SocketLock] {
        var locks: [SocketLock] = []
        for (listener, settings) in listeners {
            guard case .unix(let path, _) = listener.endpoint else { continue }
            try checkDirectory(of: path)
            if settings.replacesStale {
                locks.append(try SocketLock.take(for: path))
            } else if access(path, F_OK) == 0 {
                throw GuestError(
                    .invalidConfiguration, subject: path, reason: "it is there already",
                    hint: "remove it, or set reuse = true")
            }
        }
        return locks
    }
}
