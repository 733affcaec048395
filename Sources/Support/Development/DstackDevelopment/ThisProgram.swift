import DstackSystem
import Glibc

/// The program that runs, as a file: to start it once more, or those beside it.
package enum ThisProgram {
    /// Its path, absolute and without links.
    package static func path() throws(DevelopmentError) -> String {
        guard let path = realpath("/proc/self/exe", nil) else {
            throw DevelopmentError(.system, "\(SystemError.last("find this program's own path"))")
        }
        defer { free(path) }
        return String(cString: path)
    }

    /// The word by which it was called, so that it can be typed in any directory.
    package static var word: String { anywhere(CommandLine.arguments.first ?? "dstack") }

    /// The word by which a program of this package is called: its name where `PATH` has it, else its path beside this one.
    package static func sibling(_ name: String) -> String {
        guard !RunningProgram.isInstalled(name), let directory = try? directory() else { return name }
        return RunningProgram.isInstalled("\(directory)/\(name)") ? "\(directory)/\(name)" : name
    }

    /// What a word that is a relative path names here.
    private static func anywhere(_ word: String) -> String {
        guard word.contains("/"), !word.hasPrefix("/"), let current = getcwd(nil, 0) else { return word }
        defer { free(current) }
        return String(cString: current) + "/" + (word.hasPrefix("./") ? word.dropFirst(2) : word[...])
    }

    /// The directory in which it lies.
    package static func directory() throws(DevelopmentError) -> String {
        let path = try path()
        return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
    }
}
