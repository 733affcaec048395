import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import DstackSystem
import Synchronization

/// Finds out whether a caller runs the operating system image that its host states.
///
/// One form can be verified: TDX "lite", where the VM's configuration brings the image's measurement document. The document
/// hashes to the image's name, and the registers that follow from it must be the quoted ones. The other forms need the
/// image's files and are refused, with that reason.
///
/// **What is remembered.** A verification computes some thirty digests, reads JSON, Base64 and CBOR and words fifteen
/// findings, and each time the same for all instances of one image on hosts of one kind. What a success says is a fact about
/// the configuration's bytes and the quoted registers alone: these registers are the image's, with ACPI tables of some
/// digests. It is remembered under exactly these, in memory. A failure is not: it would give strangers something to fill
/// memory with. Only callers that the authorizer allowed get here.
///
/// Nothing is kept on disk, as upstream's service does: a file saves a new process less than the time to read and parse it,
/// and a yes in a file is a yes by whoever can write there. There is nothing to tamper with, to migrate or to bound.
package final class ImageVerifier: Sendable {
    package let rules: ImageRules

    /// Everything that a result follows from.
    private struct Key: Hashable {
        let configuration: FixedBytes<32>
        let mrtd: FixedBytes<48>
        let rtmr0: FixedBytes<48>
        let rtmr1: FixedBytes<48>
        let rtmr2: FixedBytes<48>

        init(_ configuration: FixedBytes<32>, _ report: TDReport) {
            self.configuration = configuration
            (mrtd, rtmr0, rtmr1, rtmr2) = (report.mrTd, report.rtMr0, report.rtMr1, report.rtMr2)
        }
    }

    private let images = Mutex<[Key: FixedBytes<32>]>([:])
    private let capacity: Int

    /// - Parameter capacity: how many results are remembered, some hundred bytes each; images times kinds of hosts are far
    ///   fewer. When it is full all go, which costs each of them one verification.
    package init(_ rules: ImageRules, capacity: Int = 1024) {
        self.rules = rules
        self.capacity = capacity
    }

    /// How many results are remembered.
    package var count: Int { images.withLock { $0.count } }

    /// Reads what is stated of a VM.
    ///
    /// - Parameters:
    ///   - text: `vm_config`, JSON, not empty. From the host, signed by nobody.
    ///   - report: of a quote that was verified.
    ///   - log: of the same evidence, replayed.
    /// - Throws: ``KMSServiceError/Code/invalidRequest`` for a text that is no configuration.
    func examine(_ text: String, _ report: TDReport, _ log: ReplayedEventLog) throws(KMSServiceError) -> ImageClaim {
        let digest = SHA256.hash(text.utf8.span.bytes)
        if let hash = images.withLock({ $0[Key(digest, report)] }) { return .verified(hash) }
        do throws(DecodingFailure) {
            let configuration = try VMConfiguration(decoding: Array(text.utf8))
            let isSilent = configuration.osImageHash == nil && configuration.tdxMeasurement == nil
            if isSilent, VMConfiguration.isVacant(text) { return .absent }
            return .stated(StatedImage(configuration: configuration, digest: digest, report: report, log: log.log))
        } catch {
            throw KMSServiceError(.invalidRequest, error.subject, error.reason)
        }
    }

    /// Verifies what is claimed.
    ///
    /// - Returns: the image's hash; nil if it was not verified and need not be.
    /// - Throws: ``KMSServiceError/Code/imageNotVerified``.
    func verify(_ claim: ImageClaim) throws(KMSServiceError) -> FixedBytes<32>? {
        switch claim {
        case .verified(let hash): return hash
        case .absent:
            guard rules.verifies else { return nil }
            throw Self.refusal(
                "neither the request nor the evidence has a VM configuration (vm_config), so that nothing is known of it",
                hint: "the host's VMM writes one; its version may be too old")
        case .stated(let image):
            guard rules.verifies else { return nil }
            return try verify(image)
        }
    }

    private func verify(_ image: StatedImage) throws(KMSServiceError) -> FixedBytes<32> {
        // Said here, because a reader of the verifier's own words cannot know which forms this service has.
        guard image.configuration.attestationVariant == .lite else {
            throw Self.refusal(
                "its form (\(image.configuration.attestationVariant.rawValue)) can only be verified from the image's files, "
                    + "which this service does not have",
                hint: "use an image with a measurement document (tdx_attestation_variant lite)")
        }
        let result = LiteImageVerifier.verify(
            image.configuration, eventLog: image.log, quoted: ImageRegisters(image.report))
        guard result.isVerified, let hash = result.osImageHash else {
            throw Self.refusal(result.failureReason ?? "it was not verified")
        }
        images.withLock { images in
            if images.count >= capacity { images.removeAll(keepingCapacity: true) }
            images[Key(image.digest, image.report)] = hash
        }
        return hash
    }

    private static func refusal(_ reason: String, hint: String = "") -> KMSServiceError {
        KMSServiceError(.imageNotVerified, "OS image", reason, hint: hint)
    }

    // MARK: Clearing

    /// Forgets results, and removes what other versions have left in the cache directory.
    ///
    /// Both arguments are looked at before anything is done. An entry that is not there is no error.
    ///
    /// - Parameters:
    ///   - image: an image's hash, hexadecimal: forgets what was verified for it, and removes `images/<hash>`; `all` for all
    ///     images; empty for none.
    ///   - config: SHA-256 of a `vm_config`: the same with `measurements/<hash>.json`.
    /// - Throws: ``KMSServiceError/Code/invalidRequest`` for anything but hexadecimal digits, so that no name leads out of the
    ///   directory; ``KMSServiceError/Code/internalFault`` for files that cannot be removed.
    package func clear(image: String, config: String) throws(KMSServiceError) {
        let image = try CacheKey(image)
        let config = try CacheKey(config)
        images.withLock { images in
            images = images.filter { key, hash in !image.names(hash) && !config.names(key.configuration) }
        }
        let directory = ImageCacheDirectory(path: rules.cacheDirectory)
        do throws(SystemError) {
            try directory.remove(image, in: "images")
            try directory.remove(config, in: "measurements", suffix: ".json")
        } catch {
            throw KMSServiceError(
                .internalFault, "image cache", error.description,
                hint: "what was remembered is forgotten; remove the files by hand")
        }
    }
}

/// What a caller says of its image.
enum ImageClaim: Sendable {
    /// It was found in the quoted registers.
    case verified(FixedBytes<32>)
    /// Not verified yet.
    indirect case stated(StatedImage)
    /// Nothing.
    case absent

    /// What decisions are made about; nil if no image is named.
    var osImageHash: FixedBytes<32>? {
        switch self {
        case .verified(let hash): hash
        case .stated(let image): image.configuration.osImageHash
        case .absent: nil
        }
    }
}

/// A VM's configuration as its host states it, with what it has to agree with.
struct StatedImage: Sendable {
    let configuration: VMConfiguration
    /// SHA-256 of the configuration as it was given.
    let digest: FixedBytes<32>
    let report: TDReport
    let log: EventLog
}
