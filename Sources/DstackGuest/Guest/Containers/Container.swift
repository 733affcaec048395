package import DstackRPC

/// A container as the engine lists it.
package struct Container: Sendable, Hashable {
    /// 64 hexadecimal digits.
    package var id: String
    /// With the leading `/` that Docker gives them.
    package var names: [String]
    /// What it was started from, as its starter wrote it.
    package var image: String
    /// The digest of the image's configuration.
    package var imageID: String
    /// Seconds since 1970.
    package var created: Int64
    package var state: State
    /// In the engine's words: "Up 2 hours (healthy)".
    package var status: String
    /// The Compose project and service that it belongs to, if any.
    package var project: String?
    package var service: String?

    /// What the engine says of its life. Open: engines may know more.
    package struct State: RawRepresentable, Sendable, Hashable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        package static let created = State(rawValue: "created")
        package static let running = State(rawValue: "running")
        package static let paused = State(rawValue: "paused")
        package static let restarting = State(rawValue: "restarting")
        package static let removing = State(rawValue: "removing")
        package static let exited = State(rawValue: "exited")
        package static let dead = State(rawValue: "dead")
    }

    package init(
        id: String, names: [String], image: String = "", imageID: String = "", created: Int64 = 0,
        state: State = .running, status: String = "", project: String? = nil, service: String? = nil
    ) {
        self.id = id
        self.names = names
        self.image = image
        self.imageID = imageID
        self.created = created
        self.state = state
        self.status = status
        self.project = project
        self.service = service
    }

    /// The first name without the leading `/`; the short id where there is none.
    package var displayName: String {
        guard let name = names.first else { return String(id.prefix(12)) }
        return name.hasPrefix("/") ? String(name.dropFirst()) : name
    }

    /// Whether this is the container of a name or an id (whole, or its first 12 digits or more).
    func answers(to name: ContainerName) -> Bool {
        if names.contains("/" + name.text) || names.contains(name.text) { return true }
        return name.text.utf8.count >= 12 && id.hasPrefix(name.text)
    }

    /// As the host is told.
    package var message: GuestAPIRPC.Container {
        var message = GuestAPIRPC.Container()
        message.id = id
        message.names = names
        message.image = image
        message.imageID = imageID
        message.created = created
        message.state = state.rawValue
        message.status = status
        return message
    }
}

extension GuestAPIRPC.ListContainersResponse {
    package init(_ containers: [Container]) {
        self.init()
        self.containers = containers.map { $0.message }
    }
}

/// A name or id that may stand in a path of the engine's interface: Docker's own rule, `[A-Za-z0-9][A-Za-z0-9_.-]*`, so
/// that `../info` or `x?all=1` is no name.
package struct ContainerName: Sendable, Hashable {
    package let text: String

    /// Nil for anything that cannot be the name of a container.
    package init?(_ text: String) {
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: false
            }
        }
        guard let first = text.utf8.first, isPlain(first), text.utf8.count <= 255,
            text.utf8.allSatisfy({ isPlain($0) || $0 == 0x5F || $0 == 0x2E || $0 == 0x2D })
        else { return nil }
        self.text = text
    }
}

/// Which of an engine's containers there are, as far as this guest tells.
package enum ContainerScope: Sendable, Hashable {
    /// Those of one Compose project. In a guest the application's project is called `dstack` after its directory, unless
    /// the compose file has a `name`.
    case project(String)
    /// All of them: right where nothing but the application uses the engine.
    case engine
}
