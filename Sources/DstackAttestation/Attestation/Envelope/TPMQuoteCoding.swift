internal import DstackEncoding

// SCALE, in version 0.

extension TPMQuote {
    init(scale reader: inout ByteReader) throws(DecodingFailure) {
        message = try reader.scaleBytes("tpm_quote.message")
        signature = try reader.scaleBytes("tpm_quote.signature")
        registers = []
        for _ in 0..<(try reader.scaleCount(minimumItemSize: 6, "tpm_quote.pcr_values")) {
            registers.append(
                Register(
                    index: try reader.littleEndian(UInt32.self, "pcr index"),
                    algorithm: try reader.scaleString("pcr algorithm"), value: try reader.scaleBytes("pcr value")))
        }
        attestationKeyCertificate = try reader.scaleBytes("tpm_quote.ak_cert")
        let start = reader.offset
        let number = Int(try reader.u8("tpm_quote.platform"))
        guard number < Platform.allCases.count else {
            throw DecodingFailure(.unsupported, "tpm_quote.platform", at: start, "0 to 3 are known, not \(number)")
        }
        platform = Platform.allCases[number]
        eventLog = []
        for _ in 0..<(try reader.scaleCount(minimumItemSize: 5, "tpm_quote.event_log")) {
            eventLog.append(
                Event(
                    index: try reader.littleEndian(UInt32.self, "pcr index"),
                    digest: try reader.scaleBytes("pcr event digest")))
        }
    }

    func encode(to writer: inout ByteWriter) {
        writer.scaleBytes(message)
        writer.scaleBytes(signature)
        writer.scaleCount(registers.count)
        for register in registers {
            writer.littleEndian(register.index)
            writer.scaleString(register.algorithm)
            writer.scaleBytes(register.value)
        }
        writer.scaleBytes(attestationKeyCertificate)
        writer.u8(UInt8(Platform.allCases.firstIndex(of: platform) ?? 0))
        writer.scaleCount(eventLog.count)
        for event in eventLog {
            writer.littleEndian(event.index)
            writer.scaleBytes(event.digest)
        }
    }
}

// MessagePack, in version 1.

extension TPMQuote {
    init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        var quote = TPMQuote(
            message: [], signature: [], registers: [], attestationKeyCertificate: [], platform: .gcp, eventLog: [])
        let names = ["message", "signature", "pcr_values", "ak_cert", "platform", "event_log"]
        try reader.members(names, "tpm_quote") { (reader, index) throws(DecodingFailure) in
            switch index {
            case 0: quote.message = try reader.bytes("tpm_quote.message")
            case 1: quote.signature = try reader.bytes("tpm_quote.signature")
            case 2:
                for _ in 0..<(try reader.array("tpm_quote.pcr_values")) {
                    quote.registers.append(try Register(messagePack: &reader))
                }
            case 3: quote.attestationKeyCertificate = try reader.bytes("tpm_quote.ak_cert")
            case 4:
                let start = reader.offset
                guard let platform = Platform(rawValue: try reader.string("tpm_quote.platform")) else {
                    throw DecodingFailure(
                        .unsupported, "tpm_quote.platform", at: start,
                        "known are \(Platform.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                quote.platform = platform
            default:
                for _ in 0..<(try reader.array("tpm_quote.event_log")) {
                    quote.eventLog.append(try Event(messagePack: &reader))
                }
            }
        }
        self = quote
    }

    func encode(to writer: inout MessagePackWriter) {
        writer.map(6)
        writer.string("message")
        writer.binary(message)
        writer.string("signature")
        writer.binary(signature)
        writer.string("pcr_values")
        writer.array(registers.count)
        for register in registers {
            writer.map(3)
            writer.string("index")
            writer.unsigned(UInt64(register.index))
            writer.string("algorithm")
            writer.string(register.algorithm)
            writer.string("value")
            writer.binary(register.value)
        }
        writer.string("ak_cert")
        writer.binary(attestationKeyCertificate)
        writer.string("platform")
        writer.string(platform.rawValue)
        writer.string("event_log")
        writer.array(eventLog.count)
        for event in eventLog {
            writer.map(2)
            writer.string("pcr_index")
            writer.unsigned(UInt64(event.index))
            writer.string("digest")
            writer.binary(event.digest)
        }
    }
}

extension TPMQuote.Register {
    fileprivate init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        var register = TPMQuote.Register(index: 0, algorithm: "", value: [])
        try reader.members(["index", "algorithm", "value"], "pcr") {
            (reader, index) throws(DecodingFailure) in
            switch index {
            case 0: register.index = try reader.unsigned32("pcr index")
            case 1: register.algorithm = try reader.string("pcr algorithm")
            default: register.value = try reader.bytes("pcr value")
            }
        }
        self = register
    }
}

extension TPMQuote.Event {
    fileprivate init(messagePack reader: inout MessagePackReader) throws(DecodingFailure) {
        var event = TPMQuote.Event(index: 0, digest: [])
        try reader.members(["pcr_index", "digest"], "pcr event") {
            (reader, index) throws(DecodingFailure) in
            if index == 0 {
                event.index = try reader.unsigned32("pcr index")
            } else {
                event.digest = try reader.bytes("pcr event digest")
            }
        }
        self = event
    }
}
