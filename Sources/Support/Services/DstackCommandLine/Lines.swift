/// Words in lines of a width. A word that is longer than a line has one of its own.
enum Lines {
    /// - Parameters:
    ///   - first: what the first line begins with.
    ///   - rest: what every other line begins with.
    static func wrapped(_ text: String, first: String, rest: String, width: Int) -> [String] {
        wrapped(words: text.split(separator: " ").map(String.init), first: first, rest: rest, width: width)
    }

    /// The same for words that may have spaces in them, where no line is broken.
    static func wrapped(words: [String], first: String, rest: String, width: Int) -> [String] {
        var lines = [String]()
        var line = first
        var isEmpty = true
        for word in words {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = rest
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }
}
