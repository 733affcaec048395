/// Header fields in the order sent; names compare without regard to case.
package struct HTTPHeaders: Sendable, Hashable {
    package struct Field: Sendable, Hashable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Fields as they came in, which most handlers never look at: texts are made of those that are asked for.
    private var received: ReceivedFields?
    /// Behind those received.
    private var added: [Field]

    package init(_ fields: [Field] = []) { added = fields }

    package init(_ received: ReceivedFields) {
        self.received = received
        added = []
    }

    package var fields: [Field] { received.map { $0.fields + added } ?? added }

    package var count: Int { (received?.places.count ?? 0) + added.count }

    /// Appends a field, beside others of the same name.
    package mutating func add(_ name: String, _ value: String) { added.append(Field(name: name, value: value)) }

    package mutating func remove(_ name: String) {
        if received != nil {
            added = fields
            received = nil
        }
        added.removeAll { HTTPSyntax.equalIgnoringCase($0.name, name) }
    }

    /// The first value of a name; setting replaces all of them.
    package subscript(name: String) -> String? {
        get {
            received?.first(name) ?? added.first { HTTPSyntax.equalIgnoringCase($0.name, name) }?.value
        }
        set {
            remove(name)
            if let newValue { add(name, newValue) }
        }
    }

    package func values(_ name: String) -> [String] {
        fields.compactMap { HTTPSyntax.equalIgnoringCase($0.name, name) ? $0.value : nil }
    }

    package static func == (left: HTTPHeaders, right: HTTPHeaders) -> Bool { left.fields == right.fields }

    package func hash(into hasher: inout Hasher) { hasher.combine(fields) }

    package func contains(_ name: String) -> Bool { self[name] != nil }

    /// Why these fields must not be sent, if so: a name that is no token, or a value that would end its line early and
    /// so begin a header or a message of somebody else's making.
    ///
    /// The text names the field, never the value, which may be a secret.
    package var problem: String? {
        for field in fields {
            guard HTTPSyntax.isToken(field.name) else { return "a header name is not a token (RFC 9110, 5.6.2)" }
            guard HTTPSyntax.isHeaderValue(field.value) else {
                return "the value of header \(field.name) has a control character or a space at an end"
            }
        }
        return nil
    }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, String)...) {
        added = elements.map { Field(name: $0.0, value: $0.1) }
    }
}
