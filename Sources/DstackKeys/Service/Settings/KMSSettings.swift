package import DstackAttestation
package import DstackCrypto
package import DstackEncoding

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
    package var attestation = Attestation()
    package var image = Image()
    package var admin = Admin()
    package var metrics = Metrics()
    package var authorization = Authorization.webhook(Webhook())
    package var onboarding = OnboardingSettings()
    package var certificates = CertificateSettings()
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

    /// Whether and how operating system images are verified.
    package struct Image: Sendable, Equatable {
        package var isVerified = true
        /// Where results are kept.
        package var cacheDirectory = "/usr/share/dstack/images"
        /// With `{OS_IMAGE_HASH}` in it.
        package var downloadURL = "http://localhost:8000/{OS_IMAGE_HASH}.tar.gz"
        /// Nil for no limit.
        package var downloadTimeout: Duration? = .seconds(120)

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
        case ethereum(Ethereum)

        /// Whether every machine may boot.
        package var isDevelopment: Bool { if case .development = self { true } else { false } }
    }

    package struct Webhook: Sendable, Equatable {
        package var url = "http://auth-api:8000"
        /// For a question with everything that belongs to it.
        package var timeout = Duration.seconds(20)

        package init() {}
    }

    /// The contract of a service on a chain.
    package struct Ethereum: Sendable, Equatable {
        package enum Block: String, Sendable, CaseIterable {
            case latest
            case safe
            case finalized
        }

        package var nodes: [String] = []
        package var contract = FixedBytes<20>()
        /// Nil for that of the first answer.
        package var chainID: UInt64?
        /// How many nodes must give the same answer.
        package var agree = 1
        package var block = Block.latest
        /// The block with so many others on it is read at; nil to go by ``block``.
        package var confirmations: UInt64?
        /// Nil for any.
        package var maximumBlockAge: Duration? = .seconds(3600)

        package init() {}
    }

    /// Other services with the same root keys.
    package struct Replicas: Sendable, Equatable {
        /// Base URLs, https.
        package var urls: [String] = []

        package init() {}
    }
}

/// How a service without keys comes to some.
package struct OnboardingSettings: Sendable {
    package var isEnabled = true
    /// Where it is not empty, a service without keys makes its own at once, for this name.
    package var autoBootstrapDomain = ""
    /// An IP address.
    package var address = "0.0.0.0"
    /// Zero for any free one.
    package var port: UInt16 = 8000
    /// What whoever bootstraps or onboards must know: of the settings, else of a file, else of a variable. Nil where nobody
    /// has set one.
    package var token: SharedSecret?
    var tokenFile: String?
    /// Whether everybody may do it where there is no token.
    package var allowsEveryone = false

    package init() {}
}

/// What certificates that are issued look like, and for what they may be asked.
package struct CertificateSettings: Sendable, Equatable {
    package enum Profile: String, Sendable, CaseIterable {
        /// Byte for byte as upstream's.
        case upstream
        /// With the key identifiers that strict verification wants.
        case identified
    }

    package var profile = Profile.upstream
    /// Whether evidence stands in certificates also in the form that readers before 0.5.9 want.
    package var includesLegacyEvidence = false
    /// Patterns of the names that all applications may have certificates for (`*`, `*.example.org`, `10.0.0.0/8`); nil where
    /// nobody has set any.
    package var names: [String]?
    /// Names that some applications may have beside these.
    package var applications: [Application] = []
    /// Patterns of names that nobody may have who is not named for them in ``applications``.
    package var reservedNames: [String] = []
    /// How many names one certificate may have; nil where nobody has set it.
    package var maximumNames: Int?
    /// Whether names with an asterisk, and addresses, may be asked for.
    package var allowsWildcards = true
    package var allowsAddresses = true
    /// Whether certificates may be for TLS servers, and for clients.
    package var allowsServers = true
    package var allowsClients = true
    /// How long a certificate holds for which no end is asked; nil where nobody has set it.
    package var defaultLifetime: Duration?
    /// How long a certificate of an application may hold; nil where nobody has set it.
    package var maximumLifetime: Duration?

    package init() {}

    package struct Application: Sendable, Equatable {
        package let id: FixedBytes<20>
        package let names: [String]
    }
}
