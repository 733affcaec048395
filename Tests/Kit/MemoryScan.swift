import Foundation
import Glibc

/// Looks for bytes in this process's own writable memory.
package enum MemoryScan {
    /// How often the bytes stand there. They are given masked, every byte XOR 0x5A, so that the question is not its own
    /// answer.
    package static func occurrences(ofMasked masked: [UInt8]) throws -> Int {
        let maps = try self.maps()
        let memory = open("/proc/self/mem", O_RDONLY)
        guard memory >= 0 else { throw POSIXError(.EACCES) }
        defer { close(memory) }
        // Outside of Swift's and malloc's memory, and not searched itself.
        let size = 1 << 20
        let window = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let window, window != MAP_FAILED else { throw POSIXError(.ENOMEM) }
        defer { munmap(window, size) }
        let own = UInt(bitPattern: window)
        var found = 0
        for line in maps.split(separator: "\n") {
            let fields = line.split(separator: " ")
            let range = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard fields[1].hasPrefix("rw"), range.count == 2, !(range[0]..<range[1]).contains(own) else { continue }
            var position = range[0]
            while position < range[1] {
                let wanted = min(UInt(size), range[1] - position)
                let count = pread(memory, window, Int(wanted), off_t(position))
                guard count > 0 else {
                    // Another test gave this page back meanwhile.
                    position += 4096
                    continue
                }
                found += matches(UnsafeRawBufferPointer(start: window, count: count), masked)
                // Windows overlap, so that nothing hides on a border.
                if position + UInt(count) >= range[1] { break }
                position += UInt(max(1, count - masked.count))
            }
        }
        return found
    }

    /// To the very end: Foundation stops early, because the file claims to have no bytes.
    private static func maps() throws -> String {
        let file = open("/proc/self/maps", O_RDONLY)
        guard file >= 0 else { throw POSIXError(.EACCES) }
        defer { close(file) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(file, &chunk, chunk.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += chunk[..<count]
        }
    }

    private static func matches(_ buffer: UnsafeRawBufferPointer, _ masked: [UInt8]) -> Int {
        guard let start = buffer.baseAddress, let first = masked.first else { return 0 }
        var found = 0
        var position = 0
        while position + masked.count <= buffer.count {
            guard
                let hit = memchr(start + position, Int32(first ^ 0x5A), buffer.count - position - masked.count + 1)
            else { break }
            position = UnsafeRawPointer(hit) - start
            if masked.indices.allSatisfy({ buffer[position + $0] == masked[$0] ^ 0x5A }) { found += 1 }
            position += 1
        }
        return found
    }
}
