import DstackCommandLine
import DstackShells

/// `simulate`: the guest agent without a TEE.
enum SimulateCommand {
    static let command = Command(
        "simulate", "runs the guest agent of one simulated virtual machine",
        examples: ["dstack simulate ./simulation", "dstack simulate ./simulation --background"],
        notes: SimulatorProgram.notes, arguments: SimulatorProgram.declarations
    ) { arguments, _ in try SimulatorProgram(arguments).run() }
}
