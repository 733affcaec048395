import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackHTTP
package import DstackHTTPServer
import DstackRPC
package import DstackSystem
import Synchronization

/// Lets operators in, nobody else: as upstream's admin listener does.
///
/// A request shows who sends it by `Authorization: Bearer TOKEN`, by `X-Admin-Token: TOKEN`, by Basic authentication with a
/// user of the password file, or by Basic authentication with the token in place of the password, whatever the user, or of the
/// user where the password is empty. Nothing in its address counts: addresses end up in logs and histories.
///
/// A password takes tens of milliseconds of a processor, wrong ones too, and whoever reaches the listener can send some.
/// Therefore they are judged one at a time, on a thread that stands back for all others, so that one processor at most is taken,
/// and only while nobody needs it; few wait, and of one address fewer still; and whose passwords keep being wrong waits between
/// them. Tokens, which cost nothing, are never held up by any of it.
package final class AdminGate: Sendable {
    private enum Verdict {
        case admitted
        case refused
        /// Too many passwords wait to be judged, or too many of this sender's were wrong.
        case busy
    }

    private struct Sender {
        /// Wrong passwords: ten at once, then one every two seconds.
        var failures = TokenBucket(burst: 10, perSecond: 0.5)
        /// How many passwords are being judged or wait.
        var pending = 0

        var isForgettable: Bool { pending == 0 && failures.isFull() }
    }

    private static let maximumPending = 32
    private static let maximumPendingOfOne = 4
    private static let maximumSenders = 1024
    /// More than the library takes is no password.
    private static let maximumPasswordBytes = 511

    private let credentials: AdminCredentials
    private let log: LimitedLog
    private let worker = BlockingWorker(capacity: maximumPending)
    private let senders = Mutex<[HTTPPeer.Identity: Sender]>([:])

    package init(_ credentials: AdminCredentials, log: LimitedLog = LimitedLog(Log("kms.admin"))) {
        self.credentials = credentials
        self.log = log
    }

    /// What a request is answered with that is not let in; nil for one that is.
    package func refusal(of request: HTTPServerRequest) async -> HTTPServerResponse? {
        let peer = request.peer.address
        switch await judge(request) {
        case .admitted: return nil
        case .refused:
            log.warn("refused", ["peer": "\(peer)", "path": request.path])
            return Self.unauthorized
        case .busy:
            log.warn("too many passwords to judge", ["peer": "\(peer)"])
            return Self.answer(503, "too many passwords wait to be judged: try again later", ["Retry-After": "2"])
        }
    }

    /// 401, with what a browser asks a person for credentials by.
    package static let unauthorized = answer(
        401, "credentials are missing or wrong", ["WWW-Authenticate": "Basic realm=\"dstack-kms admin\""])

    private static func answer(_ status: Int, _ message: String, _ headers: HTTPHeaders) -> HTTPServerResponse {
        var response = HTTPServerResponse.json(RPCError(message, status: status).body(as: .json), status: status)
        for field in headers.fields { response.headers[field.name] = field.value }
        return response
    }

    private func judge(_ request: HTTPServerRequest) async -> Verdict {
        if credentials.isOpen { return .admitted }
        if let token = Self.only(request.headers.values("X-Admin-Token")), isToken(Array(token.utf8)) {
            return .admitted
        }
        guard let field = Self.only(request.headers.values("Authorization")) else { return .refused }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2 else { return .refused }
        let text = parts[1].drop { $0 == " " }
        if HTTPSyntax.equalIgnoringCase(String(parts[0]), "Bearer") {
            return isToken(Array(text.utf8)) ? .admitted : .refused
        }
        guard HTTPSyntax.equalIgnoringCase(String(parts[0]), "Basic"),
            var pair = try? Base64.decode(String(text), subject: "credentials")
        else { return .refused }
        defer { pair.withUnsafeMutableBytes { wipe($0) } }
        guard let colon = pair.firstIndex(of: UInt8(ascii: ":")) else { return .refused }
        let user = Array(pair[..<colon])
        var password = Array(pair[(colon + 1)...])
        if isToken(password.isEmpty ? user : password) { return .admitted }
        guard let passwords = credentials.passwords, password.count <= Self.maximumPasswordBytes else {
            return .refused
        }
        return await judge(SharedSecret(absorbing: &password), of: user, passwords, from: request.peer.address.identity)
    }

    private func isToken(_ bytes: [UInt8]) -> Bool { credentials.isToken(bytes.span.bytes) }

    /// Of two fields nobody can say which one counts: a proxy may have looked at the other.
    private static func only(_ values: [String]) -> String? { values.count == 1 ? values.first : nil }

    // MARK: Passwords

    private func judge(
        _ password: SharedSecret, of user: [UInt8], _ passwords: PasswordFile, from sender: HTTPPeer.Identity
    ) async -> Verdict {
        guard let place = enter(sender) else { return .busy }
        let outcome = await worker.run(within: .seconds(15)) {
            standBack()
            return passwords.has(user, password)
        }
        switch outcome {
        case .success(let isRight):
            leave(place, hasFailed: !isRight)
            return isRight ? .admitted : .refused
        case .failure(let rejection):
            // What was begun goes on, and was not cheaper because nobody waited for it.
            leave(place, hasFailed: rejection == .timedOutRunning || rejection == .cancelled(wasRunning: true))
            return .busy
        }
    }

    /// - Returns: under whose name a password waits; nil where it may not.
    private func enter(_ sender: HTTPPeer.Identity) -> HTTPPeer.Identity? {
        senders.withLock { senders in
            var sender = sender
            if senders[sender] == nil, senders.count >= Self.maximumSenders {
                senders = senders.filter { !$0.value.isForgettable }
                // Then strangers who nothing is known of share one's share.
                if senders.count >= Self.maximumSenders { sender = .unknown }
            }
            var entry = senders[sender] ?? Sender()
            guard entry.pending < Self.maximumPendingOfOne, entry.failures.allows() else { return nil }
            entry.pending += 1
            senders[sender] = entry
            return sender
        }
    }

    private func leave(_ sender: HTTPPeer.Identity, hasFailed: Bool) {
        senders.withLock { senders in
            guard var entry = senders[sender] else { return }
            entry.pending -= 1
            if hasFailed { _ = entry.failures.take() }
            senders[sender] = entry.isForgettable ? nil : entry
        }
    }
}
