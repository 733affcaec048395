import DstackEncoding
import DstackSystem

/// Reading one of the files that make a guest, with errors that say which and where it is looked for.
enum GuestFileReading {
    /// - Parameters:
    ///   - what: the file's part, for the error where it cannot be read.
    ///   - setting: the setting that says where it is.
    /// - Throws: ``GuestError/Code/invalidFile`` if the file cannot be read, or with what `parse` throws.
    static func read<Value>(
        _ path: String, limit: Int, what: String, setting: String,
        _ parse: ([UInt8]) throws(DecodingFailure) -> Value
    ) throws(GuestError) -> Value {
        let bytes: [UInt8]
        do {
            bytes = try File.read(path, limit: limit)
        } catch {
            throw GuestError(
                .invalidFile, subject: what, reason: "\(error)", hint: "\(setting) says where it is looked for")
        }
        do {
            return try parse(bytes)
        } catch {
            throw GuestError(.invalidFile, subject: path, reason: "\(error)")
        }
    }
}
