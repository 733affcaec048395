import DstackGuest
import DstackRPC
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("The machine's facts")
struct SystemTests {
    /// A root with the files that are read, of a machine that never was.
    final class Root {
        let path = NSTemporaryDirectory() + "dstack-root-\(UUID().uuidString)"
        var source: SystemSource { SystemSource(root: path) }

        init() throws {
            try write("etc/os-release", "NAME=\"DStack \\\"OS\\\"\"\nID=dstack\nVERSION_ID='0.6.0'\n")
            try write("proc/sys/kernel/osrelease", "6.12.1-dstack\n")
            try write(
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8592+\n\nprocessor\t: 1\nmodel name\t: x\n")
            try write(
                "proc/meminfo",
                "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     400 kB\n"
                    + "SwapTotal:        50 kB\nSwapFree:          20 kB\nHugePages_Total:       0\n")
            try write("proc/uptime", "12345.67 2222.00\n")
            try write("proc/loadavg", "0.29 1.50 12.07 1/234 5678\n")
            try write(
                "proc/self/mounts",
                "overlay / overlay rw 0 0\n/dev/vda1 /data\\040disk ext4 rw 0 0\n/dev/x /tmp t 0 0\n")
            try FileManager.default.createDirectory(atPath: path + "/data disk", withIntermediateDirectories: true)
            try write("etc/resolv.conf", "# names\nnameserver 10.0.2.3\nnameserver\nsearch x\nnameserver fd00::3 y\n")
            try write(
                "proc/net/dev",
                "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n"
                    + "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
                    + "enp0s3:18446744073709551615 9 3 0 0 0 0 0 77 1 4 0 0 0 0 0\n"
                    + "docker0: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\ndstack-wg0: 11 1 0 0 0 0 0 0 12 1 0 0 0 0 0 0\n")
            try write(
                "proc/net/route",
                "Iface\tDestination\tGateway \tFlags\n" + "enp0s3\t00000000\t0202000A\t0003\n"
                    + "enp0s3\t0002000A\t00000000\t0001\n")
            try write(
                "proc/net/ipv6_route",
                "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                    + "fe800000000000000000000000000001 00000064 00000000 00000000 00000003 enp0s3\n")
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func write(_ name: String, _ text: String) throws {
            let file = "\(path)/\(name)"
            try FileManager.default.createDirectory(
                atPath: (file as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: file, atomically: false, encoding: .utf8)
        }

        func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
    }

    @Test("everything is read from the kernel's files")
    func reading() throws {
        let root = try Root()
        let system = try SystemInformation.current(dataDisks: ["/data disk", "/", "/"], from: root.source)
        #expect(system.osName == "DStack \"OS\"")
        #expect(system.osVersion == "0.6.0")
        #expect(system.kernelVersion == "6.12.1-dstack")
        #expect(system.processorModel == "Intel(R) Xeon(R) Platinum 8592+")
        #expect(system.processorCount == 2)
        #expect(system.memory == .init(total: 1_024_000, available: 409_600, free: 102_400))
        #expect(system.memory.used == 614_400)
        #expect(system.swap.used == 30_720)
        #expect(system.uptime == 12_345)
        #expect(system.load == .init(oneMinute: 0.29, fiveMinutes: 1.5, fifteenMinutes: 12.07))
        #expect(system.disks.map(\.mountPoint) == ["/", "/data disk"])
        #expect(system.disks.map(\.name) == ["overlay", "/dev/vda1"])
        #expect(system.disks.allSatisfy { $0.total > 0 && $0.total >= $0.free })
    }

    @Test("the host is told the load in hundredths, cut off")
    func message() throws {
        let root = try Root()
        let message = try SystemInformation.current(dataDisks: ["/"], from: root.source).message
        #expect([message.loadAverageOne, message.loadAverageFive, message.loadAverageFifteen] == [29, 150, 1_207])
        #expect(message.cpuModel == "Intel(R) Xeon(R) Platinum 8592+")
        #expect(message.usedMemory == 614_400)
        #expect(message.disks.first?.mountPoint == "/")
    }

    @Test(
        "a file that is missing or says something else is an error that names it, not a zero",
        arguments: [
            ("proc/cpuinfo", nil), ("proc/cpuinfo", "nothing\n"), ("proc/meminfo", nil),
            ("proc/meminfo", "MemTotal: 5 kB\n"), ("proc/meminfo", "MemTotal: 18446744073709551615 kB\n"),
            ("proc/uptime", ""), ("proc/uptime", "-4 1\n"), ("proc/uptime", "1e300 1\n"), ("proc/loadavg", "a b c\n"),
            ("proc/loadavg", "1 2\n"), ("proc/loadavg", "inf 1 1\n"), ("proc/sys/kernel/osrelease", nil),
            ("etc/os-release", nil), ("proc/self/mounts", nil),
        ] as [(String, String?)])
    func failures(file: String, text: String?) throws {
        let root = try Root()
        if let text { try root.write(file, text) } else { try root.remove(file) }
        let error = #expect(throws: GuestError.self) {
            try SystemInformation.current(dataDisks: ["/"], from: root.source)
        }
        #expect(error?.code == .systemUnavailable)
        #expect(error?.subject == "/" + file)
    }

    @Test("the root is a disk also where the table of mounts does not have it, as in a changed root")
    func changedRoot() throws {
        let root = try Root()
        try root.write("proc/self/mounts", "")
        let system = try SystemInformation.current(dataDisks: ["/"], from: root.source)
        #expect(system.disks.map(\.name) == ["rootfs"])
        #expect(system.disks.allSatisfy { $0.total > 0 })
    }

    @Test("a data disk that is not mounted is left out, and a slash at the end of its place does not matter")
    func missingDisk() throws {
        let root = try Root()
        let system = try SystemInformation.current(
            dataDisks: ["/", "/dstack", "/data disk/", "//", "/data disk"], from: root.source)
        #expect(system.disks.map(\.mountPoint) == ["/", "/data disk"])
    }

    @Test("damaged kernel files never trap")
    func mutations() throws {
        let root = try Root()
        var random = SeededGenerator(seed: 11)
        let names = [
            "proc/meminfo", "proc/cpuinfo", "proc/self/mounts", "proc/uptime", "proc/loadavg", "etc/os-release",
        ]
        let originals = try names.map { try String(contentsOfFile: "\(root.path)/\($0)", encoding: .utf8) }
        var read = 0
        for round in 0..<150 {
            let index = round % names.count
            var bytes = Array(originals[index].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let place = bytes.indices.randomElement(using: &random) ?? 0
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = "0123456789 \n:\\-.eE\"'=".utf8.randomElement(using: &random) ?? 0
                case 1: bytes.removeSubrange(place...)
                default: bytes.insert(contentsOf: Array("99999999999999999999".utf8), at: place)
                }
            }
            try root.write(names[index], String(decoding: bytes, as: UTF8.self))
            if (try? SystemInformation.current(dataDisks: ["/"], from: root.source)) != nil { read += 1 }
            try root.write(names[index], originals[index])
        }
        // Not everything is fatal, and not nothing.
        #expect(read > 0 && read < 150)
    }

    @Test("this machine tells everything")
    func realMachine() async throws {
        let system = try SystemInformation.current(dataDisks: [])
        #expect(system.memory.total >= system.memory.available)
        #expect(system.processorCount > 0)
        #expect(!system.kernelVersion.isEmpty)
        _ = try await NetworkInformation.current().message
    }

    @Test("the network is read from the kernel's files; only cards and WireGuard are shown")
    func network() async throws {
        let root = try Root()
        let peers = NetworkInformation.Peers(
            addresses: { () throws(GuestError) in
                ["enp0s3": [.init(text: "10.0.2.15", prefixLength: 24)], "lo": [.init(text: "::1", prefixLength: 128)]]
            }, wireGuard: { "interface: dstack-wg0" })
        let network = try await NetworkInformation.current(from: root.source, peers: peers)
        #expect(network.nameServers == ["10.0.2.3", "fd00::3"])
        #expect(network.gateways == ["10.0.2.2", "fe80::1"])
        #expect(network.interfaces.map(\.name) == ["enp0s3", "dstack-wg0"])
        let message = network.message
        #expect(message.interfaces.first?.receivedBytes == .max)
        #expect(message.interfaces.first?.receiveErrors == 3)
        #expect(message.interfaces.first?.sentBytes == 77)
        #expect(message.interfaces.first?.sendErrors == 4)
        #expect(message.interfaces.first?.addresses.first?.prefix == 24)
        #expect(message.wireGuardInfo == "interface: dstack-wg0")
        #expect(message.gateways.map(\.address) == ["10.0.2.2", "fe80::1"])
    }

    @Test("sizes and times read well")
    func figures() {
        let sizes: [(UInt64, String)] = [
            (0, "0.00 B"), (1_023, "1023.00 B"), (1_024, "1.00 KB"), (1_536, "1.50 KB"), (1_073_741_824, "1.00 GB"),
            (2_147_483_648, "2.00 GB"), (1_649_267_441_664, "1.50 TB"), (.max, "16.00 EB"),
        ]
        for (bytes, text) in sizes { #expect(Figures.size(bytes) == text) }
        let times: [(UInt64, String)] = [
            (0, "0 s"), (59, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h"), (86_401, "1 d"),
        ]
        for (seconds, text) in times { #expect(Figures.duration(seconds) == text) }
        #expect(Figures.decimals(-0.001, 2) == "0.00")
        #expect(Figures.decimals(12.345, 1) == "12.3")
    }
}
