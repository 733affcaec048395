package import DstackMeasurement

extension ACPIDigests {
    /// The digests that an event log states. They are the log's word only; that they were measured follows from an
    /// RTMR0 that was predicted with them and equals the quoted one.
    ///
    /// - Throws: ``MeasurementFailure`` unless the log has exactly three `ACPI DATA` events in RTMR0, one of each name,
    ///   each with its digest.
    package init(_ log: EventLog) throws(MeasurementFailure) {
        let events = log.events.filter(\.isACPIData)
        guard events.count == 3 else { throw Self.failure("found \(events.count)") }
        func digest(_ name: String) throws(MeasurementFailure) -> FixedBytes<48> {
            let named = events.filter { $0.name.utf8.elementsEqual(name.utf8) }
            guard let event = named.first, named.count == 1 else {
                throw Self.failure("\(named.count) of them are named \(name)")
            }
            guard let digest = event.digest else { throw Self.failure("\(name) has no digest") }
            return digest
        }
        self.init(
            loader: try digest("acpi-loader"), rsdp: try digest("acpi-rsdp"), tables: try digest("acpi-tables"))
    }

    private static func failure(_ reason: String) -> MeasurementFailure {
        MeasurementFailure(
            "event_log", "TDX lite attestation requires exactly 3 RTMR0 ACPI DATA events; \(reason)")
    }
}
