"""SYNs that get no answer, for every reason there is."""

import os
import socket
import time

import packet
from capture import read_pcap
from net import CLIENT, SERVER, SERVER6
from raw import Talker, has
from run import Failed, fails, recipe, recv_response, recv_until, request, response, wait_until
from recipes.refused import reference

SYN_RETRIES = (socket.IPPROTO_TCP, socket.TCP_SYNCNT, 2)
UNANSWERED = "syn-unanswered"


def unanswered(run, cause, accept, port=8443, v6=False, retries=2, **more):
    """One connect() that times out."""
    sock = run.caller(v6=v6, options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, retries)])
    fails(lambda: sock.connect((SERVER6 if v6 else SERVER, port)), TimeoutError)
    run.connection(sock, (SERVER6 if v6 else SERVER, port), cause, accept, "unanswered", **more)
    return sock


@recipe("syn-dropped-on-path/filter", limit=20)
def on_path(run):
    """A filter between the NAT and the server drops SYNs to one port without a word.
    Rule: linux-tcp.md 8.2: SYNs at 0 1 2 3 4 5 s, ETIMEDOUT at 7 with TCP_SYNCNT 2.
    syn-unanswered at the three points before the filter; the connection is not in the server's capture."""
    run.hop.drop_in("tcp dport 8443", hook="forward")
    unanswered(run, "syn-dropped-on-path", [UNANSWERED, "syn-dropped-on-path"])
    run.expect("client", TCPSynRetrans=5, TCPAbortOnTimeout=1)


@recipe("syn-dropped-on-path/before-router", limit=20, offload=False)
def before_router(run):
    """The NAT router itself drops the SYNs while another port works.
    Rule: linux-tcp.md 8.2.
    syn-unanswered at the client and inside the NAT; nothing of it is seen outside."""
    reference(run)
    run.router.drop_in("tcp dport 8443", hook="forward")
    unanswered(run, "syn-dropped-on-path", [UNANSWERED, "syn-dropped-on-path"], retries=1)


@recipe("syn-dropped-on-path/v6", limit=20, wire=0.010)
def on_path_v6(run):
    """The same over IPv6 on a path of 20 ms.
    Rule: linux-tcp.md 8.2.
    syn-unanswered at the three points before the filter."""
    run.hop.drop_in("tcp dport 8443", hook="forward")
    unanswered(run, "syn-dropped-on-path", [UNANSWERED, "syn-dropped-on-path"], v6=True, retries=1)


@recipe("syn-dropped-on-path/default-timing", limit=150)
def default_timing(run):
    """The same with the kernel's default: eleven SYNs in two minutes.
    Rule: linux-tcp.md 8.2: SYNs at 0 1 2 3 4 5 7 11 19 35 67 s, ETIMEDOUT at 131.
    syn-unanswered at the three points before the filter."""
    run.hop.drop_in("tcp dport 8443", hook="forward")
    sock = run.caller()
    sock.settimeout(None)
    fails(lambda: sock.connect((SERVER, 8443)), TimeoutError)
    run.connection(sock, (SERVER, 8443), "syn-dropped-on-path", [UNANSWERED, "syn-dropped-on-path"], "unanswered")


@recipe("syn-dropped-by-host-filter/input-drop", limit=20)
def host_filter(run):
    """The SYNs arrive and the server's own packet filter drops them.
    Rule: linux-tcp.md 2.2: a listener never refuses; drop reason NETFILTER_DROP.
    syn-unanswered everywhere; at the server it is seen that they arrived, not by whom they were dropped."""
    listener = run.server.listen(8443)
    run.server.drop_in("tcp dport 8443", hook="input")
    unanswered(run, "syn-dropped-by-host-filter", [UNANSWERED, "syn-dropped-by-host-filter"])
    run.expect_drop("server", "NETFILTER_DROP")
    run.hold(listener)


@recipe("syn-dropped-by-host-filter/one-source", limit=20, clients=2, nat=False)
def one_source(run):
    """The server's filter drops one client's SYNs and lets another client in, at the same moment.
    Rule: as above.
    syn-unanswered for the one, healthy for the other."""
    run.server.drop_in("ip saddr %s tcp dport 80" % CLIENT, hook="input")
    listener = run.server.listen(80)
    other, peer = run.pair(listener=listener, host=run.client2)
    name = other.getsockname()
    run.exchange(other, peer)
    other.close()
    wait_until(lambda: peer.recv(1) == b"", 5)
    peer.close()
    run.connection(name, (SERVER, 80), [], [""])
    unanswered(run, "syn-dropped-by-host-filter", [UNANSWERED, "syn-dropped-by-host-filter"], port=80, retries=1)
    run.hold(listener)


@recipe("syn-ack-lost/return-path", limit=20, wire=0.005)
def return_path(run):
    """The server answers every SYN and the return path loses every answer.
    Rule: linux-tcp.md 2.5: a repeated SYN gets the same SYN-ACK again; 3.3 the timer repeats it too.
    syn-ack-lost at the server, where both are seen; syn-unanswered at the client and the NAT."""
    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.has("S"):
            frame.drop()
    run.wire.rule = rule
    listener = run.server.listen(8443)
    unanswered(run, "syn-ack-lost", {"server": ["syn-ack-lost"], "*": [UNANSWERED, "syn-ack-lost"]})
    run.expect("server", TCPSynRetrans=3)
    run.hold(listener)


@recipe("syn-ack-lost/nat-drops-answer", limit=20, offload=False)
def nat_drops(run):
    """The NAT router drops the server's answers: outside they are seen, inside not.
    Rule: linux-tcp.md 2.5 and 3.3.
    syn-ack-lost at the server and outside the NAT; syn-unanswered at the client and inside."""
    run.router.drop_in("tcp sport 8443", hook="forward")
    listener = run.server.listen(8443)
    unanswered(run, "syn-ack-lost", {"server": ["syn-ack-lost"], "nat-outside": ["syn-ack-lost"],
                                     "*": [UNANSWERED, "syn-ack-lost"]})
    run.hold(listener)


@recipe("syn-ack-lost/twice-then-through", limit=20, wire=0.005)
def twice(run):
    """The first two SYN-ACKs are lost, the third arrives, and the exchange completes.
    Rule: linux-tcp.md 8.2 and 2.5.
    Nothing failed: healthy everywhere, with at most a note about loss."""
    seen = []

    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.has("S") and len(seen) < 2:
            seen.append(1)
            frame.drop()
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    client.close()
    wait_until(lambda: server.recv(1) == b"", 5)
    server.close()
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss", "path-delay-spike"])


@recipe("syn-queue-overflow/listen-1", limit=30)
def queue_overflow(run):
    """Two half-open requests fill the SYN queue of listen(1), syncookies are off: every other SYN is dropped.
    Rule: linux-tcp.md 1.3 (6.18 holds L+1) and 2.2 step 2: TCPReqQFullDrop and ListenDrops, no answer.
    syn-unanswered at the client; syn-queue-overflow at the server, where other SYNs wait half-open."""
    run.server.tcp(syncookies=0)
    listener = run.server.listen(8888, backlog=1)
    fill = [Talker(run, "client", 1433 + n, SERVER, 8888, window=512) for n in range(2)]
    for talker in fill:
        talker.send("S", options=b"")
        talker.recv(has("S", "A"))
    for _ in range(3):
        unanswered(run, "syn-queue-overflow", {"server": ["syn-queue-overflow", UNANSWERED], "*": [UNANSWERED, "syn-queue-overflow"]},
                   port=8888, retries=1)
    run.ss("server", "half-open", "state", "syn-recv")
    for talker in fill:
        run.connection((CLIENT, talker.port), (SERVER, 8888), ["syn-flood"],
                       ["syn-flood", "handshake-ack-lost", "client-vanished", "syn-ack-lost", "peer-unresponsive", "host-dropped"],
                       "handshake-failed")
    run.expect("server", TCPReqQFullDrop=9, ListenDrops=9)
    run.hold(listener)


@recipe("syn-queue-overflow/flood-542", limit=40)
def flood_542(run):
    """The article's flood: 542 SYNs, one each millisecond, without options, at listen(1) with syncookies off.
    Rule: linux-tcp.md 12.2 case A: on 6.18 two SYN-ACKs, TCPReqQFullDrop and ListenDrops +540.
    syn-flood as a population; each unanswered SYN honestly syn-unanswered, or the overflow at the server."""
    run.server.tcp(syncookies=0, synack_retries=2)
    listener = run.server.listen(8888, backlog=1)
    run.client.drop_in("tcp sport 8888", table="mute")
    talkers = Talker(run, "client", 1500, SERVER, 8888, window=512, quiet=False)
    start = time.monotonic()
    numbers = {}
    for n in range(542):
        while time.monotonic() < start + n * 0.001:
            pass
        numbers[n] = talkers.send("S", options=b"", sport=1500 + n, seq=(talkers.isn + 7919 * n) & packet.MASK,
                                  advance=False)
    time.sleep(8)
    accept = {"*": ["syn-flood", "syn-queue-overflow", UNANSWERED, "port-scan"]}
    for n in range(542):
        if n < 2:
            run.connection((CLIENT, 1500 + n), (SERVER, 8888), ["syn-flood"],
                           ["syn-flood", "handshake-ack-lost", "client-vanished", "syn-ack-lost", "peer-unresponsive", "host-dropped"],
                           "handshake-failed")
        else:
            run.connection((CLIENT, 1500 + n), (SERVER, 8888), ["syn-queue-overflow", "syn-flood"], accept, "unanswered")
    run.populations = ["syn-flood"]
    run.expect("server", TCPReqQFullDrop=540, ListenDrops=540)
    run.hold(listener)


@recipe("syn-flood/cookies-answer-all", limit=30)
def cookies_answer(run):
    """The same flood meets syncookies: every SYN is answered, no answer is ever taken up.
    Rule: linux-tcp.md 12.2 case B: on 6.18 SyncookiesSent and TCPReqQFullDoCookies +280, ListenDrops 0.
    syn-flood as a population; a client that behaves is served all the while."""
    run.server.tcp(syncookies=1, synack_retries=1)
    listener = run.server.listen(8888, backlog=1)
    run.client.drop_in("tcp sport 8888 tcp dport 1500-1800", table="mute")
    talkers = Talker(run, "client", 1500, SERVER, 8888, window=512, quiet=False)
    for n in range(282):
        talkers.send("S", options=b"", sport=1500 + n, seq=(talkers.isn + 7919 * n) & packet.MASK, advance=False)
        time.sleep(0.001)
    client, server = run.pair(listener=listener, port=8888)
    name = client.getsockname()
    run.exchange(client, server)
    client.close()
    wait_until(lambda: server.recv(1) == b"", 5)
    server.close()
    time.sleep(4)
    for n in range(282):
        run.connection((CLIENT, 1500 + n), (SERVER, 8888), ["syn-flood"],
                       ["syn-flood", "handshake-ack-lost", "client-vanished", "syn-ack-lost", "peer-unresponsive", "host-dropped"],
                       "handshake-failed")
    run.connection(name, (SERVER, 8888), ["syncookie-options-lost"], ["", "syncookie-options-lost"])
    run.populations = ["syn-flood"]
    run.expect("server", SyncookiesSent=280, SyncookiesRecv=1)
    run.hold(listener)


@recipe("syn-flood/forged-sources", limit=30, wire=0.004, offload=False)
def forged_sources(run):
    """SYNs from two hundred addresses that exist nowhere fill the queue; answers go into the void.
    Rule: linux-tcp.md 1.3; 12.6 many SYN_RCVD.
    syn-flood as a population at the server; the client's vantage does not see it."""
    run.server.tcp(syncookies=0, synack_retries=1, max_syn_backlog=1024)
    run.hop.run("ip", "route", "replace", "blackhole", "192.0.2.0/24")
    listener = run.server.listen(80, backlog=128)
    forged = []
    for n in range(200):
        source = "192.0.2.%d" % (40 + n)
        syn = packet.Segment(source, SERVER, 1024 + 131 * n, 80, (2654435761 * (n + 3)) & packet.MASK, 0, "S", 512,
                             ttl=51 + n % 3)
        forged.append(syn)
        run.wire.inject(syn, up=True, after=n * 0.002)
    time.sleep(0.5)
    victim = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
    fails(lambda: victim.connect((SERVER, 80)), TimeoutError)
    run.connection(victim, (SERVER, 80), "syn-queue-overflow",
                   {"server": ["syn-queue-overflow", UNANSWERED], "*": [UNANSWERED, "syn-queue-overflow"]}, "unanswered")
    for n, syn in enumerate(forged):
        name = ((syn.src, syn.sport), (SERVER, 80))
        run.connection(*name, ["syn-flood"], ["syn-flood", "handshake-ack-lost", "client-vanished", "syn-ack-lost", "peer-unresponsive", "host-dropped"]
                       if n < 129 else ["syn-flood", "syn-queue-overflow", UNANSWERED],
                       "handshake-failed" if n < 129 else "unanswered", at={"server": name})
    run.populations = ["syn-flood"]
    run.expect("server", TCPReqQFullDrop=71)
    run.hold(listener)


@recipe("port-scan/connect-scan", limit=30)
def connect_scan(run):
    """A scanner tries 120 ports of one server: closed ones refuse, one is open.
    Rule: linux-tcp.md 7.2 N1 for each closed port.
    port-scan as a population; each refused probe is port-scan or, alone, port-closed."""
    listener = run.server.listen(80)
    for port in range(20, 140):
        sock = run.caller()
        if port == 80:
            sock.connect((SERVER, port))
            run.connection(sock, (SERVER, port), ["port-scan"], ["port-scan", "no-data", ""])
            sock.close()
        else:
            fails(lambda: sock.connect((SERVER, port)), ConnectionRefusedError)
            run.connection(sock, (SERVER, port), ["port-scan"], ["port-scan", "port-closed"], "refused")
    run.populations = ["port-scan"]
    run.expect("server", OutRsts=119)
    run.hold(listener)


@recipe("port-scan/syn-scan", limit=30, wire=0.003)
def syn_scan(run):
    """A SYN scanner: bare SYNs with window 1024 and an MSS, open ports are reset at once, filtered ones silent.
    Rule: linux-tcp.md 11.3 (SYN scan); 7.2 N1 and N6.
    port-scan as a population."""
    listener = run.server.listen(80)
    run.server.drop_in("tcp dport 100-130", hook="input")
    talker = Talker(run, "client", 54321, SERVER, 80, window=1024, ttl=47)
    talker.peer_port = None
    ports = list(range(20, 180, 2)) + [101]
    for port in ports:
        talker.send("S", options=packet.mss(1460), dport=port, advance=False)
        time.sleep(0.002)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        try:
            heard = talker.recv(timeout=0.3, take=False)
        except Failed:
            break
        if heard.has("S"):
            talker.send("R", dport=heard.sport, seq=heard.ack, window=0, advance=False)
    for port in ports:
        kind = "open" if port == 80 else "filtered" if 100 <= port <= 130 else "closed"
        run.connection((CLIENT, 54321), (SERVER, port), ["port-scan"], ["port-scan"] + {
            "open": ["client-aborted", "linger-zero-abort", "dual-port-race", "connect-timeout"],
            "filtered": [UNANSWERED, "syn-dropped-by-host-filter", "syn-dropped-on-path"], "closed": ["port-closed"]}[kind],
            {"open": "handshake-failed", "filtered": "unanswered", "closed": "refused"}[kind])
    run.populations = ["port-scan"]
    run.hold(listener)


@recipe("accept-queue-overflow/syns-dropped", limit=30)
def syns_dropped(run):
    """Nobody accepts; listen(1) holds two connections; the third client's SYNs are dropped.
    Rule: linux-tcp.md 1.4: since 4.10 a full accept queue drops SYNs; ListenOverflows and ListenDrops +1 per SYN.
    syn-unanswered at the client; at the server the two unaccepted connections make the overflow visible."""
    listener = run.server.listen(8888, backlog=1)
    for _ in range(2):
        sock = run.caller()
        sock.connect((SERVER, 8888))
        run.connection(sock, (SERVER, 8888), [], ["", "idle-open", "no-data", "server-never-accepts"], "open")
        run.hold(sock)
    run.ss("server", "listener", "-l")
    for _ in range(2):
        unanswered(run, "accept-queue-overflow",
                   {"server": ["accept-queue-overflow", UNANSWERED], "*": [UNANSWERED, "accept-queue-overflow"]},
                   port=8888, retries=1)
    run.populations = []
    run.expect("server", ListenOverflows=6, ListenDrops=6)
    run.hold(listener)


@recipe("accept-queue-overflow/listener-saturated", limit=40, wire=0.002)
def saturated(run):
    """A service answers the requests it accepts and accepts too slowly: twenty clients queue for listen(4).
    Rule: linux-tcp.md 1.4; ListenOverflows per dropped SYN.
    The served are healthy; the unserved syn-unanswered or accept-queue-overflow; listener-saturated as a finding."""
    listener = run.server.listen(80, backlog=4)
    clients = []
    for _ in range(20):
        sock = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)])
        sock.setblocking(False)
        sock.connect_ex((SERVER, 80))
        clients.append(sock)
        time.sleep(0.01)
    ports = {sock.getsockname()[1]: sock for sock in clients}
    listener.settimeout(5)
    served = set()
    for _ in range(3):
        peer, name = listener.accept()
        mate = next(c for c in clients if c.fileno() >= 0 and c.getsockname()[1] == name[1])
        mate.setblocking(True)
        mate.settimeout(10)
        mate.sendall(request())
        recv_until(peer)
        time.sleep(0.7)
        peer.sendall(response(close=True))
        peer.close()
        recv_response(mate)
        mate.close()
        served.add(name[1])
    time.sleep(3)
    # Whose SYN or third ACK met a full queue is seen by what had to be repeated.
    run.capture.stop()
    answers, asked = {}, {}
    for _, frame in read_pcap(os.path.join(run.directory, "server.pcap")):
        segment = packet.decode(frame[14:])
        if segment and segment.flags == "SA":
            answers[segment.dport] = answers.get(segment.dport, 0) + 1
        elif segment and segment.flags == "S":
            asked[segment.sport] = asked.get(segment.sport, 0) + 1
    overflow = {"server": ["accept-queue-overflow", UNANSWERED], "*": [UNANSWERED, "accept-queue-overflow"]}
    late = ["accept-queue-overflow", "handshake-ack-lost", "defer-accept-wait", "defer-accept-no-data", "packet-loss", ""]
    for port, sock in ports.items():
        name, repeated = (CLIENT, port), answers.get(port, 0) > 1 or asked[port] > 1
        if port not in answers:
            run.connection(name, (SERVER, 80), ["accept-queue-overflow"], overflow, "unanswered")
        elif repeated:
            run.connection(name, (SERVER, 80), ["accept-queue-overflow"], late, "handshake-failed")
        elif port in served:
            run.connection(name, (SERVER, 80), [], ["", "packet-loss", "path-delay-spike"])
        else:
            run.connection(name, (SERVER, 80), [], ["", "idle-open", "no-data", "server-never-accepts", "packet-loss"], "open")
        run.hold(sock)
    run.populations = ["listener-saturated"]
    run.expect("server", ListenOverflows=6)
    run.hold(listener)


@recipe("peer-vanished/before-the-syn", limit=20)
def gone_before(run):
    """The server's host is gone, and a static neighbour entry keeps the last router from noticing.
    Rule: linux-tcp.md 8.2.
    syn-unanswered at the three points; the server's capture has nothing."""
    run.hop.run("ip", "neigh", "replace", "198.51.100.50", "lladdr", "00:00:5e:00:53:99", "dev", "east", "nud", "permanent")
    sock = run.caller(options=[SYN_RETRIES])
    fails(lambda: sock.connect(("198.51.100.50", 80)), TimeoutError)
    run.connection(sock, ("198.51.100.50", 80), "peer-vanished", [UNANSWERED, "peer-vanished"], "unanswered",
                   )


@recipe("syn-unanswered/user-gives-up", limit=20, wire=0.010)
def user_gives_up(run):
    """The path drops SYNs and the application waits three seconds only.
    Rule: linux-tcp.md 8.4: TCP_USER_TIMEOUT in SYN_SENT ends connect() in time.
    syn-unanswered at the three points before the loss."""
    run.hop.drop_in("tcp dport 8443", hook="forward")
    sock = run.caller(options=[(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)])
    fails(lambda: sock.connect((SERVER, 8443)), TimeoutError)
    run.connection(sock, (SERVER, 8443), ["syn-dropped-on-path"], [UNANSWERED, "syn-dropped-on-path"], "unanswered")


@recipe("syn-unanswered/windows-client", limit=30)
def windows_unanswered(run):
    """A Windows client asks three times in nine seconds and gives up at 21; nothing answers.
    Rule: linux-tcp.md 8.8: SYN repeats at 3 and 9 s.
    syn-unanswered at the three points before the filter."""
    run.hop.drop_in("tcp dport 8443", hook="forward")
    talker = Talker(run, "client", 50124, SERVER, 8443, ttl=128)
    for wait in (3, 6, 1):
        talker.send("S", options=packet.windows_syn_options(), advance=False)
        time.sleep(wait)
    run.connection((CLIENT, 50124), (SERVER, 8443), ["syn-dropped-on-path"], [UNANSWERED, "syn-dropped-on-path"], "unanswered")


def shifted_clock(run, ticks):
    """The first client's clock, moved on the line before anybody but itself sees it."""
    import struct

    def rule(frame):
        segment = frame.tcp
        if segment is None:
            return
        value = packet.option_value(segment.options, 8)
        if value is None:
            return
        val, echo = struct.unpack("!II", value)
        new = (val + ticks, echo) if frame.up else (val, echo - ticks if segment.has("A") else echo)
        options = b"".join(packet.timestamps(*new) if kind == 8 else whole
                           for kind, whole in packet.split_options(segment.options))
        frame.rewrite(options=options)
    run.inner.rule = rule


def recycled(run, recall, without_timestamps=False, connect_again=True):
    """Client one closes by the server; then the rule of tcp_tw_recycle holds against client two."""
    for host in (run.client, run.client2):
        host.tcp(timestamps=2, syn_linear_timeouts=0)
    shifted_clock(run, 900_000_000)
    listener = run.server.listen(80)
    first, peer = run.pair(listener=listener)
    one = first.getsockname()
    run.exchange(first, peer, answer=response(close=True))
    peer.close()      # the server closes first: only then does it remember
    wait_until(lambda: first.recv(1) == b"", 5)
    first.close()
    run.connection(one, truth=[], accept=[""])
    # The rule's own words: drop a SYN whose TSval is below the stored one by more than a tick.
    match = "tcp flags & (syn|ack) == syn tcp option timestamp tsval < 900000000"
    if without_timestamps:
        match = "tcp flags & (syn|ack) == syn tcp option timestamp missing"
        run.client2.tcp(timestamps=0)
    run.server.drop_in("tcp dport 80 " + match, table="recycle")
    return listener


@recipe("per-host-timestamp-check/two-phones", limit=100, clients=2, inner_wire=0.001)
def two_phones(run):
    """Two phones behind one address; the server runs tcp_tw_recycle, remembers the first one's clock and drops
    the other's SYNs for 60 s.  Rule: linux-tcp.md 6.3, played by a filter that drops exactly those SYNs.
    At the server per-host-timestamp-check (SYNs of one address, TSval below the last seen, then accepted after 60 s);
    syn-unanswered, later served, at the second client."""
    listener = recycled(run, 60)
    late = run.caller(host=run.client2)
    late.setblocking(False)
    late.connect_ex((SERVER, 80))
    time.sleep(60.5)
    run.server.lift("recycle")
    late.setblocking(True)
    late.settimeout(10)
    listener.settimeout(10)
    peer, _ = listener.accept()
    run.exchange(late, peer)
    name = late.getsockname()
    late.close()
    wait_until(lambda: peer.recv(1) == b"", 5)
    peer.close()
    run.connection(name, (SERVER, 80), ["per-host-timestamp-check"],
                   {"client": [UNANSWERED, "per-host-timestamp-check", "packet-loss", ""],
                    "*": ["per-host-timestamp-check", UNANSWERED, "packet-loss"]}, "completed", healthy=False)
    run.populations = ["nat-address-sharing"]
    run.hold(listener)


@recipe("per-host-timestamp-check/gives-up", limit=40, clients=2, inner_wire=0.001, offload=False)
def recycle_gives_up(run):
    """The same; the second client gives up after seven seconds, and again.
    Rule: linux-tcp.md 6.3.
    per-host-timestamp-check at the server and outside the NAT; syn-unanswered inside."""
    listener = recycled(run, 20)
    for _ in range(2):
        sock = run.caller(host=run.client2, options=[SYN_RETRIES])
        fails(lambda: sock.connect((SERVER, 80)), TimeoutError)
        run.connection(sock, (SERVER, 80), ["per-host-timestamp-check"], ["per-host-timestamp-check", UNANSWERED], "unanswered")
    run.populations = ["nat-address-sharing"]
    run.hold(listener)


@recipe("per-host-timestamp-check/no-timestamp-el7", limit=30, clients=2, inner_wire=0.001)
def recycle_no_timestamp(run):
    """The same on el7, where a SYN without timestamps is refused as well.
    Rule: linux-tcp.md 6.3, second line (el7, 4.4-4.10).
    per-host-timestamp-check possible at the server; syn-unanswered is honest everywhere."""
    listener = recycled(run, 20, without_timestamps=True)
    sock = run.caller(host=run.client2, options=[SYN_RETRIES])
    fails(lambda: sock.connect((SERVER, 80)), TimeoutError)
    run.connection(sock, (SERVER, 80), ["per-host-timestamp-check"], ["per-host-timestamp-check", UNANSWERED], "unanswered")
    run.hold(listener)


@recipe("neighbour-unresolved/server-gateway", limit=20)
def gateway_silent(run):
    """The server cannot resolve its gateway: SYNs arrive, ARP requests go unanswered, no SYN-ACK ever leaves.
    Rule: linux-tcp.md 10.3.
    neighbour-unresolved at the server; syn-unanswered elsewhere."""
    run.server.run("ip", "route", "replace", "default", "via", "198.51.100.254")
    listener = run.server.listen(80)
    unanswered(run, "neighbour-unresolved", {"server": ["neighbour-unresolved", UNANSWERED], "*": [UNANSWERED]}, port=80)
    run.hold(listener)


@recipe("routing-loop/two-routers", limit=20, nat=False)
def routing_loop(run):
    """Two routers send the SYN to each other until its TTL is gone.
    Rule: linux-tcp.md 10.2, 11/0: EHOSTUNREACH; between the routers the same packet passes with falling TTL.
    routing-loop at the three points; at the outside line by its sight, elsewhere by the ICMP."""
    run.router.run("ip", "route", "add", "198.51.100.99/32", "via", "203.0.113.254")
    run.hop.run("ip", "route", "add", "198.51.100.99/32", "via", "203.0.113.1")
    for host in (run.router, run.hop):
        host.run(
            "sysctl", "-qw", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.west.send_redirects=0"
            if host is run.hop else "net.ipv4.conf.out.send_redirects=0")
    sock = run.caller()
    fails(lambda: sock.connect(("198.51.100.99", 80)), OSError)
    run.connection(sock, ("198.51.100.99", 80), "routing-loop", ["routing-loop"], "refused")


@recipe("backscatter/syn-acks-of-a-flood", limit=20, nat=False, wire=0.002)
def backscatter(run):
    """Somebody floods a hundred servers with this client's address; their answers arrive here.
    Rule: linux-tcp.md 7.2 N1: the host resets what it never asked for.
    backscatter as a population."""
    numbers = []
    for n in range(100):
        source = "198.51.100.%d" % (100 + n)
        flags = "SA" if n % 4 else "RA"
        segment = packet.Segment(source, CLIENT, 80, 2000 + 37 * n, 0 if flags == "RA" else (2654435761 * (n + 7)) & packet.MASK,
                                 (40503 * 65537 * (n + 1)) & packet.MASK, flags, 14600 if n % 4 else 0,
                                 packet.mss(1460) if n % 4 else b"", ttl=50 + n % 7)
        numbers.append(((CLIENT, segment.dport), (source, 80)))
        run.wire.inject(segment, up=False, after=n * 0.005)
    time.sleep(1.0)
    for pair in numbers:
        run.connection(*pair, ["backscatter"], ["backscatter", "capture-partial", "reset-by-network", "half-open", ""], "partial",
                       at={point: pair for point in ("client", "nat-inside", "nat-outside")})
    run.populations = ["backscatter"]
    run.expect("client", OutRsts=75)
