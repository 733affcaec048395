import DstackConcurrency
package import DstackCrypto
import DstackEncoding
package import DstackKMS
package import DstackKMSClient
import DstackRPC
package import DstackSystem
import Synchronization

/// Carries messages about epochs between replicas.
///
/// ```swift
/// let exchange = ReplicaExchange(urls: settings.replicas.urls) { url in try KMSClient(url, …) }
/// let epochs = try await Epochs.open(store, .founding, audit: log, send: exchange.send)
/// await exchange.run(epochs)
/// ```
///
/// Nothing waits for it: a message is put down for its replica, in the place of an older one, and delivered when that can be
/// reached, or when it calls. Two replicas of which only one can reach the other get on as well, since every call has an answer.
package final class ReplicaExchange: Sendable {
    /// An address, behind which there is some replica.
    private final class Peer: Sendable {
        let url: String
        let signals: AsyncStream<Void>
        private let signal: AsyncStream<Void>.Continuation
        private let state = Mutex<ReplicaID?>(nil)

        init(_ url: String) {
            self.url = url
            (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        }

        var replica: ReplicaID? {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }

        func wake() { signal.yield() }
    }

    /// What is waited between two rounds, and at most after failures.
    package struct Pace: Sendable {
        package var interval = Duration.seconds(5)
        package var firstPause = Duration.seconds(1)
        package var longestPause = Duration.seconds(60)

        package init() {}
    }

    /// By which this process knows itself at an address.
    let instance: FixedBytes<16>
    private let peers: [Peer]
    private let pace: Pace
    private let connect: @Sendable (String) throws -> KMSClient
    private let clock: any WallClock
    private let sightings = Mutex<[ReplicaID: Sighting]>([:])
    private let outbox = ReplicaOutbox()
    private let log: LimitedLog

    /// What is known of another replica.
    package struct Sighting: Sendable {
        /// Unix seconds.
        package fileprivate(set) var heardAt: Int64
        /// Where it is reached, else from where it called.
        package fileprivate(set) var address: String
    }

    /// More rounds than any agreement takes, for one wake-up.
    private static let maximumRounds = 16

    /// - Parameters:
    ///   - urls: of the other replicas, as far as they can be reached from here.
    ///   - connect: makes the client for one; it shows a ``ReplicaCertificate``, and trusts those who have this root and
    ///     evidence that is accepted.
    package init(
        urls: [String], pace: Pace = Pace(), log: LimitedLog = LimitedLog(Log("kms.replicas")),
        random: any RandomBytes = SystemRandom(), clock: any WallClock = .system,
        connect: @escaping @Sendable (_ url: String) throws -> KMSClient
    ) {
        instance = random.fixed(FixedBytes<16>.self)
        peers = urls.map { Peer($0) }
        self.pace = pace
        self.log = log
        self.clock = clock
        self.connect = connect
    }

    /// For ``Epochs/open(_:_:audit:random:send:)``. Never waits.
    package var send: Epochs.Send {
        { [outbox, peers] message, replica in
            outbox.put(message, for: replica)
            // Behind an address of which nothing is known yet may be the one.
            for peer in peers where peer.replica ?? replica == replica { peer.wake() }
        }
    }

    /// Delivers, and asks around every few seconds, until the task is cancelled.
    package func run(_ epochs: Epochs) async {
        await withDiscardingTaskGroup { group in
            for peer in peers { group.addTask { await self.serve(peer, epochs) } }
            group.addTask { await self.tick(epochs) }
        }
    }

    private func tick(_ epochs: Epochs) async {
        repeat {
            if epochs.silence == .forgotten {
                log.error(
                    "this service was given up by the others, and gives no keys",
                    ["hint": "to use it again remove its keys and its store, and onboard it anew"])
            }
            do throws(KMSStateError) {
                try await epochs.tick()
            } catch {
                log.warn("epochs cannot be kept", ["error": "\(error)"])
            }
            for peer in peers { peer.wake() }
        } while (try? await Task.sleep(for: pace.interval)) != nil
    }

    private func serve(_ peer: Peer, _ epochs: Epochs) async {
        var pause = pace.firstPause
        var client: KMSClient?
        for await _ in peer.signals {
            do {
                let current = try client ?? connect(peer.url)
                client = current
                try await deliver(peer, current, epochs)
                pause = pace.firstPause
            } catch {
                // What it was is asked again: another replica may have come to this address.
                peer.replica = nil
                guard !Task.isCancelled else { return }
                log.warn("a replica cannot be reached", ["url": peer.url, "error": "\(error)"])
                guard (try? await Task.sleep(for: pause)) != nil else { return }
                pause = min(pause * 2, pace.longestPause)
                peer.wake()
            }
        }
    }

    private func deliver(_ peer: Peer, _ client: KMSClient, _ epochs: Epochs) async throws {
        let replica: ReplicaID
        if let known = peer.replica {
            replica = known
        } else {
            let found = try await client.identify()
            replica = found.replica
            let isCopy = replica == epochs.replica && found.instance != instance
            guard !isCopy else {
                note(copyAt: peer.url, epochs)
                // It learns of it as well, whether or not it can reach this one.
                _ = try? await client.exchange(epochs.replica, [])
                // It is asked again until somebody else answers.
                return
            }
            epochs.note(copyAt: peer.url, isThere: false)
            peer.replica = replica
            noteSighting(of: replica, at: peer.url)
        }
        // An address of this service itself, as where all replicas have one list.
        guard replica != epochs.replica else { return }
        for _ in 0..<Self.maximumRounds {
            guard let message = outbox.take(for: replica) else { return }
            do {
                let (sender, answer) = try await client.exchange(epochs.replica, message.encoded)
                guard sender == replica else {
                    throw KMSClientError(.invalidAnswer, peer.url, "another replica answers there than before")
                }
                noteSighting(of: sender, at: peer.url)
                if !answer.isEmpty { try await epochs.receive(answer, from: sender) }
            } catch {
                outbox.restore(message, for: replica)
                throw error
            }
        }
    }

    /// Another process with this one's state was found: keys of both would not be of the same epochs for long.
    func note(copyAt place: String, _ epochs: Epochs) {
        epochs.note(copyAt: place, isThere: true)
        log.error(
            "another service has a copy of this one's state, and no keys are given until there is one alone",
            [
                "at": place, "replica": "\(epochs.replica)",
                "hint": "end one, take its state away and onboard it anew, then start the other one again",
            ])
    }

    // MARK: Who was heard

    /// When and where another replica was heard last, since this service's start; nil for one that was not.
    package func sighting(of replica: ReplicaID) -> Sighting? { sightings.withLock { $0[replica] } }

    /// - Parameter address: a URL where it was reached, or a numeric address.
    private func noteSighting(of replica: ReplicaID, at address: String) {
        let now = clock.unixSeconds
        sightings.withLock { sightings in
            guard var known = sightings[replica] else {
                if sightings.count < 2 * EpochTable.maximumReplicas {
                    sightings[replica] = Sighting(heardAt: now, address: address)
                }
                return
            }
            known.heardAt = now
            // An address in the settings says more to an operator than one from where it calls.
            if !peers.contains(where: { $0.url == known.address }) || peers.contains(where: { $0.url == address }) {
                known.address = address
            }
            sightings[replica] = known
        }
    }

    // MARK: The other side

    /// Takes a message from a replica that called.
    ///
    /// - Parameter address: from where.
    /// - Returns: what is to be said to it; empty for nothing.
    func receive(
        _ message: [UInt8], from replica: ReplicaID, at address: String, _ epochs: Epochs
    ) async throws(KMSStateError) -> [UInt8] {
        noteSighting(of: replica, at: address)
        try await epochs.receive(message, from: replica)
        return outbox.take(for: replica)?.encoded ?? []
    }
}
