package import DstackEncoding

/// SHA-384 of the three ACPI blobs as the VMM serves them, before the firmware links them.
package struct ACPIDigests: Sendable, Equatable {
    package let loader: FixedBytes<48>
    package let rsdp: FixedBytes<48>
    package let tables: FixedBytes<48>

    package init(loader: FixedBytes<48>, rsdp: FixedBytes<48>, tables: FixedBytes<48>) {
        self.loader = loader
        self.rsdp = rsdp
        self.tables = tables
    }

    subscript(blob: ACPIBlob) -> FixedBytes<48> {
        switch blob {
        case .loader: loader
        case .rsdp: rsdp
        case .tables: tables
        }
    }
}
