internal import DstackEncoding

/// The list of memory resources that the VMM writes into a TD before it starts (UEFI PI hand-off blocks).
///
/// The firmware measures it as the first event of RTMR0, which is how the memory size enters the register.
package enum TDHOB {
    /// The end of low memory on machines that have more than fits below it; the rest continues at 4 GiB.
    package static let lowMemoryEnd: UInt64 = 0x8000_0000
    /// From this memory size on (3 GiB − 256 MiB) QEMU splits the memory at ``lowMemoryEnd``.
    package static let splitThreshold: UInt64 = 0xB000_0000
    private static let highMemoryStart: UInt64 = 0x1_0000_0000

    /// EFI_HOB_TYPE_HANDOFF, EFI_HOB_TYPE_RESOURCE_DESCRIPTOR and their lengths in bytes.
    private static let handoffType: UInt16 = 1
    private static let handoffLength: UInt16 = 56
    private static let resourceType: UInt16 = 3
    private static let resourceLength: UInt16 = 48
    /// EFI_HOB_HANDOFF_TABLE_VERSION.
    private static let handoffVersion: UInt32 = 9
    /// Length of the end marker, which is counted in the header but not measured.
    private static let endMarkerLength: UInt64 = 8
    /// PRESENT, INITIALIZED and TESTED.
    private static let resourceAttributes: UInt32 = 7

    private enum Kind: UInt32 {
        /// EFI_RESOURCE_SYSTEM_MEMORY.
        case accepted = 0
        /// EFI_RESOURCE_MEMORY_UNACCEPTED.
        case unaccepted = 7
    }

    private struct Resource {
        let kind: Kind
        let start: UInt64
        let length: UInt64
    }

    /// The bytes that the firmware measures.
    ///
    /// - Parameters:
    ///   - layout: the firmware's accepted ranges.
    ///   - memorySize: the VM's memory in bytes.
    /// - Throws: if the memory ends below or at the highest accepted range, or if that range lies in the gap of a split
    ///   memory: no VM that boots has such a list.
    package static func bytes(layout: TDHOBLayout, memorySize: UInt64) throws(MeasurementFailure) -> [UInt8] {
        let resources = try resources(layout: layout, memorySize: memorySize)
        let hobAddress = layout.hobPage * TDHOBLayout.pageSize
        let length = UInt64(handoffLength) + UInt64(resources.count) * UInt64(resourceLength)
        var writer = ByteWriter(capacity: Int(length))
        writer.littleEndian(handoffType)
        writer.littleEndian(handoffLength)
        writer.littleEndian(UInt32(0))
        writer.littleEndian(handoffVersion)
        // Boot mode 0 (full configuration), then four addresses that QEMU leaves at 0.
        writer.littleEndian(UInt32(0))
        writer.zeros(32)
        writer.littleEndian(hobAddress + length + endMarkerLength)
        for resource in resources {
            writer.littleEndian(resourceType)
            writer.littleEndian(resourceLength)
            writer.littleEndian(UInt32(0))
            // No owner.
            writer.zeros(16)
            writer.littleEndian(resource.kind.rawValue)
            writer.littleEndian(resourceAttributes)
            writer.littleEndian(resource.start)
            writer.littleEndian(resource.length)
        }
        return writer.bytes
    }

    private static func resources(
        layout: TDHOBLayout, memorySize: UInt64
    ) throws(MeasurementFailure) -> [Resource] {
        var resources: [Resource] = []
        var position: UInt64 = 0
        for range in layout.ranges {
            let start = range.start * TDHOBLayout.pageSize
            let length = range.count * TDHOBLayout.pageSize
            if start > position {
                resources.append(Resource(kind: .unaccepted, start: position, length: start - position))
            }
            resources.append(Resource(kind: .accepted, start: start, length: length))
            position = start + length
        }
        guard memorySize > position else {
            throw MeasurementFailure(
                "memory_size",
                "\(memorySize) bytes end below the firmware's own memory, which needs more than \(position)")
        }
        guard memorySize >= splitThreshold else {
            resources.append(Resource(kind: .unaccepted, start: position, length: memorySize - position))
            return resources
        }
        guard position <= lowMemoryEnd else {
            throw MeasurementFailure(
                "TD HOB ranges", "the firmware's own memory ends at \(position), above the low memory's end")
        }
        if position < lowMemoryEnd {
            resources.append(Resource(kind: .unaccepted, start: position, length: lowMemoryEnd - position))
        }
        resources.append(Resource(kind: .unaccepted, start: highMemoryStart, length: memorySize - lowMemoryEnd))
        return resources
    }
}
