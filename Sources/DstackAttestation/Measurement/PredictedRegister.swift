internal import DstackCrypto
package import DstackEncoding

/// One event that a boot is predicted to extend into a register.
package struct PredictedEvent: Sendable, Equatable {
    /// What is measured, in the words of this package: `td_hob`, `SecureBoot`, `acpi_tables`.
    package let name: String
    /// The type that the log gives it.
    package let type: MeasuredEventType
    /// SHA-384 of what is measured.
    package let digest: FixedBytes<48>
}

/// A runtime measurement register that was computed from what it should have measured.
///
/// The events are kept, so that a mismatch can be explained by the event that differs and not only by two hashes.
package struct PredictedRegister: Sendable, Equatable {
    package let events: [PredictedEvent]

    /// The register after all events: each extends it by SHA-384(register ‖ digest), beginning with 48 zero bytes.
    package var value: FixedBytes<48> {
        var register = FixedBytes<48>()
        for event in events {
            var writer = ByteWriter(capacity: 96)
            writer.fixed(register)
            writer.fixed(event.digest)
            register = SHA384.hash(writer.bytes)
        }
        return register
    }

    /// Where a log's digests first leave the prediction.
    ///
    /// - Returns: the position, the predicted event (nil if the log has more events) and the log's digest (nil if it
    ///   has fewer); nil if there is no difference.
    package func firstDifference(
        from logged: [FixedBytes<48>]
    ) -> (index: Int, predicted: PredictedEvent?, logged: FixedBytes<48>?)? {
        for index in 0..<max(events.count, logged.count) {
            let predicted = index < events.count ? events[index] : nil
            let found = index < logged.count ? logged[index] : nil
            if predicted?.digest != found { return (index, predicted, found) }
        }
        return nil
    }
}
