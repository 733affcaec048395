// The load of `Benchmarks/kms`, which says how often to run what. Its argument is the directory of a simulation, on whose
// platform all evidence here is made. Reads commands, one a line:
//
//     application           says which application asks: its identifier, its compose hash, the image it runs on
//     make ROW COUNT        makes what COUNT requests of a row need, so that making it is not measured
//     run ROW PORT COUNT LANES   COUNT requests to 127.0.0.1, LANES at once
//
// and answers each with one line: `ok` and what was asked for (of a run: nanoseconds by the clock), or `failed` and the reason.

import Glibc

guard CommandLine.arguments.count == 2 else {
    print("usage: KMSBenchmark SIMULATION")
    exit(2)
}
let session = try Session(simulation: CommandLine.arguments[1])
while let line = readLine() {
    do {
        print(try session.answer(line.split(separator: " ").map(String.init)))
    } catch {
        print("failed \(error)")
    }
    fflush(nil)
}
