"""Handshakes that begin and do not complete, or complete in an odd way."""

import contextlib
import socket
import threading
import time

import packet
from net import CLIENT, CLIENT2, ROUTER_OUT, SERVER, SERVER6, linger_zero
from raw import Talker, data, has
from run import (ESTABLISHED, Failed, fails, filler, recipe, recv_response, recv_until, request, response,
                 tcp_state, wait_until)

DEFER = (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)


def end_both(run, client, server):
    """An orderly close, the client first."""
    client.close()
    wait_until(lambda: server.recv(1) == b"", 10)
    server.close()


def overflow(run, v6=False, full=True, client_options=()):
    """Three handshakes whose SYN-ACKs are out, then the accept queue is full: (listener, clients).

    One connection waits in the queue; the third ACKs of the others are held on the wire until
    listen() has made the limit 0, so that they meet a full queue (linux-tcp.md 3.1 on a kernel
    that would drop their SYNs)."""
    listener = run.server.listen(8888, backlog=16, v6=v6)
    waiting = run.caller(v6=v6)
    waiting.connect((SERVER6 if v6 else SERVER, 8888))
    run.connection(waiting, (SERVER6 if v6 else SERVER, 8888), [], ["", "idle-open", "no-data", "server-never-accepts"], "open")
    run.hold(waiting, listener)
    wait_until(run.wire.quiet, 5, "the first handshake to be over")
    held = []

    def rule(frame):
        if frame.up and frame.tcp and not frame.tcp.has("S"):
            held.append(frame)
            frame.drop()
    run.wire.rule = rule
    clients = []
    for _ in range(2):
        sock = run.caller(v6=v6, options=client_options)
        sock.connect((SERVER6 if v6 else SERVER, 8888))
        clients.append(sock)
    wait_until(lambda: len(held) >= 2, 5)
    listener.listen(0)
    run.wire.rule = None
    for frame in held:
        run.wire.inject(frame.ip, up=True)
    return listener, clients


AQ = "accept-queue-overflow"


@recipe("accept-queue-overflow/connect-only", limit=30, wire=0.005)
def connect_only(run):
    """The accept queue is full when the third ACK comes: it is ignored, the SYN-ACK repeats, nothing else happens.
    Rule: linux-tcp.md 3.1, 3.2, 3.3: SYN-ACKs at 0 1 3 s (synack_retries 2), request gone at 7 s, no RST.
    accept-queue-overflow at the server, where ACKs arrive; handshake-ack-lost cannot be excluded elsewhere."""
    run.server.tcp(synack_retries=2)
    listener, clients = overflow(run)
    time.sleep(8.5)
    run.ss("server", "listener", "-l")
    for sock in clients:
        run.connection(sock, (SERVER, 8888), AQ, [AQ], "handshake-failed")
    run.hold(*clients)
    run.expect("server", ListenOverflows=6, ListenDrops=6)
    run.expect_drop("server", "TCP_LISTEN_OVERFLOW")


@recipe("accept-queue-overflow/client-gives-up", limit=40, wire=0.001)
def aq_client_gives_up(run):
    """The same, and the clients send a request at once and give up before the server does.
    Rule: linux-tcp.md 3.2 last row, 12.1 case E: data repeated and ignored, ETIMEDOUT, the next SYN-ACK meets RST.
    accept-queue-overflow everywhere: data was ignored too, so it is not deferred accept."""
    run.client.tcp(retries2=2)
    listener, clients = overflow(run)
    for sock in clients:
        sock.sendall(request())
    for sock in clients:
        fails(lambda: sock.recv(100), TimeoutError)
    time.sleep(5)
    for sock in clients:
        run.connection(sock, (SERVER, 8888), AQ, [AQ], {"client": "handshake-failed", "*": "handshake-failed"})
    run.hold(*clients)
    run.expect("server", ListenOverflows=8, EmbryonicRsts=2)
    run.expect("client", TCPAbortOnTimeout=2, OutRsts=2)
    run.expect_reset("client", "NO_SOCKET")


@recipe("accept-queue-overflow/server-resets", limit=40, wire=0.001, offload=False)
def aq_server_resets(run):
    """The same with a patient client: the request expires, and the next repetition of the data meets a RST.
    Rule: linux-tcp.md 3.2, 12.1 case G: R seq=ack from the listener after the SYN-ACK retries ran out.
    accept-queue-overflow at every vantage."""
    run.server.tcp(synack_retries=2)
    listener, clients = overflow(run)
    for sock in clients:
        sock.sendall(request())
    for sock in clients:
        fails(lambda: sock.recv(100), ConnectionResetError)
    for sock in clients:
        run.connection(sock, (SERVER, 8888), AQ, [AQ], "handshake-failed")
    run.hold(*clients)
    run.expect("server", ListenOverflows=10, OutRsts=2)
    run.expect_reset("server", "TCP_FLAGS")


@recipe("accept-queue-overflow/burst-with-syncookies", limit=40, wire=0.010)
def aq_burst(run):
    """Eight clients at once at listen(1) that nobody accepts from: the SYN queue is full too, and most get a syncookie.
    Rule: linux-tcp.md 5.1, 3.1: nothing is kept of a cookie's SYN; its ACK meets the full accept queue and no timer repeats the SYN-ACK.
    accept-queue-overflow: others of the listener are taken in and never read. The two in the queue are never accepted."""
    listener = run.server.listen(8888, backlog=1)
    clients = [run.caller() for _ in range(8)]
    for sock in clients:
        sock.setblocking(False)
        sock.connect_ex((SERVER, 8888))
    time.sleep(0.3)
    for sock in clients:
        sock.send(request())
    time.sleep(6)
    run.ss("server", "listener", "-l")
    queued = []
    for _ in range(2):
        peer, mate = listener.accept()
        run.hold(peer)
        queued.append(mate[1])
    for sock in clients:
        if sock.getsockname()[1] in queued:
            run.connection(sock, (SERVER, 8888), "server-never-accepts", ["server-never-accepts", "stalled", "slow-response", "capture-partial", "idle-open", ""],
                           healthy=False)
        else:
            run.connection(sock, (SERVER, 8888), AQ, [AQ, "peer-unresponsive", "syn-unanswered"])
    run.hold(listener, *clients)
    run.expect("server", SyncookiesSent=1, ListenOverflows=5)


@recipe("accept-queue-overflow/recovers", limit=30, wire=0.003)
def aq_recovers(run):
    """The same, but the application accepts after two seconds and the next repetition completes everything.
    Rule: linux-tcp.md 3.2 row 2: delay is the client's back-off.
    accept-queue-overflow explains the delay; the connection completes."""
    listener, clients = overflow(run)
    for sock in clients:
        sock.sendall(request())
    time.sleep(2)
    listener.listen(16)
    first, _ = listener.accept()
    run.hold(first)
    for _ in range(len(clients)):
        peer, mate = listener.accept()
        sock = next(c for c in clients if c.fileno() >= 0 and c.getsockname()[1] == mate[1])
        name = sock.getsockname()
        recv_until(peer)
        peer.sendall(response())
        recv_response(sock)
        end_both(run, sock, peer)
        run.connection(name, (SERVER, 8888), AQ, [AQ, "handshake-ack-lost", "packet-loss"], "completed", healthy=False)
    run.expect("server", ListenOverflows=8)


@recipe("accept-queue-overflow/v6", limit=30, wire=0.002)
def aq_v6(run):
    """The same over IPv6, connect only.
    Rule: linux-tcp.md 3.1.
    accept-queue-overflow at the server."""
    run.server.tcp(synack_retries=2)
    listener, clients = overflow(run, v6=True)
    time.sleep(8.5)
    for sock in clients:
        run.connection(sock, (SERVER6, 8888), AQ, [AQ], "handshake-failed")
    run.hold(*clients)
    run.expect("server", ListenOverflows=6)


def el7_server(run, times, give_up, ignore_data=True, port=8888):
    """A server whose SYN-ACK timer is the table kernel's (linux-tcp.md 3.4), in a thread."""
    talker = Talker(run, "server", port, window=28960)

    def serve():
        syn = talker.recv(has("S"))
        options = packet.mss(1460)
        value = packet.tsval_of(syn)
        if value is not None:
            options = packet.mss(1460) + packet.SACK_OK + packet.timestamps(500_000, value) + packet.NOP + packet.wscale(9)
        start = time.monotonic()
        for at in times:
            while True:
                left = start + at - time.monotonic()
                if left <= 0:
                    break
                talker.silent(left)
            again = options if value is None else options.replace(
                packet.timestamps(500_000, value), packet.timestamps(500_000 + int(at * 1000), value))
            talker.send("SA", options=again, seq=talker.isn, advance=False, ip_id=0)
        while time.monotonic() < start + give_up:
            talker.silent(start + give_up - time.monotonic())
        while True:      # the listener's answer to anything that comes now
            try:
                late = talker.recv(timeout=12, take=False)
            except Failed:
                return
            if late.has("A") and not late.has("R"):
                talker.send("R", seq=late.ack, ack=0, window=0, options=b"", advance=False, ip_id=0)
                return
    def until_the_end():
        with contextlib.suppress(OSError):      # the recipe is over and has closed the socket
            serve()
    thread = threading.Thread(target=until_the_end, daemon=True)
    thread.start()
    return talker, thread


@recipe("accept-queue-overflow/el7-connect-only", limit=40)
def el7_connect_only(run):
    """An el7 server with a full accept queue: SYN-ACKs at 0, 1.403 and 3.403 s, one answer to each, all ignored.
    Rule: linux-tcp.md 3.4 row d=12-13 and 12.1 case D, played by a raw peer that keeps the table kernel's times.
    accept-queue-overflow, or honestly handshake-ack-lost where it is not seen that the ACKs arrived."""
    talker, thread = el7_server(run, (0, 1.403, 3.403), 7.8)
    sock = run.caller()
    sock.connect((SERVER, 8888))
    time.sleep(9)
    run.connection(sock, (SERVER, 8888), AQ, {"*": [AQ, "handshake-ack-lost"], "server": [AQ]}, "handshake-failed")
    run.hold(sock)


@recipe("accept-queue-overflow/el7-server-resets", limit=40, wire=0.0005)
def el7_resets(run):
    """An el7 server with a full accept queue and a client with a request: the article's case G, packet by packet.
    Rule: linux-tcp.md 12.1 case G: SYN-ACKs at 0, 1.001, 3.201 s, request gone at 7.4 s, then R to the next data.
    accept-queue-overflow at every vantage."""
    talker, thread = el7_server(run, (0, 1.001, 3.201), 7.4)
    sock = run.caller()
    sock.connect((SERVER, 8888))
    sock.sendall(request())
    fails(lambda: sock.recv(100), ConnectionResetError)
    run.connection(sock, (SERVER, 8888), AQ, [AQ], "handshake-failed")
    run.hold(sock)


@recipe("accept-queue-overflow/el7-client-gives-up", limit=40)
def el7_gives_up(run):
    """An el7 server with a full accept queue and a client that gives up first: the article's case E.
    Rule: linux-tcp.md 12.1 case E: SYN-ACKs at 0, 1.201, 3.401 s; the last meets a closed port.
    accept-queue-overflow at every vantage."""
    run.client.tcp(retries2=2)
    talker, thread = el7_server(run, (0, 1.201, 3.401), 7.6)
    sock = run.caller()
    sock.connect((SERVER, 8888))
    sock.sendall(request())
    fails(lambda: sock.recv(100), TimeoutError)
    time.sleep(1.5)
    run.connection(sock, (SERVER, 8888), AQ, [AQ], "handshake-failed")
    run.hold(sock)
    run.expect("client", TCPAbortOnTimeout=1)


@recipe("accept-queue-overflow-reset/third-ack", limit=20, wire=0.003)
def abort_on_overflow(run):
    """tcp_abort_on_overflow=1: the third ACK meets a full accept queue and is answered with RST.
    Rule: linux-tcp.md 3.1, 12.1 case F: R seq=ack, window 0, no options, at once.
    accept-queue-overflow-reset at every vantage."""
    run.server.tcp(abort_on_overflow=1)
    listener, clients = overflow(run)
    for sock in clients:
        fails(lambda: sock.recv(10), ConnectionResetError)
        run.connection(sock, (SERVER, 8888), "accept-queue-overflow-reset", ["accept-queue-overflow-reset"], "handshake-failed")
    run.hold(*clients)
    run.expect("server", ListenOverflows=2, EmbryonicRsts=2, OutRsts=2)
    run.expect_reset("server", "INVALID_SYN")


@recipe("accept-queue-overflow-reset/with-request", limit=20, wire=0.003, offload=False)
def abort_with_request(run):
    """The same while the clients' requests are already on their way: each segment is answered with RST.
    Rule: linux-tcp.md 3.1: later segments meet LISTEN, R again.
    accept-queue-overflow-reset at every vantage."""
    run.server.tcp(abort_on_overflow=1)
    listener = run.server.listen(8888, backlog=16)
    run.hold(listener)
    held = []

    def rule(frame):
        if frame.up and frame.tcp and not frame.tcp.has("S"):
            held.append(frame)
            frame.drop()
    waiting = run.caller()
    waiting.connect((SERVER, 8888))
    run.connection(waiting, (SERVER, 8888), [], ["", "idle-open", "no-data", "server-never-accepts"], "open")
    run.hold(waiting)
    wait_until(run.wire.quiet, 5, "the first handshake to be over")
    run.wire.rule = rule
    sock = run.caller()
    sock.connect((SERVER, 8888))
    sock.sendall(request())
    wait_until(lambda: len(held) >= 2, 5)
    listener.listen(0)
    run.wire.rule = None
    for frame in held:
        run.wire.inject(frame.ip, up=True)
    fails(lambda: sock.recv(10), ConnectionResetError)
    run.connection(sock, (SERVER, 8888), "accept-queue-overflow-reset", ["accept-queue-overflow-reset"], "handshake-failed")
    run.hold(sock)
    run.expect("server", ListenOverflows=1, OutRsts=1)


@recipe("accept-queue-overflow-reset/v6", limit=20, wire=0.003)
def abort_v6(run):
    """tcp_abort_on_overflow=1 over IPv6.
    Rule: linux-tcp.md 3.1.
    accept-queue-overflow-reset at every vantage."""
    run.server.tcp(abort_on_overflow=1)
    listener, clients = overflow(run, v6=True)
    for sock in clients:
        fails(lambda: sock.recv(10), ConnectionResetError)
        run.connection(sock, (SERVER6, 8888), "accept-queue-overflow-reset", ["accept-queue-overflow-reset"], "handshake-failed")
    run.hold(*clients)
    run.expect("server", ListenOverflows=2, OutRsts=2)


def deferred(run, seconds, wait, wire_rule=None):
    """A deferring listener and a client that writes `wait` seconds after its handshake."""
    listener = run.server.listen(80, options=[(*DEFER, seconds)])
    sock = run.caller()
    if wire_rule:
        run.wire.rule = wire_rule
    sock.connect((SERVER, 80))
    time.sleep(wait)
    sock.sendall(request())
    peer, _ = listener.accept()
    recv_until(peer)
    peer.sendall(response())
    recv_response(sock)
    name = sock.getsockname()
    end_both(run, sock, peer)
    run.hold(listener)
    return name


@recipe("defer-accept-wait/one-second", limit=20, wire=0.002)
def defer_one(run):
    """TCP_DEFER_ACCEPT of one second: the bare ACK is ignored, the SYN-ACK comes again after 1 s, the request
    follows at 1.5 s.  Rule: linux-tcp.md 4.2, C=1.
    Benign: healthy, with defer-accept-wait or a lost ACK as the note."""
    name = deferred(run, 1, 1.5)
    run.connection(name, truth=["defer-accept-wait"], accept=["defer-accept-wait", ""])
    run.expect("server", TCPDeferAcceptDrop=1, TCPSynRetrans=1)


@recipe("defer-accept-wait/ten-seconds", limit=20)
def defer_ten(run):
    """TCP_DEFER_ACCEPT of ten seconds and a request after 1.5 s: accepted on arrival, no SYN-ACK repeated.
    Rule: linux-tcp.md 4.2 table.
    Healthy; nothing on the wire shows the wait."""
    name = deferred(run, 10, 1.5)
    run.connection(name, truth=["defer-accept-wait"], accept=["", "defer-accept-wait"])
    run.expect("server", TCPDeferAcceptDrop=1)


@recipe("defer-accept-wait/three-seconds-late-request", limit=20, offload=False)
def defer_three(run):
    """TCP_DEFER_ACCEPT of three seconds, the request after four: one SYN-ACK repeat at the end of the period.
    Rule: linux-tcp.md 4.2 row 2, 3: SA again at 3.02 s, connection made by the client's answer, then data.
    Benign: defer-accept-wait."""
    name = deferred(run, 3, 4)
    run.connection(name, truth=["defer-accept-wait"], accept=["defer-accept-wait", ""])
    run.expect("server", TCPDeferAcceptDrop=1, TCPSynRetrans=1)


@recipe("defer-accept-wait/el6", limit=20)
def defer_el6(run):
    """An el6 web server with TCP_DEFER_ACCEPT: the SYN-ACK repeats at 1.3 s and the request at 1.5 s is served.
    Rule: linux-tcp.md 12.3 and 3.4, played by a raw peer with the table kernel's timer.
    Benign: defer-accept-wait."""
    talker = Talker(run, "server", 80, window=14480)
    sock = run.caller()
    sock.setblocking(False)
    sock.connect_ex((SERVER, 80))
    syn = talker.recv(has("S"))
    value = packet.tsval_of(syn)
    options = packet.mss(1460) + packet.SACK_OK + packet.timestamps(77_000, value) + packet.NOP + packet.wscale(7)
    talker.send("SA", options=options, ip_id=0)
    sock.setblocking(True)
    sock.settimeout(10)
    start = time.monotonic()
    talker.silent(1.3)
    talker.send("SA", options=options.replace(packet.timestamps(77_000, value), packet.timestamps(78_300, value)),
                seq=talker.isn, advance=False, ip_id=0)
    talker.silent(max(0, start + 1.5 - time.monotonic()))
    sock.sendall(request())
    ask = talker.recv(data)
    stamp = packet.tsval_of(ask)
    talker.window = 114
    talker.send("A", options=packet.data_timestamps(78_500, stamp))
    talker.send("PA", response(), options=packet.data_timestamps(78_501, stamp))
    recv_response(sock)
    name = sock.getsockname()
    sock.close()
    fin = talker.recv(has("F"))
    stamp = packet.tsval_of(fin)
    talker.send("FA", options=packet.data_timestamps(78_520, stamp))
    talker.recv(has("A"))
    run.connection(name, truth=["defer-accept-wait"], accept=["defer-accept-wait", "", "handshake-ack-lost", "packet-loss"])


@recipe("defer-accept-no-data/client-silent", limit=30, wire=0.002)
def defer_silent(run):
    """TCP_DEFER_ACCEPT of three seconds, the client never writes: an empty connection is handed over at the end,
    and the server closes it.  Rule: linux-tcp.md 4.2: SA again at 3.02 s, accepted without data.
    defer-accept-no-data at every vantage."""
    listener = run.server.listen(80, options=[(*DEFER, 3)])
    sock = run.caller()
    sock.connect((SERVER, 80))
    peer, _ = listener.accept()
    time.sleep(2)
    peer.close()
    wait_until(lambda: sock.recv(1) == b"", 5)
    name = sock.getsockname()
    sock.close()
    run.connection(name, truth=["defer-accept-no-data"], accept=["defer-accept-no-data", "no-data", "defer-accept-wait"], outcome="completed", healthy=False)
    run.expect("server", TCPDeferAcceptDrop=1, TCPSynRetrans=1)
    run.hold(listener)


@recipe("defer-accept-no-data/old-drop", limit=40)
def defer_old_drop(run):
    """A kernel before 2.6.32 defers: the SYN-ACK repeats throughout, the client never writes, the request is dropped.
    Rule: linux-tcp.md 4.2 last paragraph, played by a raw peer; the client then closes and meets RST.
    Without data nothing tells this from a full accept queue: either is right."""
    talker, thread = el7_server(run, (0, 1.2, 3.4), 7.6, port=80)
    sock = run.caller()
    sock.connect((SERVER, 80))
    time.sleep(9)
    name = sock.getsockname()
    sock.close()
    time.sleep(0.5)
    run.connection(name, truth=["defer-accept-no-data"], accept=["accept-queue-overflow", "defer-accept-no-data", "handshake-ack-lost"],
                   outcome="handshake-failed")


@recipe("handshake-ack-lost/bare-ack", limit=20, wire=0.005)
def bare_ack_lost(run):
    """The third segment is lost, the client waits for the server to speak first; the SYN-ACK's repeat mends it.
    Rule: linux-tcp.md 3.3: repeat after 1 s, the duplicate ACK completes the handshake.
    At the server handshake-ack-lost (mended); healthy in the end."""
    lost = []

    def rule(frame):
        if frame.up and frame.tcp and not frame.tcp.has("S") and not lost:
            lost.append(1)
            frame.drop()
    run.wire.rule = rule
    listener = run.server.listen(25)
    sock = run.caller()
    sock.connect((SERVER, 25))
    peer, _ = listener.accept()
    peer.sendall(b"220 mail.example.com ready\r\n")
    sock.recv(100)
    sock.sendall(b"QUIT\r\n")
    peer.recv(100)
    peer.sendall(b"221 bye\r\n")
    sock.recv(100)
    name = sock.getsockname()
    end_both(run, sock, peer)
    run.connection(name, (SERVER, 25), truth=["handshake-ack-lost"], accept=["handshake-ack-lost", "packet-loss", "", "defer-accept-wait"])
    run.expect("server", TCPSynRetrans=1)
    run.hold(listener)


@recipe("handshake-ack-lost/everything-after-the-syn", limit=40, wire=0.005)
def all_lost(run):
    """Only the SYN gets through; whatever else the client sends is lost, and the SYN-ACK repeats.
    Rule: linux-tcp.md 3.3; the client's data goes unanswered by 8.3.
    handshake-ack-lost at the server, which saw nothing after the SYN; at the client it could be an overflow too."""
    run.client.tcp(retries2=3)
    run.server.tcp(synack_retries=2)

    def rule(frame):
        if frame.up and frame.tcp and not frame.tcp.has("S"):
            frame.drop()
    run.wire.rule = rule
    listener = run.server.listen(80)
    sock = run.caller()
    sock.connect((SERVER, 80))
    sock.sendall(request())
    fails(lambda: sock.recv(10), TimeoutError)
    time.sleep(2)
    run.connection(sock, (SERVER, 80), "handshake-ack-lost",
                   {"server": ["handshake-ack-lost", "client-vanished"], "*": ["handshake-ack-lost", AQ, "path-blackhole", "peer-unresponsive"]}, "handshake-failed")
    run.expect("server", TCPSynRetrans=2)
    run.hold(listener, sock)


@recipe("handshake-ack-lost/nat-drops-it", limit=30, offload=False)
def nat_drops_ack(run):
    """The NAT lets the SYN out and drops everything else of the connection on its way out.
    Rule: linux-tcp.md 3.3.
    handshake-ack-lost outside the NAT and at the server; inside an overflow would look the same."""
    run.client.tcp(retries2=3)
    run.server.tcp(synack_retries=2)
    run.router.drop_in('iifname "in" tcp flags & syn == 0', hook="forward")
    listener = run.server.listen(80)
    sock = run.caller()
    sock.connect((SERVER, 80))
    sock.sendall(request())
    fails(lambda: sock.recv(10), TimeoutError)
    time.sleep(1)
    run.connection(sock, (SERVER, 80), "handshake-ack-lost",
                   {"server": ["handshake-ack-lost", "client-vanished"], "nat-outside": ["handshake-ack-lost", "client-vanished"],
                    "*": ["handshake-ack-lost", AQ, "path-blackhole", "peer-unresponsive"]}, "handshake-failed")
    run.hold(listener, sock)


@recipe("connect-timeout/late-syn-ack", limit=20, wire=0.005)
def late_syn_ack(run):
    """The SYN-ACK takes two and a half seconds, the client's patience ends at 1.2 s: it is answered with RST.
    Rule: linux-tcp.md 8.4 and 7.2 N1: no socket any more, R seq=ack.
    connect-timeout at every vantage."""
    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.has("S"):
            frame.delay(2.5)
    run.wire.rule = rule
    listener = run.server.listen(80)
    sock = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1200)])
    fails(lambda: sock.connect((SERVER, 80)), TimeoutError)
    time.sleep(3)
    run.connection(sock, (SERVER, 80), "connect-timeout", ["connect-timeout"], "handshake-failed")
    run.expect("client", OutRsts=1)
    run.expect_reset("client", "NO_SOCKET")
    run.hold(listener)


@recipe("connect-timeout/application-closes", limit=20, wire=0.005, offload=False)
def application_closes(run):
    """The client's application closes its socket after 0.6 s; the SYN-ACK comes at 0.9 s and meets RST.
    Rule: linux-tcp.md 7.2 N1; a socket in SYN_SENT closes without a packet (7.1).
    connect-timeout at every vantage."""
    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.has("S"):
            frame.delay(0.9)
    run.wire.rule = rule
    listener = run.server.listen(80)
    sock = run.caller()
    name = sock.getsockname()
    sock.setblocking(False)
    sock.connect_ex((SERVER, 80))
    time.sleep(0.6)
    sock.close()
    time.sleep(1)
    run.connection(name, (SERVER, 80), "connect-timeout", ["connect-timeout", "client-aborted"], "handshake-failed")
    run.expect("client", OutRsts=1)
    run.hold(listener)


def old_connection(run, port, timestamps=False, sport=50999):
    """A raw client's connection that the server closes first: TIME_WAIT is at the server."""
    listener = run.server.listen(port)
    talker = Talker(run, "client", sport, SERVER, port, window=64240)
    stamp = lambda: packet.data_timestamps(int(time.monotonic() * 1000) & packet.MASK, talker.echo) if timestamps else b""
    talker.echo = 0
    options = packet.linux_syn_options(int(time.monotonic() * 1000) & packet.MASK if timestamps else None)
    talker.send("S", options=options)
    answer = talker.recv(has("S", "A"))
    talker.echo = packet.tsval_of(answer) or 0
    talker.options = stamp()
    talker.send("A")
    peer, _ = listener.accept()
    talker.send("PA", request())
    recv_until(peer)
    talker.recv(lambda s: not s.payload)
    peer.sendall(response(close=True))
    peer.close()
    talker.recv(data)
    talker.recv(has("F"))
    talker.send("FA", options=stamp())
    talker.recv(lambda s: s.ack == talker.seq)
    run.hold(listener)
    return listener, talker


@recipe("time-wait-syn-challenged/older-numbers", limit=20, offload=False)
def tw_challenged(run):
    """A client reuses its port with a lower sequence number while the server holds TIME_WAIT: a plain ACK of the
    old connection answers its SYN, the client resets it, the next SYN succeeds.
    Rule: linux-tcp.md 6.5 c1, then a1.  time-wait-syn-challenged at every vantage."""
    listener, old = old_connection(run, 80)
    time.sleep(0.6)
    again = Talker(run, "client", old.port, SERVER, 80, isn=(old.isn - 5_000_000) & packet.MASK, quiet=False)
    again.send("S", options=packet.linux_syn_options())
    challenge = again.recv(lambda s: s.flags == "A", take=False)
    again.send("R", seq=challenge.ack, window=0, advance=False, ip_id=0)
    time.sleep(0.02)
    again.seq = again.isn
    again.connect()
    peer, _ = listener.accept()
    again.send("PA", request())
    recv_until(peer)
    peer.sendall(response())
    again.recv(data)
    again.send("FA")
    wait_until(lambda: peer.recv(1) == b"", 5)
    peer.close()
    again.recv(has("F"))
    again.send("A")
    run.connection((CLIENT, old.port), (SERVER, 80), [], ["", "server-idle-close"])
    run.connection((CLIENT, old.port), (SERVER, 80), ["time-wait-syn-challenged"],
                   ["time-wait-syn-challenged", "half-open-challenged", "half-open"], "completed", healthy=False, occurrence=1)


@recipe("time-wait-syn-challenged/never-recovers", limit=30)
def tw_stuck(run):
    """The same, but the path loses the client's RST, so each SYN is answered by the same old ACK until it gives up.
    Rule: linux-tcp.md 6.5 c1: one answer per 500 ms at most.
    time-wait-syn-challenged at every vantage."""
    listener, old = old_connection(run, 80, sport=51001)
    time.sleep(0.6)
    run.hop.drop_in("tcp flags & rst == rst", hook="forward")
    again = Talker(run, "client", old.port, SERVER, 80, isn=(old.isn - 9_000_000) & packet.MASK, quiet=False)
    for wait in (1, 1, 1, 1):
        again.send("S", options=packet.linux_syn_options(), advance=False)
        challenge = again.recv(lambda s: s.flags == "A", take=False)
        again.send("R", seq=challenge.ack, window=0, advance=False, ip_id=0)
        time.sleep(wait)
    run.connection((CLIENT, old.port), (SERVER, 80), [], ["", "server-idle-close"])
    run.connection((CLIENT, old.port), (SERVER, 80), ["time-wait-syn-challenged"],
                   ["time-wait-syn-challenged", "half-open-challenged", "half-open"], "handshake-failed", occurrence=1)


@recipe("time-wait-reuse/kernel-client", limit=20, wire=0.002)
def tw_reuse(run):
    """The server closed first and holds TIME_WAIT; the client reuses its port with newer numbers and is let in.
    Rule: linux-tcp.md 6.5 b: SYN-ACK with ISN old snd_nxt+65537.
    Healthy twice; the second may carry time-wait-reuse."""
    listener = run.server.listen(80)
    for n in range(3):
        sock = run.caller(port=50777)
        sock.connect((SERVER, 80))
        peer, _ = listener.accept()
        run.exchange(sock, peer, answer=response(close=True))
        peer.close()
        wait_until(lambda: sock.recv(1) == b"", 5)
        sock.close()
        time.sleep(0.3)
        run.connection((CLIENT, 50777), truth=["time-wait-reuse"] if n else [], accept=["", "time-wait-reuse", "server-idle-close"], occurrence=n)
    run.hold(listener)


@recipe("time-wait-reuse/no-timestamps", limit=20, offload=False)
def tw_reuse_plain(run):
    """The same without timestamps: the higher sequence number alone decides.
    Rule: linux-tcp.md 6.5 b.
    Healthy twice."""
    run.client.tcp(timestamps=0)
    listener = run.server.listen(80)
    for n in range(2):
        sock = run.caller(port=50778)
        sock.connect((SERVER, 80))
        peer, _ = listener.accept()
        run.exchange(sock, peer, answer=response(close=True))
        peer.close()
        wait_until(lambda: sock.recv(1) == b"", 5)
        sock.close()
        time.sleep(0.3)
        run.connection((CLIENT, 50778), truth=["time-wait-reuse"] if n else [], accept=["", "time-wait-reuse", "server-idle-close"], occurrence=n)
    run.hold(listener)


def forget(host, sock, port):
    """The host loses the socket and no packet says so, as in a crash."""
    host.drop_in("tcp sport %d" % port, hook="output", table="crash")
    linger_zero(sock)
    sock.close()
    time.sleep(0.05)
    host.lift("crash")


RESTARTED = ["half-open-challenged", "client-restarted", "half-open", "peer-restarted", "client-aborted", "reset-after-close",
             "client-vanished", "linger-zero-abort"]
CHALLENGED = ["half-open-challenged", "client-restarted", "half-open"]


@recipe("half-open-challenged/fin-lost", limit=30, wire=0.003)
def half_open_challenged(run):
    """The client's FIN and RST never arrived, so the server still holds the connection when the port is used again:
    challenge ACK, RST, and the second SYN succeeds.
    Rule: linux-tcp.md 7.5 half-open discovery, 9.1 row 1.  half-open-challenged at every vantage."""
    listener = run.server.listen(80)
    sock = run.caller(port=50801)
    sock.connect((SERVER, 80))
    peer, _ = listener.accept()
    run.exchange(sock, peer)

    def rule(frame):
        if frame.up and frame.tcp and (frame.tcp.has("F") or frame.tcp.has("R")):
            frame.drop()
    run.wire.rule = rule
    sock.shutdown(socket.SHUT_WR)
    time.sleep(1)
    linger_zero(sock)
    sock.close()
    time.sleep(0.2)
    run.wire.rule = None
    again = run.caller(port=50801)
    again.connect((SERVER, 80))
    next_peer, _ = listener.accept()
    run.exchange(again, next_peer)
    end_both(run, again, next_peer)
    run.connection((CLIENT, 50801), truth=["half-open-challenged", "path-blackhole"],
                   accept={"server": ["half-open-challenged", "half-open", "client-restarted", "nat-port-collision", "client-vanished", "reset-after-close", "peer-restarted"],
                           "*": ["path-blackhole", "peer-unresponsive", "linger-zero-abort", "client-aborted", "reset-after-close", "half-open-challenged", "half-open", ""]},
                   outcome={"*": "reset"}, healthy=False)
    run.connection((CLIENT, 50801), truth=["half-open-challenged"], accept=CHALLENGED + ["nat-port-collision", "time-wait-syn-challenged"], healthy=False, occurrence=1)
    run.expect("server", TCPSYNChallenge=1, TCPChallengeACK=1)
    run.hold(listener, peer)


@recipe("client-restarted/same-port", limit=30, nat=False)
def client_restarted(run):
    """The client's host restarts without a packet and happens to use the same port for its next connection.
    Rule: linux-tcp.md 7.5: S, challenge ACK, R, S again, SA.
    client-restarted, or half-open-challenged: the wire shows no difference."""
    listener = run.server.listen(80)
    sock = run.caller(port=50802)
    sock.connect((SERVER, 80))
    peer, _ = listener.accept()
    run.exchange(sock, peer)
    forget(run.client, sock, 50802)
    time.sleep(1)
    again = run.caller(port=50802)
    again.connect((SERVER, 80))
    next_peer, _ = listener.accept()
    run.exchange(again, next_peer)
    end_both(run, again, next_peer)
    run.connection((CLIENT, 50802), truth=["client-restarted", "half-open-challenged"],
                   accept={"server": RESTARTED, "nat-outside": RESTARTED, "*": RESTARTED + ["", "idle-open"]}, outcome="reset", healthy=False)
    run.connection((CLIENT, 50802), truth=["client-restarted", "half-open-challenged"], accept=CHALLENGED + ["nat-port-collision", "time-wait-syn-challenged"], healthy=False, occurrence=1)
    run.expect("server", TCPSYNChallenge=1)
    run.hold(listener, peer)


@recipe("client-restarted/answers-with-reset", limit=30, wire=0.003)
def restarted_resets(run):
    """The client's host restarts without a packet; the server's next data meets a kernel that knows nothing.
    Rule: linux-tcp.md 7.2 N1: R seq=ack from the client.
    client-restarted or the generic half-open at every vantage."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    forget(run.client, client, name[1])
    time.sleep(3)
    server.sendall(filler(300))
    fails(lambda: server.recv(10), ConnectionResetError)
    run.connection(name, truth=["client-restarted"], accept=["client-restarted", "half-open", "peer-restarted", "client-aborted", "data-after-close", "client-closed-early"], outcome="reset")
    run.expect_reset("client", "NO_SOCKET")
    run.hold(server)


@recipe("nat-port-collision/entry-lost", limit=30, clients=2)
def port_collision(run):
    """The NAT forgets an idle connection and gives its outside port to another client; the server still holds it.
    Rule: linux-tcp.md 7.5: challenge ACK with the old numbers, R, then S again succeeds.
    nat-port-collision at the server (TTL and options may agree: half-open-challenged is honest)."""
    listener = run.server.listen(80)
    sock = run.caller(port=50803)
    sock.connect((SERVER, 80))
    peer, _ = listener.accept()
    run.exchange(sock, peer)
    run.router.run("conntrack", "-F")
    time.sleep(1)
    other = run.caller(host=run.client2, port=50803)
    other.connect((SERVER, 80))
    next_peer, _ = listener.accept()
    run.exchange(other, next_peer)
    name = other.getsockname()
    end_both(run, other, next_peer)
    run.connection((CLIENT, 50803), truth=["nat-port-collision"],
                   accept={"client": ["", "idle-open"], "nat-inside": ["", "idle-open"],
                           "*": ["nat-port-collision", "half-open-challenged", "half-open", "client-restarted", "peer-restarted", "client-aborted", "reset-after-close", "client-vanished"]},
                   outcome={"client": "open", "nat-inside": "open", "*": "reset"}, healthy=False)
    both = {point: ((ROUTER_OUT, 50803), (SERVER, 80)) for point in ("nat-outside", "server")}
    both["nat-inside"] = ((CLIENT2, 50803), (SERVER, 80))
    run.connection((CLIENT2, 50803), truth=["nat-port-collision"], accept=["nat-port-collision", *CHALLENGED, "time-wait-syn-challenged"], healthy=False,
                   at={"nat-inside": both["nat-inside"]})
    run.connection((CLIENT2, 50803), truth=["nat-port-collision"], accept=["nat-port-collision", *CHALLENGED, "time-wait-syn-challenged"], healthy=False,
                   at={k: v for k, v in both.items() if k != "nat-inside"}, occurrence=1)
    run.expect("server", TCPSYNChallenge=1)
    run.hold(listener, sock, peer)


@recipe("syncookie-options-lost/always-cookies", limit=20, offload=False)
def cookies_always(run):
    """syncookies=2 and a client without timestamps: the SYN-ACK has an MSS only, window scale and SACK are lost.
    Rule: linux-tcp.md 5.3 and 12.7 M2.
    Healthy; syncookie-options-lost as a note."""
    run.client.tcp(timestamps=0)
    run.server.tcp(syncookies=2)
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server, answer=response(20000))
    end_both(run, client, server)
    run.connection(name, truth=["syncookie-options-lost"], accept=["", "syncookie-options-lost"])
    run.expect("server", SyncookiesSent=1, SyncookiesRecv=1)


@recipe("syncookie-options-lost/with-timestamps", limit=20)
def cookies_timestamps(run):
    """syncookies=2 and a client with timestamps: the options survive in the timestamp.
    Rule: linux-tcp.md 5.3 row 2.
    Healthy, nothing to say."""
    run.server.tcp(syncookies=2)
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server, answer=response(20000))
    end_both(run, client, server)
    run.connection(name, truth=[], accept=["", "syncookie-options-lost"])
    run.expect("server", SyncookiesSent=1, SyncookiesRecv=1)


@recipe("simultaneous-open/two-callers", limit=20, nat=False, wire=0.050)
def simultaneous(run):
    """Both ends call connect() at once; the SYNs cross and one connection comes of it.
    Rule: linux-tcp.md 9.1 row 7, 9.4.
    Healthy; simultaneous-open as a note."""
    client, server = run.caller(port=7001), run.server.socket()
    server.bind((SERVER, 7002))
    for sock, target in ((client, (SERVER, 7002)), (server, (CLIENT, 7001))):
        sock.setblocking(False)
        sock.connect_ex(target)
    wait_until(lambda: tcp_state(client) == ESTABLISHED and tcp_state(server) == ESTABLISHED, 10)
    for sock in (client, server):
        sock.setblocking(True)
        sock.settimeout(10)
    client.sendall(b"one\n")
    server.recv(10)
    server.sendall(b"two\n")
    client.recv(10)
    name = client.getsockname()
    end_both(run, client, server)
    # Who sent the SYN that a vantage sees first is its client.
    ours, theirs = (CLIENT, 7001), (SERVER, 7002)
    at = {point: (ours, theirs) for point in ("client", "nat-inside", "nat-outside")}
    run.connection(name, (SERVER, 7002), truth=["simultaneous-open"], accept=["", "simultaneous-open"],
                   at={**at, "server": (theirs, ours)})
