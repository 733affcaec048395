import DstackConcurrency
import DstackRPC
import DstackSystem
import Glibc

/// How the application says that it fares, for gateways that choose among its instances.
final class GuestHealth: Sendable {
    private let compose: ComposeFile
    private let host: (any GuestHost)?
    private let clock: any WallClock

    private let recent = RecentValue<AgentRPCv1.HealthResponse>(maximumAge: GuestHealth.maximumAge)

    /// An answer is as old as this at most: gateways ask often, and containers are looked up one by one.
    private static let maximumAge = Duration.seconds(5)
    /// How old the application's own word may be, in seconds.
    private static let statusLifetime: Int64 = 60

    init(_ compose: ComposeFile, host: (any GuestHost)?, clock: any WallClock) {
        self.compose = compose
        self.host = host
        self.clock = clock
    }

    func answer() async throws(CancellationError) -> AgentRPCv1.HealthResponse {
        // Who did not opt in is healthy as long as it answers.
        guard compose.checksHealth else { return .with { $0.isHealthy = true } }
        let answer = await recent.value { [self] in await compute() }
        guard let answer else { throw CancellationError() }
        return answer
    }

    private func compute() async -> AgentRPCv1.HealthResponse {
        if let path = compose.healthStatusFile { return ofFile(path) }
        guard let host else { return .with { $0.error = "nobody here knows the containers" } }
        do {
            let containers = try await host.containerHealth()
            guard !containers.isEmpty else { return .with { $0.error = "no container declares a health check" } }
            let unhealthy = containers.filter { !$0.problem.isEmpty }
            return .with {
                $0.isHealthy = unhealthy.isEmpty
                $0.unhealthy = unhealthy.map { container in
                    .with {
                        $0.name = container.name
                        $0.status = container.problem
                    }
                }
            }
        } catch {
            return .with { $0.error = "\(error)" }
        }
    }

    /// Two lines: a word and the time of its writing.
    private func ofFile(_ path: String) -> AgentRPCv1.HealthResponse {
        func problem(_ text: String) -> AgentRPCv1.HealthResponse { .with { $0.error = text } }
        let bytes: [UInt8]
        do {
            bytes = try File.readRegular(path, limit: 4_096)
        } catch {
            let isOther = [ENOENT, ELOOP, EINVAL].contains(error.code)
            return problem(
                "the health status file " + (isOther ? "is not there, or no regular file" : "cannot be read"))
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2, ["healthy", "unhealthy"].contains(lines[0]), let time = Int64(lines[1]) else {
            return problem("the health status file needs two lines: healthy or unhealthy, and a Unix time")
        }
        let age = clock.unixSeconds.subtractingReportingOverflow(time)
        guard !age.overflow, age.partialValue <= Self.statusLifetime else {
            return problem("the health status file is older than \(Self.statusLifetime) s")
        }
        // Clocks differ a little; a time far ahead would say for ever that all is well.
        guard age.partialValue >= -Self.statusLifetime else {
            return problem("the health status file is of more than \(Self.statusLifetime) s from now")
        }
        return .with { $0.isHealthy = lines[0] == "healthy" }
    }
}
