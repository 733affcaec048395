/// How a program ended.
package enum ProgramEnding: Sendable, Hashable, CustomStringConvertible {
    case exit(code: Int32)
    case signal(Int32)

    package static let success = ProgramEnding.exit(code: 0)

    /// - Parameter status: as waitpid(2) has it: the low seven bits are the signal, the byte above them the status.
    init(waited status: Int32) {
        self = status & 0x7F == 0 ? .exit(code: status >> 8 & 0xFF) : .signal(status & 0x7F)
    }

    /// To follow the program's name.
    package var description: String {
        switch self {
        case .exit(let code): "ended with status \(code)"
        case .signal(let number): "was ended by signal \(number)"
        }
    }
}
