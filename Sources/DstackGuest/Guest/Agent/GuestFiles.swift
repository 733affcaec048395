import DstackEncoding
package import DstackKeys

/// The files that an agent answers from: keys, compose file, system configuration. Read once, when it starts.
package final class GuestFiles: Sendable {
    let keys: AppKeys
    let signer: MessageSigner
    package let compose: ComposeFile
    let system: SystemConfiguration

    /// Reads the files.
    ///
    /// - Throws: ``GuestError/Code/invalidFile`` saying which one cannot be used and why.
    package convenience init(_ settings: GuestSettings.Files) throws(GuestError) {
        let keys: AppKeys
        do {
            keys = try AppKeys(contentsOf: settings.keys)
        } catch {
            throw GuestError(
                .invalidFile, subject: "application keys", reason: "\(error)",
                hint: "core.keys_file says where the application's keys are looked for")
        }
        try self.init(
            keys: keys, compose: try ComposeFile(contentsOf: settings.compose),
            system: try SystemConfiguration(contentsOf: settings.system))
    }

    /// The same from contents that are at hand.
    package convenience init(
        keys: consuming AppKeys, compose: [UInt8], systemConfiguration: [UInt8]
    ) throws(GuestError) {
        let parsed: (ComposeFile, SystemConfiguration)
        do {
            parsed = (try ComposeFile(parsing: compose), try SystemConfiguration(parsing: systemConfiguration))
        } catch {
            throw GuestError(.invalidFile, subject: error.subject, reason: "\(error)")
        }
        try self.init(keys: keys, compose: parsed.0, system: parsed.1)
    }

    private init(
        keys: consuming AppKeys, compose: ComposeFile, system: SystemConfiguration
    ) throws(GuestError) {
        do {
            signer = try keys.rootKey.messageSigner()
        } catch {
            throw GuestError(.invalidFile, subject: "application keys", reason: "\(error)")
        }
        self.keys = keys
        self.compose = compose
        self.system = system
    }
}
