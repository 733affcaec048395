import DstackEncoding

/// The fields of a query string: `a=1&list[0]=x&list[]=y&message[field]=z`.
///
/// Brackets may be percent-encoded or not. A list may also be given by repeating its plain name.
struct QueryTree {
    /// What was given for this very name, in the order given.
    private(set) var texts: [String] = []
    private(set) var children: [(name: String, tree: QueryTree)] = []
    /// Where the children of each name stand, once there are many: by bytes, since texts that only look alike differ.
    private var places: [[UInt8]: Int] = [:]

    /// More than any request has.
    private static let maximumItems = 512
    private static let maximumDepth = 6
    /// Up to so many children are looked through.
    private static let fewChildren = 8

    init() {}

    init(_ items: [(name: String, value: String)]) throws(DecodingFailure) {
        guard items.count <= Self.maximumItems else {
            throw DecodingFailure(.tooLarge, "query", "more than \(Self.maximumItems) parameters")
        }
        for (name, value) in items { insert(value, at: try Self.path(name)[...]) }
    }

    subscript(name: String) -> QueryTree? { place(of: name).map { children[$0].tree } }

    private func place(of name: String) -> Int? {
        if children.count > Self.fewChildren { return places[Array(name.utf8)] }
        return children.firstIndex { $0.name.utf8.elementsEqual(name.utf8) }
    }

    private mutating func add(_ name: String) -> Int {
        children.append((name, QueryTree()))
        if children.count == Self.fewChildren + 1 {
            for (index, child) in children.enumerated() { note(child.name, at: index) }
        } else if children.count > Self.fewChildren {
            note(name, at: children.count - 1)
        }
        return children.count - 1
    }

    private mutating func note(_ name: String, at index: Int) {
        let key = Array(name.utf8)
        if places[key] == nil { places[key] = index }
    }

    private mutating func insert(_ text: String, at path: ArraySlice<String>) {
        guard let name = path.first else { return texts.append(text) }
        // `list[]` is a new element each time.
        let index = (name.isEmpty ? nil : place(of: name)) ?? add(name)
        children[index].tree.insert(text, at: path.dropFirst())
    }

    /// `a[b][0]` is `a`, `b`, `0`.
    private static func path(_ name: String) throws(DecodingFailure) -> [String] {
        let parts = name.split(separator: "[", omittingEmptySubsequences: false)
        guard parts.count <= maximumDepth else {
            throw DecodingFailure(.tooLarge, "query", "brackets nested deeper than \(maximumDepth - 1) levels")
        }
        var path = [String(parts[0])]
        for part in parts.dropFirst() {
            guard part.last == "]", !part.dropLast().contains("]") else {
                throw DecodingFailure(.malformed, "query", "a name with unbalanced brackets")
            }
            path.append(String(part.dropLast()))
        }
        return path
    }

    /// The elements of a list: by index, then those without one, then plain repetitions.
    func elements(_ subject: String) throws(DecodingFailure) -> [QueryTree] {
        var indexed: [(index: UInt32, tree: QueryTree)] = []
        var others: [QueryTree] = []
        for (name, tree) in children {
            if name.isEmpty {
                others.append(tree)
            } else if let index = UInt32(name) {
                indexed.append((index, tree))
            } else {
                throw DecodingFailure(.malformed, subject, "a list's index expected between the brackets")
            }
        }
        for text in texts {
            var element = QueryTree()
            element.texts = [text]
            others.append(element)
        }
        return indexed.sorted { $0.index < $1.index }.map { $0.tree } + others
    }

    /// The one text of a field that is no list.
    func text(_ subject: String) throws(DecodingFailure) -> String {
        guard children.isEmpty, let text = texts.first else {
            throw DecodingFailure(.malformed, subject, "one value expected, found a list or a message")
        }
        guard texts.count == 1 else { throw DecodingFailure(.malformed, subject, "given more than once") }
        return text
    }
}
