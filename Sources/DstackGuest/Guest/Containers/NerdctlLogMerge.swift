package import DstackSystem

/// Makes one log of the two pipes on which nerdctl writes it.
///
/// Each line begins with its time. A line may be given out once no earlier one can still be unread: nerdctl writes one
/// after the other, and of each piece output is read before errors (``RunningProgram/read(within:)``). So a line of output
/// waits for the errors of its piece, and a line of errors for the output of the next.
package struct NerdctlLogMerge: Sendable {
    private var output: NerdctlLines
    private var errors: NerdctlLines
    private var pieces = 0
    private var hasEnded = false

    /// - Parameter showsTimes: whether lines keep their times.
    package init(showsTimes: Bool) { self.init(showsTimes: showsTimes, begin: nil, splitsLines: false) }

    /// - Parameters:
    ///   - begin: lines before it are left out.
    ///   - splitsLines: whether lines may have times also inside.
    init(showsTimes: Bool, begin: LogTime?, splitsLines: Bool) {
        output = NerdctlLines(.stdout, showsTimes: showsTimes, begin: begin, splitsLines: splitsLines)
        errors = NerdctlLines(.stderr, showsTimes: showsTimes, begin: begin, splitsLines: splitsLines)
    }

    /// Whether any line of the container is here and not given out.
    package var hasLines: Bool { output.first != nil || errors.first != nil }

    /// What nerdctl itself said last, safe to show.
    var message: String? { errors.message }

    package mutating func add(_ piece: RunningProgram.Piece) {
        pieces += 1
        output.add(piece.output, piece: pieces, isAll: !piece.hasMoreOutput)
        errors.add(piece.errors, piece: pieces, isAll: !piece.hasMoreErrors)
        guard piece.ending != nil else { return }
        hasEnded = true
        output.finish(piece: pieces)
        errors.finish(piece: pieces)
    }

    /// The next line whose turn it certainly is; nil until another piece, maybe an empty one, has come.
    package mutating func next() -> LogFrame? {
        switch (output.first, errors.first) {
        case (let line?, let other?): other.time < line.time ? errors.takeFirst() : output.takeFirst()
        case (let line?, nil): hasEnded || errors.drained >= line.piece ? output.takeFirst() : nil
        case (nil, let line?): hasEnded || output.drained > line.piece ? errors.takeFirst() : nil
        case (nil, nil): nil
        }
    }
}

/// The lines on one of nerdctl's pipes.
struct NerdctlLines: Sendable {
    struct Line: Sendable {
        var time: LogTime
        var bytes: [UInt8]
        /// Which piece ended it.
        var piece: Int
    }

    private let channel: LogFrame.Channel
    private let showsTimes: Bool
    private let begin: LogTime?
    private let splitsLines: Bool

    private var lines: [Line] = []
    /// How many of `lines` have been given out; they are taken away all at once now and then.
    private var given = 0
    /// The beginning of a line whose end has not come.
    private var pending: [UInt8] = []
    /// Whether `pending` goes on with a line of which a part was given out.
    private var isContinued = false
    /// The time of the last line, for those that have none of their own.
    private var time = LogTime.none
    /// The last piece after which the pipe had nothing more.
    private(set) var drained = -1
    private(set) var message: String?

    /// Above this a line is given out in parts, lest one without an end fill memory.
    static let maximumLineBytes = 256 << 10

    init(_ channel: LogFrame.Channel, showsTimes: Bool, begin: LogTime?, splitsLines: Bool) {
        self.channel = channel
        self.showsTimes = showsTimes
        self.begin = begin
        self.splitsLines = splitsLines
    }

    var first: Line? { given < lines.count ? lines[given] : nil }

    mutating func takeFirst() -> LogFrame? {
        guard let line = first else { return nil }
        given += 1
        if given == lines.count || given > 1_024 {
            lines.removeFirst(given)
            given = 0
        }
        return LogFrame(channel, line.bytes)
    }

    mutating func add(_ bytes: [UInt8], piece: Int, isAll: Bool) {
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            pending += rest[...end]
            rest = rest[(end + 1)...]
            finishLine(piece)
        }
        pending += rest
        if pending.count > Self.maximumLineBytes {
            finishLine(piece)
            isContinued = true
        }
        if isAll { drained = piece }
    }

    mutating func finish(piece: Int) {
        if !pending.isEmpty { finishLine(piece) }
    }

    private mutating func finishLine(_ piece: Int) {
        defer {
            pending = []
            isContinued = false
        }
        var text = pending
        if !isContinued {
            if let (time, length) = LogTime.parse(pending[...]) {
                self.time = time
                let rest = splitsLines && !showsTimes ? joined(pending[length...]) : pending[length...]
                text = (showsTimes ? time.text + [UInt8(ascii: " ")] : []) + rest
            } else if channel == .stderr {
                // Only the container's lines have times.
                message = NerdctlMessage.last(in: pending) ?? message
                return
            }
        }
        // A logging driver without times tells nothing of when.
        if let begin, time != .none, time < begin { return }
        lines.append(Line(time: time, bytes: text, piece: piece))
    }

    /// A line without the times that nerdctl puts before each part in which it was written. They are of this line's time or
    /// later, and not of the future, which tells them from most of those that an application writes itself.
    private func joined(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard line.count > 21 else { return line }
        let now = LogTime.now
        var last = time
        var parts: [UInt8] = []
        var start = line.startIndex
        var position = line.startIndex
        while position + 21 <= line.endIndex {
            // The cheapest sign first: this is done at every byte.
            if line[position + 10] == UInt8(ascii: "T"), let (time, length) = LogTime.parse(line[position...]),
                last <= time, time <= now
            {
                parts += line[start..<position]
                position += length
                start = position
                last = time
            } else {
                position += 1
            }
        }
        return (parts + line[start...])[...]
    }
}
