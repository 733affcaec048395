package import DstackHTTPServer
package import DstackRPC
import Synchronization

/// What a handler knows of a call beside its message.
package struct RPCCall: Sendable {
    package let service: String
    package let method: String
    package let encoding: RPCEncoding
    package let head: HTTPRequestHead
    /// ``HTTPListener/name`` of the listener that the call came in by.
    package let listener: String
    package let peer: HTTPPeer
    /// Nil where nobody observes.
    private let sharedNote: Note?

    /// What a handler found out, for the observer.
    private final class Note: Sendable {
        let text = Mutex<String?>(nil)
    }

    package init(
        service: String, method: String, encoding: RPCEncoding, request: HTTPServerRequest, isObserved: Bool = false
    ) {
        self.service = service
        self.method = method
        self.encoding = encoding
        head = request.head
        listener = request.listener
        peer = request.peer
        sharedNote = isObserved ? Note() : nil
    }

    /// What ``note(_:)`` was given last.
    package var noted: String? { sharedNote?.text.withLock { $0 } }

    /// Tells the observer what the call was about; never a secret. The text is made only if there is one.
    package func note(_ text: @autoclosure () -> String) {
        guard let sharedNote else { return }
        let text = text()
        sharedNote.text.withLock { $0 = text }
    }
}

/// How a call ended, for logs and counters.
package struct RPCOutcome: Sendable {
    package let call: RPCCall
    package let status: Int
    /// Of a call that failed: what was answered.
    package let error: String?
    package let duration: Duration
}

/// A result: a message to be encoded in the form of the call, or one whose forms exist already.
package struct RPCReply<Message: RPCMessage>: Sendable {
    private enum Content {
        case message(Message)
        case encoded(json: EncodedMessage, protobuf: EncodedMessage)
        case bytes(EncodedMessage)
    }

    private let content: Content

    package init(_ message: Message) { content = .message(message) }

    /// - Parameter bytes: a message in the form of the call.
    package init(encoded bytes: EncodedMessage) { content = .bytes(bytes) }

    /// Encodes a message that many calls will be answered with.
    package static func prepared(_ message: Message) -> RPCReply {
        RPCReply(
            content: .encoded(json: message.encoded(as: .json), protobuf: message.encoded(as: .protobuf)))
    }

    private init(content: Content) { self.content = content }

    func encoded(as encoding: RPCEncoding) -> EncodedMessage {
        switch (content, encoding) {
        case (.message(let message), _): message.encoded(as: encoding)
        case (.bytes(let bytes), _): bytes
        case (.encoded(let json, _), .json): json
        case (.encoded(_, let protobuf), .protobuf): protobuf
        }
    }
}
