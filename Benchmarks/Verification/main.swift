// One side of `Benchmarks/verification`, which says how often to run what. Reads commands, one a line:
//
//     run WORKLOAD SAMPLE COUNT              verifies COUNT times on this thread
//     threads WORKLOAD SAMPLE THREADS COUNT  verifies COUNT times on each of THREADS threads
//     check                                  verifies that caching never outlives revocation or expiry
//     export SAMPLE DIRECTORY                writes quote, collateral.json and root.der for another verifier
//
// and answers each with one line: `ok`, nanoseconds of CPU, nanoseconds by the clock; or `failed` and the reason.

import DstackAttestation
import DstackEncoding
import DstackSystem
import Glibc

let session = try Session(arguments: Array(CommandLine.arguments.dropFirst()))
while let line = readLine() {
    do {
        print(try session.answer(line.split(separator: " ").map(String.init)))
    } catch {
        print("failed \(error)")
    }
    fflush(nil)
}
