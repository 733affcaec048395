import FuzzSupport
import Glibc

// `parser-fuzz PARSER [option…] [corpus]`: coverage-guided fuzzing of one parser by libFuzzer, whose loop and options these
// are (llvm.org/docs/LibFuzzer.html). `parser-fuzz --list` names the parsers; `parser-fuzz --seeds PARSER DIRECTORY` writes the
// inputs to start from.

/// What each input is given to. Set once, before the loop begins.
nonisolated(unsafe) private var parser: FuzzedParser?

/// Takes the parser's name from the arguments, before libFuzzer reads them.
@_cdecl("LLVMFuzzerInitialize")
func initialize(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> Int32 {
    let list = arguments.pointee
    let texts = (0..<Int(count.pointee)).map { list[$0].map { String(cString: $0) } ?? "" }
    do {
        let parsers = try FuzzedParser.all(Corpus(vectors: nil))
        func named(_ name: String) throws(FuzzFailure) -> FuzzedParser {
            guard let found = parsers.first(where: { $0.name == name }) else {
                throw FuzzFailure("no parser \(name); --list names them")
            }
            return found
        }
        switch texts.dropFirst().first {
        case "--list":
            for parser in parsers { print(parser.name) }
            exit(0)
        case "--seeds" where texts.count == 4:
            for (number, seed) in try named(texts[2]).seeds.enumerated() {
                try write(seed, to: "\(texts[3])/seed-\(number)")
            }
            exit(0)
        case let name?:
            parser = try named(name)
            for index in 1..<texts.count { list[index] = index + 1 < texts.count ? list[index + 1] : nil }
            count.pointee -= 1
            return 0
        case nil: throw FuzzFailure("usage: parser-fuzz PARSER [libFuzzer's options] [corpus directory]")
        }
    } catch {
        let message = Array("parser-fuzz: \(error)\n".utf8)
        _ = Glibc.write(STDERR_FILENO, message, message.count)
        exit(2)
    }
}

private func write(_ bytes: [UInt8], to path: String) throws(FuzzFailure) {
    guard let file = fopen(path, "w") else { throw FuzzFailure("\(path) cannot be written") }
    let count = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, count == bytes.count else { throw FuzzFailure("\(path) cannot be written") }
}

@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    // An abort is what libFuzzer keeps an input for.
    if parser?.run(Array(UnsafeBufferPointer(start: bytes, count: count))) == .inconsistent { abort() }
    return 0
}
