/// The code blocks of a page in Markdown, with the marks before them.
struct Markdown {
    struct Block: Sendable {
        /// What stands behind the opening fence: `sh`, `swift`, or nothing.
        let language: String
        let text: String
        /// The text of an HTML comment `<!-- needs: NAME -->` on the line before; nil where there is none.
        let mark: String?
        let line: Int
    }

    let blocks: [Block]
    /// Lines of blocks by indentation, which have no language and no place for a mark.
    let indentedLines: [(line: Int, text: String)]

    init(_ text: String) {
        var blocks: [Block] = []
        var indented: [(line: Int, text: String)] = []
        var open: (language: String, mark: String?, line: Int, lines: [Substring])?
        var mark: String?
        var before: Substring = ""
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if let block = open {
                if line == "```" {
                    let body = block.lines.map { $0 + "\n" }.joined()
                    blocks.append(Block(language: block.language, text: body, mark: block.mark, line: block.line))
                    open = nil
                } else {
                    open?.lines.append(line)
                }
            } else if line.hasPrefix("```") {
                open = (String(line.dropFirst(3)), mark, index + 1, [])
            } else {
                if line.hasPrefix("    "),
                    before.isEmpty || !indented.isEmpty && indented[indented.count - 1].line == index
                {
                    indented.append((index + 1, String(line.dropFirst(4))))
                }
                let comment = line.hasPrefix("<!-- needs: ") && line.hasSuffix(" -->")
                mark = comment ? String(line.dropFirst("<!-- needs: ".count).dropLast(" -->".count)) : nil
            }
            before = line
        }
        self.blocks = blocks
        indentedLines = indented
    }
}
