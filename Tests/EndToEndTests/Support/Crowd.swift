import Foundation
import TestKit
import Testing

/// Strangers in a process of their own, pinned to one processor: so many connections that each send a text and then wait, and
/// are made anew when they end. They end by themselves.
final class Crowd: Sendable {
    private let program: StartedProgram

    /// - Parameters:
    ///   - text: what each connection sends.
    ///   - filler: how many bytes more, without end in sight.
    ///   - pace: how many bytes a second each goes on with.
    ///   - host: the last number of the address 127.0.0.x that they come from.
    init(
        _ count: Int, at port: UInt16, for seconds: Int, sending text: String, filler: Int = 0, tls: Bool = false,
        pace: Int = 0, fromHost host: Int = 1
    ) throws {
        program = try StartedProgram(
            "/usr/bin/python3",
            [
                "-c", Self.script, "\(port)", "\(count)", "\(seconds)", text, "\(filler)", "\(tls)", "\(pace)",
                "127.0.0.\(host)",
            ])
    }

    /// Waits until all have been made once.
    func isComplete() async throws -> Bool { try await eventually { self.program.output.contains("complete") } }

    /// How many connections were made in all.
    func end() async -> Int {
        _ = await program.end()
        return program.output.split(separator: "\n").last.flatMap { Int($0) } ?? 0
    }

    private static let script = """
        import os, resource, select, socket, ssl, sys, time
        port, count, seconds, text = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()
        text += b"0," * (int(sys.argv[5]) // 2)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        held, made, end, complete = {}, 0, time.time() + seconds, False
        pace, next_piece = int(sys.argv[7]), time.time()
        poll = select.epoll()
        while time.time() < end:
            for number, events in poll.poll(0 if len(held) < count else 0.05):
                peer, rest = held.get(number, (None, b""))
                gone = False
                try:
                    if events & select.EPOLLOUT and rest:
                        rest = rest[peer.send(rest[:65536]):]
                        held[number] = peer, rest
                        if not rest: poll.modify(number, select.EPOLLIN | select.EPOLLHUP)
                    if events & ~select.EPOLLOUT: gone = not peer.recv(65536)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError): pass
                except OSError: gone = True
                if gone:
                    poll.unregister(number)
                    del held[number]
                    peer.close()
            if pace and time.time() >= next_piece:
                next_piece = time.time() + 0.25
                for peer, rest in list(held.values()):
                    try:
                        if not rest: peer.send(b"0," * (pace // 8))
                    except OSError: pass
            for _ in range(min(50, count - len(held))):
                try:
                    peer = socket.create_connection(("127.0.0.1", port), 5, (sys.argv[8], 0))
                    if sys.argv[6] == "true": peer = context.wrap_socket(peer)
                    peer.setblocking(False)
                    held[peer.fileno()] = peer, memoryview(text)
                    poll.register(peer.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP)
                    made += 1
                except OSError: time.sleep(0.01)
            if not complete and made >= count:
                complete = True
                print("complete", flush=True)
        print(made, flush=True)
        """
}
