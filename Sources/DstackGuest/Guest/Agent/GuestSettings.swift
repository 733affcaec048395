/// What an agent is told to do. Everything has upstream's default, or the safer one where upstream has no such setting.
package struct GuestSettings: Sendable {
    /// Sent as `Server`.
    package var ident = "dstack guest agent"
    package var files = Files()
    /// Mount points that system information shows.
    package var dataDisks = ["/"]
    package var containers = Containers()
    package var listeners = Listeners()
    package var evidence = Evidence()
    package var certificates = Certificates()
    package var keys = Keys()
    package var signing = Signing()
    package var pages = Pages()
    /// Who may do what on the Unix sockets; nil for everyone everything.
    package var access: AccessRules?
    package var audit = Audit.sensitive
    /// Where recorded or simulated evidence comes from, in place of the platform's; nil for the platform.
    package var simulator: Simulator?

    package init() {}

    package struct Files: Sendable, Equatable {
        package var keys = "/dstack/.host-shared/.appkeys.json"
        package var compose = "/dstack/.host-shared/app-compose.json"
        package var system = "/dstack/.host-shared/.sys-config.json"

        package init() {}
    }

    /// Which containers are the application's, and who runs them.
    package struct Containers: Sendable, Equatable {
        package enum Engine: String, Sendable, CaseIterable {
            case docker
            case nerdctl
        }

        /// Nil for the one that the compose file's runner uses.
        package var engine: Engine?
        /// The Compose project, `*` for all; nil for that of the compose file.
        package var project: String?
        /// Where nerdctl finds them in containerd.
        package var namespace = NerdctlEngine.standardNamespace

        package init() {}
    }

    package struct Evidence: Sendable {
        /// Whether applications may measure events of their own; nil for "in simulation only".
        package var acceptsEvents: Bool?
        /// How long a call waits for a quote, its turn included. Clients give up after three seconds.
        package var timeout = Duration.milliseconds(2_500)
        /// How many calls may wait for a quote.
        package var maximumWaiting = 512
        /// How old what Info says may get before it is looked up again, behind the caller's back.
        package var maximumAge = Duration.seconds(60)
        /// How many quotes a minute strangers on the public port may cause.
        package var publicQuotesPerMinute = 12

        package init() {}
    }

    package struct Certificates: Sendable {
        /// How long a certificate may hold, from now; nil for ten years as upstream.
        package var maximumValidity: Duration?
        /// Whether evidence stands in certificates also in the form that readers before 0.5.9 want.
        package var includesLegacyEvidence = false
        /// Whether a caller may bring a key of its own.
        package var acceptsCallerKeys = false
        /// How long one KMS has for an answer.
        package var kmsTimeout = Duration.milliseconds(1_000)
        /// How long all of them together have.
        package var kmsTotalTimeout = Duration.milliseconds(2_500)
        /// Whether Info has a certificate of the instance (`app_cert`).
        package var makesDemoCertificate = true

        package init() {}
    }

    package struct Keys: Sendable {
        /// How many answers are kept in wiped memory, so that they need not be computed again.
        package var cachedAnswers = 1_024

        package init() {}
    }

    package struct Signing: Sendable {
        /// Whether every message to sign must name its context.
        package var requiresContext = false

        package init() {}
    }

    /// What the public pages tell relying parties to type.
    package struct Pages: Sendable, Equatable {
        /// The application's own HTTPS address.
        package var address = DashboardSettings.Address.unknown
        /// The directory of a simulation, whose files are named in commands.
        package var simulation: String?

        package init() {}
    }

    /// Which calls leave a line in the log.
    package enum Audit: String, Sendable, CaseIterable {
        case off
        /// Those that hand out secrets or change something, and those that are refused.
        case sensitive
        case all
    }

    /// Upstream's simulator keys.
    package struct Simulator: Sendable, Equatable {
        /// A recorded attestation.
        package var attestationFile: String?
        /// Of releases up to 0.5.5: quote (hexadecimal) and event log (JSON).
        package var quoteFile: String?
        package var eventLogFile: String?
        /// Whether each answer has the report data that was asked for, or the recorded.
        package var patchesReportData = true
        /// 32 bytes from which a simulated TEE's keys are derived; nil for those of the working directory.
        package var seed: [UInt8]?

        package init() {}
    }
}
