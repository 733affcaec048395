internal import DstackAttestation
internal import DstackEncoding

extension VerifierService {
    /// An answer as HTTP carries it: a status and JSON.
    package struct WireAnswer: Sendable {
        /// 200 for every verdict, 400 for a body that is not JSON or an address with a query, 422 for JSON that is no request, 503 where too many
        /// requests wait for collateral already.
        package let status: Int
        /// The body, `application/json`.
        package let json: [UInt8]
        /// What was answered; nil for a body that is no request.
        package let response: VerifierResponse?
        /// Seconds after which there may be room again, for status 503.
        package var retryAfter: Int? { status == 503 ? 5 : nil }
    }

    /// Answers the body of `POST /verify`.
    ///
    /// Its content type does not matter, since upstream's clients send what their tools preset.
    ///
    /// - Parameters:
    ///   - query: what the address has after a question mark. Whoever writes `?policy=strict` there asks for something that
    ///     is not looked at, and is refused.
    ///   - client: who asks, such as an address (``CollateralProvider/collateral(for:verifiedBy:askedBy:)``).
    package func answer(
        toBody body: [UInt8], query: String? = nil, askedBy client: String? = nil
    ) async -> WireAnswer {
        guard query == nil else {
            let description = "nothing is looked at after `?`: the request's members go into the body"
            return WireAnswer(status: 400, json: Self.refusal(400, description), response: nil)
        }
        do throws(VerifierRequest.Malformed) {
            let response = await verify(try VerifierRequest(parsingJSON: body), askedBy: client)
            guard response.isBusy else { return WireAnswer(status: 200, json: response.json(), response: response) }
            return WireAnswer(status: 503, json: Self.refusal(503, response.reason ?? ""), response: response)
        } catch {
            let status = error.isJSON ? 422 : 400
            return WireAnswer(status: status, json: Self.refusal(status, error.description), response: nil)
        }
    }

    /// Answers a request from a file, for which there is always an answer in upstream's form.
    ///
    /// - Parameter name: what the file is called where it turns out to be no request; nil if it has no name.
    package func verify(requestFile bytes: [UInt8], named name: String? = nil) async -> VerifierResponse {
        do throws(VerifierRequest.Malformed) {
            return await verify(try VerifierRequest(parsingJSON: bytes))
        } catch {
            let file = name.map { "\($0): " } ?? ""
            return .unanswered("Failed to parse JSON: \(file)\(error.description)")
        }
    }

    /// The body of the answer to `GET /health`.
    package static let health = Array(#"{"status":"ok","service":"dstack-verifier"}"#.utf8)

    private static let phrases = [400: "Bad Request", 422: "Unprocessable Entity", 503: "Service Unavailable"]

    /// In the form of the framework that upstream's service is built with, whose refusals these are there.
    private static func refusal(_ status: Int, _ description: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { object in
            object.object("error") { error in
                error.member("code", status)
                error.member("reason", phrases[status] ?? "")
                error.member("description", description)
            }
        }
        return writer.bytes
    }
}
