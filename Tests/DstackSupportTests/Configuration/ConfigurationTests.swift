import DstackConfiguration
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Configuration")
struct ConfigurationTests {
    /// Settings with every kind of value.
    struct Settings: Equatable {
        enum Mode: String, CaseIterable { case open, closed }

        struct Admin: Equatable {
            let port: Int
            let token: String?
        }

        struct Peer: Equatable {
            let name: String
            let weight: Double
        }

        var address: String
        var port: Int
        var mode: Mode
        var timeout: Duration
        var renewal: Duration?
        var bodyLimit: Int
        var verbose: Bool
        var directory: String
        var id: [UInt8]
        var urls: [String]
        var admin: Admin?
        var peers: [Peer]
        var labels: [String: String]

        init(_ reader: ConfigurationReader) {
            address = reader.value("address", .nonEmptyString, default: "127.0.0.1")
            port = reader.value("port", .integer(in: 1...65_535))
            mode = reader.value("mode", .choice(standIn: .open), default: .closed)
            let limits = reader.table("limits") { limits in
                (
                    limits.value("timeout", .duration, default: .seconds(30)),
                    limits.value("renewal", .durationOrNever, default: nil),
                    limits.value("body", .byteCount, default: 1_000)
                )
            }
            (timeout, renewal, bodyLimit) = limits
            verbose = reader.value("verbose", .boolean, default: false)
            directory = reader.value("directory", .path, default: "/var/lib")
            id = reader.value("id", .hex(bytes: 2), default: [0, 0])
            urls = reader.values("urls", .string)
            admin = reader.optionalTable("admin") { admin in
                Admin(port: admin.value("port", .integer(in: 1...65_535)), token: admin.optional("token", .secret))
            }
            peers = reader.tables("peer") { peer in
                Peer(
                    name: peer.value("name", .nonEmptyString),
                    weight: peer.value("weight", .number(in: 0...1), default: 0.5))
            }
            labels = reader.dictionary("labels", .string)
        }
    }

    private func read(_ toml: String, environment: [String: String] = [:]) throws -> Settings {
        try Configuration(
            .text(toml, source: "kms.toml"), .environment(prefix: "DSTACK_KMS_", from: Environment(environment))
        ).read { Settings($0) }
    }

    /// The lines of the error, without the first where there are several.
    private func problems(_ toml: String, environment: [String: String] = [:]) -> [String] {
        do {
            _ = try read(toml, environment: environment)
            return []
        } catch let error as ConfigurationError {
            return error.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    @Test("every kind of value is read, from nested tables and arrays of tables too")
    func reads() throws {
        let settings = try read(
            """
            address = "0.0.0.0"
            port = 8_000
            mode = "open"
            verbose = true
            directory = "/data"
            id = "0aFF"
            urls = ["a", "b"]
            limits.timeout = "5m"
            limits.renewal = "10d"
            limits.body = "10MiB"
            labels = { a = "1", "b c" = "2" }
            [admin]
            port = 0x1F41
            token = "s3cret"
            [[peer]]
            name = "one"
            [[peer]]
            name = "two"
            weight = 1
            """)
        var expected = try read("port = 8000")
        #expect(expected.address == "127.0.0.1" && expected.timeout == .seconds(30) && expected.renewal == nil)
        expected.address = "0.0.0.0"
        expected.mode = .open
        expected.verbose = true
        expected.directory = "/data"
        expected.id = [0x0A, 0xFF]
        expected.urls = ["a", "b"]
        expected.timeout = .seconds(300)
        expected.renewal = .seconds(864_000)
        expected.bodyLimit = 10 << 20
        expected.labels = ["a": "1", "b c": "2"]
        expected.admin = Settings.Admin(port: 8_001, token: "s3cret")
        expected.peers = [.init(name: "one", weight: 0.5), .init(name: "two", weight: 1)]
        #expect(settings == expected)
    }

    @Test(
        "a wrong value is named by place, key, expectation and what was found",
        arguments: [
            ("port = \"http\"", #"kms.toml:1:1: port: expected an integer from 1 to 65535, found the string "http""#),
            ("port = 0", "kms.toml:1:1: port: expected an integer from 1 to 65535, found the integer 0"),
            ("port = 1.5", "kms.toml:1:1: port: expected an integer from 1 to 65535, found the number 1.5"),
            (
                "port = 2025-01-02",
                "kms.toml:1:1: port: expected an integer from 1 to 65535, found the date or time 2025-01-02"
            ),
            ("", "kms.toml: port: is missing: expected an integer from 1 to 65535"),
            (
                "port = 1\n  mode = \"ajar\"",
                #"kms.toml:2:3: mode: expected one of "open", "closed", found the string "ajar""#
            ),
            ("port = 1\nverbose = \"yes\"", #"kms.toml:2:1: verbose: expected true or false, found the string "yes""#),
            (
                "port = 1\nid = \"0a\"",
                #"kms.toml:2:1: id: expected 2 bytes in hexadecimal (4 digits), found the string "0a""#
            ),
            (
                "port = 1\nurls = \"a\"",
                "kms.toml:2:1: urls: expected an array, each element being a string, found a string"
            ),
            ("port = 1\nurls = [\"a\",\n  7]", "kms.toml:3:3: urls[1]: expected a string, found the integer 7"),
            ("port = 1\nadmin = true", "kms.toml:2:1: admin: expected a table, found a boolean"),
            (
                "port = 1\n[admin]\n\n",
                "kms.toml:2:2: admin.port: is missing: expected an integer from 1 to 65535"
            ),
            (
                "port = 1\nlimits = { timeout = 5 }",
                "kms.toml:2:12: limits.timeout: expected a duration such as 30s, 5m, 1h30m or 250ms "
                    + "(units: us, ms, s, m, h, d), found the integer 5"
            ),
            (
                "port = 1\nlimits.body = \"10MB\"",
                "kms.toml:2:8: limits.body: expected a size in bytes such as 4096, 512K or 10MiB "
                    + "(K, M, G, T count in steps of 1024), found the string \"10MB\""
            ),
            (
                "port = 1\n[[peer]]\nname = \"a\"\n[[peer]]\nname = 1",
                "kms.toml:5:1: peer[1].name: expected a string that is not empty, found the integer 1"
            ),
            ("port = 1\npeer = [1]", "kms.toml:2:9: peer[0]: expected a table, found an integer"),
            ("port = 1\nlabels.\"a b\" = 1", "kms.toml:2:8: labels.\"a b\": expected a string, found the integer 1"),
            (
                "port = 1\ndirectory = \"a\\u0000b\"",
                "kms.toml:2:1: directory: expected a path, found the string \"a\\u{0}b\""
            ),
            (
                "port = 1\naddress = \"\\u001b[31m\"\nport2 = 1",
                "kms.toml:3:1: port2: is not a known key: did you mean port?"
            ),
        ])
    func wrongValue(toml: String, problem: String) {
        #expect(problems(toml) == [problem])
    }

    @Test("all problems are found at once, unknown keys among them, in the order of the file")
    func allProblems() throws {
        let error = #expect(throws: ConfigurationError.self) {
            try read(
                """
                adress = "x"
                port = "y"
                colour = 1
                [admin]
                prot = 1
                [admni]
                x = 1
                """)
        }
        #expect(
            error?.description == """
                the configuration has 6 problems:
                  kms.toml:1:1: adress: is not a known key: did you mean address?
                  kms.toml:2:1: port: expected an integer from 1 to 65535, found the string "y"
                  kms.toml:3:1: colour: is not a known key
                  kms.toml:4:2: admin.port: is missing: expected an integer from 1 to 65535
                  kms.toml:5:1: admin.prot: is not a known key: did you mean port?
                  kms.toml:6:2: admni: is not a known key: did you mean admin?
                """)
    }

    @Test("unknown keys can be reported instead")
    func reportedKeys() throws {
        let log = MemorySink()
        let settings = try Configuration(.text("port = 1\nold = 2", source: "kms.toml"))
            .read(unknownKeys: .reported { try? log.write(Array($0.description.utf8)) }) { Settings($0) }
        #expect(settings.port == 1)
        #expect(log.text == "kms.toml:2:1: old: is not a known key")
    }

    @Test("no error repeats a secret, whether its value, its type or its syntax is wrong")
    func secrets() {
        let lines =
            problems("port = 1\n[admin]\nport = 1\ntoken = 918273645")
            + problems("port = 1\n[admin]\nport = 1\ntoken = 918273645564738291918273645")
            + problems("port = 1\n[admin]\nport = 1\ntoken = 918273645abc")
            + problems("port = 1\n[admin]\nport = 1\ntoken = abc918273645")
            + problems("port = 1\n[admin]\nport = 1\ntoken = \"918273645\n")
            + problems("port = 1\n[admin]\nport = 1\ntoken = '918273645' '918273645'")
            + problems(
                "port = 1",
                environment: ["DSTACK_KMS_ADMIN__TOKEN": "{ x = 918273645 }", "DSTACK_KMS_ADMIN__PORT": "1"])
        #expect(lines.count >= 6)
        for line in lines { #expect(!line.contains("9182"), "\(line)") }
        #expect(lines.first == "kms.toml:4:1: admin.token: expected a string that is not empty, found an integer")
    }

    @Test("text that is not TOML is refused with its place")
    func syntax() {
        #expect(
            problems("port = 1\nport = 2") == [
                "kms.toml:2:1: this is not TOML: in a key-value pair: cannot redefine existing integer 'port' as integer"
            ] || problems("port = 1\nport = 2").first?.hasPrefix("kms.toml:2:") == true)
        for toml in ["port", "port = ", "[a\nb = 1", "a = [1, 2", "= 1", "a = 'x", "\u{1}", "[a]\n[a]\n"] {
            let lines = problems(toml)
            #expect(lines.count == 1 && lines.first?.contains("this is not TOML: ") == true, "\(toml): \(lines)")
            #expect(lines.first?.hasPrefix("kms.toml:") == true)
        }
    }

    @Test(
        "malformed names, on which the parser would stumble, are refused with their line",
        arguments: ["[!]", "[[{]]", "[ \"", "\u{41e}#", "x = 1\u{41e}", "x\u{fcff}", "[a.]", "[a.!]", "x.! = 1"])
    func malformedNames(line: String) {
        let lines = problems("port = 1\n\n\(line)\n[later]\nx = 1\n")
        #expect(lines.count == 1 && lines.first?.hasPrefix("kms.toml:3:") == true, "\(lines)")
        #expect(lines.first?.contains("this is not TOML: ") == true)
    }

    @Test("invalid UTF-8 is refused")
    func invalidText() throws {
        let directory = try ScratchDirectory()
        try Data([0x61, 0x3D, 0x22, 0xFF, 0x22]).write(to: URL(fileURLWithPath: directory.path("bad.toml")))
        #expect(throws: ConfigurationError.self) { try Configuration(.file(directory.path("bad.toml"))) }
    }

    @Test("nesting is bounded where the parser would follow it by recursion")
    func nesting() {
        let dots = String(repeating: "a.", count: 200_000)
        for toml in [
            "\(dots)b = 1", "[\(dots)b]", "x = { \(dots)b = 1 }", "x = \(String(repeating: "[", count: 100_000))",
            "x = \"\"\"\n\"\"\"\"\n\(dots)b = 1", "# '\n\(dots)b = 1", "'\\' = 1\n\(dots)b = 1", "\(dots)b = 1\n!!!",
        ] {
            #expect(problems(toml).first?.contains("this is not TOML") == true)
        }
        let prose = String(repeating: ".", count: 5_000)
        #expect(problems("port = 1 # \(prose)\naddress = \"\(prose)\"\ndirectory = '''\(prose)'''") == [])
    }

    @Test("random edits of a configuration are answered without a crash")
    func mutations() throws {
        let original = Array(
            "port = 1\nid = \"0a0b\" # x\nlimits.body = 0x10\n[admin]\nport = 2\ntoken = '''a\nb'''\n[[peer]]\nname = \"é\"\n"
                .utf8)
        var random = SeededGenerator(seed: 11)
        var accepted = 0
        for _ in 0..<3_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(Array("[]{}.='\"\n#".utf8).randomElement(using: &random) ?? 0, at: index)
                }
            }
            if problems(String(decoding: bytes, as: UTF8.self)).isEmpty { accepted += 1 }
        }
        #expect(accepted > 100 && accepted < 2_900)
    }
}

@Suite("Layers of a configuration")
struct ConfigurationLayerTests {
    private struct Values: Equatable {
        let a: String
        let b: String
        let list: [String]
        let deep: String

        init(_ reader: ConfigurationReader) {
            a = reader.value("a", .string, default: "-")
            b = reader.value("b", .string, default: "-")
            list = reader.values("list", .string)
            deep = reader.table("x") { $0.table("y") { $0.value("deep", .string, default: "-") } }
        }
    }

    private func values(_ layers: ConfigurationLayer...) throws -> [String] {
        let values = try Configuration(layers).read { Values($0) }
        return [values.a, values.b, values.list.joined(separator: ","), values.deep]
    }

    @Test("later layers win key by key; arrays are replaced as a whole")
    func overlay() throws {
        let directory = try ScratchDirectory()
        try directory.write("a = \"1\"\nb = \"1\"\nlist = [\"1\", \"1\"]\n[x.y]\ndeep = \"1\"", "one.toml")
        try directory.write("b = \"2\"\nlist = [\"2\"]", "two.toml")
        let defaults = ConfigurationLayer.text("a = \"0\"", source: "the defaults")
        let (one, two) = (directory.path("one.toml"), directory.path("two.toml"))
        #expect(try values(defaults) == ["0", "-", "", "-"])
        #expect(try values(defaults, .file(one), .file(two)) == ["1", "2", "2", "1"])
        #expect(try values(.file(two), .file(one)) == ["1", "1", "1,1", "1"])
        let environment = Environment([
            "T_X__Y__DEEP": "3", "T_A": "three", "T_LIST": "['3', '4']", "S_A": "no",
        ])
        #expect(
            try values(.file(one), .environment(prefix: "T_", from: environment)) == ["three", "1", "3,4", "3"])
        #expect(try Configuration(.file(one), .file(directory.path("none"), ifPresent: true)).files == [one])
    }

    @Test(
        "an environment variable is TOML where it can be, else text; a number is text where text is expected",
        arguments: [
            ("text", "text"), ("7", "7"), ("true", "true"), ("'quoted'", "quoted"), ("\"quoted\"", "quoted"),
            ("2025-01-01", "2025-01-01"), ("007", "007"), ("a = b", "a = b"),
            ("1\nb = 'injected'", "1\nb = 'injected'"),
            ("1 # no comment", "1 # no comment"), ("$(x)", "$(x)"), (" spaced ", " spaced "),
        ])
    func variables(text: String, value: String) throws {
        let environment = Environment(["T_A": text])
        #expect(try values(.environment(prefix: "T_", from: environment)) == [value, "-", "", "-"])
    }

    @Test("a variable that is set and empty does not lift what it should state: it is refused by its name")
    func emptyVariables() {
        func problems(_ variables: [String: String]) -> [String] {
            let error = #expect(throws: ConfigurationError.self) {
                try Configuration(
                    .text("[policy]\nfile = 'strict.json'", source: "x.toml"),
                    .environment(prefix: "T_", from: Environment(variables))
                ).read { reader in
                    _ = reader.value("port", .integer(in: 1...9), default: 1)
                    reader.table("policy") { table in
                        _ = table.optional("file", .path)
                        _ = table.optional("preset", .choice(["a", "b"]))
                    }
                }
            }
            return error?.problems.map(\.description) ?? []
        }
        #expect(
            problems(["T_POLICY__FILE": ""])
                == [#"the environment variable T_POLICY__FILE: policy.file: expected a path, found the string """#])
        for name in ["T_PORT", "T_POLICY__PRESET", "T_POLICY", "T_UNKNOWN"] {
            let found = problems([name: ""])
            #expect(found.count == 1 && found[0].hasPrefix("the environment variable \(name): "), "\(found)")
        }
    }

    @Test("a wrong variable is named")
    func wrongVariable() {
        let environment = Environment(["T_PORT": "many", "T_UNKNOWN": "1"])
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(.environment(prefix: "T_", from: environment))
                .read { $0.value("port", .integer(in: 1...9), default: 1) }
        }
        #expect(
            error?.problems.map(\.description) == [
                #"the environment variable T_PORT: port: expected an integer from 1 to 9, found the string "many""#,
                "the environment variable T_UNKNOWN: unknown: is not a known key",
            ])
        for name in ["T_", "T___A", "T_A__", "T_A____B"] {
            #expect(throws: ConfigurationError.self) {
                try Configuration(.environment(prefix: "T_", from: Environment([name: "1"])))
            }
        }
        #expect(throws: Never.self) {
            try Configuration(.environment(prefix: "T_", ignoring: ["T_CONFIG"], from: Environment(["T_CONFIG": "x"])))
                .read { _ in }
        }
    }

    @Test("a file that is missing, unreadable or too large is an error that names it")
    func files() throws {
        let directory = try ScratchDirectory()
        let missing = directory.path("missing.toml")
        let error = #expect(throws: ConfigurationError.self) { try Configuration(.file(missing)) }
        #expect(
            error?.description == "the configuration cannot be used: cannot open \(missing): No such file or directory")
        let large = try directory.write("#" + String(repeating: "x", count: 1 << 20), "large.toml")
        #expect(throws: ConfigurationError.self) { try Configuration(.file(large, ifPresent: true)) }
        #expect(throws: ConfigurationError.self) { try Configuration(.file(directory.path, ifPresent: true)) }
        // One that is empty would put every restriction in it back to its default, also where it need not be there.
        let empty = try directory.write("", "empty.toml")
        for layer in [ConfigurationLayer.file(empty), .file(empty, ifPresent: true)] {
            let refusal = #expect(throws: ConfigurationError.self) { try Configuration(layer) }
            #expect(refusal?.description.contains("is empty") == true)
        }
        #expect(try Configuration(.file("/dev/null")).files == ["/dev/null"])
    }

    @Test("a missing key is missing in the file, whatever other layers there are")
    func missing() throws {
        let directory = try ScratchDirectory()
        let path = try directory.write("[x]\n", "kms.toml")
        let error = #expect(throws: ConfigurationError.self) {
            try Configuration(
                .text("[x]", source: "defaults"), .file(path),
                .environment(prefix: "T_", from: Environment(["T_X__Z": "1"]))
            ).read { $0.table("x") { ($0.value("y", .string), $0.value("z", .integer(in: 1...1))) } }
        }
        #expect(error?.description == "\(path):1:2: x.y: is missing: expected a string")
    }

    @Test("names for the same key, keys without effect and conflicts between values")
    func keys() {
        func problems(_ toml: String) -> [String] {
            do {
                try Configuration(.text(toml, source: "g.toml")).read { reader in
                    _ = reader.optional(reader.name("auth_token", "admin_token"), .secret)
                    reader.ignore("workers", "keep_alive")
                    let port = reader.value("port", .integer(in: 1...9), default: 1)
                    if reader.value("admin_port", .integer(in: 1...9), default: 2) == port {
                        reader.reject("admin_port", "is the same as port")
                    }
                }
                return []
            } catch {
                return error.problems.map(\.description)
            }
        }
        #expect(problems("admin_token = \"x\"\nworkers = 8") == [])
        #expect(problems("auth_token = \"x\"") == [])
        #expect(
            problems("auth_token = \"x\"\nadmin_token = \"x\"") == [
                "g.toml:2:1: admin_token: is another name for auth_token: keep one of them"
            ])
        #expect(problems("admin_port = 1") == ["g.toml:1:1: admin_port: is the same as port"])
    }

    private func problems<Value>(
        _ files: [(name: String, text: String)], _ make: (ConfigurationReader) -> Value
    ) throws -> [String] {
        let directory = try ScratchDirectory()
        var layers: [ConfigurationLayer] = []
        for file in files { layers.append(.file(try directory.write(file.text, file.name), format: .json)) }
        do {
            _ = try Configuration(layers).read(make)
            return []
        } catch {
            return error.problems.map { String($0.description.dropFirst(directory.path.utf8.count + 1)) }
        }
    }

    @Test("null for a key that restricts is a mistake in whatever layer it stands, not the end of the restriction")
    func nulls() throws {
        func read(_ reader: ConfigurationReader) -> Int {
            reader.refuseNull("limit")
            return reader.value("limit", .integer(in: 1...9), default: 5)
                + (reader.optional("other", .boolean) == nil ? 0 : 1)
        }
        let refusal = "null restricts nothing: give a value, or leave the key out"
        #expect(try problems([("a.json", #"{"limit":null}"#)], read) == ["a.json:1:10: limit: \(refusal)"])
        #expect(
            try problems([("a.json", #"{"limit":3}"#), ("b.json", "{\n \"limit\": null}")], read)
                == ["b.json:2:11: limit: \(refusal)"])
        #expect(try problems([("a.json", #"{"limit":3,"other":null}"#)], read).isEmpty)
    }

    @Test("one value stands for a list of one; a list must have some")
    func oneOrMore() throws {
        func read(_ reader: ConfigurationReader) -> [Int] { reader.oneOrMore("ports", .integer(in: 0...9)) }
        func values(_ toml: String) throws -> [Int] {
            try Configuration(.text(toml, source: "x")).read { read($0) }
        }
        #expect(try values("ports = 5") == [5])
        #expect(try values("ports = [5, 6]") == [5, 6])
        #expect(try values("") == [])
        for (toml, reason) in [
            ("ports = []", "an empty list names nothing"), ("ports = 10", "an integer from 0 to 9"),
            ("ports = [1, 10]", "ports[1]: expected an integer"),
        ] {
            let error = try #require(throws: ConfigurationError.self) { try values(toml) }
            #expect("\(error)".contains(reason), "\(error)")
        }
    }

    @Test("a secret may be empty where that stands for none, and is repeated in no message")
    func emptySecret() throws {
        let empty = try Configuration(.text("token = \"\"", source: "x")).read {
            $0.value("token", .secretOrEmpty, default: "preset")
        }
        #expect(empty == "")
        let error = try #require(throws: ConfigurationError.self) {
            try Configuration(.text("token = 314159", source: "x")).read { $0.value("token", .secretOrEmpty) }
        }
        #expect(!"\(error)".contains("314159"))
    }

    @Test("an empty list for a key that restricts is a mistake, and so is one of nulls")
    func emptyLists() throws {
        func read(_ reader: ConfigurationReader) -> [Int] { reader.restriction("users", .integer(in: 0...9)) }
        for (text, reason) in [
            (#"{"users":[]}"#, "an empty list restricts nothing"), (#"{"users":null}"#, "null restricts nothing"),
            (#"{"users":[null]}"#, "found null"), (#"{"users":"1"}"#, "an array"),
        ] {
            let found = try problems([("a.json", text)], read)
            #expect(found.count == 1 && found[0].contains(reason), "\(text): \(found)")
        }
        #expect(try problems([("a.json", #"{"users":[1]}"#)], read).isEmpty)
        #expect(try problems([("a.json", "{}")], read).isEmpty)
    }

    @Test(
        "a file without any content is a mistake, not a configuration without settings", arguments: ["", " \n\t\r\n"])
    func emptyFile(text: String) throws {
        let directory = try ScratchDirectory()
        for format in [ConfigurationLayer.Format.toml, .json] {
            for ifPresent in [false, true] {
                let path = try directory.write(text, "x")
                let error = #expect(throws: ConfigurationError.self) {
                    _ = try Configuration(.file(path, ifPresent: ifPresent, format: format))
                }
                #expect(error?.description.contains("is empty") == true)
            }
        }
        _ = try Configuration(.file(directory.write("# nothing yet\n", "y"), format: .toml))
    }
}
