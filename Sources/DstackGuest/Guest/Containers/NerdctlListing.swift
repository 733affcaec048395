import DstackEncoding

/// nerdctl's list of containers: an object a line, made by a template of ours, because nerdctl's own form has all labels
/// in one text in which they cannot be told apart.
enum NerdctlListing {
    /// Go's text/template over nerdctl's `ListItem`; its function `json` quotes what a label may hold.
    static let template =
        #"{"id":{{json .ID}},"name":{{json .Names}},"image":{{json .Image}},"created":{{json .CreatedAt}},"#
        + #""status":{{json .Status}},"project":{{json (.Label "\#(ComposeLabel.project)")}},"#
        + #""service":{{json (.Label "\#(ComposeLabel.service)")}}}"#

    static func containers(_ output: [UInt8]) throws(DecodingFailure) -> [Container] {
        var containers: [Container] = []
        for line in output.split(separator: UInt8(ascii: "\n")) {
            let node = try JSONDocument(parsing: Array(line), subject: "list of containers").root
            // One that went while the list was made has a line without anything.
            guard case let id = try node.member("id").string(), !id.isEmpty else { continue }
            // It becomes an argument: what began with a dash would be an option.
            guard ContainerName(id) != nil else { throw try node.member("id").failure("this is no id of a container") }
            let name = try node.member("name").string()
            let status = try node.member("status").string()
            containers.append(
                Container(
                    id: id, names: name.isEmpty ? [] : ["/\(name)"], image: try node.member("image").string(),
                    created: try RFC3339.parse(try node.member("created").string(), subject: "list of containers"),
                    state: state(status), status: status, project: try text(node.member("project")),
                    service: try text(node.member("service"))))
        }
        return containers
    }

    /// A label that is not there is an empty text.
    private static func text(_ node: JSONNode) throws(DecodingFailure) -> String? {
        let text = try node.string()
        return text.isEmpty ? nil : text
    }

    /// From the first word of "Up (healthy)", "Exited (0) 3 minutes ago", "Created".
    private static func state(_ status: String) -> Container.State {
        let word = status.prefix { $0 != " " }.lowercased()
        return word == "up" ? .running : Container.State(rawValue: word)
    }
}
