import DstackAuthorization
import DstackCommandLine
import DstackEncoding
import DstackSystem

/// `eth`: upstream's auth-eth.
enum EthereumCommand {
    private static let nodes = Option(
        repeated: "rpc-url", .nodes, environment: "ETH_RPC_URL",
        "a node to ask, http or https; several in order of preference; preset: http://localhost:8545")
    private static let contract = Option(
        required: "contract", .hex("ADDRESS", bytes: 20), environment: "KMS_CONTRACT_ADDR",
        "the contract with the rules of the KMS")
    private static let chain = Option(
        "chain-id", .integer("NUMBER", in: 1...Int.max), environment: "ETH_CHAIN_ID",
        "the chain that nodes must be of; the first answer's if left out")
    private static let agree = Option(
        "agree", .integer("COUNT", in: 1...64), environment: "ETH_AGREE", default: 1, shown: "1",
        "how many nodes must give the same answer at the same block")
    private static let block = Option(
        "block", .choice(["latest", "safe", "finalized"]), environment: "ETH_BLOCK", default: "latest",
        "the block to read at")
    private static let confirmations = Option(
        "confirmations", .integer("COUNT", in: 0...1_000_000), environment: "ETH_FINALITY_CONFIRMATIONS",
        "read at the block with so many others on it")
    private static let age = Option(
        "max-block-age", .age, environment: "ETH_MAX_BLOCK_AGE", default: .some(.seconds(3600)), shown: "1h",
        "how old that block may be; `never` counts for chains that stand still between transactions")
    // As auth-eth does.
    private static let serving = Serving(host: "127.0.0.1", port: 8000)

    static let command = Command(
        "eth", "answers by the contract of a KMS on an Ethereum chain",
        examples: [
            "dstack-auth eth --rpc-url http://localhost:8545 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3",
            "dstack-auth eth --rpc-url https://a.example --rpc-url https://b.example --rpc-url https://c.example "
                + "--agree 2 --block finalized --chain-id 1 --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3",
        ],
        notes: [
            "Both parts of a decision are read at one block. With --agree 1 the first node that answers is believed; with more, "
                + "no single node can allow what the chain does not say."
        ] + Serving.notes,
        arguments: [nodes, contract, chain, agree, block, confirmations, age] + serving.declarations,
        rules: [.atMostOne(of: block, confirmations)]
    ) { arguments, console in
        let authorizer = try EthereumAuthorizer(configuration(arguments))
        let log = Log("auth")
        if arguments[chain] == nil {
            log.warn("no chain is named: that of the first answer will do (--chain-id, ETH_CHAIN_ID)")
        }
        return try await serving.run(
            authorizer, arguments, console,
            upkeep: [
                {
                    do throws(AuthorizationError) {
                        let info = try await authorizer.info()
                        log.info(
                            "contract found",
                            [
                                "chain_id": info.chainID, "contract": info.kmsContractAddress,
                                "gateway_app_id": info.gatewayAppID,
                            ])
                    } catch {
                        log.error("the contract cannot be asked", ["reason": error.description])
                    }
                }
            ])
    }

    private static func configuration(_ arguments: Arguments) -> EthereumAuthorizer.Configuration {
        let urls = arguments[nodes].flatMap { $0 }
        var configuration = EthereumAuthorizer.Configuration(
            nodes: urls.isEmpty ? ["http://localhost:8545"] : urls,
            contract: FixedBytes(arguments[contract]) ?? FixedBytes())
        configuration.chainID = arguments[chain].map { UInt64($0) }
        configuration.agree = arguments[agree]
        configuration.maximumBlockAge = arguments[age]
        configuration.block =
            switch arguments[block] {
            case "safe": .safe
            case "finalized": .finalized
            default: .latest
            }
        if let count = arguments[confirmations], count > 0 { configuration.block = .confirmations(UInt64(count)) }
        return configuration
    }
}

extension ArgumentType<[String]> {
    /// One node's address, or several with commas or spaces between them, as a variable has them.
    fileprivate static var nodes: ArgumentType {
        ArgumentType("URL", expecting: "an http or https URL such as http://localhost:8545", isSecret: true) { text in
            let urls = text.split { $0 == "," || $0.isWhitespace }.map(String.init)
            return urls.isEmpty ? nil : urls
        }
    }
}

extension ArgumentType<Duration?> {
    fileprivate static var age: ArgumentType {
        ArgumentType("DURATION|never", expecting: DurationText.expectation + ", or never") { text in
            text == "never" ? .some(nil) : DurationText.parse(text).map { .some($0) }
        }
    }
}
