"""What is seen more rarely: broken devices, options, numbers, and populations."""

import socket
import struct
import threading
import time

import packet
from net import CLIENT, CLIENT2, SERVER
from raw import Talker, data, has
from run import (Failed, fails, filler, recipe, recv_exact, recv_response, recv_until, request, response,
                 wait_until)
from recipes.handshake import end_both
from recipes.healthy import send_all
from recipes.network import PEER_SILENT, WAITED, Watch


def without_options(segment, *kinds):
    """The options of a segment with some replaced by NOPs, as devices do it."""
    return b"".join(packet.NOP * len(whole) if kind in kinds else whole
                    for kind, whole in packet.split_options(segment.options))


def strip(run, kinds, up=None, flags="S"):
    def rule(frame):
        if frame.tcp and frame.tcp.has(flags) and (up is None or frame.up == up):
            frame.rewrite(options=without_options(frame.tcp, *kinds))
    run.wire.rule = rule


# ACK numbers -----------------------------------------------------------------------------

REWRITTEN = ["ack-number-rewritten", "unacceptable-ack"]


@recipe("ack-number-rewritten/first-data-deferred", limit=40, wire=0.010, offload=False)
def rewritten_deferred(run):
    """A balancer spoils the ACK number of the request on a connection the server still defers: R seq=that number,
    again and again; the client repeats its data and gives up.
    Rule: linux-tcp.md 12.3, 9.2 row 2, 7.4.  ack-number-rewritten at the server, or unacceptable-ack; the NAT's
    connection tracking swallows the strange RST, so inside the server is merely silent."""
    run.client.tcp(retries2=4)
    listener = run.server.listen(80, options=[(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10)])

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.payload:
            frame.rewrite(ack=(frame.tcp.ack - 855_607_596) & packet.MASK)
    client = run.caller()
    client.connect((SERVER, 80))
    time.sleep(0.08)
    run.wire.rule = rule
    client.sendall(request())
    fails(lambda: client.recv(10), TimeoutError, ConnectionResetError)
    inside = WAITED + ["peer-vanished", "host-dropped", "accept-queue-overflow", "handshake-ack-lost"]
    run.connection(client, truth="ack-number-rewritten", outcome="handshake-failed",
                   accept={"server": REWRITTEN, "nat-outside": REWRITTEN + WAITED + ["forged-reset", "reset-by-network"],
                           "client": inside, "nat-inside": inside})
    run.expect("server", OutRsts=3)
    run.expect_reset("server", "TCP_FLAGS")
    run.hold(client, listener)


@recipe("ack-number-rewritten/el6-web-server", limit=40, wire=0.008, nat=False)
def rewritten_el6(run):
    """The article's trace: el6 with TCP_DEFER_ACCEPT, SYN-ACK again after 1.3 s, GET with ACK 2106390967 after 1.5 s,
    RST with that number, the client ignores it, repeats, and closes.
    Rule: linux-tcp.md 12.3, played by a raw server.  ack-number-rewritten or unacceptable-ack."""
    run.client.tcp(retries2=4)
    talker = Talker(run, "server", 80, window=14480, isn=2962498562)

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.payload:
            frame.rewrite(ack=2106390967)
    client = run.caller()
    client.setblocking(False)
    client.connect_ex((SERVER, 80))
    syn = talker.recv(has("S"))
    value = packet.tsval_of(syn)
    options = packet.mss(1460) + packet.SACK_OK + packet.timestamps(88_000, value) + packet.NOP + packet.wscale(7)
    talker.send("SA", options=options, ip_id=0)
    client.setblocking(True)
    client.settimeout(12)
    start = time.monotonic()
    talker.silent(1.3)
    talker.send("SA", options=options, seq=talker.isn, advance=False, ip_id=0)
    talker.silent(max(0, start + 1.5 - time.monotonic()))
    run.wire.rule = rule
    client.sendall(request())
    end = time.monotonic() + 6
    while time.monotonic() < end:
        try:
            heard = talker.recv(timeout=1, take=False)
        except Failed:
            continue
        if heard.payload:
            talker.send("R", seq=heard.ack, ack=0, window=0, options=b"", ip_id=0, advance=False)
    client.shutdown(socket.SHUT_WR)
    time.sleep(1)
    run.connection(client, truth="ack-number-rewritten", accept=REWRITTEN, outcome="handshake-failed")
    run.hold(client)


@recipe("ack-number-rewritten/syn-ack", limit=30, inner_wire=0.006)
def rewritten_synack(run):
    """A device between client and NAT changes the ACK number of the SYN-ACK; the client resets that number and goes on asking.
    Rule: linux-tcp.md 9.1 row 1: R seq=ack, socket stays, connect() goes on.
    ack-number-rewritten or unacceptable-ack at the client; elsewhere a SYN-ACK that never takes effect."""
    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.flags == "SA":
            frame.rewrite(ack=(frame.tcp.ack + 100_000) & packet.MASK)
    run.inner.rule = rule
    listener = run.server.listen(80)
    client = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
    fails(lambda: client.connect((SERVER, 80)), TimeoutError)
    run.connection(client, truth="ack-number-rewritten",
                   accept={"client": REWRITTEN, "*": REWRITTEN + ["forged-reset", "syn-ack-lost", "client-aborted", "connect-timeout", "reset-by-network", "handshake-ack-lost"]}, outcome="handshake-failed")
    run.expect("client", OutRsts=1)
    run.hold(listener)


@recipe("ack-number-rewritten/established-upwards", limit=30, wire=0.006, offload=False)
def rewritten_up(run):
    """On an established connection a device moves the client's ACK numbers past what was ever sent.
    Rule: linux-tcp.md 9.3 row 6: 6.18.44 drops the segment and challenges; older kernels are silent.
    ack-number-rewritten or unacceptable-ack at the server; inside, data is answered by plain ACKs only."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)

    def rule(frame):
        if frame.up and frame.tcp:
            frame.rewrite(ack=(frame.tcp.ack + 5_000_000) & packet.MASK)
    run.wire.rule = rule
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="ack-number-rewritten",
                   accept={"server": REWRITTEN, "*": REWRITTEN + ["host-dropped", "stalled", *WAITED]}, outcome="timed-out")
    run.expect("server", TCPChallengeACK=1)
    run.hold(client, server)


@recipe("unacceptable-ack/stray-segment", limit=30)
def stray_ack(run):
    """A half-open request gets an ACK with a number nobody sent, then the right one: R, and the connection all the same.
    Rule: linux-tcp.md 12.7 M7.
    unacceptable-ack: who made the number cannot be told."""
    listener = run.server.listen(80)
    talker = Talker(run, "client", 50160, SERVER, 80)
    talker.send("S", options=packet.linux_syn_options())
    answer = talker.recv(has("S", "A"))
    for n in range(2):
        talker.send("A", ack=(answer.seq + 778 + n) & packet.MASK, advance=False)
        talker.recv(has("R"), take=False)
        time.sleep(0.3)
    talker.send("RA", advance=False)
    time.sleep(0.5)
    run.connection((CLIENT, 50160), truth="unacceptable-ack", accept=REWRITTEN, outcome="handshake-failed")
    run.expect_reset("server", "TCP_FLAGS")
    run.hold(listener)


# Options --------------------------------------------------------------------------------

@recipe("options-stripped/window-scale-of-the-syn-ack", limit=60, wire=0.010, offload=False, snaplen=128)
def stripped_scale(run):
    """A device removes the window scale from the SYN-ACK only: the client reads the server's scaled windows as bytes
    and sends at a crawl.  Rule: RFC 7323 2.2: scaling holds only if both SYNs carry it.
    options-stripped where both versions or the crawl are seen; nothing failed outright."""
    strip(run, {3}, up=False)
    client, server = run.pair()
    thread = send_all(client, request("/up", size=4000))
    deadline = time.monotonic() + 25
    got = 0
    server.settimeout(1)
    while time.monotonic() < deadline and got < 4000:
        try:
            got += len(server.recv(65536))
        except TimeoutError:
            pass
    run.connection(client, truth="options-stripped", accept=["options-stripped", "stalled", "zero-window-stall", "", "idle-open", "slow-response", "packet-loss"], outcome="open", healthy=False)
    run.hold(client, server)


@recipe("options-stripped/window-scale-download", limit=60, wire=0.005, offload=False, snaplen=128)
def stripped_scale_down(run):
    """The same during a download: the server takes the client's windows a thousand times too large and overruns it.
    Rule: RFC 7323 2.2; BeyondWindow at the client.
    options-stripped, or what it looks like: losses at the receiver."""
    strip(run, {3}, up=False)
    client, server = run.pair(client_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)])
    client.sendall(request("/big"))
    recv_until(server)
    thread = send_all(server, response(300_000))
    time.sleep(6)
    client.settimeout(10)
    try:
        recv_response(client)
    except (Failed, OSError):
        pass
    run.connection(client, truth="options-stripped", accept=["options-stripped", "packet-loss", "", "stalled", "host-dropped", "zero-window-stall", "idle-open", PEER_SILENT, "path-blackhole"], outcome="open", healthy=False)
    run.hold(client, server)


@recipe("options-stripped/timestamps-in-mid-stream", limit=40, wire=0.006, offload=False)
def stripped_timestamps(run):
    """A device removes timestamps from every segment of the client except its SYN.
    Rule: RFC 7323 3.2: once negotiated, segments without are accepted by Linux.
    options-stripped at the server; the exchange completes."""
    strip(run, {8}, up=True, flags="A")
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth="options-stripped", accept={"*": ["", "options-stripped"]}, outcome="completed")


@recipe("healthy/options-removed-both-ways", limit=40, wire=0.006, offload=False)
def stripped_all(run):
    """A device removes window scale, SACK and timestamps from both SYNs alike: the ends agree on less and are content.
    Rule: RFC 7323 2.2.
    Healthy; nothing failed."""
    strip(run, {3, 4, 8})
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server, answer=response(5000))
    end_both(run, client, server)
    run.connection(name, truth=[], accept=["", "options-stripped"])


@recipe("conflicting-syn-acks/syn-proxy", limit=30, wire=0.010)
def syn_proxy(run):
    """A SYN proxy answers first with a number of its own and lets the SYN pass as well: two SYN-ACKs for one SYN.
    The client's ACK fits the proxy's, not the server's, which resets.
    Rule: linux-tcp.md 9.2 row 2.  conflicting-syn-acks before the proxy; unacceptable-ack at the server."""
    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.flags == "S":
            syn = frame.tcp
            run.wire.inject(packet.Segment(syn.dst, syn.src, syn.dport, syn.sport, 305_419_896, syn.end, "SA", 5840,
                                           packet.mss(1380), ttl=250), up=False)
    run.wire.rule = rule
    listener = run.server.listen(80)
    client = run.caller()
    client.connect((SERVER, 80))
    client.send(request())
    fails(lambda: client.recv(10), ConnectionResetError)
    run.connection(client, truth="conflicting-syn-acks",
                   accept={"server": ["unacceptable-ack", "ack-number-rewritten", "conflicting-syn-acks"], "*": ["conflicting-syn-acks"]}, outcome={"server": "handshake-failed", "*": "reset"})
    run.expect("server", OutRsts=1)
    run.hold(client, listener)


@recipe("conflicting-syn-acks/two-servers", limit=30, wire=0.010, offload=False)
def two_servers(run):
    """Two hosts claim one address: each answers the SYN with its own number, the slower one is challenged.
    Rule: linux-tcp.md 7.5: a SYN-ACK in a connection is challenged; the second host answers the challenge with RST.
    conflicting-syn-acks before the place where they part; the true server sees a healthy start and a stranger's reset."""
    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.flags == "S":
            syn = frame.tcp
            run.wire.inject(packet.Segment(syn.dst, syn.src, syn.dport, syn.sport, 987_654_321, syn.end, "SA", 64240,
                                           packet.linux_syn_options(), ttl=128), up=False, after=0.060)
        elif frame.up and frame.tcp and frame.tcp.has("A") and frame.tcp.ack == 987_654_322:
            frame.drop()
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    time.sleep(0.2)
    run.exchange(client, server)
    end_both(run, client, server)
    run.connection(name, truth="conflicting-syn-acks", accept={"server": ["", "conflicting-syn-acks"], "*": ["conflicting-syn-acks", ""]}, outcome="completed")
    run.expect("client", TCPChallengeACK=1)


TCP_MD5SIG = 14


def md5_key(address, key):
    """struct tcp_md5sig of linux/tcp.h: address, flags, prefix length, key length, interface, key."""
    storage = struct.pack("=H", socket.AF_INET) + b"\0\0" + socket.inet_aton(address)
    return storage.ljust(128, b"\0") + struct.pack("=BBHI", 0, 0, len(key), 0) + key.ljust(80, b"\0")


@recipe("authentication-mismatch/server-wants-md5", limit=30, nat=False)
def md5_missing(run):
    """The server expects TCP-MD5 from this client, the client knows nothing of it: its SYNs are dropped silently.
    Rule: linux-tcp.md 7.2, signatures: dropped without RST; drop reason TCP_MD5NOTFOUND.
    Without an option on the wire this is syn-unanswered everywhere."""
    listener = run.server.listen(179)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(CLIENT, b"secret"))
    client = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
    fails(lambda: client.connect((SERVER, 179)), TimeoutError)
    run.connection(client, (SERVER, 179), "authentication-mismatch", ["syn-unanswered", "authentication-mismatch"], "unanswered")
    run.expect("server", TCPMD5NotFound=3)
    run.hold(listener)


@recipe("authentication-mismatch/different-keys", limit=30, nat=False, offload=False)
def md5_keys(run):
    """Both sides use TCP-MD5, with different keys.
    Rule: dropped without RST; TCPMD5Failure.
    authentication-mismatch, since the SYNs carry the option and get no answer."""
    listener = run.server.listen(179)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(CLIENT, b"secret"))
    client = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
    client.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(SERVER, b"another"))
    fails(lambda: client.connect((SERVER, 179)), TimeoutError)
    run.connection(client, (SERVER, 179), "authentication-mismatch", ["authentication-mismatch", "syn-unanswered"], "unanswered")
    run.expect("server", TCPMD5Failure=3)
    run.hold(listener)


@recipe("authentication-mismatch/nat-breaks-md5", limit=30)
def md5_nat(run):
    """Both sides know the key, and the NAT changes the addresses the signature covers.
    Rule: RFC 2385 2.0: the pseudo-header is signed.
    authentication-mismatch: option present, no answer."""
    from net import ROUTER_OUT
    listener = run.server.listen(179)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(ROUTER_OUT, b"secret"))
    client = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
    client.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(SERVER, b"secret"))
    fails(lambda: client.connect((SERVER, 179)), TimeoutError)
    run.connection(client, (SERVER, 179), "authentication-mismatch", ["authentication-mismatch", "syn-unanswered"], "unanswered")
    run.expect("server", TCPMD5Failure=3)
    run.hold(listener)


@recipe("healthy/md5-signed", limit=30, nat=False)
def md5_good(run):
    """A BGP-like session with TCP-MD5 and the same key on both sides.
    Rule: RFC 2385.
    Healthy, no diagnosis."""
    listener = run.server.listen(179)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(CLIENT, b"secret"))
    client = run.caller()
    client.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(SERVER, b"secret"))
    client.connect((SERVER, 179))
    server, _ = listener.accept()
    client.sendall(filler(60))
    recv_exact(server, 60)
    server.sendall(filler(60))
    recv_exact(client, 60)
    name = client.getsockname()
    end_both(run, client, server)
    run.connection(name, (SERVER, 179), [], [""])
    run.hold(listener)


@recipe("fast-open-blackhole/syn-with-data-lost", limit=30, wire=0.010)
def fast_open_blackhole(run):
    """A firewall drops SYNs that carry data; the plain SYN that follows is answered.
    Rule: RFC 7413 4.1.3; the kernel falls back.
    fast-open-blackhole before the firewall; behind it an ordinary connection."""
    run.client.tcp(fastopen=1)
    run.server.tcp(fastopen=2)
    listener = run.server.listen(80, options=[(socket.IPPROTO_TCP, 23, 16)])

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.has("S") and frame.tcp.payload:
            frame.drop()
    run.wire.rule = rule
    for n in range(2):
        client = run.caller()
        client.settimeout(None)
        client.sendto(request(), 0x20000000, (SERVER, 80))
        server, _ = listener.accept()
        recv_until(server)
        server.sendall(response())
        recv_response(client)
        name = client.getsockname()
        end_both(run, client, server)
        run.connection(name, truth=["fast-open-blackhole"] if n else [],
                       accept={"server": [""], "*": ["fast-open-blackhole", "packet-loss", ""]} if n else [""], outcome="completed")
    run.expect("client", TCPFastOpenActiveFail=1)
    run.hold(listener)


@recipe("injected-data/forged-redirect", limit=30, wire=0.020, offload=False)
def injected(run):
    """A device answers a request in the server's name before the server can; the true answer claims the same numbers.
    Rule: two payloads for one sequence range; TTL and IP ID unlike the server's.
    injected-data before the device; the server sees a client that acknowledges more than was sent."""
    fake = b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n"
    fired = []

    def also(frame):
        if frame.up and frame.tcp and b"GET /secret" in frame.tcp.payload and not fired:
            fired.append(1)
            ask = frame.tcp
            run.wire.inject(packet.Segment(ask.dst, ask.src, ask.dport, ask.sport, ask.ack, ask.end, "PA", 500,
                                           b"", fake, 101, 54321), up=False)
    watch = Watch(run, also)
    run.client.tcp(timestamps=0)
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request("/secret"))
    recv_until(server)
    server.sendall(response(300))
    head = recv_until(client)
    time.sleep(0.5)
    run.connection(client, truth="injected-data",
                   accept={"server": ["injected-data", "unacceptable-ack", "ack-number-rewritten", "", "idle-open", "host-dropped", "client-vanished", "packet-loss"], "*": ["injected-data"]}, outcome="open", healthy=False)
    run.hold(client, server)


@recipe("injected-data/keeps-the-connection", limit=30, wire=0.020)
def injected_more(run):
    """Text is slipped into a download in place of a part of the same length: the receiver keeps what came first.
    Rule: two payloads for one sequence range.
    injected-data before the device; the server notices nothing."""
    fired = []

    def also(frame):
        if frame.up and frame.tcp and b"GET /page" in frame.tcp.payload and not fired:
            fired.append(1)
            ask = frame.tcp
            ghost = response(200).replace(b"filler", b"hacked")
            run.wire.inject(packet.Segment(ask.dst, ask.src, ask.dport, ask.sport, ask.ack, ask.end, "PA", 64,
                                           packet.data_timestamps(packet.tsval_of(watch.last[False]) if False in watch.last else 1,
                                                                  packet.tsval_of(ask)), ghost, 49, 777), up=False)
    watch = Watch(run, also)
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request("/page"))
    recv_until(server)
    server.sendall(response(200))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth="injected-data", accept={"server": ["", "injected-data", "unacceptable-ack", "packet-loss"], "*": ["injected-data"]}, outcome="completed", healthy=False)


# Populations ---------------------------------------------------------------------------------

@recipe("client-connection-limit/browser-six", limit=40, wire=0.004)
def browser_six(run):
    """A browser fetches 48 small things of 100 ms each through six connections: a plateau of six, nothing fails.
    Rule: linux-tcp.md 12.5 last paragraph.
    Healthy; client-connection-limit as a finding."""
    listener = run.server.listen(80)
    pairs = [run.pair(listener=listener) for _ in range(6)]

    def fetch(client, server, count):
        for n in range(count):
            client.sendall(request("/%d" % n))
            recv_until(server)
            time.sleep(0.1)
            server.sendall(response(150))
            recv_response(client)
    threads = [threading.Thread(target=fetch, args=(c, s, 8)) for c, s in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for client, server in pairs:
        name = client.getsockname()
        end_both(run, client, server)
        run.connection(name, truth=[], accept=[""])
    run.populations = ["client-connection-limit"]
    run.hold(listener)


@recipe("port-exhaustion/few-ports", limit=40, nat=False)
def port_exhaustion(run):
    """A client with twenty ports opens and closes connections to one server faster than TIME_WAIT frees them.
    Rule: linux-tcp.md 6.6: with tcp_tw_reuse the 4-tuples come round; without, EADDRNOTAVAIL.
    Healthy connections; port-exhaustion as a finding: every port is used again within seconds."""
    run.client.sysctl(net_ipv4_ip_local_port_range="50000 50019")
    run.client.tcp(tw_reuse=1)
    listener = run.server.listen(80)
    names, missing = [], 0
    for n in range(64):
        client = run.client.socket()
        try:
            client.connect((SERVER, 80))
        except OSError:
            missing += 1
            client.close()
            time.sleep(0.6)
            continue
        server, _ = listener.accept()
        names.append(client.getsockname())
        client.sendall(b"ping")
        recv_exact(server, 4)
        server.sendall(b"pong")
        recv_exact(client, 4)
        client.close()
        wait_until(lambda: server.recv(1) == b"", 5)
        server.close()
    seen = {}
    for name in names:
        n = seen.get(name, 0)
        seen[name] = n + 1
        run.connection(name, truth=["time-wait-reuse"] if n else [], accept=["", "time-wait-reuse"], occurrence=n)
    if not missing or max(seen.values()) < 2:
        raise Failed("ports did not run out: %d refused, %d uses" % (missing, max(seen.values())))
    run.populations = ["port-exhaustion"]
    run.hold(listener)


@recipe("nat-address-sharing/two-hosts", limit=30, clients=2)
def address_sharing(run):
    """A Linux and a Windows-like host share one address: TTL 63 and 127, different option orders.
    Rule: linux-tcp.md 11.
    Healthy; nat-address-sharing as a finding outside the NAT."""
    listener = run.server.listen(80)
    for n in range(3):
        client, server = run.pair(listener=listener)
        name = client.getsockname()
        run.exchange(client, server)
        end_both(run, client, server)
        run.connection(name, truth=[], accept=[""])
        talker = Talker(run, "client2", 50170 + n, SERVER, 80, ttl=128)
        talker.connect(packet.windows_syn_options())
        peer, _ = listener.accept()
        talker.send("PA", request())
        recv_until(peer)
        peer.sendall(response())
        talker.recv(data)
        talker.send("A")
        talker.send("FA")
        wait_until(lambda: peer.recv(1) == b"", 5)
        peer.close()
        talker.recv(has("F"))
        talker.send("A")
        run.connection((CLIENT2, 50170 + n), truth=[], accept=[""])
    run.populations = ["nat-address-sharing"]
    run.hold(listener)


@recipe("idle-timer/twenty-connections", limit=60, wire=0.012)
def idle_timer(run):
    """Twenty keep-alive connections, each closed by the server after five idle seconds; clients reuse at random and
    three lose the race.  Rule: linux-tcp.md 12.1.
    Healthy but for three keepalive-races; idle-timer as a finding: five seconds at the server."""
    listener = run.server.listen(80)
    events, pool = [], []
    for n in range(20):
        client, server = run.pair(listener=listener)
        run.exchange(client, server)
        pool.append((client, server, time.monotonic() + 5))
        time.sleep(0.05)
    for n, (client, server, at) in enumerate(pool):
        time.sleep(max(0, at - time.monotonic()))
        name = client.getsockname()
        server.close()
        if n in (4, 9, 15):
            client.sendall(request("/next"))
            run.connection(name, truth="keepalive-race", accept=["keepalive-race"], outcome="reset")
            run.hold(client)
        else:
            wait_until(lambda: client.recv(1) == b"", 5)
            client.close()
            run.connection(name, truth=["server-idle-close"], accept=["", "server-idle-close"])
    time.sleep(0.3)
    run.populations = ["idle-timer"]
    run.hold(listener)
