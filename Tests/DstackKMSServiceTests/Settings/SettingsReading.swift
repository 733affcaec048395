import DstackConfiguration
import DstackKMSService
import DstackSystem
import Synchronization
import TestKit

/// What reading settings says about keys without effect.
final class Warnings: Sendable {
    private let list = Mutex<[String]>([])

    func add(_ problem: ConfigurationProblem) { list.withLock { $0.append("\(problem)") } }

    var all: [String] { list.withLock { $0 } }
}

/// Reads files of these names and contents, the last as the one that was named.
func readSettings(
    _ files: [(name: String, text: String)], _ warnings: Warnings = Warnings(), environment: [String: String] = [:]
) throws -> KMSSettings {
    let folder = try ScratchDirectory()
    for file in files { try folder.write(file.text, file.name) }
    let paths = files.map { folder.path($0.name) }
    return try KMSSettings.load(
        paths.last, standardPaths: Array(paths.dropLast()) + ["/nowhere/kms.toml"],
        environment: Environment(environment), warn: warnings.add)
}

func readSettings(
    _ toml: String, _ warnings: Warnings = Warnings(), environment: [String: String] = [:]
) throws -> KMSSettings {
    try readSettings([("kms.toml", toml)], warnings, environment: environment)
}

/// Why these settings are refused; empty if they are not.
func problem(_ toml: String, name: String = "kms.toml", environment: [String: String] = [:]) -> String {
    do {
        _ = try readSettings([(name, toml)], environment: environment)
        return ""
    } catch {
        return "\(error)"
    }
}
