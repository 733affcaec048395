package import DstackAttestation

/// What a case is made of and by.
package enum FuzzKind: String, CaseIterable, Sendable {
    // Quotes and collateral, judged by a verifier
    /// Bytes of a quote, anyhow.
    case quoteBytes = "quote-bytes"
    /// Fields, signatures and lengths of a quote; also signed again, rightly or wrongly.
    case quoteFields = "quote-fields"
    /// Bytes and members of the JSON that collateral comes as.
    case collateralJSON = "collateral-json"
    /// Members of collateral exchanged, damaged, signed by others.
    case collateralMembers = "collateral-members"
    /// The PEM texts in quote and collateral.
    case chains
    /// TCB info and QE identity, with and without a new signature.
    case documents
    /// Certificates issued with other contents.
    case certificates
    /// Revocation lists issued with other contents.
    case revocationLists = "revocation-lists"
    /// TCB levels and platforms at random, judged by a second implementation of the rules.
    case levels
    /// Other dates and other times of verification.
    case time
    // What comes beside a quote, and what a relying party writes itself
    /// Event logs, compose files and configurations beside a quote, and envelopes around it.
    case evidence
    /// dstack's JSON event log.
    case eventLog = "event-log"
    /// The firmware's binary event log.
    case ccel
    /// Attestation envelopes of both versions.
    case envelope
    /// app-compose.json.
    case appCompose = "app-compose"
    /// Policy files.
    case policy
    /// VM configurations.
    case configuration = "vm-config"

    /// Whether its cases are a quote, collateral and a time.
    package var isOfQuotes: Bool {
        switch self {
        case .quoteBytes, .quoteFields, .collateralJSON, .collateralMembers, .chains, .documents, .certificates,
            .revocationLists, .levels, .time:
            true
        case .evidence, .eventLog, .ccel, .envelope, .appCompose, .policy, .configuration: false
        }
    }

    /// Kinds of quotes and collateral, each as often as it is worth.
    static let schedule: [FuzzKind] = [
        .quoteBytes, .quoteFields, .collateralMembers, .documents, .chains, .quoteFields, .collateralJSON, .documents,
        .certificates, .quoteBytes, .levels, .collateralMembers, .documents, .revocationLists, .quoteFields, .time,
        .certificates, .documents, .chains, .levels,
    ]

    /// The same for comparisons with another verifier.
    static let comparison: [FuzzKind] = [
        .documents, .certificates, .levels, .revocationLists, .quoteFields, .documents, .certificates, .chains,
        .levels, .time, .documents, .collateralMembers, .certificates, .quoteBytes, .revocationLists, .collateralJSON,
        .documents, .certificates, .quoteFields, .time,
    ]
}

/// Quote, collateral, root and time: all that a verdict depends on.
package struct Exhibit: Sendable {
    package var quote: [UInt8]
    package var collateral: QuoteCollateral
    /// Set where the collateral is given as JSON that may not be any.
    package var collateralJSON: [UInt8]?
    /// The trust anchor, DER.
    package var root: [UInt8]
    /// Unix seconds.
    package var time: Int64

    /// The collateral as a file has it.
    package var collateralText: [UInt8] { collateralJSON ?? collateral.json }
}

/// What must become of a case. Whoever makes one knows who signed it.
package enum Expectation: Sendable {
    /// Nobody entitled has signed the change. Accepted only if nothing that matters has changed, and then with the answer
    /// for the original.
    case untrusted
    /// Must be accepted with the answer for the original.
    case sameAnswer
    /// Must be rejected.
    case rejected
    /// Must be accepted with this status and these advisories.
    case judged(TCBStatus, advisoryIDs: [String])
    /// Signed by those who may say so: either verdict may be right, and is for the differential run to compare.
    case issued
}

/// One mutated input.
package struct FuzzCase: Sendable {
    package enum Subject: Sendable {
        case exhibit(Exhibit)
        /// Evidence beside a quote whose exhibit is the seed's own.
        case evidence(EvidenceSubject)
        /// Bytes of a format, for its parser.
        case bytes([UInt8])
    }

    package let kind: FuzzKind
    package let number: Int
    /// Index of the seed in the corpus that was mutated.
    package let seed: Int
    /// What was done, in order.
    package var changes: [String]
    package var subject: Subject
    package var expectation: Expectation

    package init(
        _ kind: FuzzKind, number: Int, seed: Int, changes: [String], subject: Subject,
        expectation: Expectation = .untrusted
    ) {
        self.kind = kind
        self.number = number
        self.seed = seed
        self.changes = changes
        self.subject = subject
        self.expectation = expectation
    }

    /// The changes in words.
    package var summary: String { changes.joined(separator: "; ") }
}

/// Evidence with its parts by name.
package struct EvidenceSubject: Sendable {
    package var quote: [UInt8]
    package var eventLog: [UInt8]?
    package var configuration: String
    package var appCompose: [UInt8]?
    /// In place of quote, event log and configuration.
    package var envelope: [UInt8]?

    package var evidence: Evidence {
        if let envelope { return Evidence(attestation: envelope, appCompose: appCompose) }
        return Evidence(quote: quote, eventLog: eventLog, configuration: configuration, appCompose: appCompose)
    }
}
