/// A bounded table that forgets what was not asked for the longest.
package struct LRUCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Node {
        let key: Key
        var value: Value
        var newer: Int?
        var older: Int?
    }

    package let capacity: Int
    private var index: [Key: Int] = [:]
    private var nodes: [Node] = []
    private var newest: Int?
    private var oldest: Int?

    package init(capacity: Int) { self.capacity = capacity }

    package var count: Int { nodes.count }

    /// What is kept under a key, which becomes the newest.
    package mutating func value(of key: Key) -> Value? {
        guard let position = index[key] else { return nil }
        if newest != position {
            unlink(position)
            link(position)
        }
        return nodes[position].value
    }

    /// Keeps a value, in the place of the oldest if there are as many as fit.
    package mutating func insert(_ value: Value, for key: Key) {
        guard capacity > 0 else { return }
        if let position = index[key] {
            nodes[position].value = value
            unlink(position)
            link(position)
            return
        }
        let position: Int
        if nodes.count < capacity {
            position = nodes.count
            nodes.append(Node(key: key, value: value))
        } else {
            guard let oldest else { return }
            position = oldest
            index[nodes[position].key] = nil
            unlink(position)
            nodes[position] = Node(key: key, value: value)
        }
        index[key] = position
        link(position)
    }

    private mutating func unlink(_ position: Int) {
        let (newer, older) = (nodes[position].newer, nodes[position].older)
        if let newer { nodes[newer].older = older } else { newest = older }
        if let older { nodes[older].newer = newer } else { oldest = newer }
        nodes[position].newer = nil
        nodes[position].older = nil
    }

    private mutating func link(_ position: Int) {
        nodes[position].older = newest
        if let newest { nodes[newest].newer = position }
        newest = position
        if oldest == nil { oldest = position }
    }
}
