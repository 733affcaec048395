/// The words in which people ask for something, beside the names of policy files. Names are plain: lower case, nothing between
/// words (``RestrictionNames/plain(_:)``).
enum RestrictionVocabulary {
    /// Names that ask by themselves, wherever they stand.
    static let asking = table([
        (.member("policy"), "policy strict strictmode strictness"),
        (.member("app_compose"), "appcompose"),
        (.unnamed, "policyfile whitelist allowlist blacklist blocklist denylist restrictions constraints requirements"),
        (.member("require_os_image"), "verifyosimage checkosimage verifyimage checkimage"),
    ])

    /// Names that ask where somebody asks, and are claims where evidence says what it is.
    static let bare = table([
        (.member("policy"), "policies policyname policypreset preset verificationpolicy standard authentic"),
        (.member("app_compose"), "compose composefile appcomposefile appcomposejson"),
        (.member("app_compose"), "dockercompose dockercomposefile rawappcompose"),
        (.member("expected_compose_hash"), "appcomposehash dockercomposehash"),
        (.member("expected_report_data"), "nonce challenge userdata"),
        (.member("expected_os_image_hash"), "imagehash osimage"),
        (.member("accepted_ppids"), "ppid platforms"),
        (.member("allowed_statuses"), "status tcbstatus tcb tcblevel"),
        (.member("allowed_advisory_ids"), "advisoryids advisories"),
        (.member("max_collateral_age_secs"), "collateralage maximumage maxage"),
        (.member("platform_grace_period_secs"), "graceperiod grace"),
        (.member("min_tcb_eval_data_number"), "evaldatanumber evaluationdatanumber tcbevaluationdatanumber"),
        (
            .other("write each by its name: expected_mr_td, expected_rt_mr0 and so on"),
            "measurement mrs rtmrs registers"
        ),
        (
            .other("nothing can be asked about it; accepted_ppids in the verifier's policy file names platforms"),
            "fmspc"
        ),
        (
            .other(
                "report data is compared whole: write expected_report_data, as `dstack-verifier report-data` computes it"
            ),
            "tag"
        ),
        (
            .other("evidence is judged as of now; for another time there is `dstack-verifier verify --at`"),
            "at now time asof date verificationtime currenttime"
        ),
        (
            .other("a request brings no connection; `dstack verify URL` judges one"),
            "sessionbound keybound binding"
        ),
        (.setting("attestation.root_ca"), "trustroot trustanchor rootca root rootcertificate rootcert"),
        (
            .setting("collateral, attestation.urls.pccs"),
            "collateral pccs pccsurl pcs pcsurl collateralurl fetch offline cache cachedir update timeout"
        ),
        (.setting("collateral.tls_authorities"), "ca cacert tlsauthorities"),
    ])

    /// What only answers have, by how its names begin.
    static func answered(_ plain: String) -> RestrictionMeaning? {
        if plain.hasPrefix("keyprovider") { return .answered("key_provider") }
        return plain.hasPrefix("deviceid") ? .answered("app_info") : nil
    }

    /// Words before a name that make it a question. Longer ones stand before those that they begin with.
    static let verbs = [
        "expected", "expect", "allowed", "allow", "accepted", "accept", "rejected", "reject", "required", "requires",
        "require", "minimum", "min", "maximum", "max", "wanted", "want", "trusted", "trust", "verify", "check",
        "ensure", "enforce", "assert", "known", "pinned", "pin", "must", "only", "deny", "forbid", "disallow", "match",
    ]

    /// Words that ask whatever comes after them. `verified` and `checks` are claims, and `verify` of a name that nobody knows
    /// may be one.
    static let askingWords: Set = [
        "min", "max", "minimum", "maximum", "must", "deny", "forbid", "want", "wanted", "trusted", "enforce", "ensure",
        "whitelisted", "allowlisted",
    ]
    /// The same by how they begin.
    static let askingStems = ["expect", "allow", "accept", "reject", "requir", "disallow"]

    /// Endings that say how a value is written; of a digest, that it is one; or that it is wanted.
    static let endings: [(text: String, replacement: String, asks: Bool)] =
        [
            "hex", "base64", "b64", "bytes", "value", "values", "list", "set", "text", "json", "file", "path", "secs",
            "seconds", "hash", "s", "es",
        ].map { ($0, "", false) }
        + ["sha256", "sha384", "digest", "checksum"].map { ($0, "hash", false) }
        + [
            "expected", "required", "allowed", "accepted", "trusted", "whitelist", "allowlist", "blacklist", "denylist",
            "policy",
        ].map { ($0, "", true) }

    private static func table(_ rows: [(RestrictionMeaning, String)]) -> [String: RestrictionMeaning] {
        // A name in two rows would mean what chance wants.
        Dictionary(
            uniqueKeysWithValues: rows.flatMap { meaning, names in
                names.split(separator: " ").map { (String($0), meaning) }
            })
    }
}
