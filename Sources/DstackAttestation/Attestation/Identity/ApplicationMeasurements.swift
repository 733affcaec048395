internal import DstackCrypto
public import DstackEncoding

/// The two hashes by which authorizers know a TDX instance: `mr_system` for the system below the application,
/// `mr_aggregated` for all of it.
public struct ApplicationMeasurements: Sendable, Hashable {
    /// `mr_key_provider`: SHA-256 of the key provider event's payload; zeros at boot time and without key provider.
    public let mrKeyProvider: FixedBytes<32>
    /// `mr_system`: SHA-256 of MRTD, RTMR0 to RTMR2 and ``mrKeyProvider``.
    public let mrSystem: FixedBytes<32>
    /// `mr_aggregated`: SHA-256 of MRTD, RTMR0 to RTMR2 and the runtime register; then MRCONFIGID, MROWNER and
    /// MROWNERCONFIG if any of these is not zero.
    public let mrAggregated: FixedBytes<32>

    /// From a report and the replayed log that belongs to it.
    ///
    /// - Throws: ``AttestationError`` at boot time, if the log has no `boot-mr-done`, and for events that could hide
    ///   another (see ``ApplicationIdentity``).
    public init(
        _ report: TDReport, _ log: ReplayedEventLog, at moment: MeasurementMoment = .runtime
    ) throws(AttestationError) {
        let boot = try BootEvents(log.runtimeEvents, at: moment)
        switch moment {
        case .runtime:
            self.init(
                report, runtimeRegister: log.registers.rtmr3, keyProvider: boot.first(.keyProvider) ?? [])
        case .bootTime:
            self.init(report, runtimeRegister: log.runtimeRegister(afterEvents: boot.events.count), keyProvider: [])
        }
    }

    /// From a report, the runtime register of the moment and the key provider event's payload.
    package init(_ report: TDReport, runtimeRegister: Measurement384, keyProvider: [UInt8]) {
        mrKeyProvider = keyProvider.isEmpty ? FixedBytes() : SHA256.hash(keyProvider)

        var system = ByteWriter(capacity: 512)
        for register in [report.mrTd, report.rtMr0, report.rtMr1, report.rtMr2] { system.fixed(register) }
        var aggregated = system
        system.fixed(mrKeyProvider)
        mrSystem = SHA256.hash(system.bytes)

        aggregated.fixed(runtimeRegister)
        let configuration = [report.mrConfigId, report.mrOwner, report.mrOwnerConfig]
        if configuration.contains(where: { !$0.isZero }) {
            for register in configuration { aggregated.fixed(register) }
        }
        mrAggregated = SHA256.hash(aggregated.bytes)
    }
}
