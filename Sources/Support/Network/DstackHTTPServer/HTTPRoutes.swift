package import DstackHTTP

/// A table of paths and methods, for servers whose routes are known when they start.
///
///     var routes = HTTPRoutes()
///     routes.on(.get, "/health") { _ in .text(200, "fine\n") }
///     routes.on(.get, "/logs/*") { request in await logs(of: request.path.dropFirst("/logs/".count)) }
///     let server = HTTPServer(configuration, handler: routes.respond)
///
/// HEAD is answered by GET's handler (the server keeps the body back), a known path with another method by 405, anything
/// else by ``notFound``. Paths are compared as sent, that is, percent-encoded.
package struct HTTPRoutes: Sendable {
    package typealias Handler = @Sendable (HTTPServerRequest) async -> HTTPServerResponse

    private var exact: [String: [HTTPMethod: Handler]] = [:]
    /// Longest first.
    private var prefixes: [(prefix: String, methods: [HTTPMethod: Handler])] = []

    /// For paths that are not in the table.
    package var notFound = HTTPServerResponse.notFound

    package init() {}

    /// - Parameter path: a whole path, or a path that ends with `/*` for everything below it.
    package mutating func on(_ method: HTTPMethod, _ path: String, _ handler: @escaping Handler) {
        guard path.hasSuffix("/*") else {
            exact[path, default: [:]][method] = handler
            return
        }
        let prefix = String(path.dropLast())
        if let index = prefixes.firstIndex(where: { $0.prefix == prefix }) {
            prefixes[index].methods[method] = handler
        } else {
            prefixes.append((prefix, [method: handler]))
            prefixes.sort { $0.prefix.utf8.count > $1.prefix.utf8.count }
        }
    }

    package func respond(to request: HTTPServerRequest) async -> HTTPServerResponse {
        guard let methods = exact[request.path] ?? prefixes.first(where: { request.path.hasPrefix($0.prefix) })?.methods
        else { return notFound }
        if let handler = methods[request.method] { return await handler(request) }
        if request.method == .head, let handler = methods[.get] { return await handler(request) }
        var allowed = Array(methods.keys)
        if methods[.get] != nil, methods[.head] == nil { allowed.append(.head) }
        return .methodNotAllowed(allowed.sorted { $0.rawValue < $1.rawValue })
    }
}
