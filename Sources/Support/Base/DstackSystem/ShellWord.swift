/// Words of commands that are shown to be typed.
package enum ShellWord {
    /// A word as a POSIX shell takes it, and bash and zsh: in single quotes unless every character stands for itself.
    package static func quoted(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/._-:=+,@%".utf8.contains(byte)
            }
        }
        // zsh takes `=name` for the path of a program.
        guard !isPlain || text.isEmpty || text.hasPrefix("=") else { return text }
        return "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
