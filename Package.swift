// swift-tools-version: 6.2
import PackageDescription

// The floors of the house, lowest first; a target may use what is on its own floor or below, never above.
// `Scripts/check-products` checks what each library product links in the end.

/// Settings of every Swift target: names must be imported where they are used, existentials are spelled `any`, and
/// spans may be returned from functions (`@_lifetime`), which the byte readers need.
let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

func support(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/Support/\(name)", swiftSettings: house)
}

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: house)
}

func shell(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Sources/Executables/\(name)", swiftSettings: house)
}

func benchmark(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: "Benchmarks/\(path)", swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, swiftSettings: house)
}

/// A C or C++ target that wraps one system library behind a header a Swift file can read.
func wrapper(_ name: String, links: [String]) -> Target {
    .target(
        name: name, path: "Sources/Support/\(name)",
        linkerSettings: links.map { .linkedLibrary($0) })
}

/// To build and run some of the tests only, which takes a fraction of the time of all: `DSTACK_TESTS=DstackGuestTests`
/// in the environment, several separated by commas.
let selectedTests = Context.environment["DSTACK_TESTS"]?.split(separator: ",").map(String.init)

let package = Package(
    name: "dstack",
    products: [
        .library(name: "DstackAttestation", targets: ["DstackAttestation"]),
        .library(name: "DstackMockTEE", targets: ["DstackMockTEE"]),
        .library(name: "DstackAttestedHTTP", targets: ["DstackAttestedHTTP"]),
        .library(name: "DstackGuest", targets: ["DstackGuest"]),
        .library(name: "DstackKeys", targets: ["DstackKeys"]),
        .executable(name: "dstack", targets: ["dstack"]),
        .executable(name: "dstack-guest-agent", targets: ["dstack-guest-agent"]),
        .executable(name: "dstack-verifier", targets: ["dstack-verifier"]),
    ],
    targets: [
        // System libraries
        wrapper("CBuildInfo", links: []),
        wrapper("COpenSSL", links: ["ssl", "crypto"]),
        wrapper("CCurl", links: ["curl", "ssl", "crypto"]),
        wrapper("CCryptoPP", links: ["cryptopp"]),
        wrapper("CSecp256k1", links: ["secp256k1"]),
        wrapper("CTOML", links: []),
        wrapper("CZlib", links: ["z"]),
        wrapper("CSpawn", links: []),
        wrapper("CEvent", links: ["event_core", "ssl", "crypto"]),

        // Support
        support("DstackEncoding"),
        support("DstackCrypto", ["COpenSSL", "CCryptoPP", "CSecp256k1", "DstackEncoding"]),
        support("DstackSystem", ["CSpawn", "DstackEncoding"]),
        support("DstackConfiguration", ["CTOML", "DstackEncoding", "DstackSystem"]),
        support("DstackCommandLine", ["CBuildInfo", "DstackEncoding", "DstackSystem"]),
        support("DstackHTTP"),
        support("DstackHTTPClient", ["CCurl", "DstackHTTP", "DstackSystem"]),
        support("DstackHTTPServer", ["CEvent", "DstackHTTP", "DstackSystem"]),
        support("DstackPages", ["DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackSystem"]),
        support("DstackDevelopment", ["CSpawn", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackSystem"]),
        support("DstackRPC", ["DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackSystem"]),
        support("DstackRPCServer", ["DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackRPC"]),

        // Libraries
        library(
            "DstackAttestation",
            [
                "COpenSSL", "CZlib", "DstackCrypto", "DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackRPC",
                "DstackSystem",
            ]),
        library(
            "DstackAttestedHTTP",
            ["DstackAttestation", "DstackEncoding", "DstackHTTP", "DstackHTTPServer", "DstackPages", "DstackSystem"]),
        library("DstackMockTEE", ["DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackSystem"]),
        library("DstackKeys", ["DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackSystem"]),

        library(
            "DstackGuest",
            [
                "DstackAttestation", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackPages", "DstackRPC",
                "DstackRPCServer", "DstackSystem",
            ]),

        // Shells
        .target(
            name: "DstackShells",
            dependencies: ["DstackAttestation", "DstackCommandLine", "DstackEncoding", "DstackSystem"],
            path: "Sources/Executables/Shared", swiftSettings: house),
        shell(
            "dstack",
            [
                "DstackAttestation", "DstackCommandLine", "DstackCrypto", "DstackDevelopment", "DstackEncoding",
                "DstackMockTEE", "DstackShells", "DstackSystem",
            ]),
        shell(
            "dstack-verifier",
            [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackEncoding", "DstackHTTP",
                "DstackHTTPServer", "DstackShells", "DstackSystem",
            ]),

        shell(
            "dstack-guest-agent",
            [
                "DstackAttestation", "DstackCommandLine", "DstackConfiguration", "DstackCrypto", "DstackDevelopment",
                "DstackEncoding", "DstackGuest", "DstackHTTPServer", "DstackShells", "DstackSystem",
            ]),

        // Examples, which use only public API
        .executableTarget(
            name: "verify-quote", dependencies: ["DstackAttestation"], path: "Examples/VerifyQuote"),
        .executableTarget(
            name: "attested-service", dependencies: ["DstackAttestation", "DstackAttestedHTTP"],
            path: "Examples/AttestedService", swiftSettings: house),
        .executableTarget(
            name: "five-minutes", dependencies: ["DstackAttestation"], path: "Examples/FiveMinutes",
            swiftSettings: house),
        .executableTarget(
            name: "attested-client", dependencies: ["DstackAttestation"], path: "Examples/AttestedClient",
            swiftSettings: house),

        // Benchmarks
        benchmark(
            "VerificationBenchmark", path: "Verification",
            ["DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackSystem"]),

        // Tests
        .target(
            name: "FuzzSupport",
            dependencies: [
                "DstackAttestation", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackGuest",
                "DstackHTTP",
                "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackRPC", "DstackSystem",
            ],
            path: "Tests/FuzzSupport", swiftSettings: house),
        .executableTarget(
            name: "dstack-fuzz",
            dependencies: [
                "DstackAttestation", "DstackCommandLine", "DstackEncoding", "DstackSystem", "FuzzSupport",
            ],
            path: "Tests/Fuzz", swiftSettings: house),
        .target(name: "TestKit", path: "Tests/Kit", swiftSettings: house),
        tests("FuzzTests", ["DstackAttestation", "DstackCrypto", "DstackEncoding", "FuzzSupport", "TestKit"]),
        tests("DstackEncodingTests", ["DstackEncoding"]),
        tests("DstackCryptoTests", ["COpenSSL", "DstackCrypto", "DstackEncoding"]),
        tests(
            "DstackSupportTests",
            [
                "DstackCommandLine", "DstackConfiguration", "DstackEncoding", "DstackHTTP", "DstackHTTPClient",
                "DstackHTTPServer", "DstackSystem", "TestKit",
            ]),
        tests(
            "DstackRPCTests",
            ["DstackEncoding", "DstackHTTP", "DstackHTTPClient", "DstackHTTPServer", "DstackRPC", "DstackRPCServer"]),
        tests(
            "DstackAttestationTests",
            [
                "DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackSystem", "TestKit",
            ]
        ),
        tests(
            "DstackClientTests",
            [
                "COpenSSL", "DstackAttestation", "DstackCrypto", "DstackEncoding", "DstackGuest", "DstackHTTP",
                "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackRPC", "DstackRPCServer", "DstackSystem",
                "FuzzSupport", "TestKit",
            ]),
        tests(
            "DstackAttestedHTTPTests",
            [
                "COpenSSL", "DstackAttestation", "DstackAttestedHTTP", "DstackCrypto", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackSystem",
            ]),
        tests(
            "DstackQuoteSourceTests",
            ["DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackSystem"]),
        tests(
            "DstackKeysTests",
            [
                "DstackKeys", "DstackAttestation", "DstackMockTEE", "DstackCrypto", "DstackEncoding", "DstackSystem",
            ]),
        tests(
            "DstackGuestTests",
            [
                "DstackAttestation", "DstackConfiguration", "DstackCrypto", "DstackEncoding", "DstackGuest",
                "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackPages", "DstackRPC",
                "DstackRPCServer", "DstackSystem", "TestKit",
            ], exclude: ["Peers"]),
        // Runs the programs themselves, which are built with it.
        tests(
            "EndToEndTests",
            [
                "DstackAttestation", "DstackCrypto", "DstackDevelopment", "DstackEncoding", "DstackHTTP",
                "DstackHTTPClient", "DstackHTTPServer", "DstackKeys", "DstackMockTEE", "DstackSystem", "TestKit",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

if let selectedTests {
    package.targets.removeAll { $0.type == .test && !selectedTests.contains($0.name) }
}

// libFuzzer brings its `main`, which is there only in a build for it: `make fuzz`.
if Context.environment["DSTACK_LIBFUZZER"] != nil {
    package.targets.append(
        .executableTarget(
            name: "parser-fuzz", dependencies: ["FuzzSupport"], path: "Tests/ParserFuzz",
            swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]))
}
