// swift-tools-version: 6.2
import PackageDescription

// The house, lowest floor first. A folder is a target, its parent folder its floor; a target uses what stands before it in
// this list, never what stands behind. `Scripts/check-products` holds the list against that, and what each product links.

/// Settings of every Swift target: names must be imported where they are used, existentials are spelled `any`, and
/// spans may be returned from functions (`@_lifetime`), which the byte readers need.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

/// A target by its folder, named after it unless told otherwise.
func room(_ path: String, as given: String? = nil, uses dependencies: [Target.Dependency] = []) -> Target {
    .target(name: given ?? name(path), dependencies: dependencies, path: path, swiftSettings: house)
}

/// A C or C++ target that wraps one system library behind a header that Swift can read.
func wrapper(_ path: String, links: [String] = []) -> Target {
    .target(name: name(path), path: path, linkerSettings: links.map { .linkedLibrary($0) })
}

/// A program by its folder, named after it unless told otherwise.
func program(_ path: String, as given: String? = nil, uses dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: given ?? name(path), dependencies: dependencies, path: path, swiftSettings: house)
}

func tests(_ path: String, uses dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name(path), dependencies: dependencies, path: path, exclude: exclude, swiftSettings: house)
}

func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

/// To build and run some of the tests only, which takes a fraction of the time of all: `DSTACK_TESTS=DstackGuestTests`
/// in the environment, several separated by commas.
let selectedTests = Context.environment["DSTACK_TESTS"]?.split(separator: ",").map(String.init)

let package = Package(
    name: "dstack",
    products: [
        .library(name: "DstackAttestation", targets: ["DstackAttestation"]),
        .library(name: "DstackMockTEE", targets: ["DstackMockTEE"]),
        .library(name: "DstackAttestedHTTP", targets: ["DstackAttestedHTTP"]),
        .library(name: "DstackKeys", targets: ["DstackKeys"]),
        .executable(name: "dstack", targets: ["dstack"]),
        .executable(name: "dstack-guest-agent", targets: ["dstack-guest-agent"]),
        .executable(name: "dstack-simulator", targets: ["dstack-simulator"]),
        .executable(name: "dstack-verifier", targets: ["dstack-verifier"]),
        .executable(name: "dstack-auth", targets: ["dstack-auth"]),
        .executable(name: "dstack-kms", targets: ["dstack-kms"]),
    ],
    targets: [
        // System libraries.
        wrapper("Sources/Support/C/CBuildInfo"),
        wrapper("Sources/Support/C/COpenSSL", links: ["ssl", "crypto"]),
        wrapper("Sources/Support/C/CCurl", links: ["curl"]),
        wrapper("Sources/Support/C/CCryptoPP", links: ["cryptopp"]),
        wrapper("Sources/Support/C/CSecp256k1", links: ["secp256k1"]),
        wrapper("Sources/Support/C/CTOML"),
        wrapper("Sources/Support/C/CZlib", links: ["z"]),
        wrapper("Sources/Support/C/CSpawn"),
        wrapper("Sources/Support/C/CNetwork"),
        wrapper("Sources/Support/C/CEvent", links: ["event_core"]),
        wrapper("Sources/Support/C/CSQLite", links: ["sqlite3"]),
        wrapper("Sources/Support/C/CCrypt", links: ["crypt"]),

        // Bytes, keys, the operating system.
        room("Sources/Support/Base/DstackEncoding"),
        room("Sources/Support/Base/DstackConcurrency"),
        room("Sources/Support/Base/DstackCrypto", uses: ["COpenSSL", "CCryptoPP", "CSecp256k1", "DstackEncoding"]),
        room("Sources/Support/Base/DstackSystem", uses: ["CSpawn", "DstackConcurrency", "DstackEncoding"]),

        // Connections.
        room(
            "Sources/Support/Network/DstackNetwork",
            uses: ["CNetwork", "COpenSSL", "DstackCrypto", "DstackEncoding", "DstackSystem"]),
        room("Sources/Support/Network/DstackHTTP"),
        room(
            "Sources/Support/Network/DstackHTTPClient",
            uses: [
                "CCurl", "CNetwork", "DstackConcurrency", "DstackCrypto", "DstackHTTP", "DstackNetwork", "DstackSystem",
            ]),
        room(
            "Sources/Support/Network/DstackHTTPServer",
            uses: [
                "CEvent", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackNetwork",
                "DstackSystem",
            ]),

        // State that survives.
        room(
            "Sources/Support/Storage/DstackStore",
            uses: ["CSQLite", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackSystem"]),

        // What every service has.
        room("Sources/Support/Services/DstackConfiguration", uses: ["CTOML", "DstackEncoding", "DstackSystem"]),
        room("Sources/Support/Services/DstackCommandLine", uses: ["CBuildInfo", "DstackEncoding", "DstackSystem"]),
        room("Sources/Support/Services/DstackService", uses: ["DstackHTTPServer", "DstackSystem"]),
        room(
            "Sources/Support/Services/DstackPages",
            uses: ["DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackSystem"]),
        room(
            "Sources/Support/Services/DstackRPC",
            uses: ["DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackSystem"]),
        room(
            "Sources/Support/Services/DstackRPCServer",
            uses: [
                "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackRPC",
            ]),

        // A whole system on a developer's machine.
        room(
            "Sources/Support/Development/DstackDevelopment",
            uses: ["DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackSystem"]),

        // Products.
        room(
            "Sources/DstackAttestation/Measurement", as: "DstackMeasurement", uses: ["DstackCrypto", "DstackEncoding"]),
        room(
            "Sources/DstackAttestation/Attestation", as: "DstackAttestation",
            uses: [
                "CZlib", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackMeasurement", "DstackNetwork", "DstackRPC", "DstackSystem",
            ]),
        room(
            "Sources/DstackAttestedHTTP",
            uses: [
                "DstackAttestation", "DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackNetwork", "DstackPages",
                "DstackSystem",
            ]),
        room(
            "Sources/DstackMockTEE",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackMeasurement",
                "DstackSystem",
            ]),
        room(
            "Sources/DstackKeys/Keys", as: "DstackKeys",
            uses: ["DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackSystem"]),
        room(
            "Sources/DstackKeys/Authorization", as: "DstackAuthorization",
            uses: [
                "DstackConcurrency", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackNetwork", "DstackSystem",
            ]),
        room(
            "Sources/DstackKeys/KMS", as: "DstackKMS",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackKeys", "DstackStore",
                "DstackSystem",
            ]),
        room(
            "Sources/DstackKeys/KeyProvider", as: "DstackKeyProvider",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackKeys",
                "DstackNetwork", "DstackRPC", "DstackSystem",
            ]),
        room(
            "Sources/DstackKeys/Client", as: "DstackKMSClient",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackKeys", "DstackNetwork", "DstackRPC", "DstackSystem",
            ]),
        room(
            "Sources/DstackKeys/Service", as: "DstackKMSService",
            uses: [
                "CCrypt", "DstackAttestation", "DstackAuthorization", "DstackConcurrency", "DstackConfiguration",
                "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackKMS",
                "DstackKMSClient", "DstackKeys", "DstackMeasurement", "DstackNetwork", "DstackPages", "DstackRPC",
                "DstackRPCServer", "DstackService", "DstackStore", "DstackSystem",
            ]),
        room(
            "Sources/DstackGuest/Guest", as: "DstackGuest",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackConfiguration", "DstackCrypto", "DstackEncoding",
                "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackNetwork", "DstackPages",
                "DstackRPC", "DstackRPCServer", "DstackService", "DstackSystem",
            ]),
        room(
            "Sources/DstackGuest/Simulation", as: "DstackSimulation",
            uses: [
                "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackGuest", "DstackKeys", "DstackMockTEE",
                "DstackNetwork", "DstackSystem",
            ]),

        // Shells.
        room(
            "Sources/Executables/Shared", as: "DstackShells",
            uses: ["DstackAttestation", "DstackCommandLine", "DstackEncoding", "DstackSystem"]),
        room(
            "Sources/Executables/VerifierService", as: "DstackVerifierService",
            uses: ["DstackAttestation", "DstackEncoding", "DstackMeasurement"]),
        program(
            "Sources/Executables/dstack",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackCrypto", "DstackDevelopment", "DstackEncoding",
                "DstackMockTEE", "DstackShells", "DstackSystem",
            ]),
        program(
            "Sources/Executables/dstack-verifier",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackEncoding", "DstackHTTP",
                "DstackHTTPServer", "DstackNetwork", "DstackService", "DstackShells", "DstackSystem",
                "DstackVerifierService",
            ]),
        program(
            "Sources/Executables/dstack-auth",
            uses: [
                "DstackAuthorization", "DstackCommandLine", "DstackConfiguration", "DstackEncoding", "DstackHTTPServer",
                "DstackNetwork", "DstackService", "DstackSystem",
            ]),
        program(
            "Sources/Executables/dstack-kms",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackCrypto", "DstackEncoding",
                "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackKMS", "DstackKMSService", "DstackKeys",
                "DstackRPC", "DstackService", "DstackStore", "DstackSystem",
            ]),
        program(
            "Sources/Executables/dstack-guest-agent",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackGuest", "DstackShells",
                "DstackSystem",
            ]),
        program(
            "Sources/Executables/dstack-simulator",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackCrypto", "DstackDevelopment",
                "DstackEncoding", "DstackGuest", "DstackShells", "DstackSimulation", "DstackSystem",
            ]),

        // Examples, which use only public API.
        program("Examples/VerifyQuote", as: "verify-quote", uses: ["DstackAttestation"]),
        program(
            "Examples/AttestedService", as: "attested-service", uses: ["DstackAttestation", "DstackAttestedHTTP"]),
        program("Examples/FiveMinutes", as: "five-minutes", uses: ["DstackAttestation"]),
        program("Examples/AttestedClient", as: "attested-client", uses: ["DstackAttestation"]),

        // Benchmarks.
        program(
            "Benchmarks/Verification", as: "VerificationBenchmark",
            uses: ["DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackSystem"]),

        program(
            "Benchmarks/MutualTLS", as: "MutualTLSBenchmark",
            uses: [
                "DstackAttestation", "DstackAttestedHTTP", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackNetwork", "DstackSystem",
            ]),

        program(
            "Benchmarks/KMS", as: "KMSBenchmark",
            uses: [
                "COpenSSL", "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackKeys", "DstackMockTEE",
                "DstackNetwork", "DstackRPC", "DstackSystem",
            ]),

        // Tests
        room(
            "Tests/FuzzSupport",
            uses: [
                "DstackAttestation", "DstackAuthorization", "DstackConfiguration", "DstackCrypto", "DstackEncoding",
                "DstackGuest", "DstackHTTP", "DstackHTTPServer", "DstackKMS", "DstackKMSService", "DstackKeyProvider",
                "DstackKeys", "DstackMeasurement", "DstackMockTEE", "DstackRPC", "DstackSystem",
                "DstackVerifierService",
            ]),
        program(
            "Tests/Fuzz", as: "dstack-fuzz",
            uses: [
                "DstackAttestation", "DstackCommandLine", "DstackEncoding", "DstackSystem", "FuzzSupport",
            ]),
        program("Tests/ProcessProbe", as: "process-probe", uses: ["DstackSystem"]),
        program(
            "Tests/StateProbe", as: "state-probe",
            uses: ["DstackCrypto", "DstackKMS", "DstackKeys", "DstackStore", "DstackSystem"]),
        room("Tests/Kit", as: "TestKit", uses: ["DstackEncoding"]),
        // A source of COpenSSL once more, by the path that builds of OpenSSL without deprecated functions take.
        .target(name: "PlainP256", dependencies: ["COpenSSL"], path: "Tests/PlainP256"),
        tests(
            "Tests/FuzzTests", uses: ["DstackAttestation", "DstackCrypto", "DstackEncoding", "FuzzSupport", "TestKit"]),
        tests("Tests/DstackConcurrencyTests", uses: ["DstackConcurrency", "TestKit"]),
        tests("Tests/DstackEncodingTests", uses: ["DstackEncoding", "TestKit"]),
        tests(
            "Tests/DstackCryptoTests",
            uses: ["CCryptoPP", "COpenSSL", "DstackCrypto", "DstackEncoding", "PlainP256", "TestKit"]),
        tests(
            "Tests/DstackSupportTests",
            uses: [
                "COpenSSL", "DstackCommandLine", "DstackConcurrency", "DstackConfiguration", "DstackCrypto",
                "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackNetwork",
                "DstackService", "DstackSystem", "TestKit", "process-probe",
            ]),
        tests(
            "Tests/DstackRPCTests",
            uses: [
                "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackNetwork",
                "DstackRPC", "DstackRPCServer", "TestKit",
            ]),
        tests(
            "Tests/DstackAttestationTests",
            uses: [
                "CZlib", "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackHTTPServer", "DstackMeasurement", "DstackMockTEE", "DstackNetwork", "DstackSystem",
                "DstackVerifierService", "TestKit",
            ]),
        tests(
            "Tests/DstackClientTests",
            uses: [
                "COpenSSL", "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackGuest", "DstackHTTP",
                "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackRPC", "DstackRPCServer", "DstackSimulation",
                "DstackSystem", "FuzzSupport", "TestKit",
            ]),
        tests(
            "Tests/DstackAttestedHTTPTests",
            uses: [
                "COpenSSL", "DstackAttestation", "DstackAttestedHTTP", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackNetwork", "DstackSystem",
                "TestKit",
            ]),
        tests(
            "Tests/DstackQuoteSourceTests",
            uses: [
                "DstackAttestation", "DstackConcurrency", "DstackCrypto", "DstackEncoding", "DstackMockTEE",
                "DstackSystem", "TestKit",
            ]),
        tests(
            "Tests/DstackKeysTests",
            uses: [
                "DstackKeys", "DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackSystem",
                "TestKit",
            ]),
        tests(
            "Tests/DstackAuthorizationTests",
            uses: [
                "DstackAuthorization", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackNetwork", "DstackSystem", "TestKit", "dstack-auth",
            ], exclude: ["Chain"]),
        tests(
            "Tests/DstackStoreTests",
            uses: ["DstackCrypto", "DstackEncoding", "DstackStore", "DstackSystem", "TestKit", "state-probe"]),
        tests(
            "Tests/DstackKeyProviderTests",
            uses: [
                "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackHTTPServer",
                "DstackKeyProvider", "DstackKeys", "DstackMockTEE", "DstackNetwork", "DstackRPC", "DstackRPCServer",
                "DstackSystem", "TestKit",
            ]),
        tests(
            "Tests/DstackKMSTests",
            uses: [
                "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackKMS", "DstackKeys", "DstackStore",
                "DstackSystem", "TestKit", "state-probe",
            ]),
        tests(
            "Tests/DstackKMSServiceTests",
            uses: [
                "CCrypt", "DstackAttestation", "DstackAuthorization", "DstackConcurrency", "DstackConfiguration",
                "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackKMS",
                "DstackKMSClient", "DstackKMSService", "DstackKeys", "DstackMockTEE", "DstackNetwork", "DstackPages",
                "DstackRPC", "DstackRPCServer", "DstackStore", "DstackSystem", "TestKit",
            ]),
        tests(
            "Tests/DstackGuestTests",
            uses: [
                "DstackAttestation", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackGuest",
                "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackNetwork",
                "DstackPages", "DstackRPC", "DstackRPCServer", "DstackSimulation", "DstackSystem", "TestKit",
            ], exclude: ["Peers"]),
        // These run the programs themselves, which are built with them.
        tests(
            "Tests/KMSProcessTests",
            uses: [
                "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackHTTPServer", "DstackKMS", "DstackKMSClient", "DstackKeys", "DstackMockTEE", "DstackNetwork",
                "DstackRPC", "DstackSystem", "TestKit",
            ]),
        tests(
            "Tests/EndToEndTests",
            uses: [
                "DstackAttestation", "DstackCrypto", "DstackDevelopment", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackNetwork", "DstackSystem",
                "TestKit",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

if let selectedTests {
    package.targets.removeAll { $0.type == .test && !selectedTests.contains($0.name) }
}

// ThreadSanitizer does not see how threads wait for each other at a lock of Synchronization; with this it does: `make sanitize`.
if Context.environment["DSTACK_SANITIZE"] == "thread" {
    package.targets.append(wrapper("Tests/Sanitizers/CVisibleLock"))
    for target in package.targets where target.type == .test { target.dependencies.append("CVisibleLock") }
}

// libFuzzer brings its `main`, which is there only in a build for it: `make fuzz`.
if Context.environment["DSTACK_LIBFUZZER"] != nil {
    package.targets.append(
        .executableTarget(
            name: "parser-fuzz", dependencies: ["FuzzSupport"], path: "Tests/ParserFuzz",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]))
}
