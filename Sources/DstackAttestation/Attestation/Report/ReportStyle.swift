/// How a report for a person looks.
public struct ReportStyle: Hashable, Sendable {
    /// Whether to colour verdicts and marks with ANSI escapes.
    public var isColored: Bool
    /// Whether to draw the chain with lines, cut long hashes, wrap, and repeat the verdict at the end, for a person at a
    /// terminal; else one line a fact.
    public var isDrawn: Bool
    /// Columns that a drawn report may take.
    public var width: Int
    /// Whether to list every check, not only those that failed.
    public var listsChecks: Bool
    /// Whether to list what was not checked, or only to count it.
    public var listsUnchecked: Bool
    /// Whether to give the verdict and its reason alone.
    public var isBrief: Bool

    /// A style; plain lines unless said otherwise.
    public init(
        isColored: Bool = false, isDrawn: Bool = false, width: Int = 80, listsChecks: Bool = false,
        listsUnchecked: Bool = true, isBrief: Bool = false
    ) {
        self.isColored = isColored
        self.isDrawn = isDrawn
        self.width = width
        self.listsChecks = listsChecks
        self.listsUnchecked = listsUnchecked
        self.isBrief = isBrief
    }
}
