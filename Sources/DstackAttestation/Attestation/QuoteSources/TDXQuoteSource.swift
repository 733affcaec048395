internal import DstackSystem

/// The source of quotes that a TDX guest has: configfs-tsm where the kernel offers it, else the host's quote generation
/// service. It is looked up for each quote, because either may come to be after the guest has started.
struct TDXQuoteSource: QuoteProvider {
    private let paths: TDXPlatformPaths
    private let device: any TDXDevice
    private let configFS: ConfigFSQuoteProvider

    init(_ paths: TDXPlatformPaths, device: any TDXDevice, files: any PseudoFiles) {
        self.paths = paths
        self.device = device
        configFS = ConfigFSQuoteProvider(entry: paths.quoteEntry, files: files)
    }

    var name: String { "TDX" }

    func quote(
        reportData: ReportData, deadline: ContinuousClock.Instant
    ) throws(AttestationError) -> [UInt8] {
        let hasConfigFS = paths.isQuoteEntryChosen || configFS.isPresent
        if paths.isQuoteEntryChosen { return try configFS.quote(reportData: reportData, deadline: deadline) }
        let endpoint: QGSQuoteProvider.Endpoint?
        do throws(AttestationError) {
            endpoint = try QGSQuoteProvider.endpoint(configuredIn: paths.serviceConfiguration)
        } catch {
            // A file that cannot be read is no obstacle where it is not needed.
            guard hasConfigFS else { throw error }
            endpoint = nil
        }
        guard let endpoint else {
            guard hasConfigFS else {
                throw AttestationError(
                    .quoteUnavailable, subject: "quote",
                    reason: "no quote method available: the kernel has no \(paths.quoteEntry), and "
                        + "\(paths.serviceConfiguration) names no port of a quote generation service",
                    hint: "a TDX guest with Linux 6.7 or later and configfs is needed, or the simulator")
            }
            return try configFS.quote(reportData: reportData, deadline: deadline)
        }
        let service = QGSQuoteProvider(endpoint: endpoint, device: device)
        guard hasConfigFS else { return try service.quote(reportData: reportData, deadline: deadline) }

        // Falling back is safe: both sources have the same TDX module report on the same registers, and nobody believes
        // a quote for where it comes from. What must not happen is that the first failure is forgotten.
        let now = ContinuousClock.now
        let first: AttestationError
        do throws(AttestationError) {
            return try configFS.quote(reportData: reportData, deadline: now + (deadline - now) / 2)
        } catch {
            first = error
        }
        do throws(AttestationError) {
            return try service.quote(reportData: reportData, deadline: deadline)
        } catch {
            throw AttestationError(
                .quoteUnavailable, subject: "quote", reason: "\(first); then \(error)", hint: error.hint)
        }
    }
}
