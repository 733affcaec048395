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
    }

    /// Headers that follow from the message and the connection, so no handler may set them.
    private static let own = ["Content-Length", "Transfer-Encoding", "Connection", "Date", "Keep-Alive"]

    private var dateSecond: time_t = 0
    private var date = ""

    mutating func head(
        _ status: Int, _ headers: HTTPHeaders, _ framing: Framing, keepsAlive: Bool, isOldClient: Bool,
        roomForBody: Int = 0
    ) -> [UInt8] {
        var bytes = [UInt8]()
        bytes.reserveCapacity(192 + headers.fields.count * 48 + roomForBody)
        func line(_ name: String, _ value: String) {
            bytes.append(contentsOf: name.utf8)
            bytes.append(contentsOf: ": ".utf8)
            bytes.append(contentsOf: value.utf8)
            bytes.append(contentsOf: "\r\n".utf8)
        }
        bytes.append(contentsOf: "HTTP/1.1 ".utf8)
        bytes.append(contentsOf: String(status).utf8)
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: Self.phrase(status).utf8)
        bytes.append(contentsOf: "\r\n".utf8)
        for field in headers.fields where !Self.own.contains(where: { HTTPSyntax.equalIgnoringCase($0, field.name) }) {
            line(field.name, field.value)
        }
        switch framing {
        case .length(let length): line("Content-Length", String(length))
        case .chunked: line("Transfer-Encoding", "chunked")
        case .untilClose, .none: break
        }
        line("Date", currentDate())
        if !keepsAlive {
            line("Connection", "close")
        } else if isOldClient {
            line("Connection", "keep-alive")
        }
        bytes.append(contentsOf: "\r\n".utf8)
        return bytes
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

    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), made once a second.
    private mutating func currentDate() -> String {
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
        date =
            "\(day), \(two(parts.tm_mday)) \(month) \(1900 + Int(parts.tm_year)) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
        return date
    }

    static func phrase(_ status: Int) -> String {
        switch status {
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
