package import DstackEncoding
package import DstackMeasurement

extension ImageRegisters {
    /// The registers of a quoted TD.
    package init(_ report: TDReport) {
        self.init(mrtd: report.mrTd, rtmr0: report.rtMr0, rtmr1: report.rtMr1, rtmr2: report.rtMr2)
    }
}

/// One named check of an OS image against a quote.
package struct ImageFinding: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        case passed
        /// Not as expected, with the reason.
        case failed(String)
        /// Not reached, or not possible, with the cause. The image is not verified then.
        case skipped(String)
        /// Taken as it is, with what that leaves open. The image can still be verified, without this.
        case unverified(String)
    }

    /// What is checked. The names are part of reports and stay as they are.
    package enum Check: String, Sendable, CaseIterable {
        case attestationVariant = "tdx_attestation_variant"
        case measurementPresent = "tdx_measurement"
        case imageHash = "os_image_hash"
        case measurementHash = "measurement_document_hash"
        case measurementDocument = "measurement_document"
        case firmwareVariant = "ovmf_variant"
        case qemuVersion = "qemu_version"
        case memorySize = "memory_size"
        case acpiEvents = "acpi_events"
        case mrtd = "mrtd"
        case rtmr0 = "rtmr0"
        case rtmr1 = "rtmr1"
        case rtmr2 = "rtmr2"
        case acpiTables = "acpi_tables"
    }

    package let check: Check
    package let outcome: Outcome
    package let expected: String?
    package let found: String?
    /// What a mismatch most likely comes from, if something can be said.
    package let hint: String?

    init(_ check: Check, _ outcome: Outcome, expected: String? = nil, found: String? = nil, hint: String? = nil) {
        self.check = check
        self.outcome = outcome
        self.expected = expected
        self.found = found
        self.hint = hint
    }
}

/// The answer to "did this quote's VM boot that OS image?", as a list of findings; the verdict follows from it alone.
package struct ImageVerification: Sendable {
    /// In the order of the checks.
    package let findings: [ImageFinding]
    /// The identity of the image that the answer is about; nil if the configuration names none.
    package let osImageHash: FixedBytes<32>?
    /// The registers that were computed, with their events, as far as it got.
    package let predictedRTMR0: PredictedRegister?
    package let predictedRTMR1: PredictedRegister?
    package let predictedRTMR2: PredictedRegister?

    /// Whether every check passed, but for those that are marked as unverified.
    package var isVerified: Bool {
        !findings.isEmpty
            && findings.allSatisfy {
                switch $0.outcome {
                case .passed, .unverified: true
                case .failed, .skipped: false
                }
            }
    }

    /// Whether the content of the ACPI tables was compared with tables of this VM's shape.
    package var areACPITablesVerified: Bool {
        findings.contains { $0.check == .acpiTables && $0.outcome == .passed }
    }

    /// The reason of the first check that did not pass, nil if the image is verified.
    package var failureReason: String? {
        for finding in findings {
            switch finding.outcome {
            case .failed(let reason), .skipped(let reason): return reason
            case .passed, .unverified: continue
            }
        }
        return nil
    }

    /// What a "verified" does not say; for reports.
    package let notVerified: [String]
}
