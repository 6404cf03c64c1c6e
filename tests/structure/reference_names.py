"""The names of tests of other projects whose behaviour a test of ours shows, and those left out with the reason.

Each name stands in a comment or docstring of the test that shows it, with a word where we differ on purpose.
"""

GO = """
TestReuseRequest TestTransportKeepAlives TestTransportConnectionCloseOnResponse TestTransportConnectionCloseOnRequest
TestTransportConnectionCloseOnRequestDisableKeepAlive TestTransportRespectRequestWantsClose TestTransportIdleCacheKeys
TestTransportReadToEndReusesConn TestTransportMaxPerHostIdleConns TestTransportMaxConnsPerHostIncludeDialInProgress
TestTransportMaxConnsPerHost TestTransportMaxConnsPerHostDialCancellation TestTransportMaxIdleConns
TestTransportRemovesDeadIdleConnections TestTransportServerClosingUnexpectedly TestStressSurpriseServerCloses
TestTransportHeadResponses TestTransportHeadChunkedResponse TestTransportExpect100Continue TestTransportProxy
TestOnProxyConnectResponse TestTransportProxyHTTPSConnectLeak TestTransportPersistConnLeak
TestTransportPersistConnLeakShortBody TestTransportPersistConnLeakNeverIdle
TestTransportPersistConnContextLeakMaxConnsPerHost TestTransportIdleConnCrash TestIssue3644 TestIssue3595
TestChunkedNoContent TestTransportConcurrency TestIssue4191_InfiniteGetTimeout TestIssue4191_InfiniteGetToPutTimeout
TestTransportResponseHeaderTimeout TestTransportCancelRequest TestTransportCancelRequestInDo
TestTransportCancelRequestWithBodyInDo TestTransportCancelRequestInDial TestCancelRequestWithChannel
TestCancelRequestWithChannelBeforeDo_Cancel TestCancelRequestWithChannelBeforeDo_Context
TestTransportCancelBeforeResponseHeaders TestTransportCloseResponseBody TestTransportNoHost TestTransportEmptyMethod
TestTransportSocketLateBinding TestTransportReading100Continue TestTransportIgnore1xxResponses
TestTransportLimits1xxResponses TestTransportTreat101Terminal TestIdleConnChannelLeak TestTransportClosesRequestBody
TestTransportClosesBodyOnError TestTransportClosesBodyOnInvalidRequests TestTransportTLSHandshakeTimeout
TestTLSServerClosesConnection TestTransportNoReuseAfterEarlyResponse TestTransportIssue10457 TestRetryRequestsOnError
TestConnClosedBeforeRequestIsWritten TestTransportDialTLS TestTransportDialContext TestTransportDialTLSContext
TestTransportCloseIdleConnsThenReturn TestTransportResponseCancelRace TestTransportDialCancelRace
TestHandlerAbortRacesBodyRead TestTransportFlushesBodyChunks TestTransportFlushesRequestHeader
TestTransportPrefersResponseOverWriteError TestTransportReuseConnEmptyResponseBody
TestTransportReuseConnection_Gzip_Chunked TestTransportReuseConnection_Gzip_ContentLength
TestTransportResponseHeaderLength TestTransportEventTrace TestTransportEventTraceRealDNS TestTransportEventTrace_NoHooks
TestTLSHandshakeTrace TestTransportEventTraceTLSVerify TestTransportRejectsAlphaPort TestTransportIDNA
TestTransportIdleConnTimeout TestTransportReturnsPeekError TestMissingStatusNoPanic TestInvalidHeaderResponse
TestTransportRejectsSignInContentLength TestNoBodyOnChunked304Response TestTransportCheckContextDoneEarly
TestClientTimeoutKillsConn_BeforeHeaders TestClientTimeoutKillsConn_AfterHeaders
TestTransportResponseBodyWritableOnProtocolSwitch TestTransportCONNECTBidi TestTransportRequestReplayable
TestTransportRequestWriteRoundTrip TestIs408 TestTransportIgnores408 TestTransportDecrementConnWhenIdleConnRemoved
TestErrorWriteLoopRace TestCancelRequestWhenSharingConnection TestRequestSanitization TestValidateClientRequestTrailers
TestTransportReqCancelerCleanupOnRequestBodyWriteError TestTransportPersistConnReadLoopEOF TestTransportShouldRetryRequest
TestTransportBodyAltRewind TestTransport1xxLimits TestTransportInvalidTrailer TestTransportContentLengthWithoutBody
TestTransportBodyLargerThanSpecifiedContentLength
""".split()

HAPROXY = """
http_reuse_never http_reuse_safe http_reuse_aggressive http_reuse_always http_reuse_conn_hash http_abortonclose
http_bodyless_response h1_request_target_validation h1_host_normalization scheme_based_normalize truncated websocket
protocol_upgrade forwarded-header-7239 tls13_resume_stateless ssl_sni_auto set_ssl_cert seamless-reload
""".split()

TRAFFIC_SERVER = """
session_match per_server_connection_max per_server_connection_min accept_timeout active_timeout conn_timeout
tls_conn_timeout inactive_timeout inactive_client_timeout tunnel_active_timeout connect_handshake connect_destination_acl
hopbyhop_connection
""".split()

USERS = ["bare 100 (aws-cli#1116)", "`chunked,` (tinyproxy#616)", "`chunked\\t` (tinyproxy#616)",
         "CONNECT 1.0 (php-src#8832)", "plaintext in CONNECT (undici#4083)", "absolute https (onecli#259)",
         "suspended laptop", "k8s secret symlink swap", "DNS answer change under load",
         "retry without pool flush (subrouter#96)"]

# By the word that stands before the name in our tests.
SHOWN = {"Go": GO, "HAProxy": HAPROXY, "ATS": TRAFFIC_SERVER, "Smokescreen": ["classifyAddr"], "Users": USERS}

COMPRESSION = "compression is not built: codings pass as they are"
PARENT_PROXY = "parent proxies are not built"
HTTP2 = "HTTP/2 is not built"

LEFT_OUT = {
    **dict.fromkeys("""TestRoundTripGzip TestTransportGzip TestTransportGzipRecursive TestTransportGzipShort
                       TestTransportRangeAndGzip TestTransportContentEncodingCaseInsensitive""".split(), COMPRESSION),
    **dict.fromkeys("""TestTransportDialPreservesNetOpProxyError TestTransportProxyDialDoesNotMutateProxyConnectHeader
                       TestTransportProxyConnectHeader TestTransportProxyGetConnectHeader TestProxyFromEnvironment
                       TestProxyFromEnvironmentLowerCase TestRoundTripReturnsProxyError TestProxyAuthHeader""".split(),
                    PARENT_PROXY),
    "TestSOCKS5Proxy": "SOCKS is not built",
    **dict.fromkeys("""TestTransportTraceGotConnH2IdleConns TestTransportRemovesH2ConnsAfterIdle TestIdleConnH2Crash
                       TestTransportAutomaticHTTP2 TestTransportServerProtocols TestDontCacheBrokenHTTP2Conn
                       TestTransportRequestsStallAtServerLimit TestTransportRetryAfterGOAWAYRetry
                       TestTransportRetryAfterGOAWAYNoRetry TestTransportRetryAfterGOAWAYSecondRequest
                       TestTransportRetryAfterRefusedStream TestTransportRetryHasLimit
                       TestTransportNoRetryOnStreamProtocolError TestTransportCloseAfterLostPing
                       TestTransportPingWhenReadingPingDisabled TestTransportSendPingWithReset
                       TestTransportConnBecomesUnresponsive TestTransportWriteByteTimeout TestTransportSlowWrites
                       TestTransportClosesConnAfterGoAwayNoStreams TestTransportClosesConnAfterGoAwayLastStream
                       TestTransportDataAfter1xxHeader h2_desync_attacks""".split(), HTTP2),
}
