package import DstackAttestation
package import DstackAuthorization
package import DstackCrypto
import DstackNetwork

/// What a key management service is told to do: kms.toml as plain values.
///
/// Everything has upstream's preset, or the safer one where upstream has no such setting.
package struct KMSSettings: Sendable {
    /// Sent as `Server`.
    package var ident = "DStack KMS"
    package var rpc = RPC()
    package var limits = Limits()
    package var files = Files()
    /// What operators call the place where this service runs.
    package var siteName = ""
    /// Whether it asks, before it gives anything out, whether it may still run itself.
    package var enforcesSelfAuthorization = true
    /// Whether its own certificate carries evidence.
    package var attestsRPCCertificate = true
    /// Whether root keys are neither given to another service nor taken from one but encrypted to the receiver's attested key.
    package var requiresSealedRootKeys = false
    package var attestation = Attestation()
    package var image = ImageRules()
    package var admin = Admin()
    package var metrics = Metrics()
    package var authorization = Authorization.webhook(Webhook())
    package var onboarding = Onboarding()
    /// Beside its reserved names, those of the other services are, too (``issuancePolicy``).
    package var certificates = IssuancePolicy()
    package var replicas = Replicas()

    package init() {}

    /// Where downloads of collateral are kept, and what was verified before is remembered.
    package var collateralCacheDirectory: String {
        attestation.collateralCacheDirectory ?? files.stateDirectory + "/collateral"
    }

    /// The listener that virtual machines and other services ask.
    package struct RPC: Sendable, Equatable {
        /// An IP address.
        package var address = "0.0.0.0"
        /// Zero for any free one.
        package var port: UInt16 = 8000
        /// Whether every client must have a certificate. Guests that boot have none yet when they first ask.
        package var requiresClientCertificates = false

        package init() {}
    }

    /// What the clients of the RPC listener may take. All of them may start at once, behind one address: a host whose machines
    /// boot again after its power was gone.
    package struct Limits: Sendable, Equatable {
        package var maximumConnections = 4096
        /// Under way at once, three quarters of them at most for one address.
        package var maximumRequests = 2048
        /// Clients whose evidence is verified at once, half of them for one address.
        package var maximumVerifications = 2048
        /// For one request with everything that belongs to it.
        package var requestTimeout = Duration.seconds(60)

        package init() {}
    }

    package struct Files: Sendable, Equatable {
        /// The directory of keys and certificates.
        package var certificateDirectory = "/etc/kms/certs"
        /// Nil for `state` in the directory of keys.
        package var ownStateDirectory: String?

        /// The directory of the store: audit log, epochs, replicas.
        package var stateDirectory: String { ownStateDirectory ?? certificateDirectory + "/state" }

        package init() {}
    }

    /// By what evidence is verified.
    package struct Attestation: Sendable, Equatable {
        /// Asked for collateral in this order, nobody else; nil for upstream's, then Intel's own.
        package var services: [CollateralEndpoint]?
        /// A directory or file to take collateral from in place of services.
        package var offlineCollateral: String?
        /// Nil for a directory beside the store.
        package var collateralCacheDirectory: String?
        /// PEM file with authorities for the certificates of collateral services; nil for the system's.
        package var tlsAuthorities: String?
        /// File with another root than Intel's, such as a simulator's; nil for Intel's.
        package var trustRoot: String?

        package init() {}
    }

    /// The listener for operators: plain HTTP.
    package struct Admin: Sendable {
        package var isEnabled = false
        /// An IP address.
        package var address = "127.0.0.1"
        /// Zero for any free one.
        package var port: UInt16 = 8001
        /// Of the settings, else of a variable.
        package var token: SharedSecret?
        /// With bcrypt entries.
        package var passwordFile: String?
        /// Whether everybody is let in where there are no credentials.
        package var allowsEveryone = false

        package init() {}
    }

    package struct Metrics: Sendable, Equatable {
        package var isEnabled = true

        package init() {}
    }

    /// Who decides which machines may boot.
    package enum Authorization: Sendable, Equatable {
        case webhook(Webhook)
        /// Everybody may boot; for development.
        case development(gatewayAppID: String)
        /// A file with auth-simple's rules.
        case file(path: String)
        /// A policy file of named rules.
        case policy(path: String)
        case ethereum(EthereumAuthorizer.Configuration)

        /// Whether every machine may boot.
        package var isDevelopment: Bool { if case .development = self { true } else { false } }
    }

    package struct Webhook: Sendable, Equatable {
        package var url = "http://auth-api:8000"
        /// For a question with everything that belongs to it.
        package var timeout = Duration.seconds(20)

        package init() {}
    }

    /// Other services with the same root keys.
    package struct Replicas: Sendable, Equatable {
        /// Base URLs, https.
        package var urls: [String] = []

        package init() {}
    }

    /// How a service without keys comes to some.
    package struct Onboarding: Sendable {
        package var isEnabled = true
        /// Where it is not empty, a service without keys makes its own at once, for this name.
        package var autoBootstrapDomain = ""
        /// Its token is that of the settings, else of a file, else of a variable; nil where nobody has set one.
        package var listener = OnboardingRules(place: .tcp(host: "0.0.0.0", port: 8000))
        var tokenFile: String?

        package init() {}
    }
}
