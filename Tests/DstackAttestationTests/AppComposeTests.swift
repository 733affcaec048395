import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("App compose files")
struct AppComposeTests {
    @Test(
        "canonical texts and hashes equal the vectors, plain and normalised",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func canonical() throws {
        let rows = try Vectors.json("keys/compose-hash.json").member("sdk_hash")
        #expect(rows.count == 17)
        for row in rows.elements {
            let compose = try AppCompose(parsing: try row.member("compose").rawBytes)
            #expect(compose.canonicalText() == (try row.member("canonical_utf8").string()))
            #expect(compose.canonicalHash().description == (try row.member("sha256").string()))
            #expect(
                compose.canonicalText(isNormalized: true) == (try row.member("normalized_canonical_utf8").string()))
            #expect(
                compose.canonicalHash(isNormalized: true).description
                    == (try row.member("normalized_sha256").string()))
        }
    }

    @Test("where SDKs disagree, JavaScript's answer is given", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func disagreements() throws {
        for row in try Vectors.json("keys/compose-hash.json").member("languages_disagree").elements {
            let compose = try AppCompose(parsing: Array(try row.member("compose_json").string().utf8))
            #expect(compose.canonicalText() == (try row.member("serialized").member("js").string()))
            #expect(compose.canonicalHash().description == (try row.member("sha256").member("js").string()))
            for language in ["js", "python", "go"] as [StaticString] {
                let text = Array(try row.member("serialized").member(language).string().utf8)
                let hash = ComposeHash(ofFile: text).description
                #expect(hash == (try row.member("sha256").member(language).string()))
            }
        }
    }

    @Test("the compose hash is over the file's bytes", .enabled(if: Vectors.areAvailable, Vectors.absence))
    func files() throws {
        for row in try Vectors.json("keys/compose-hash.json").member("raw_file_hash").elements {
            let compose = try AppCompose(parsing: Array(try row.member("file_utf8").string().utf8))
            #expect(compose.composeHash.description == (try row.member("compose_hash").string()))
            #expect(compose.defaultAppID.description == (try row.member("default_app_id").string()))
        }
    }

    @Test("normalising drops what the runner does not use, at the outermost level only")
    func normalising() throws {
        let text =
            #"{"runner":"bash","docker_compose_file":"a","bash_script":"b","pre_launch_script":null,"x":{"docker_compose_file":1}}"#
        let compose = try AppCompose(parsing: Array(text.utf8))
        #expect(
            compose.canonicalText(isNormalized: true)
                == #"{"bash_script":"b","runner":"bash","x":{"docker_compose_file":1}}"#)
        let other = try AppCompose(parsing: Array(text.replacing("\"bash\"", with: "\"other\"").utf8))
        #expect(other.canonicalText(isNormalized: true).contains("\"docker_compose_file\":\"a\""))
    }

    @Test(
        "what is not one object with distinct members is refused",
        arguments: ["", "[]", "1", "{", #"{"a":1,"a":2}"#, "{} {}"])
    func refused(text: String) {
        let error = #expect(throws: AttestationError.self) { try AppCompose(parsing: Array(text.utf8)) }
        #expect(error?.code == .invalidCompose)
    }
}
