import DstackCrypto
import DstackKMS
import DstackKeys
import DstackStore
import DstackSystem
import Glibc
import Synchronization

/// What tests of durable state need a process of their own for, since it is killed:
///
///     state-probe store DIRECTORY WRITERS      changes a store, and says what is acknowledged, until it is killed
///     state-probe keys DIRECTORY LABEL STEP    makes root keys, or finds them, and kills itself after so many steps
@main
enum Probe {
    static func main() async throws {
        let words = Array(CommandLine.arguments.dropFirst())
        switch words.first {
        case "store": try await store(words[1], writers: Int(words[2]) ?? 1)
        case "keys": try keys(words[1], label: words[2], lastStep: Int(words[3]) ?? 0)
        default: exit(2)
        }
    }

    /// Each writer has a record and a log of its own, which grow in step: `WRITER COUNT` is on the disk when it is said.
    private static func store(_ directory: String, writers: Int) async throws {
        let store = try await SQLiteStore.open(directory)
        say("open")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<writers {
                group.addTask {
                    let key = StoreKey("writer/\(writer)")
                    while true {
                        let record = try await store.record(key)
                        let count = try await store.count(of: "log-\(writer)")
                        var change = StoreTransaction()
                        change.requireUnchanged(key, since: record)
                        change.put(key, Array("\(count + 1)".utf8))
                        change.append(
                            [Array("entry \(count + 1) of \(writer)".utf8)], to: "log-\(writer)", after: count)
                        guard case .committed = try await store.commit(change) else { exit(3) }
                        say("\(writer) \(count + 1)")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Says which keys it will make before it does, and which there are at the end.
    private static func keys(_ directory: String, label: String, lastStep: Int) throws {
        let steps = Atomic<Int>(0)
        let files = RootKeyFiles(directory) { _ in
            guard steps.add(1, ordering: .relaxed).newValue == lastStep else { return }
            kill(getpid(), SIGKILL)
            sleep(60)
        }
        if try files.state() == .absent {
            let material = RootKeyMaterial(random: PredictableBytesForTests(label))
            let domain = try KMSDomainName("kms.example.com")
            let certificates = try material.certificates(domain: domain, evidence: [], at: 1_800_000_000)
            say("makes \(material.roots.publicKey)")
            try files.create(
                material, certificates: certificates, domain: domain, bootstrapInfo: Array(#"{"ca_pubkey":""}"#.utf8))
        }
        say("has \(try files.load().material.roots.publicKey)")
    }

    private static func say(_ line: String) { try? DescriptorSink.standardOutput.write(Array((line + "\n").utf8)) }
}
