import Glibc

/// Operating-system threads that all run the same closure: unlike tasks, there are exactly as many as asked for.
enum Threads {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Returns when all have ended.
    static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) throws {
        var threads: [pthread_t] = []
        for _ in 0..<count {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(Body(body))
            let status = pthread_create(
                &thread, nil,
                { context in
                    if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                    return nil
                }, context.toOpaque())
            guard status == 0 else {
                context.release()
                throw BenchmarkError("no thread could be started (\(status))")
            }
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }
}
