"""Connections that an endpoint ends with RST, or ends in the middle of something."""

import contextlib
import socket
import subprocess
import sys
import time

from net import SERVER, SERVER6, linger_zero
from run import (CLOSE, CLOSE_WAIT, ESTABLISHED, Failed, drain, fails, filler, recipe, recv_exact,
                 recv_response, recv_until, request, response, tcp_state, tls_record, unacked, wait_until)
from recipes.handshake import end_both, forget

RESET = (ConnectionResetError, BrokenPipeError)
SERVER_ABORT, CLIENT_ABORT = "server-aborted", "client-aborted"


def reset_seen(sock, seconds=10):
    """Waits until the socket has been reset."""
    wait_until(lambda: tcp_state(sock) == CLOSE, seconds, "a RST")


# close-with-unread-data -----------------------------------------------------------

UNREAD = ["close-with-unread-data", SERVER_ABORT]


@recipe("close-with-unread-data/server-ignores-body", wire=0.010, offload=False)
def ignores_body(run):
    """The server answers 413 before it has read the upload, and closes with the body unread.
    Rule: linux-tcp.md 7.3 A1: RST+ACK with the real window and timestamps; TCPAbortOnClose.
    close-with-unread-data (the body is visibly unread in the window) or the generic server-aborted."""
    client, server = run.pair()
    client.sendall(request("/upload", size=20000))
    recv_until(server)
    wait_until(lambda: unacked(client) == 0, 5)
    server.sendall(response(100, close=True, status="413 Content Too Large"))
    server.close()
    reset_seen(client)
    run.connection(client, truth="close-with-unread-data", accept=UNREAD + ["premature-close"], outcome="reset")
    run.expect("server", TCPAbortOnClose=1, EstabResets=1, OutRsts=1)
    run.expect_reset("server", "TCP_ABORT_ON_CLOSE")
    run.hold(client)


@recipe("close-with-unread-data/five-bytes")
def five_bytes(run):
    """The server closes with five bytes unread.
    Rule: linux-tcp.md 7.3 A1, 12.7 M17.
    close-with-unread-data at most possible: server-aborted is honest."""
    client, server = run.pair(7000)
    client.sendall(b"hello")
    wait_until(lambda: unacked(client) == 0, 5)
    server.close()
    reset_seen(client)
    run.connection(client, (SERVER, 7000), "close-with-unread-data", UNREAD + ["immediate-close"], "reset")
    run.expect("server", TCPAbortOnClose=1, EstabResets=1, OutRsts=1)
    run.expect_reset("server", "TCP_ABORT_ON_CLOSE")
    run.hold(client)


@recipe("close-with-unread-data/client-stops-reading", wire=0.005)
def client_stops(run):
    """The client closes in the middle of a download with data unread in its buffer.
    Rule: linux-tcp.md 7.3 A1.
    At the client's side: client-closed-early, client-aborted or close-with-unread-data."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(40000)[:30000])
    wait_until(lambda: unacked(server) == 0, 5)
    recv_exact(client, 5000)
    name = client.getsockname()
    client.close()
    reset_seen(server)
    run.connection(name, truth=["close-with-unread-data", "client-closed-early"],
                   accept=["client-closed-early", CLIENT_ABORT, "close-with-unread-data"], outcome="reset")
    run.expect("client", TCPAbortOnClose=1)
    run.hold(server)


@recipe("close-with-unread-data/v6-no-timestamps")
def unread_v6(run):
    """The same over IPv6 without timestamps: the RST has no options.
    Rule: linux-tcp.md 7.1, active abort: timestamps only if in use.
    close-with-unread-data or server-aborted."""
    run.client.tcp(timestamps=0)
    client, server = run.pair(v6=True)
    client.sendall(request("/upload", size=5000))
    wait_until(lambda: unacked(client) == 0, 5)
    server.close()
    reset_seen(client)
    run.connection(client, truth="close-with-unread-data", accept=UNREAD + ["immediate-close"], outcome="reset")
    run.expect("server", TCPAbortOnClose=1)
    run.hold(client)


@recipe("close-with-unread-data/window-shut", snaplen=128, offload=False)
def unread_window(run):
    """The server never reads; its window shrinks to nothing; then it closes.
    Rule: linux-tcp.md 7.3 A1: the shrinking window shows that the data was unread.
    close-with-unread-data at every vantage."""
    client, server = run.pair(server_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)])
    client.settimeout(1)
    fails(lambda: client.sendall(filler(3_000_000)), TimeoutError)
    server.close()
    reset_seen(client)
    run.connection(client, truth=["close-with-unread-data", "zero-window-stall"], accept=["close-with-unread-data", SERVER_ABORT, "zero-window-stall"], outcome="reset")
    run.expect("server", TCPAbortOnClose=1)
    run.hold(client)


# linger-zero-abort --------------------------------------------------------------------

@recipe("linger-zero-abort/server-mid-response")
def linger_mid_response(run):
    """The server aborts with SO_LINGER 0 in the middle of a response.
    Rule: linux-tcp.md 7.3 A2: RST+ACK in sequence; TCPAbortOnData, not OnLinger.
    server-aborted; linger-zero-abort cannot be told from its sisters."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(20000)[:6000])
    wait_until(lambda: unacked(server) == 0, 5)
    linger_zero(server)
    server.close()
    reset_seen(client)
    run.connection(client, truth="linger-zero-abort", accept=["linger-zero-abort", SERVER_ABORT, "premature-close", "process-killed"], outcome="reset")
    run.expect("server", TCPAbortOnData=1, EstabResets=1, OutRsts=1)
    run.expect_reset("server", "TCP_STATE")
    run.hold(client)


@recipe("linger-zero-abort/client-after-connect", wire=0.005)
def linger_after_connect(run):
    """A health checker connects and aborts at once with SO_LINGER 0.
    Rule: linux-tcp.md 7.3 A2.
    linger-zero-abort or client-aborted."""
    client, server = run.pair()
    linger_zero(client)
    name = client.getsockname()
    client.close()
    reset_seen(server)
    run.connection(name, truth="linger-zero-abort", accept=["linger-zero-abort", CLIENT_ABORT, "no-data", "dual-port-race", "reset-after-close"], outcome="reset")
    run.expect("client", TCPAbortOnData=1)
    run.hold(server)


@recipe("linger-zero-abort/client-while-waiting", wire=0.005, offload=False)
def linger_waiting(run):
    """The client aborts with SO_LINGER 0 while it waits for the response.
    Rule: linux-tcp.md 7.3 A2.
    client-aborted, client-timeout or linger-zero-abort: the wire does not say why."""
    client, server = run.pair()
    client.sendall(request())
    recv_until(server)
    time.sleep(0.5)
    name = client.getsockname()
    linger_zero(client)
    client.close()
    reset_seen(server)
    run.connection(name, truth="linger-zero-abort", accept=["linger-zero-abort", CLIENT_ABORT, "client-timeout", "client-closed-early"], outcome="reset")
    run.expect("client", TCPAbortOnData=1)
    run.hold(server)


@recipe("linger-zero-abort/server-before-response")
def linger_before_response(run):
    """The server reads the request and aborts with SO_LINGER 0 instead of answering.
    Rule: linux-tcp.md 7.3 A2.
    server-aborted; everything more exact is possible only."""
    client, server = run.pair()
    client.sendall(request())
    recv_until(server)
    time.sleep(0.8)
    linger_zero(server)
    server.close()
    reset_seen(client)
    run.connection(client, truth="linger-zero-abort", accept=["linger-zero-abort", SERVER_ABORT], outcome="reset")
    run.expect("server", TCPAbortOnData=1)
    run.hold(client)


# data-after-close ----------------------------------------------------------------------

LATE = ["data-after-close"]


@recipe("data-after-close/fin-wait2", offload=False)
def after_close_fw2(run):
    """The server has closed, its FIN was acknowledged; the client sends more and meets RST.
    Rule: linux-tcp.md 7.2 N10 (mini-socket): R seq=ack, OutRsts and TW +1, no TCPAbortOnData.
    data-after-close at every vantage."""
    client, server = run.pair(7000)
    client.sendall(b"first line\n")
    server.recv(100)
    server.sendall(b"bye\n")
    server.close()
    client.recv(100)
    wait_until(lambda: tcp_state(client) == CLOSE_WAIT, 5)
    time.sleep(1)
    client.sendall(b"second line\n")
    reset_seen(client)
    run.connection(client, (SERVER, 7000), "data-after-close", LATE, "reset")
    run.expect("server", OutRsts=1)
    run.expect_exactly("server", TCPAbortOnData=0)
    run.expect_reset("server", "TCP_TIMEWAIT_SOCKET")
    run.hold(client)


@recipe("data-after-close/crossing", wire=0.030)
def after_close_crossing(run):
    """The client streams log lines; the server reads the first and closes while others are under way.
    Rule: linux-tcp.md 7.2 N8: FIN_WAIT1, TCPAbortOnData, R seq=ack.
    data-after-close at every vantage."""
    client, server = run.pair(514)
    for n in range(8):
        if n == 4:
            recv_exact(server, len(b"log line 0\n"))
            server.close()
        with contextlib.suppress(*RESET):
            client.sendall(b"log line %d\n" % n)
        if n == 0:
            wait_until(lambda: unacked(client) == 0, 2)
    time.sleep(0.3)
    run.connection(client, (SERVER, 514), "data-after-close", LATE + ["close-with-unread-data", SERVER_ABORT, "immediate-close"], "reset")
    run.expect("server", OutRsts=1)
    run.hold(client)


@recipe("data-after-close/shutdown-both", wire=0.010)
def after_shutdown(run):
    """The server shuts both directions down and keeps the descriptor; later data meets RST.
    Rule: linux-tcp.md 7.2 N8 and 7.3 last line.
    data-after-close at every vantage."""
    client, server = run.pair(7000)
    client.sendall(b"first line\n")
    server.recv(100)
    server.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: tcp_state(client) == CLOSE_WAIT, 5)
    time.sleep(0.5)
    client.sendall(b"second line\n")
    reset_seen(client)
    run.connection(client, (SERVER, 7000), "data-after-close", LATE, "reset")
    run.expect("server", TCPAbortOnData=1)
    run.hold(client, server)


@recipe("data-after-close/client-closed", wire=0.010, offload=False)
def after_client_close(run):
    """The client closes after its request; the server's answer meets a closed socket.
    Rule: linux-tcp.md 7.2 N8/N10 at the client.
    client-closed-early, data-after-close or client-aborted."""
    client, server = run.pair()
    client.sendall(request())
    name = client.getsockname()
    recv_until(server)
    client.close()
    time.sleep(0.3)
    server.sendall(response())
    reset_seen(server)
    run.connection(name, truth=["client-closed-early", "data-after-close"], accept=["client-closed-early", "data-after-close", CLIENT_ABORT, "client-timeout"], outcome="reset")
    run.expect("client", OutRsts=1)
    run.hold(server)


# keepalive ------------------------------------------------------------------------------

def keepalive_race(run, idle, rounds=2, v6=False, port=80, delay=0.0):
    """`rounds` exchanges, idle time, then FIN and the next request cross."""
    client, server = run.pair(port, v6=v6)
    for _ in range(rounds):
        run.exchange(client, server)
        time.sleep(0.1)
    time.sleep(max(0, idle - 0.1))
    server.close()
    time.sleep(delay)
    client.sendall(request("/next"))
    fails(lambda: recv_response(client), *RESET, Failed)
    reset_seen(client)
    run.hold(client)
    return client


@recipe("keepalive-race/five-seconds", limit=30, wire=0.040)
def race_five(run):
    """The server closes a keep-alive connection after five idle seconds; the client's next request is under way.
    Rule: linux-tcp.md 12.1 last paragraph, 7.2 N8/N10: R seq=ack.
    keepalive-race at every vantage, with the timer of about five seconds."""
    for _ in range(2):
        run.connection(keepalive_race(run, 5), truth="keepalive-race", accept=["keepalive-race"], outcome="reset")
    run.populations = []
    run.expect("server", OutRsts=2)


@recipe("keepalive-race/nginx-75-seconds", limit=110, wire=0.025, offload=False)
def race_75(run):
    """nginx's default keepalive_timeout of 75 s and a pooled client that reuses at 75.01 s.
    Rule: linux-tcp.md 12.1: closes idle connections after 75 s.
    keepalive-race at every vantage; the timer is estimated at 75 s."""
    run.connection(keepalive_race(run, 75, rounds=3), truth="keepalive-race", accept=["keepalive-race"], outcome="reset")
    run.expect("server", OutRsts=1)


@recipe("keepalive-race/v6", limit=30, wire=0.030)
def race_v6(run):
    """The same over IPv6 with an idle time of three seconds.
    Rule: linux-tcp.md 7.2 N8/N10.
    keepalive-race at every vantage."""
    run.connection(keepalive_race(run, 3, v6=True), truth="keepalive-race", accept=["keepalive-race"], outcome="reset")


@recipe("keepalive-race/reset-overtakes-fin", limit=30, wire=0.010)
def race_overtaken(run):
    """The path holds the server's FIN back by 0.3 s; the RST to the request that crossed it comes first.
    Rule: linux-tcp.md 7.2 N8: R seq=ack from the closed socket, whatever became of its FIN.
    keepalive-race at every vantage; before the line the FIN is seen behind the RST."""
    client, server = run.pair()
    run.exchange(client, server)
    run.exchange(client, server)
    run.wire.rule = lambda frame: frame.delay(0.3) if frame.tcp and not frame.up and frame.tcp.has("F") else None
    time.sleep(3)
    server.close()
    time.sleep(0.15)
    client.sendall(request("/next"))
    reset_seen(client)
    time.sleep(0.4)
    run.connection(client, truth="keepalive-race", accept=["keepalive-race"], outcome="reset")
    run.expect("server", OutRsts=1)
    run.hold(client)


@recipe("keepalive-race/pool-of-five", limit=40, wire=0.020)
def race_pool(run):
    """A pool of five connections; the server closes each after four idle seconds; two of them lose the race.
    Rule: linux-tcp.md 12.1.
    keepalive-race for two, healthy (server-idle-close) for three; idle-timer as a finding."""
    listener = run.server.listen(80)
    pool = []
    for _ in range(5):
        client, server = run.pair(listener=listener)
        run.exchange(client, server)
        pool.append((client, server))
        time.sleep(0.15)
    began = time.monotonic() - 0.75
    for n, (client, server) in enumerate(pool):
        time.sleep(max(0, began + 4 + 0.15 * n - time.monotonic()))
        name = client.getsockname()
        server.close()
        if n in (1, 3):
            client.sendall(request("/next"))
            run.connection(name, truth="keepalive-race", accept=["keepalive-race"], outcome="reset")
            run.hold(client)
        else:
            wait_until(lambda: client.recv(1) == b"", 5)
            client.close()
            run.connection(name, truth=["server-idle-close"], accept=["", "server-idle-close"])
    time.sleep(0.3)
    run.populations = ["idle-timer"]
    run.expect("server", OutRsts=2)
    run.hold(listener)


@recipe("keepalive-request-limit/ten-requests", limit=30, wire=0.020)
def request_limit(run):
    """The server closes after ten requests on one connection; the client had the eleventh on its way.
    Rule: linux-tcp.md 12.1: keepalive_requests; then 7.2 N8/N10.
    keepalive-request-limit where more than one connection shows the number; keepalive-race is honest for one."""
    listener = run.server.listen(80)
    for _ in range(3):
        client, server = run.pair(listener=listener)
        for n in range(10):
            client.sendall(request("/%d" % n))
            recv_until(server)
            server.sendall(response(60))
            if n < 9:
                recv_response(client)
        server.close()
        recv_response(client)
        client.sendall(request("/10"))
        reset_seen(client)
        run.connection(client, truth="keepalive-request-limit", accept=["keepalive-request-limit", "keepalive-race", "data-after-close"], outcome="reset")
        run.hold(client)
    run.expect("server", OutRsts=3)
    run.hold(listener)


@recipe("keepalive-request-limit/hundred-announced", limit=40, wire=0.002, offload=False)
def request_limit_announced(run):
    """nginx's hundred requests; the last response says Connection: close and the client pipelines one more.
    Rule: linux-tcp.md 12.1.
    keepalive-request-limit at every vantage; data-after-close is the same thing seen more plainly."""
    client, server = run.pair()
    for n in range(100):
        client.sendall(request("/%d" % n))
        if n == 99:
            client.sendall(request("/one-more"))
        recv_until(server)
        server.sendall(response(30, close=n == 99))
        if n < 99:
            recv_response(client)
    server.settimeout(0.2)
    recv_response(client)
    server.close()
    reset_seen(client)
    run.connection(client, truth=["keepalive-request-limit", "close-with-unread-data"],
                   accept=["keepalive-request-limit", "keepalive-race", "data-after-close", "close-with-unread-data", SERVER_ABORT], outcome="reset")
    run.hold(client)


# processes -------------------------------------------------------------------------------

CHILD = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
peer, _ = listener.accept()
got = b""
while len(got) < int(sys.argv[2]):
    got += peer.recv(int(sys.argv[2]) - len(got))
if int(sys.argv[3]):
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 100000\\r\\n\\r\\n" + b"x" * int(sys.argv[3]))
print("ready", flush=True)
sys.stdin.read()
"""


def killed(run, read, sent, ask):
    listener = run.server.listen(80)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(listener.fileno()), str(read), str(sent)],
                             pass_fds=[listener.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    listener.close()
    client = run.caller()
    client.connect((SERVER, 80))
    client.sendall(ask)
    child.stdout.readline()
    wait_until(lambda: unacked(client) == 0, 5)
    if sent:
        recv_exact(client, sent + 43)
    time.sleep(0.3)
    child.kill()
    child.wait()
    return client


@recipe("process-killed/unread-upload", wire=0.003)
def killed_unread(run):
    """The server's process is killed in the middle of an upload it had only begun to read.
    Rule: linux-tcp.md 7.3, killed processes: as close() with unread data, A1.
    server-aborted; close-with-unread-data or process-killed at most possible."""
    client = killed(run, 500, 0, request("/upload", size=9000))
    reset_seen(client)
    run.connection(client, truth=["process-killed"], accept=["process-killed", SERVER_ABORT, "close-with-unread-data"], outcome="reset")
    run.expect_reset("server", "TCP_ABORT_ON_CLOSE")
    run.hold(client)


@recipe("process-killed/mid-response", offload=False)
def killed_mid_response(run):
    """The server's process is killed in the middle of its response: an ordinary FIN, too early.
    Rule: linux-tcp.md 7.3: without unread data an ordinary FIN.
    premature-close, since a FIN before the announced length is what is seen; process-killed possible."""
    client = killed(run, len(request("/big")), 3000, request("/big"))
    wait_until(lambda: client.recv(1) == b"", 5)
    name = client.getsockname()
    client.close()
    run.connection(name, truth=["process-killed", "premature-close"], accept=["premature-close", "process-killed"], outcome="completed", healthy=False)


@recipe("process-killed/many-at-once", wire=0.002)
def killed_many(run):
    """A server process with six connections is killed: all are reset within a millisecond.
    Rule: linux-tcp.md 7.3 A1 for each.
    process-killed or server-aborted for each."""
    listener = run.server.listen(80)
    pairs = [run.pair(listener=listener) for _ in range(6)]
    for client, server in pairs:
        client.sendall(request("/upload", size=2000))
    for client, server in pairs:
        wait_until(lambda: unacked(client) == 0, 5)
    listener.close()
    for client, server in pairs:
        server.close()
    for client, server in pairs:
        reset_seen(client)
        run.connection(client, truth=["process-killed"], accept=["process-killed", SERVER_ABORT, "close-with-unread-data", "immediate-close"], outcome="reset")
        run.hold(client)
    run.expect("server", TCPAbortOnClose=6)


# immediate and premature ends ---------------------------------------------------------------

@recipe("immediate-close/reset-at-once")
def immediate_reset(run):
    """The server accepts and aborts at once, before anything was said.
    Rule: linux-tcp.md 7.3 A2.
    immediate-close at every vantage."""
    listener = run.server.listen(6379)
    for _ in range(2):
        client, server = run.pair(6379, listener=listener)
        linger_zero(server)
        server.close()
        reset_seen(client)
        run.connection(client, (SERVER, 6379), "immediate-close", ["immediate-close", SERVER_ABORT, "linger-zero-abort"], "reset")
        run.hold(client)
    run.hold(listener)
    run.expect("server", OutRsts=2)


@recipe("immediate-close/fin-meets-request", wire=0.020, offload=False)
def immediate_fin(run):
    """The server accepts and closes at once (an access rule); the client's request meets the closed socket.
    Rule: linux-tcp.md 7.2 N8/N10.
    immediate-close at every vantage."""
    listener = run.server.listen(6379)
    for _ in range(2):
        client = run.caller()
        client.connect((SERVER, 6379))
        peer, _ = listener.accept()
        peer.close()
        client.sendall(b"PING\r\n")
        reset_seen(client)
        run.connection(client, (SERVER, 6379), "immediate-close", ["immediate-close", SERVER_ABORT, "data-after-close", "close-with-unread-data"], "reset")
        run.hold(client)
    run.hold(listener)
    run.expect("server", OutRsts=2)


@recipe("immediate-close/fin-only", wire=0.005)
def immediate_fin_only(run):
    """The server accepts and closes at once; the client notices before it writes and closes too.
    Rule: linux-tcp.md 9.4.
    immediate-close; on the wire an orderly close without data."""
    client, server = run.pair(6379)
    server.close()
    wait_until(lambda: client.recv(1) == b"", 5)
    name = client.getsockname()
    client.close()
    run.connection(name, (SERVER, 6379), ["immediate-close"], ["immediate-close", "no-data", ""], "completed")


@recipe("premature-close/content-length", wire=0.004)
def premature(run):
    """The server closes after 4,000 of the 10,000 bytes it had announced.
    Rule: the announced Content-Length against what was delivered before the FIN.
    premature-close at every vantage."""
    client, server = run.pair()
    client.sendall(request("/file"))
    recv_until(server)
    server.sendall(response(10000)[:4040])
    server.close()
    drain(client)
    name = client.getsockname()
    client.close()
    run.connection(name, truth="premature-close", accept=["premature-close"], healthy=False)


@recipe("premature-close/empty-reply", offload=False)
def empty_reply(run):
    """The server closes without a byte of response (curl 52, empty reply).
    Rule: linux-tcp.md 10.1: FIN before any byte.
    premature-close at every vantage."""
    client, server = run.pair()
    client.sendall(request("/file"))
    recv_until(server)
    time.sleep(0.4)
    server.close()
    drain(client)
    name = client.getsockname()
    client.close()
    run.connection(name, truth="premature-close", accept=["premature-close", "immediate-close"], healthy=False)


@recipe("premature-close/chunked", wire=0.004)
def premature_chunked(run):
    """A chunked response ends in the middle of a chunk.
    Rule: RFC 9112 7.1, 8: without the last chunk the response is incomplete.
    premature-close at every vantage."""
    client, server = run.pair()
    client.sendall(request("/list"))
    recv_until(server)
    server.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + filler(500) + b"\r\n")
    time.sleep(0.1)
    server.sendall(b"1f4\r\n" + filler(200))
    server.close()
    drain(client)
    name = client.getsockname()
    client.close()
    run.connection(name, truth="premature-close", accept=["premature-close"], healthy=False)


@recipe("premature-close/client-hello", offload=False)
def premature_hello(run):
    """The server closes without an answer to a ClientHello, as proxies do that know no such name.
    Rule: RFC 8446 4.1: a ClientHello is answered by a ServerHello or an alert.
    premature-close at every vantage."""
    client, server = run.pair(443)
    client.sendall(tls_record(22, 517)[:5] + b"\x01" + filler(516))
    recv_exact(server, 522)
    time.sleep(0.2)
    server.close()
    drain(client)
    name = client.getsockname()
    client.close()
    run.connection(name, (SERVER, 443), "premature-close", ["premature-close", "immediate-close"], healthy=False)


@recipe("client-closed-early/upload-cut", wire=0.004)
def upload_cut(run):
    """The client closes in the middle of its own upload.
    Rule: the announced Content-Length of the request against what came before the FIN.
    client-closed-early at every vantage."""
    client, server = run.pair()
    client.sendall(request("/put", size=9000)[:900])
    recv_exact(server, 900)
    name = client.getsockname()
    client.close()
    drain(server)
    server.close()
    run.connection(name, truth="client-closed-early", accept=["client-closed-early", CLIENT_ABORT], healthy=False)


@recipe("immediate-close/request-comes-later", offload=False)
def immediate_then_request(run):
    """The server closes an accepted connection at once; the client writes its request half a second later.
    Rule: linux-tcp.md 7.2 N8/N10.
    immediate-close; data-after-close is true as well."""
    client, server = run.pair()
    server.close()
    time.sleep(0.5)
    client.sendall(request())
    reset_seen(client)
    run.connection(client, truth="immediate-close", accept=["immediate-close", "data-after-close"], outcome="reset")
    run.hold(client)


@recipe("peer-restarted/data-meets-listener", wire=0.010)
def restarted_listener(run):
    """The server restarts without a packet; the client's next request meets the new listener.
    Rule: linux-tcp.md 7.2 N2, R seq=ack; 12.6 peer restarted.
    peer-restarted; half-open and data-after-close name the same RST less boldly."""
    client, server = run.pair()
    run.exchange(client, server)
    forget(run.server, server, 80)
    time.sleep(2)
    client.sendall(request("/after"))
    reset_seen(client)
    run.connection(client, truth="peer-restarted", accept=["peer-restarted", "half-open"], outcome="reset")
    run.expect("server", OutRsts=1)
    run.hold(client)


@recipe("peer-restarted/data-meets-nothing", offload=False)
def restarted_nothing(run):
    """The server restarts without a packet and its service is not up yet when the client writes.
    Rule: linux-tcp.md 7.2 N1.
    peer-restarted or half-open at every vantage."""
    client, server = run.pair(5432)
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    run.listeners.pop((5432, False)).close()
    forget(run.server, server, 5432)
    time.sleep(3)
    client.sendall(b"select 2;")
    reset_seen(client)
    run.connection(client, (SERVER, 5432), "peer-restarted", ["peer-restarted", "half-open"], "reset")
    run.expect_reset("server", "NO_SOCKET")
    run.hold(client)


@recipe("peer-restarted/keepalive-finds-out", limit=30, wire=0.005)
def restarted_keepalive(run):
    """The server restarted silently; the client's keepalive probe is answered with RST.
    Rule: linux-tcp.md 8.6: answered by RST: ECONNRESET.
    peer-restarted or half-open."""
    client, server = run.pair(5432, client_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                                                    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
                                                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)])
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    forget(run.server, server, 5432)
    fails(lambda: client.recv(10), ConnectionResetError)
    run.connection(client, (SERVER, 5432), "peer-restarted", ["peer-restarted", "half-open"], "reset")
    run.expect("client", TCPKeepAlive=1)
    run.hold(client)


@recipe("fin-wait2-timeout/late-data", limit=20)
def fin_wait2(run):
    """The server closed; its FIN_WAIT2 ended after three seconds; the client, still open, sends at five.
    Rule: linux-tcp.md 8.5 and 7.3.1: gone without a packet, then N2, since the service still listens.
    fin-wait2-timeout or data-after-close: the wire shows one RST for both."""
    run.server.tcp(fin_timeout=3)
    client, server = run.pair(7000)
    client.sendall(b"first line\n")
    server.recv(100)
    server.close()
    wait_until(lambda: tcp_state(client) == CLOSE_WAIT, 5)
    time.sleep(5)
    client.sendall(b"second line\n")
    reset_seen(client)
    run.connection(client, (SERVER, 7000), ["fin-wait2-timeout", "data-after-close"], ["fin-wait2-timeout", "data-after-close"], "reset")
    run.expect_reset("server", "TCP_FLAGS")
    run.hold(client)


@recipe("fin-wait2-timeout/default-60-seconds", limit=90, wire=0.010, offload=False)
def fin_wait2_default(run):
    """The same with the default of 60 s; the client sends after 65.
    Rule: linux-tcp.md 8.5: tcp_fin_timeout 60.
    fin-wait2-timeout, since 60 s and more lie between FIN and data; data-after-close too."""
    client, server = run.pair(7000)
    client.sendall(b"first line\n")
    server.recv(100)
    server.close()
    wait_until(lambda: tcp_state(client) == CLOSE_WAIT, 5)
    time.sleep(68)
    client.sendall(b"second line\n")
    reset_seen(client)
    run.connection(client, (SERVER, 7000), ["fin-wait2-timeout", "data-after-close"], ["fin-wait2-timeout", "data-after-close", "close-wait-leak"], "reset")
    run.expect_reset("server", "TCP_FLAGS")
    run.hold(client)


# the client ends it -----------------------------------------------------------------------------

@recipe("client-aborted/mid-download", snaplen=160, wire=0.010)
def client_mid_download(run):
    """The user stops a download: the client aborts while data flows.
    Rule: linux-tcp.md 7.3 A1 at the client.
    client-aborted or client-closed-early."""
    client, server = run.pair(client_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)])
    client.sendall(request("/big"))
    recv_until(server)
    server.settimeout(0.5)
    body = response(2_000_000)
    server.setblocking(False)
    try:
        server.send(body)
    except BlockingIOError:
        pass
    recv_exact(client, 20000)
    name = client.getsockname()
    client.close()
    reset_seen(server)
    run.connection(name, truth=["client-aborted", "client-closed-early"], accept=[CLIENT_ABORT, "client-closed-early", "close-with-unread-data", "linger-zero-abort"], outcome="reset")
    run.hold(server)


@recipe("client-aborted/tls-looking", wire=0.008, offload=False)
def client_abort_tls(run):
    """A client aborts right after the server's certificate flight, as one that does not trust it may.
    Rule: linux-tcp.md 7.3 A2.
    client-aborted; nothing on the wire says more."""
    client, server = run.pair(443)
    client.sendall(tls_record(22, 300))
    recv_exact(server, 305)
    server.sendall(tls_record(22, 2500))
    recv_exact(client, 2505)
    client.sendall(tls_record(21, 2))
    name = client.getsockname()
    linger_zero(client)
    client.close()
    reset_seen(server)
    run.connection(name, (SERVER, 443), ["client-aborted", "linger-zero-abort"], [CLIENT_ABORT, "linger-zero-abort", "client-closed-early"], "reset")
    run.hold(server)


@recipe("client-closed-early/fin-mid-response", wire=0.015)
def closed_early_fin(run):
    """The client closes orderly in the middle of a response; the rest of it meets RST.
    Rule: linux-tcp.md 7.2 N8 at the client: new data beyond its FIN.
    client-closed-early at every vantage."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(30000)[:8000])
    recv_exact(client, 8000)
    name = client.getsockname()
    client.close()
    time.sleep(0.3)
    server.sendall(filler(3000))
    reset_seen(server)
    run.connection(name, truth="client-closed-early", accept=["client-closed-early", CLIENT_ABORT, "data-after-close"], outcome="reset")
    run.expect("client", OutRsts=1)
    run.hold(server)


@recipe("client-closed-early/fin-answered-by-fin", wire=0.015)
def closed_early_both(run):
    """The client, which has read all that came, closes in the middle of a response; the server closes as well (nginx with limit_rate).
    Rule: linux-tcp.md 7.3.1: nothing unread, nothing to refuse: no RST at all.
    client-closed-early at every vantage: the announced length tells."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(90000)[:20000])
    recv_exact(client, 20000)
    time.sleep(0.3)
    name = client.getsockname()
    end_both(run, client, server)
    run.connection(name, truth="client-closed-early", accept=["client-closed-early", CLIENT_ABORT], outcome="completed")
    run.expect_exactly("client", OutRsts=0)
    run.expect_exactly("server", OutRsts=0)


@recipe("client-closed-early/reset-mid-response", offload=False)
def closed_early_reset(run):
    """The client closes with half of the response unread: RST at once.
    Rule: linux-tcp.md 7.3 A1.
    client-closed-early or client-aborted."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(20000)[:12000])
    wait_until(lambda: unacked(server) == 0, 5)
    recv_exact(client, 4000)
    name = client.getsockname()
    client.close()
    reset_seen(server)
    run.connection(name, truth=["client-closed-early", "close-with-unread-data"], accept=["client-closed-early", CLIENT_ABORT, "close-with-unread-data", "linger-zero-abort"], outcome="reset")
    run.hold(server)


@recipe("client-timeout/three-seconds", limit=30, wire=0.010)
def client_timeout(run):
    """The client's read timeout of three seconds ends the connection while the server works; its answer meets RST.
    Rule: linux-tcp.md 7.2 N8/N10/N1 at the client.
    client-timeout at every vantage: nothing but silence between the request and the client's FIN."""
    for _ in range(2):
        client, server = run.pair()
        client.sendall(request("/slow"))
        recv_until(server)
        client.settimeout(3)
        fails(lambda: client.recv(10), TimeoutError)
        name = client.getsockname()
        client.close()
        time.sleep(1)
        server.sendall(response())
        reset_seen(server)
        run.connection(name, truth=["client-timeout"], accept=["client-timeout", CLIENT_ABORT], outcome="reset")
        run.hold(server)
        time.sleep(0.2)


@recipe("client-timeout/aborts-after-five", limit=30, offload=False)
def client_timeout_abort(run):
    """The client waits five seconds for an answer, then aborts with RST.
    Rule: linux-tcp.md 7.3 A2.
    client-timeout or client-aborted."""
    client, server = run.pair()
    client.sendall(request("/slow"))
    recv_until(server)
    time.sleep(5)
    name = client.getsockname()
    linger_zero(client)
    client.close()
    reset_seen(server)
    run.connection(name, truth=["client-timeout", "linger-zero-abort"], accept=["client-timeout", CLIENT_ABORT, "linger-zero-abort"], outcome="reset")
    run.hold(server)


@recipe("client-timeout/orderly-both", limit=30, wire=0.005)
def client_timeout_orderly(run):
    """The client closes after four seconds without an answer; the server notices and closes as well.
    Rule: linux-tcp.md 9.4: no RST at all.
    client-timeout: a request without a response, ended by the client."""
    client, server = run.pair()
    client.sendall(request("/slow"))
    recv_until(server)
    time.sleep(4)
    name = client.getsockname()
    client.close()
    wait_until(lambda: server.recv(1) == b"", 5)
    server.close()
    run.connection(name, truth=["client-timeout"], accept=["client-timeout", CLIENT_ABORT, "slow-response", "client-closed-early"], outcome="completed", healthy=False)


# benign resets -------------------------------------------------------------------------------------

@recipe("reset-after-close/client-after-fin", wire=0.005)
def reset_after_fin(run):
    """Everything is delivered, the server has closed, and the client ends with RST in place of its FIN.
    Rule: linux-tcp.md 7.3 A2 in CLOSE_WAIT.
    Healthy; reset-after-close as a note."""
    for _ in range(2):
        client, server = run.pair()
        client.sendall(request())
        recv_until(server)
        server.sendall(response(close=True))
        server.close()
        recv_response(client)
        wait_until(lambda: tcp_state(client) == CLOSE_WAIT, 5)
        name = client.getsockname()
        linger_zero(client)
        client.close()
        run.connection(name, truth=["reset-after-close"], accept=["reset-after-close", ""])
    run.expect("client", OutRsts=2)


@recipe("reset-after-close/server-after-client-fin", offload=False)
def server_reset_after_fin(run):
    """The client closes after its response; the server answers the FIN with RST.
    Rule: linux-tcp.md 7.3 A2 in CLOSE_WAIT.
    Healthy; reset-after-close as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    client.close()
    wait_until(lambda: tcp_state(server) == CLOSE_WAIT, 5)
    linger_zero(server)
    server.close()
    run.connection(name, truth=["reset-after-close"], accept=["reset-after-close", ""])
    run.expect("server", OutRsts=1)


@recipe("reset-after-close/idle-keepalive-reset", wire=0.005)
def idle_reset(run):
    """After a whole exchange and two idle seconds the client drops its pooled connection with RST.
    Rule: linux-tcp.md 7.3 A2; nothing outstanding, nothing lost.
    A connection reset without harm: reset-after-close, linger-zero-abort or client-aborted."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    time.sleep(2)
    linger_zero(client)
    client.close()
    reset_seen(server)
    run.connection(name, truth=["linger-zero-abort"], accept=["reset-after-close", "linger-zero-abort", CLIENT_ABORT, ""], outcome="reset")
    run.hold(server)


@recipe("dual-port-race/smb-445-139", wire=0.010)
def smb_race(run):
    """An SMB client connects to 445 and 139 at once and resets 139 as soon as 445 answers.
    Rule: linux-tcp.md 12.5 first row.
    Healthy both; dual-port-race as a note on the loser."""
    listeners = [run.server.listen(445), run.server.listen(139)]
    fast, slow = run.caller(), run.caller()
    for sock, port in ((fast, 445), (slow, 139)):
        sock.setblocking(False)
        sock.connect_ex((SERVER, port))
    wait_until(lambda: tcp_state(fast) == ESTABLISHED and tcp_state(slow) == ESTABLISHED, 5, step=0.0005)
    loser = slow.getsockname()
    linger_zero(slow)
    slow.close()
    fast.setblocking(True)
    fast.settimeout(10)
    peer, _ = listeners[0].accept()
    fast.sendall(filler(120))
    recv_exact(peer, 120)
    peer.sendall(filler(200))
    recv_exact(fast, 200)
    winner = fast.getsockname()
    end_both(run, fast, peer)
    run.connection(winner, (SERVER, 445), [], ["", "dual-port-race"])
    run.connection(loser, (SERVER, 139), ["dual-port-race"], ["dual-port-race"], "reset")
    run.hold(*listeners)


@recipe("dual-port-race/closed-before-answer", wire=0.010, offload=False)
def smb_race_closed(run):
    """The same, but the loser's socket is closed before its SYN-ACK, which meets RST.
    Rule: linux-tcp.md 7.2 N1 at the client.
    Healthy; dual-port-race as a note on the loser."""
    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.sport == 139:
            frame.delay(0.02)
    run.wire.rule = rule
    listeners = [run.server.listen(445), run.server.listen(139)]
    fast, slow = run.caller(), run.caller()
    for sock, port in ((fast, 445), (slow, 139)):
        sock.setblocking(False)
        sock.connect_ex((SERVER, port))
    wait_until(lambda: tcp_state(fast) == ESTABLISHED, 5, step=0.0005)
    loser = slow.getsockname()
    slow.close()
    fast.setblocking(True)
    fast.settimeout(10)
    peer, _ = listeners[0].accept()
    fast.sendall(filler(120))
    recv_exact(peer, 120)
    peer.sendall(filler(200))
    recv_exact(fast, 200)
    winner = fast.getsockname()
    end_both(run, fast, peer)
    run.connection(winner, (SERVER, 445), [], ["", "dual-port-race"])
    run.connection(loser, (SERVER, 139), ["dual-port-race"], ["dual-port-race"], "handshake-failed")
    run.expect("client", OutRsts=1)
    run.hold(*listeners)


@recipe("dual-port-race/happy-eyeballs", wire=0.010)
def happy_eyeballs(run):
    """Happy Eyeballs: IPv6 is slow, IPv4 is started 250 ms later and wins, the IPv6 attempt is abandoned.
    Rule: RFC 8305; linux-tcp.md 7.2 N1 for the late SYN-ACK.
    Healthy; dual-port-race as a note on the abandoned one."""
    def rule(frame):
        if not frame.up and frame.tcp and ":" in frame.tcp.src:
            frame.delay(0.35)
    run.wire.rule = rule
    listeners = [run.server.listen(443), run.server.listen(443, v6=True, options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)])]
    six, four = run.caller(v6=True), run.caller()
    six.setblocking(False)
    six.connect_ex((SERVER6, 443))
    time.sleep(0.25)
    four.connect((SERVER, 443))
    loser = six.getsockname()[:2]
    six.close()
    peer, _ = listeners[0].accept()
    four.sendall(tls_record(22, 200))
    recv_exact(peer, 205)
    peer.sendall(tls_record(22, 900))
    recv_exact(four, 905)
    winner = four.getsockname()
    end_both(run, four, peer)
    time.sleep(0.5)
    run.connection(winner, (SERVER, 443), [], ["", "dual-port-race"])
    run.connection(loser, (SERVER6, 443), ["dual-port-race"], ["dual-port-race"], "handshake-failed")
    run.hold(*listeners)


@recipe("server-aborted/listener-closed", wire=0.005)
def listener_closed(run):
    """A service stops while connections wait in its accept queue: each gets RST.
    Rule: linux-tcp.md 7.3 A4, EstabResets each.
    server-aborted for each."""
    listener = run.server.listen(80)
    clients = []
    for _ in range(3):
        sock = run.caller()
        sock.connect((SERVER, 80))
        sock.sendall(request())
        clients.append(sock)
    for sock in clients:
        wait_until(lambda: unacked(sock) == 0, 5)
    time.sleep(1)
    listener.close()
    for sock in clients:
        reset_seen(sock)
        run.connection(sock, truth=["server-aborted"], accept=[SERVER_ABORT, "close-with-unread-data", "process-killed", "server-never-accepts", "immediate-close"], outcome="reset")
        run.hold(sock)
    run.expect("server", EstabResets=3, OutRsts=3)


@recipe("server-aborted/ss-kill", offload=False)
def ss_kill(run):
    """An administrator destroys the server's socket with ss -K.
    Rule: linux-tcp.md 7.3 A9.
    server-aborted: the wire shows an abort of the server's side and no reason."""
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/slow"))
    recv_until(server)
    time.sleep(0.5)
    run.server.run("ss", "-K", "state", "established", "sport", "=", ":80")
    reset_seen(client)
    run.connection(client, truth=["server-aborted"], accept=[SERVER_ABORT, "linger-zero-abort", "close-with-unread-data", "process-killed"], outcome="reset")
    run.expect("server", OutRsts=1)
    run.hold(client, server)
