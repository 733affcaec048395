package import DstackHTTP

/// Header fields of a request or a response, in the order sent; names compare without regard to case.
public struct HTTPFields: Sendable, Hashable {
    package var headers: HTTPHeaders

    package init(_ headers: HTTPHeaders) { self.headers = headers }

    /// No fields.
    public init() { headers = HTTPHeaders() }

    /// The first value of a name; setting replaces all of them.
    public subscript(name: String) -> String? {
        get { headers[name] }
        set { headers[name] = newValue }
    }

    /// All values of a name.
    public func values(_ name: String) -> [String] { headers.values(name) }

    /// Appends a field, beside others of the same name.
    public mutating func add(_ name: String, _ value: String) { headers.add(name, value) }

    /// All fields.
    public var all: [(name: String, value: String)] { headers.fields.map { ($0.name, $0.value) } }
}

extension HTTPFields: ExpressibleByDictionaryLiteral {
    /// Fields by name.
    public init(dictionaryLiteral elements: (String, String)...) {
        headers = HTTPHeaders(elements.map { HTTPHeaders.Field(name: $0.0, value: $0.1) })
    }
}
