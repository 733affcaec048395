package import DstackAttestation
package import DstackCommandLine

extension Arguments {
    /// One's own copy of an app-compose.json.
    ///
    /// - Parameter isToRun: whether a guest is to run it, which refuses a byte-order mark.
    /// - Throws: a wrong request that names option and file for what is no compose file: nothing could be told by comparing
    ///   it, and nothing be run from it.
    package func composeFile(_ option: Option<String?>, isToRun: Bool = false) throws(CommandFailure) -> [UInt8]? {
        guard let bytes = try read(option, limit: AppCompose.maximumByteCount) else { return nil }
        return try CommandFailure.wrongFile(option, self) { () throws(AttestationError) in
            if isToRun { _ = try AppCompose(parsing: bytes) }
            _ = try AppCompose(ownCopy: bytes)
            return bytes
        }
    }

    /// The same, to be compared with what was measured.
    ///
    /// - Throws: also a wrong request where a policy file expects another compose hash: neither may overrule the other.
    package func composeFile(
        _ option: Option<String?>, under policy: VerificationPolicy
    ) throws(CommandFailure) -> [UInt8]? {
        guard let bytes = try composeFile(option) else { return nil }
        let hash = ComposeHash(ofFile: bytes)
        if let other = policy.expected.composeHash, other.bytes != hash.bytes.bytes {
            throw ExpectationOptions.contradiction(
                "\(option.specification.label): the file's hash is \(hash), and \(JudgementOptions.policyFile(self) ?? "the policy")",
                other.hex)
        }
        return bytes
    }
}
