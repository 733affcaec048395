import DstackCommandLine
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import DstackSystem
import Glibc

/// The directory of `mock-tee`, in which it replaces what it wrote itself and nothing else.
///
/// What it wrote it knows by a list of checksums beside the files, not by their names: people call their own files
/// `app-compose.json` and `root.pem`, too, and have changed what was written here.
struct EvidenceDirectory {
    /// In the form of sha256sum(1).
    static let listName = ".mock-tee.sha256"

    private let path: String
    /// Lines of the list that is there.
    private let written: Set<String>

    /// Looks at a directory, which need not be there.
    ///
    /// - Parameters:
    ///   - names: of the files that are to be written.
    ///   - given: one whose bytes are known. Where it is there already, nothing is lost.
    /// - Throws: a wrong request for files that were not written by ``write(_:)``; nothing has been changed then.
    init(_ path: String, toWrite names: [String], except given: (name: String, bytes: [UInt8])) throws(CommandFailure) {
        let list = (try? File.readText(path + "/" + Self.listName, limit: 1 << 16)) ?? ""
        let written = Set(list.split(separator: "\n").map(String.init))
        var foreign = names.filter { name in
            guard Self.exists(path + "/" + name) else { return false }
            guard let bytes = try? File.readRegular(path + "/" + name, limit: 64 << 20) else { return true }
            return !written.contains(Self.line(name, bytes)) && (name, bytes) != given
        }
        if Self.exists(path + "/" + MockPlatform.rootFileName), !Self.exists(path + "/" + MockPlatform.fileName) {
            foreign.append(MockPlatform.rootFileName)
        }
        guard foreign.isEmpty else {
            let all = foreign.map { SafeText.line($0) }.joined(separator: ", ")
            throw CommandFailure(
                .wrongRequest,
                "\(SafeText.line(path)) has what was not written by this command, or was changed since: \(all)",
                hint: "name a new directory; nothing was written")
        }
        self.path = path
        self.written = written
    }

    /// Writes the files. The list is there before them, so that whatever ends this, the next call knows what it finds.
    func write(_ files: [(name: String, bytes: [UInt8])]) throws(SystemError) {
        let lines = files.map { Self.line($0.name, $0.bytes) }
        try write(written.union(lines).sorted())
        for file in files { try AtomicFile.write(file.bytes, to: path + "/" + file.name, mode: .readable) }
        try write(lines)
    }

    private func write(_ lines: [String]) throws(SystemError) {
        let text = lines.map { $0 + "\n" }.joined()
        try AtomicFile.write(text, to: path + "/" + Self.listName, mode: .readable)
    }

    private static func line(_ name: String, _ bytes: [UInt8]) -> String { "\(SHA256.hash(bytes).hex)  \(name)" }

    /// Links are no files of this command's, wherever they lead.
    private static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }
}
