/// What somebody presents to be believed: a quote, and what explains it.
///
/// Everything here is untrusted bytes. The event log says how the quoted registers came about, the compose file what the
/// application is, the VM configuration what the machine is; each counts only as far as it is found in the quote.
public struct Evidence: Sendable {
    enum Form: Sendable {
        case quote([UInt8], eventLog: [UInt8]?, configuration: String)
        case envelope([UInt8])
        /// Neither, and why; as an envelope or as a quote by its code.
        case unreadable(AttestationError)
    }

    /// What whoever gave the files calls them, to be found in messages about them; nil for what was not given, or has no name.
    package struct FileNames: Sendable {
        /// Of the quote, the answer or the envelope.
        var evidence: String?
        var eventLog: String?
        var configuration: String?

        package init(evidence: String?, eventLog: String? = nil, configuration: String? = nil) {
            self.evidence = evidence
            self.eventLog = eventLog
            self.configuration = configuration
        }
    }

    let form: Form
    package var fileNames = FileNames(evidence: nil)
    /// The report data that stands beside the quote, where it does.
    package var statedReportData: StatedReportData?
    /// Why the VM configuration that was named for it cannot be read.
    private(set) var configurationError: AttestationError?
    /// The operator's own copy of app-compose.json, to be compared with the measured one.
    public var appCompose: [UInt8]?

    /// A quote with what may come beside it.
    ///
    /// - Parameters:
    ///   - quote: the quote, binary.
    ///   - eventLog: the event log, in any form that ``EvidenceFile`` recognises.
    ///   - configuration: `vm_config` as JSON, or a system configuration that contains it.
    ///   - appCompose: the compose file that the application is expected to have been measured from.
    public init(
        quote: [UInt8], eventLog: [UInt8]? = nil, configuration: String = "", appCompose: [UInt8]? = nil
    ) {
        form = .quote(quote, eventLog: eventLog, configuration: configuration)
        self.appCompose = appCompose
    }

    /// An attestation envelope of version 0 or 1.
    public init(attestation: [UInt8], appCompose: [UInt8]? = nil) {
        form = .envelope(attestation)
        self.appCompose = appCompose
    }

    // MARK: Names

    /// An error about the evidence itself, by its file's name.
    func named(_ error: AttestationError) -> AttestationError {
        guard let name = fileNames.evidence else { return error }
        // What lies in an envelope is counted from its own beginning.
        if case .envelope = form, error.code != .invalidEnvelope { return error.within(name) }
        return error.about(name)
    }

    /// An error about the event log, which may have come with the quote.
    func namedEventLog(_ error: AttestationError) -> AttestationError {
        if let name = fileNames.eventLog { return error.about(name) }
        return fileNames.evidence.map { error.within($0) } ?? error
    }

    /// An error about the VM configuration that was named.
    func namedConfiguration(_ error: AttestationError) -> AttestationError {
        fileNames.configuration.map { error.about($0) } ?? error
    }

    // MARK: From files

    /// A quote as people have it, in any form that ``EvidenceFile`` recognises, with what may come beside it.
    ///
    /// An agent's answer brings its own event log and configuration, each unless another is given here; an envelope given as
    /// a quote is taken for what it is. What cannot be taken makes evidence that is rejected, with the reason.
    ///
    /// - Parameters:
    ///   - file: the quote, an agent's answer with one, or an envelope.
    ///   - eventLog: dstack's log or a firmware's, in any form that is recognised.
    ///   - configuration: `vm_config` as JSON, or an answer that has one.
    ///   - appCompose: the compose file that the application is expected to have been measured from, byte for byte.
    public init(
        quoteFile file: EvidenceFile, eventLog: [UInt8]? = nil, configuration: [UInt8]? = nil,
        appCompose: [UInt8]? = nil
    ) {
        self.appCompose = appCompose
        statedReportData = file.answer?.reportData
        do throws(AttestationError) {
            try Self.requireNoRestriction(in: file)
            let isGivenMore = eventLog != nil || configuration != nil
            // Of both the envelope counts, which has all in one piece; but whoever gives more means the quote.
            if file.kind == .envelope
                || file.answer?.attestation != nil && (file.answer?.quote == nil || !isGivenMore)
            {
                guard !isGivenMore else {
                    throw AttestationError(
                        .invalidEnvelope, subject: "attestation",
                        reason: "an envelope has its own event log and configuration; another was given beside it",
                        hint: "leave them out, or give the quote alone")
                }
                form = .envelope(try file.envelope())
                return
            }
            var given: String?
            do throws(AttestationError) {
                given = try configuration.map { bytes throws(AttestationError) in
                    try EvidenceFile(recognising: bytes).configuration()
                }
            } catch {
                // A check of its own fails for it: it says nothing about the quote. An answer's own does not take its place.
                configurationError = error
                given = ""
            }
            form = .quote(
                try file.quote(), eventLog: eventLog ?? file.answer?.eventLog?.bytes,
                configuration: given ?? file.answer?.vmConfig ?? "")
        } catch {
            form = .unreadable(error)
        }
    }

    /// An attestation envelope as people have it, in any form that ``EvidenceFile`` recognises.
    ///
    /// A quote is not taken in its place: it would say less than was asked for.
    public init(attestationFile file: EvidenceFile, appCompose: [UInt8]? = nil) {
        self.appCompose = appCompose
        statedReportData = file.answer?.reportData
        do throws(AttestationError) {
            try Self.requireNoRestriction(in: file)
            form = .envelope(try file.envelope())
        } catch {
            form = .unreadable(error)
        }
    }

    /// A request of the verifier service is taken as evidence only where it asks for nothing: what it asks for would not be
    /// checked, and its author believe that it was.
    private static func requireNoRestriction(in file: EvidenceFile) throws(AttestationError) {
        guard let (name, advice) = file.answer?.restriction else { return }
        throw AttestationError(
            .invalidQuote, subject: name,
            reason: "a request of the verifier service asks for something that would not be checked here; there, "
                + advice,
            hint: "`dstack-verifier --verify FILE` answers requests; here a policy file states what is expected")
    }
}
