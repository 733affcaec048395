import DstackSystem
import Glibc

/// Whether a component that runs is the one that is wanted.
extension Component {
    /// Everything that decides it, but for the choices and the program file.
    var fingerprint: String {
        let variables = environment.map { "\($0.key)=\($0.value)" }.sorted()
        return (arguments + variables + [revision]).joined(separator: "\u{1F}")
    }

    /// The program file: another build of it is another one.
    var program: String {
        var status = stat()
        _ = stat(executable, &status)
        let parts = [
            "\(status.st_dev)", "\(status.st_ino)", "\(status.st_size)", "\(status.st_mtim.tv_sec)",
            "\(status.st_mtim.tv_nsec)", executable,
        ]
        return parts.joined(separator: "\u{1F}")
    }

    /// How a running component differs from this one, as it follows "runs already,": empty where it does not.
    func differences(from record: DevelopmentDirectory.Record) -> [String] {
        let differing = choices.filter { choice in
            choice.isGiven && !record.choices.contains { $0.option == choice.option && $0.value == choice.value }
        }
        if differing.isEmpty { return record.fingerprint == fingerprint ? [] : ["started in another way"] }
        return differing.map { choice in
            guard let other = record.choices.first(where: { $0.option == choice.option }) else {
                return "without \(choice.option)"
            }
            guard other.shown == choice.shown else {
                return "with \(choice.option) \(SafeText.line(other.shown)), not \(SafeText.line(choice.shown))"
            }
            return "with \(choice.option) \(SafeText.line(other.shown)) as it was then"
        }
    }
}
