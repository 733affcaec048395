package import DstackSystem
import Glibc

/// The program that runs, as a file: to start it once more, or those beside it.
package enum ThisProgram {
    /// Its path, absolute and without links.
    package static func path() throws(SystemError) -> String {
        guard let path = realpath("/proc/self/exe", nil) else { throw .last("find", "this program's own path") }
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
    package static func directory() throws(SystemError) -> String {
        let path = try path()
        return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
    }

    /// Becomes another program. The process stays what it is for everybody else: its number, parent, environment, terminal and
    /// inherited sockets are the other program's from then on.
    ///
    /// - Parameters:
    ///   - path: of the program.
    ///   - words: its arguments, without the name.
    /// - Throws: if the system refuses; then nothing has changed.
    package static func become(_ path: String, _ words: [String]) throws(SystemError) -> Never {
        guard ([path] + words).allSatisfy({ !$0.utf8.contains(0) }) else {
            throw SystemError("run", path, code: EINVAL)
        }
        // Neither is given back where it succeeds, because nothing of this program is left then.
        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + words).map { strdup($0) } + [nil]
        execv(path, &arguments)
        let error = SystemError.last("run", path)
        for argument in arguments { free(argument) }
        throw error
    }
}
