import DstackHTTP
import Glibc

/// Writes the head of a response.
struct HTTPResponseEncoder {
    /// How the receiver knows where the body ends.
    enum Framing {
        case length(Int)
        case chunked
        /// The connection's end is the body's; for HTTP/1.0 clients.
        case untilClose
        /// 204 and 304 have neither body nor length.
        case none
        /// 101: what follows is another protocol's.
        case upgrade
    }

    /// Headers that follow from the message and the connection, so no handler may set them.
    private static let own = ["Content-Length", "Transfer-Encoding", "Connection", "Date", "Keep-Alive"]

    private var dateSecond: time_t = 0
    private var date: [UInt8] = []
    private static let success = Array("HTTP/1.1 200 OK\r\n".utf8)

    mutating func head(
        _ response: HTTPServerResponse, _ framing: Framing, keepsAlive: Bool, isOldClient: Bool, roomForBody: Int = 0
    ) -> [UInt8] {
        var bytes = [UInt8]()
        let common = response.commonHeaders?.lines ?? []
        bytes.reserveCapacity(192 + common.count + response.headers.count * 48 + roomForBody)
        if response.status == 200 {
            bytes.append(contentsOf: Self.success)
        } else {
            bytes.append(contentsOf: "HTTP/1.1 \(response.status) \(Self.phrase(response.status))\r\n".utf8)
        }
        bytes.append(contentsOf: common)
        Self.append(response.headers, to: &bytes)
        switch framing {
        case .length(let length):
            Self.append("Content-Length: ", to: &bytes)
            Self.append(length, to: &bytes)
            Self.append("\r\n", to: &bytes)
        case .chunked: Self.append("Transfer-Encoding: chunked\r\n", to: &bytes)
        case .upgrade: Self.append("Connection: Upgrade\r\n", to: &bytes)
        case .untilClose, .none: break
        }
        bytes.append(contentsOf: currentDate())
        if case .upgrade = framing {
            // Says what becomes of the connection.
        } else if !keepsAlive {
            Self.append("Connection: close\r\n", to: &bytes)
        } else if isOldClient {
            Self.append("Connection: keep-alive\r\n", to: &bytes)
        }
        Self.append("\r\n", to: &bytes)
        return bytes
    }

    /// Writes fields as lines, but for those that are the server's own.
    static func append(_ headers: HTTPHeaders, to bytes: inout [UInt8]) {
        guard headers.count > 0 else { return }
        for field in headers.fields where !own.contains(where: { HTTPSyntax.equalIgnoringCase($0, field.name) }) {
            bytes.append(contentsOf: "\(field.name): \(field.value)\r\n".utf8)
        }
    }

    private static func append(_ text: StaticString, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private static func append(_ number: Int, to bytes: inout [UInt8]) {
        guard number > 9 else { return bytes.append(UInt8(ascii: "0") + UInt8(max(0, number))) }
        append(number / 10, to: &bytes)
        bytes.append(UInt8(ascii: "0") + UInt8(number % 10))
    }

    /// One chunk of a streaming body.
    static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        var chunk = [UInt8]()
        chunk.reserveCapacity(bytes.count + 12)
        chunk.append(contentsOf: String(bytes.count, radix: 16).utf8)
        chunk.append(contentsOf: "\r\n".utf8)
        chunk.append(contentsOf: bytes)
        chunk.append(contentsOf: "\r\n".utf8)
        return chunk
    }

    static let lastChunk = Array("0\r\n\r\n".utf8)
    static let continueHead = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    /// `Date: Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), a line, made once a second.
    private mutating func currentDate() -> [UInt8] {
        let now = time(nil)
        if now == dateSecond { return date }
        var second = now
        var parts = tm()
        gmtime_r(&second, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][Int(parts.tm_wday) % 7]
        let month = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ][Int(parts.tm_mon) % 12]
        dateSecond = now
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        date = Array(
            "Date: \(day), \(two(parts.tm_mday)) \(month) \(1900 + Int(parts.tm_year)) \(clock) GMT\r\n".utf8)
        return date
    }

    static func phrase(_ status: Int) -> String {
        switch status {
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 426: "Upgrade Required"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Status"
        }
    }
}
