import DstackGuest
import DstackSystem
import TestKit
import Testing

@Suite("A log on two pipes")
struct NerdctlMergeTests {
    /// What writes one line after the other to two pipes, and waits where one is full.
    private struct Writer {
        var lines: [(isError: Bool, bytes: [UInt8])]
        var next = 0
        var pipes: [[UInt8]] = [[], []]
        /// Of the line that is being written.
        var written = 0
        let capacity: Int

        var isDone: Bool { next == lines.count }

        /// Writes some bytes, as many as there is room for.
        mutating func write(_ count: Int) {
            var left = count
            while left > 0, !isDone {
                let line = lines[next]
                let pipe = line.isError ? 1 : 0
                let room = capacity - pipes[pipe].count
                let part = min(left, room, line.bytes.count - written)
                guard part > 0 else { return }
                pipes[pipe] += line.bytes[written..<(written + part)]
                written += part
                left -= part
                if written == line.bytes.count {
                    next += 1
                    written = 0
                }
            }
        }

        /// As ``RunningProgram/read(within:)`` reads: what is there, up to a piece's most.
        mutating func read(_ pipe: Int, most: Int) -> (bytes: [UInt8], hasMore: Bool) {
            let bytes = Array(pipes[pipe].prefix(most))
            pipes[pipe].removeFirst(bytes.count)
            return (bytes, bytes.count == most)
        }
    }

    @Test(
        "lines come out in the order in which they were written, whenever and however much is read", arguments: 0..<60)
    func order(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let bias = Int.random(in: 1...9, using: &random)
        var expected: [LogFrame] = []
        let lines = (0..<Int.random(in: 0...400, using: &random)).map { index -> (isError: Bool, bytes: [UInt8]) in
            let isError = Int.random(in: 0..<10, using: &random) < bias
            let text = "\(index) " + String(repeating: "x", count: Int.random(in: 0...60, using: &random)) + "\n"
            expected.append(LogFrame(isError ? .stderr : .stdout, Array(text.utf8)))
            // Several lines have the same second, and no zeros at the end of the fraction.
            let fraction = index % 100 == 0 ? "" : "." + (index % 100 < 10 ? "0" : "") + "\(index % 100)1"
            let second = index / 100
            return (isError, Array("2026-11-21T19:59:0\(second)\(fraction)Z \(text)".utf8))
        }
        let capacity = Int.random(in: 100...2_000, using: &random)
        var writer = Writer(lines: lines, capacity: capacity)
        let most = Int.random(in: 64...2_500, using: &random)
        var merge = NerdctlLogMerge(showsTimes: false)
        var frames: [LogFrame] = []
        for _ in 0..<100_000 {
            func progress() { writer.write(Int.random(in: 0...600, using: &random)) }
            progress()
            var piece = RunningProgram.Piece()
            (piece.output, piece.hasMoreOutput) = writer.read(0, most: most)
            // The other end does not stand still in between.
            progress()
            (piece.errors, piece.hasMoreErrors) = writer.read(1, most: most)
            let isOver = writer.isDone && writer.pipes.allSatisfy(\.isEmpty)
            if isOver { piece.ending = .success }
            merge.add(piece)
            while let frame = merge.next() { frames.append(frame) }
            if isOver { break }
        }
        #expect(frames == expected)
        #expect(!merge.hasLines)
    }
}
