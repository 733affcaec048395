import DstackAuthorization
import DstackKMS
import DstackKMSService
import DstackRPC
import Testing

@Suite struct KMSServiceErrorTests {
    @Test func whoeverIsDeniedReadsTheReason() {
        let error = KMSServiceError(AuthorizationError(.denied, subject: "app", reason: "compose hash not allowed"))
        #expect(error.rpcError.status == 400)
        #expect(error.rpcError.message == "app: compose hash not allowed")
    }

    @Test func addressesOfAuthorizersDoNotReachCallers() {
        let error = KMSServiceError(
            AuthorizationError(.unavailable, subject: "app", reason: "http://node/?key=secret is silent"))
        #expect(error.rpcError.status == 503)
        #expect(!error.rpcError.message.contains("secret"))
    }

    @Test(arguments: [
        (KMSStateError.Code.unknownEpoch, 400), (.notAReplica, 503), (.overloaded, 503), (.corrupt, 500),
        (.storage, 500),
    ])
    func faultsOfTheServiceAreNotTheCallers(code: KMSStateError.Code, status: Int) {
        #expect(KMSServiceError(KMSStateError(code, "state", "reason")).rpcError.status == status)
    }
}
