import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackSystem

/// `report-data`: what a quote for a challenge must have as its report data.
enum ReportDataCommand {
    private static let content = Positional(
        required: .hex("HEX", bytes: 1...65_536), "the challenge (nonce) that you sent, or other content")
    private static let tag = Option(
        "tag", .text("TAG"), default: "app-data", "what the application hashes it under, as its author says")
    private static let hash = Option(
        "hash", ArgumentType<ReportData.HashAlgorithm>.choice.named("ALGORITHM"), default: .sha512, shown: "sha512",
        "what it is hashed with: " + ReportData.HashAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))

    static let command = Command(
        "report-data", "prints the report data that a quote for your challenge must have",
        examples: [
            "dstack-verifier report-data 6e6f6e6365206f66206d696e65 --tag attested-service-challenge",
            "dstack-verifier verify --quote answer.json --collateral c.json "
                + "--report-data \"$(dstack-verifier report-data 6e6f6e6365206f66206d696e65 --tag my-app)\"",
        ],
        notes: [
            "It is the hash of tag, colon and content, filled up with zeros to 64 bytes, as applications make it with "
                + "ReportData(tag:content:). Take the tag from the application's author, never from the answer alone: the "
                + "same application may quote other things under other tags, which a stranger could have it do for your "
                + "challenge."
        ],
        arguments: [content, tag, hash, Flag.json]
    ) { arguments, console in
        let data = ReportData(
            tag: ReportData.Tag(arguments[tag]), content: arguments[content], hash: arguments[hash])
        if arguments[Flag.json] {
            var writer = JSONWriter()
            writer.object { object in
                object.member("report_data", data.hex)
                object.member("tag", arguments[tag])
                object.member("hash", arguments[hash].rawValue)
            }
            console.print(writer.text)
        } else {
            console.print(data.hex)
        }
        return .done
    }
}
