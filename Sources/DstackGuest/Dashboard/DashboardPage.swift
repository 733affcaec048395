import DstackHTTPServer

extension Dashboard {
    func page() async -> HTTPServerResponse { .notFound }
    func metrics() -> HTTPServerResponse { .notFound }
    func logs(_ name: String, _ request: HTTPServerRequest) async -> HTTPServerResponse { .notFound }
    func viewer(_ name: String) async -> HTTPServerResponse { .notFound }
}
