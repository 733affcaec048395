import DstackEncoding
import DstackRPC

extension RPCError {
    /// What is answered for an error of a handler.
    ///
    /// An error that does not describe itself is not shown: what its reflection would print, nobody has looked at.
    init(describing error: any Error) {
        switch error {
        case let error as RPCError: self = error
        case let error as DecodingFailure: self.init(error.description)
        case is CancellationError: self.init("the call was cancelled", status: 503)
        case let error as any CustomStringConvertible: self.init(error.description, status: 500)
        default: self.init("internal error", status: 500)
        }
    }
}
