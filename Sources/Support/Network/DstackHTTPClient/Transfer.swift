import CCurl
import DstackCrypto
import DstackHTTP
import DstackNetwork
import DstackSystem
import Glibc

/// One exchange: a libcurl easy handle, what it reads from and what it writes to. Lives on its client's thread.
final class Transfer {
    let easy: UnsafeMutableRawPointer
    private let submission: TransferLoop.Submission
    private let url: RequestURL
    private let subject: String
    private let verification: TLSVerification
    private let stillAccepts: (@Sendable (HTTPClientConnection) -> Bool)?
    private let hook: UnsafeMutablePointer<dstack_curl_tls_hook>
    private let opener: UnsafeMutablePointer<dstack_curl_opener>
    /// Where the transfer's connections go that libcurl does not make itself, and until when.
    private var place: (address: SocketAddress, patience: Duration)?
    /// Why such a connection could not be made.
    private var connectFailure: SystemError?
    private let admission: UnsafeMutablePointer<dstack_curl_admission>
    private let errorText: UnsafeMutablePointer<CChar>
    private let requestBody: PinnedBytes?
    /// Keeps an empty body's address valid.
    private var emptyBody: PinnedBytes?
    private var headerLines: UnsafeMutablePointer<curl_slist>?
    private var connectTo: UnsafeMutablePointer<curl_slist>?
    private var received: ReceivedMessage
    /// The connection that the request goes over.
    private var connection: HTTPClientConnection?
    private var exporter: [UInt8] = []
    /// Why the request did not go over the connection at hand.
    private var admissionProblem: (code: HTTPClientError.Code, reason: String)?

    var isCancelled: Bool { submission.cancellation.wasRequested }

    /// - Throws: where the request or the settings are wrong, or memory is short. The caller answers the submission.
    init(_ submission: TransferLoop.Submission, _ settings: TransferSettings) throws(HTTPClientError) {
        let request = submission.request
        let configuration = settings.configuration
        let limits = request.limits ?? configuration.limits
        let problem = { (code: HTTPClientError.Code, subject: String, reason: String) in
            HTTPClientError(code, .preparing, subject: subject, reason: reason)
        }
        let url: RequestURL
        do throws(RequestProblem) {
            url = try RequestURL(request.url)
        } catch {
            throw problem(.invalidRequest, request.method.rawValue, error.reason)
        }
        let subject = "\(request.method.rawValue) \(url.display)\(configuration.transport.suffix)"
        if submission.cancellation.wasRequested { throw problem(.cancelled, subject, "the task was cancelled") }
        if let reason = request.problem { throw problem(.invalidRequest, subject, reason) }
        if let reason = settings.identityProblem {
            throw problem(.invalidConfiguration, subject, "client identity: \(reason)")
        }
        if let reason = configuration.problem(for: url) { throw problem(.invalidConfiguration, subject, reason) }
        guard let easy = curl_easy_init() else { throw problem(.system, subject, "libcurl has no memory") }

        self.easy = easy
        self.submission = submission
        self.url = url
        self.subject = subject
        verification = TLSVerification(configuration.trust, host: url.host, identity: settings.identity)
        stillAccepts = configuration.trust.stillAccepts
        hook = .allocate(capacity: 1)
        hook.initialize(
            to: dstack_curl_tls_hook(context: Unmanaged.passUnretained(verification).toOpaque()) {
                verification, context in
                Unmanaged<TLSVerification>.fromOpaque(verification).takeUnretainedValue().configure(context)
            })
        opener = .allocate(capacity: 1)
        admission = .allocate(capacity: 1)
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        requestBody =
            if let secret = request.secretBody {
                secret.withUnsafeBytes { PinnedBytes($0) }
            } else {
                request.body.map { PinnedBytes($0) }
            }
        received = ReceivedMessage(
            maximumBodyBytes: limits.maximumBodyBytes, maximumHeaderBytes: limits.maximumHeaderBytes,
            isSecret: request.expectsSecret)

        var options = TransferOptions(easy)
        prepareMessage(request, &options)
        prepareBounds(request, limits, configuration, &options)
        prepareRoute(configuration, limits, &options)
        prepareTLS(settings, &options)
        prepareReception(&options)
        if let failed = options.firstFailure {
            throw failure(.invalidConfiguration, .preparing, failed)
        }
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headerLines)
        curl_slist_free_all(connectTo)
        hook.deallocate()
        admission.deallocate()
        opener.deallocate()
        errorText.deallocate()
    }

    // MARK: Before

    private func prepareMessage(_ request: HTTPRequest, _ options: inout TransferOptions) {
        options.set(CURLOPT_CURLU, UnsafeRawPointer(url.handle))
        options.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        // A body of no bytes and no body are the same for the methods that are expected to have one.
        if let body = requestBody ?? (request.method.expectsBody ? PinnedBytes([]) : nil) {
            emptyBody = body
            options.set(CURLOPT_POST, 1)
            options.set(CURLOPT_POSTFIELDSIZE_LARGE, offset: body.count)
            options.set(CURLOPT_POSTFIELDS, UnsafeRawPointer(body.buffer.baseAddress))
        }
        if request.method == .head {
            options.set(CURLOPT_NOBODY, 1)
        } else {
            options.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        }

        var lines = request.headers.fields.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
        // A line without value takes back a header of libcurl's own: it would wait for "100 Continue" before a long
        // body, and call every body a form.
        for name in ["Expect", "Content-Type"] where !request.headers.contains(name) { lines.append("\(name):") }
        for line in lines {
            guard let extended = curl_slist_append(headerLines, line) else {
                return options.fail("libcurl has no memory")
            }
            headerLines = extended
        }
        options.set(CURLOPT_HTTPHEADER, UnsafeRawPointer(headerLines))
    }

    private func prepareBounds(
        _ request: HTTPRequest, _ limits: HTTPClientLimits, _ configuration: HTTPClientConfiguration,
        _ options: inout TransferOptions
    ) {
        options.set(CURLOPT_NOSIGNAL, 1)
        // Without it a cancelled transfer would wait for its name server.
        options.set(CURLOPT_QUICK_EXIT, 1)
        options.set(CURLOPT_CONNECTTIMEOUT_MS, limits.connectTimeout.wholeMilliseconds)
        options.set(CURLOPT_TIMEOUT_MS, limits.totalTimeout.wholeMilliseconds)
        if let stall = limits.stallTimeout {
            options.set(CURLOPT_LOW_SPEED_LIMIT, 1)
            options.set(CURLOPT_LOW_SPEED_TIME, max(1, stall.wholeMilliseconds / 1000))
        }
        // Refuses by Content-Length, before the first byte; what comes without one is counted as it comes.
        if request.method != .head, submission.arrivals == nil {
            options.set(CURLOPT_MAXFILESIZE_LARGE, offset: max(1, limits.maximumBodyBytes))
        }
        if let age = configuration.maximumConnectionAge {
            options.set(CURLOPT_MAXLIFETIME_CONN, max(1, age.wholeMilliseconds / 1000))
        }
        options.set(CURLOPT_PROTOCOLS_STR, url.scheme)
        if submission.arrivals == nil, case .followed(let most) = configuration.redirects,
            request.method == .get || request.method == .head
        {
            options.set(CURLOPT_FOLLOWLOCATION, 1)
            options.set(CURLOPT_MAXREDIRS, max(0, min(most, 20)))
            options.set(CURLOPT_REDIR_PROTOCOLS_STR, url.scheme)
        }
        if request.endsWithHandshake {
            options.set(CURLOPT_CONNECT_ONLY, 1)
            // What is offered (ALPN) is then "h2" and "http/1.1": a server may refuse who offers neither of its own.
            options.set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS)
        }
        if request.endsWithHandshake || (!request.mayBeRepeated && request.requiredConnection == nil) {
            options.set(CURLOPT_FRESH_CONNECT, 1)
            // Kept, it would only lie beside others of its kind.
            options.set(CURLOPT_FORBID_REUSE, 1)
        }
    }

    private func prepareRoute(
        _ configuration: HTTPClientConfiguration, _ limits: HTTPClientLimits, _ options: inout TransferOptions
    ) {
        options.set(CURLOPT_USERAGENT, configuration.userAgent)
        // An empty text means "no proxy, whatever the environment says".
        var proxy: String?
        switch configuration.transport {
        case .network:
            proxy = configuration.proxy.url(forScheme: url.scheme)
            options.set(CURLOPT_NOPROXY, configuration.proxy.exceptions ?? "")
        case .unix(let path): options.set(CURLOPT_UNIX_SOCKET_PATH, path)
        case .abstractUnix(let name): options.set(CURLOPT_ABSTRACT_UNIX_SOCKET, name)
        case .vsock(let cid, let port):
            place = (.vsock(cid: cid, port: port), min(limits.connectTimeout, .seconds(60)))
            opener.initialize(
                to: dstack_curl_opener(context: Unmanaged.passUnretained(self).toOpaque()) {
                    Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue().openConnected()
                })
            options.check(dstack_curl_set_opener(easy, opener))
            // Keeps the host name, which only names the peer, from being looked up.
            connectTo = curl_slist_append(nil, "::127.0.0.1:1")
            options.set(CURLOPT_CONNECT_TO, UnsafeRawPointer(connectTo))
        }
        options.set(CURLOPT_PROXY, proxy ?? "")
        options.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    }

    private func prepareTLS(_ settings: TransferSettings, _ options: inout TransferOptions) {
        let trust = settings.configuration.trust
        // A resumed session would skip the verifier.
        options.set(CURLOPT_SSL_SESSIONID_CACHE, 0)
        options.set(CURLOPT_SSL_VERIFYHOST, trust.checksHost ? 2 : 0)
        // libcurl's default directory of authorities would be trusted beside the ones given, and it keeps libcurl from
        // remembering the parsed system file, which holds the same certificates.
        options.set(CURLOPT_CAPATH, nil as String?)
        switch trust.authorities {
        case .system: break
        case .file(let path): options.set(CURLOPT_CAINFO, path)
        case .pem:
            options.set(CURLOPT_CAINFO, nil as String?)
            if let pem = settings.authorities, pem.count > 0 { options.set(CURLOPT_CAINFO_BLOB, pem) }
        }
        // Versions, suites and the client's own identity are set there.
        options.check(dstack_curl_set_tls_hook(easy, hook))
        admission.initialize(
            to: dstack_curl_admission(
                context: Unmanaged.passUnretained(self).toOpaque(),
                admits: { Unmanaged<Transfer>.fromOpaque($0).takeUnretainedValue().admitsConnection() }))
        if trust.verifier != nil || submission.request.requiredConnection != nil
            || submission.request.exporterLabel != nil
        {
            options.check(dstack_curl_set_before_request(easy, admission))
        }
        received.wantsCertificates = settings.configuration.reportsPeerCertificates
    }

    private func prepareReception(_ options: inout TransferOptions) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        options.set(CURLOPT_ERRORBUFFER, UnsafeRawPointer(errorText))
        options.check(
            dstack_curl_set_data_function(
                easy, CURLOPT_HEADERFUNCTION, CURLOPT_HEADERDATA,
                { data, size, count, context in
                    Transfer.receive(data, size &* count, context) { transfer, line in
                        if transfer.received.wantsCertificates { transfer.recordCertificates() }
                        return transfer.takeHeader(line)
                    }
                }, context))
        options.check(
            dstack_curl_set_data_function(
                easy, CURLOPT_WRITEFUNCTION, CURLOPT_WRITEDATA,
                { data, size, count, context in
                    Transfer.receiveBody(data, size &* count, context)
                }, context))
    }

    /// A connected socket for libcurl, -1 for none.
    private func openConnected() -> Int32 {
        guard let place else { return -1 }
        do throws(SystemError) {
            return try DeadlineConnection(place.address, deadline: .now + place.patience).release()
        } catch {
            connectFailure = error
            return -1
        }
    }

    // MARK: During

    /// Whether the request may go over the connection that libcurl has chosen for it. Asked again if libcurl takes another
    /// one because a kept connection was dead.
    private func admitsConnection() -> Bool {
        let request = submission.request
        let tls = dstack_curl_connection(easy)
        let chosen = tls.flatMap { TLSConnection.kept(in: $0) as? HTTPClientConnection }
        if let required = request.requiredConnection, chosen !== required {
            let wasSent = connection != nil
            admissionProblem =
                wasSent && !request.mayBeRepeated
                ? (.connectionLost, "the connection was closed while the request was under way")
                : (.connectionChanged, "the connection that the request must go over was closed")
            return false
        }
        if let stillAccepts, let chosen, !stillAccepts(chosen) {
            admissionProblem = (.connectionChanged, "what the connection was accepted by has expired")
            return false
        }
        if let label = request.exporterLabel {
            guard let tls, let material = TLSConnection.export(label, from: tls) else {
                admissionProblem = (.tls, "the connection has no exporter of TLS 1.3")
                return false
            }
            exporter = material
        }
        connection = chosen
        return true
    }

    /// Any result but the number of bytes given ends the transfer.
    private static func receive(
        _ data: UnsafeMutablePointer<CChar>, _ count: Int, _ context: UnsafeMutableRawPointer?,
        _ body: (Transfer, UnsafeRawBufferPointer) -> Bool
    ) -> Int {
        guard let context else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
        guard !transfer.isCancelled else { return 0 }
        return body(transfer, UnsafeRawBufferPointer(start: data, count: count)) ? count : 0
    }

    private static func receiveBody(
        _ data: UnsafeMutablePointer<CChar>, _ count: Int, _ context: UnsafeMutableRawPointer?
    ) -> Int {
        guard let context,
            let arrivals = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue().submission.arrivals
        else { return receive(data, count, context) { $0.received.body($1) } }
        var isFull = false
        let taken = receive(data, count, context) { _, bytes in
            isFull = !arrivals.offer(bytes)
            return true
        }
        // libcurl keeps the bytes and gives them again once it is told to go on.
        return isFull ? Int(CURL_WRITEFUNC_PAUSE) : taken
    }

    /// Lets a streamed response that was held up go on, if its reader has made room.
    func resumeIfRoom() {
        guard submission.arrivals?.takeResumption() == true else { return }
        curl_easy_pause(easy, 0)
    }

    private func takeHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        let endedBefore = received.headHasEnded
        guard received.header(line) else { return false }
        // Interim responses have heads of their own.
        if !endedBefore, received.headHasEnded, let arrivals = submission.arrivals {
            let status = number(CURLINFO_RESPONSE_CODE)
            if status >= 200 { arrivals.begin(status, received.headers) }
        }
        return true
    }

    private func recordCertificates() {
        received.wantsCertificates = false
        received.certificates = dstack_curl_connection(easy).map { TLSConnection.peerCertificates($0) } ?? []
    }

    // MARK: After

    func cancel() { answer(.failure(failure(.cancelled, phase, "the task was cancelled"))) }

    func finish(_ code: CURLcode) {
        if isCancelled, code != CURLE_OK { return cancel() }
        guard code == CURLE_OK else { return answer(.failure(explain(code))) }
        let pause = number(offset: CURLINFO_RETRY_AFTER)
        answer(
            .success(
                HTTPResponse(
                    status: number(CURLINFO_RESPONSE_CODE), headers: received.headers, body: received.takeBody(),
                    secretBody: received.takeSecretBody(),
                    peerCertificates: received.certificates, openedConnection: openedConnection,
                    connection: connection ?? (submission.request.endsWithHandshake ? verification.accepted : nil),
                    exporter: exporter, retryAfter: pause > 0 ? .seconds(pause) : nil)))
    }

    private func answer(_ outcome: TransferLoop.Outcome) {
        submission.answer(outcome)
    }

    func failure(
        _ code: HTTPClientError.Code, _ phase: HTTPClientError.Phase, _ reason: String,
        connection: HTTPClientConnection? = nil
    ) -> HTTPClientError {
        HTTPClientError(code, phase, subject: subject, reason: reason, connection: connection)
    }

    private func explain(_ code: CURLcode) -> HTTPClientError {
        if let overrun = received.problem { return failure(overrun.code, .receiving, overrun.reason) }
        if let refusal = verification.refusal {
            return failure(.peerNotTrusted, .handshaking, refusal.reason, connection: refusal.connection)
        }
        if let admissionProblem { return failure(admissionProblem.code, .sending, admissionProblem.reason) }
        if let connectFailure { return failure(.connection, .connecting, connectFailure.reason) }
        let phase = phase
        let detail = String(cString: errorText)
        let text = detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
        if text.contains("no application protocol") {
            return failure(.tls, .handshaking, "the server speaks no HTTP/1.1 there: it refuses the protocol")
        }
        // What libcurl says where the other side has closed the connection before it looks at it.
        if text.contains("getpeername() failed") {
            return failure(
                .connectionLost, phase,
                "the connection was closed as soon as it was made, as services do that want a client certificate")
        }
        let proxyStatus = number(CURLINFO_HTTP_CONNECTCODE)
        if proxyStatus != 0, !(200...299).contains(proxyStatus) { return failure(.proxy, .connecting, text) }
        return failure(topic(of: code, phase, text), phase, text)
    }

    private func topic(
        of code: CURLcode, _ phase: HTTPClientError.Phase, _ text: String
    ) -> HTTPClientError.Code {
        switch code {
        // The request's own URL was checked before, so a bad one comes from a redirect.
        case CURLE_UNSUPPORTED_PROTOCOL where received.headers.contains("Location"),
            CURLE_URL_MALFORMAT where received.headers.contains("Location"):
            .redirect
        // What libcurl runs out of is its own limit for one header line.
        case CURLE_OUT_OF_MEMORY where phase == .waiting || phase == .receiving: .tooLarge
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR:
            if phase == .handshaking {
                .tls
            } else if phase == .receiving, !text.hasPrefix("Recv failure"), !text.hasPrefix("OpenSSL") {
                // Neither the socket nor TLS failed: the framing of the body is wrong.
                .invalidResponse
            } else {
                .connectionLost
            }
        default: HTTPClientError.Code(code)
        }
    }

    private var openedConnection: Bool { number(CURLINFO_NUM_CONNECTS) > 0 }

    /// How far libcurl came, by the moments it has noted.
    private var phase: HTTPClientError.Phase {
        if received.hasBegun { return .receiving }
        if moment(CURLINFO_PRETRANSFER_TIME_T) > 0 {
            return requestBody.map { number(offset: CURLINFO_SIZE_UPLOAD_T) < $0.count } == true ? .sending : .waiting
        }
        if moment(CURLINFO_CONNECT_TIME_T) > 0 { return url.scheme == "https" ? .handshaking : .sending }
        if moment(CURLINFO_NAMELOOKUP_TIME_T) > 0 { return .connecting }
        return .resolving
    }

    private func number(_ info: CURLINFO) -> Int {
        var value = 0
        return dstack_curl_get_long(easy, info, &value) == CURLE_OK ? value : 0
    }

    private func number(offset info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        return dstack_curl_get_offset(easy, info, &value) == CURLE_OK ? Int(value) : 0
    }

    private func moment(_ info: CURLINFO) -> Int { number(offset: info) }
}
