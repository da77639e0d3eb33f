"""What the network does to connections: resets in somebody's name, and silence."""

import socket
import struct
import time

import packet
from net import CLIENT, SERVER
from raw import Talker, data, has
from run import (drain, fails, filler, recipe, recv_exact, recv_response, recv_until, request, response,
                 unacked, wait_until)
from recipes.handshake import end_both, forget
from recipes.resets import reset_seen

BY_NETWORK = "reset-by-network"
PEER_SILENT = "peer-unresponsive"


class Watch:
    """A rule that passes everything, remembers the last segment each way, and may do one thing more."""

    def __init__(self, run, also=None):
        self.last, self.also = {}, also
        run.wire.rule = self

    def __call__(self, frame):
        if frame.tcp:
            self.last[frame.up] = frame.tcp
        if self.also:
            self.also(frame)


def next_from(watch, up):
    """(seq, ack) that the sender of this direction would use next, as a device on the path knows them."""
    own, other = watch.last[up], watch.last[not up]
    return own.end, other.end


def forge(run, watch, up, **changes):
    """A RST in the name of the sender of direction `up`, numbers exact unless changed."""
    seq, ack = next_from(watch, up)
    fields = dict(seq=seq, ack=0, flags="R", window=0, payload=b"", options=b"", ttl=200, ip_id=0x1234, tos=0)
    fields.update(changes)
    run.wire.inject(watch.last[up].replace(**fields), up=up)


# RSTs that neither endpoint sent ---------------------------------------------------------

FORGED = ["forged-reset", BY_NETWORK]


@recipe("forged-reset/keyword-both-ways", wire=0.015, offload=False)
def forged_keyword(run):
    """A device sees a forbidden word in a request and resets both sides in each other's name, three RSTs each.
    Rule: linux-tcp.md 11.5: TTL and IP ID unlike the peer's, bursts, data still flows from the "resetter".
    forged-reset or reset-by-network at every vantage."""
    fired = []

    def also(frame):
        if frame.up and frame.tcp and b"forbidden" in frame.tcp.payload and not fired:
            fired.append(1)
            for n in range(3):
                forge(run, watch, True, ttl=61 + 50, ip_id=40000 + n, flags="RA", ack=watch.last[False].end, window=8192)
                forge(run, watch, False, ttl=61 + 50, ip_id=40000 + n, flags="RA", ack=watch.last[True].end, window=8192)
    watch = Watch(run, also)
    for _ in range(2):
        fired.clear()
        client, server = run.pair()
        run.exchange(client, server)
        client.sendall(request("/forbidden"))
        reset_seen(client)
        reset_seen(server)
        run.connection(client, truth="forged-reset", accept=FORGED, outcome="reset")
        run.hold(client, server)


@recipe("forged-reset/to-the-client-only", wire=0.010)
def forged_client(run):
    """Somebody on the path resets only the client, in the server's name; the server goes on and meets a closed socket.
    Rule: linux-tcp.md 11.5.
    forged-reset where the forgery is seen; at the server the client seems to be gone: reset by a closed socket."""
    watch = Watch(run)
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/long"))
    recv_until(server)
    wait_until(lambda: unacked(client) == 0, 5)
    time.sleep(0.3)
    forge(run, watch, False, ttl=33)
    reset_seen(client)
    time.sleep(0.3)
    server.sendall(response())
    reset_seen(server)
    run.connection(client, truth="forged-reset",
                   accept={"server": ["client-aborted", "client-timeout", "client-restarted", "half-open", "data-after-close", "client-closed-early", *FORGED], "*": FORGED},
                   outcome="reset")
    run.hold(client, server)


@recipe("forged-reset/sweep-of-sequence-numbers", wire=0.010)
def forged_sweep(run):
    """A blind attacker tries sequence numbers a window apart until one fits.
    Rule: linux-tcp.md 7.4: misses are ignored or challenged, the exact one acts.
    forged-reset or reset-by-network at the server."""
    watch = Watch(run)
    client, server = run.pair(179)
    client.sendall(filler(100))
    recv_exact(server, 100)
    server.sendall(filler(100))
    recv_exact(client, 100)
    time.sleep(0.2)
    seq, _ = next_from(watch, True)
    for n in range(6):
        forge(run, watch, True, seq=(seq + (5 - n) * 30000) & packet.MASK, ttl=240, ip_id=n * 17)
        time.sleep(0.02)
    reset_seen(server)
    time.sleep(0.2)
    run.connection(client, (SERVER, 179), "forged-reset", {"server": FORGED, "*": FORGED + ["peer-restarted", "half-open", "idle-open", "", "spoofed-reset-ignored", "server-aborted"]}, "reset", optional=False)
    run.hold(client, server)


@recipe("forged-reset/v6", wire=0.010, offload=False)
def forged_v6(run):
    """Both sides of an IPv6 connection are reset by a device with hop limits of its own.
    Rule: linux-tcp.md 11.5.
    forged-reset or reset-by-network at every vantage."""
    watch = Watch(run)
    client, server = run.pair(v6=True)
    run.exchange(client, server)
    time.sleep(0.3)
    forge(run, watch, False, ttl=240)
    forge(run, watch, True, ttl=240)
    reset_seen(client)
    reset_seen(server)
    run.connection(client, truth="forged-reset", accept=FORGED + ["idle-timeout-reset"], outcome="reset")
    run.hold(client, server)


@recipe("idle-timeout-reset/both-sides", limit=30, wire=0.010)
def idle_reset_both(run):
    """A balancer ends every connection that was idle for six seconds with RSTs to both sides.
    Rule: linux-tcp.md 11.5 last but one: exact numbers after silence, TTL of the device.
    idle-timeout-reset at every vantage; reset-by-network is the honest generic."""
    watch = Watch(run)
    for _ in range(2):
        client, server = run.pair()
        run.exchange(client, server)
        time.sleep(6)
        forge(run, watch, False, ttl=251, flags="RA", ack=watch.last[True].end, ip_id=0)
        forge(run, watch, True, ttl=251, flags="RA", ack=watch.last[False].end, ip_id=0)
        reset_seen(client)
        reset_seen(server)
        run.connection(client, truth="idle-timeout-reset", accept=["idle-timeout-reset", BY_NETWORK], outcome="reset")
        run.hold(client, server)
    run.populations = ["idle-timer"]


@recipe("idle-timeout-reset/on-next-data", limit=30, wire=0.008, offload=False)
def idle_reset_data(run):
    """A firewall forgot the idle connection after five seconds and resets the client when it speaks again.
    Rule: linux-tcp.md 11.5: RST faster than the path, with a TTL of its own.
    idle-timeout-reset, nat-state-lost-reset or reset-by-network; the server sees an idle connection."""
    fired = []

    def also(frame):
        if frame.up and frame.tcp and b"/after" in frame.tcp.payload:
            frame.drop()
            if not fired:
                fired.append(1)
                run.wire.inject(frame.tcp.replace(src=frame.tcp.dst, dst=frame.tcp.src, sport=frame.tcp.dport, dport=frame.tcp.sport,
                                                  seq=frame.tcp.ack, ack=0, flags="R", window=0, payload=b"", options=b"", ttl=254, ip_id=0), up=False)
    watch = Watch(run, also)
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(5)
    client.sendall(request("/after"))
    reset_seen(client)
    run.connection(client, truth=["idle-timeout-reset"],
                   accept={"server": ["", "idle-open"], "*": ["idle-timeout-reset", "nat-state-lost-reset", BY_NETWORK]}, outcome={"server": "open", "*": "reset"})
    run.hold(client, server)


def strict_router(run, action, where="router"):
    """The router forwards only what its connection tracking knows, and picks up nothing in the middle."""
    router = run.hosts[where]
    router.sysctl(net_netfilter_nf_conntrack_tcp_loose=0)
    router.drop_in("meta l4proto tcp ct state new tcp flags & syn == 0", hook="forward", action=action, table="strict1")
    router.drop_in("meta l4proto tcp ct state invalid", hook="forward", action=action, table="strict2")


@recipe("nat-state-lost-reset/table-flushed")
def nat_lost_reset(run):
    """The NAT lost its table (restart, failover) and answers what it does not know with RST.
    Rule: linux-tcp.md 7.2 N12: shape R seq=ack with the TTL of the router.
    nat-state-lost-reset or reset-by-network at the client and inside; outside nothing more is seen."""
    strict_router(run, "reject with tcp reset")
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(0.5)
    run.router.run("conntrack", "-F")
    client.sendall(request("/after"))
    reset_seen(client)
    run.connection(client, truth="nat-state-lost-reset",
                   accept={"client": ["nat-state-lost-reset", BY_NETWORK, "idle-timeout-reset"], "nat-inside": ["nat-state-lost-reset", BY_NETWORK, "idle-timeout-reset"],
                           "*": ["", "idle-open"]}, outcome={"client": "reset", "nat-inside": "reset", "*": "open"})
    run.hold(client, server)


@recipe("nat-state-lost-reset/towards-the-server", wire=0.003, offload=False)
def nat_lost_reset_server(run):
    """The NAT lost its table while the server was sending: the router itself answers the server with RST.
    Rule: linux-tcp.md 7.2 N1: the untranslated segment is for the router's own address, R seq=ack.
    nat-state-lost-reset or reset-by-network outside; the client waits for the rest: stalled."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(20000)[:5000])
    recv_exact(client, 5000)
    time.sleep(0.3)
    run.router.drop_in("oifname in", hook="forward", table="cut")
    run.router.run("conntrack", "-F")
    server.sendall(filler(3000))
    reset_seen(server)
    time.sleep(1)
    run.connection(client, truth="nat-state-lost-reset",
                   accept={"client": ["", "stalled", PEER_SILENT, "slow-response", "idle-open", "half-open"], "nat-inside": ["", "stalled", PEER_SILENT, "slow-response", "idle-open", "half-open"],
                           "*": ["nat-state-lost-reset", BY_NETWORK, "client-aborted", "client-restarted", "half-open", "client-closed-early", "forged-reset", "conntrack-invalid-reset"]},
                   outcome={"client": "open", "nat-inside": "open", "*": "reset"})
    run.expect("router", OutRsts=1)
    run.hold(client, server)


INVALID = "conntrack-invalid-reset"


@recipe("conntrack-invalid-reset/beyond-window", wire=0.005, limit=40)
def conntrack_invalid(run):
    """A segment of the server whose number left the window: the NAT takes it for invalid, does not translate it,
    and its own TCP resets the server, on a connection it never had.  Rule: linux-tcp.md 7.2 N1 at the router; 7.4.
    conntrack-invalid-reset outside the NAT, where the odd segment and the RST are seen; at the client nothing."""
    watch = Watch(run)
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/more"))
    recv_until(server)
    wait_until(lambda: unacked(client) == 0, 10)
    time.sleep(0.5)
    last = watch.last[False]
    run.wire.inject(last.replace(seq=(last.end + 40_000_000) & packet.MASK, flags="PA", payload=filler(300)), up=False)
    reset_seen(server)
    time.sleep(0.5)
    inside = ["", "idle-open", "stalled", "slow-response", PEER_SILENT, "capture-partial", "half-open"]
    run.connection(client, truth=INVALID,
                   accept={"client": inside, "nat-inside": inside,
                           "*": [INVALID, BY_NETWORK, "client-aborted", "forged-reset", "client-restarted", "half-open", "nat-state-lost-reset"]},
                   outcome={"client": "open", "nat-inside": "open", "*": "reset"})
    run.expect("router", OutRsts=1)
    run.expect_reset("router", "NO_SOCKET")
    run.hold(client, server)


@recipe("conntrack-invalid-reset/untranslated-to-the-server", inner_wire=0.002, limit=40, offload=False)
def conntrack_invalid_up(run):
    """A segment of the client whose number left the window passes the NAT untranslated; the server never had a
    connection with the inside address and answers RST, which reaches the client and fits.
    Rule: linux-tcp.md 7.2 N1; 7.4.  conntrack-invalid-reset outside, where the inside address is seen; the server's
    RST at the client looks like peer-restarted or half-open."""
    last = {}

    def rule(frame):
        if frame.tcp:
            last[frame.up] = frame.tcp
    run.inner.rule = rule
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(0.5)
    segment = last[True]
    run.inner.inject(segment.replace(seq=(segment.end + 90_000_000) & packet.MASK, flags="PA", payload=filler(100)), up=True)
    reset_seen(client)
    time.sleep(0.3)
    run.connection(client, truth=INVALID,
                   accept={"client": [INVALID, "server-aborted", "half-open", "peer-restarted", BY_NETWORK, "forged-reset"],
                           "nat-inside": [INVALID, "server-aborted", "half-open", "peer-restarted", BY_NETWORK, "forged-reset"],
                           "*": ["", "idle-open", INVALID]}, outcome={"client": "reset", "nat-inside": "reset", "*": "open"})
    run.expect("server", OutRsts=1)
    run.hold(client, server)


@recipe("reset-by-network/ambiguous", wire=0.010)
def reset_ambiguous(run):
    """An exact RST with a foreign TTL comes out of the blue to the client alone; nothing says which device or why.
    Rule: linux-tcp.md 11.5, TTL.
    reset-by-network, or forged-reset; the server's end stays open."""
    watch = Watch(run)
    client, server = run.pair(5432)
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    time.sleep(1.5)
    forge(run, watch, False, ttl=120, ip_id=0)
    reset_seen(client)
    run.connection(client, (SERVER, 5432), ["forged-reset"], {"server": ["", "idle-open"], "*": [BY_NETWORK, "forged-reset", "idle-timeout-reset"]},
                   {"server": "open", "*": "reset"})
    run.hold(client, server)


# Silence ------------------------------------------------------------------------------------

def cut(run, up=True, down=True):
    """From now on the path carries nothing of the given directions; what was said before has arrived."""
    wait_until(run.wire.quiet, 5, "the wire to fall silent")
    run.wire.rule = lambda frame: frame.drop() if frame.tcp and (up if frame.up else down) else None


WAITED = [PEER_SILENT, "path-blackhole"]
NOT_SEEN = ["", "idle-open", "stalled", "slow-response", "capture-partial", "client-timeout", PEER_SILENT, "client-vanished", "path-blackhole"]


@recipe("path-blackhole/both-ways-client-sends", limit=40, wire=0.010)
def blackhole_client(run):
    """The path dies both ways; the client's request is repeated and never acknowledged until it gives up.
    Rule: linux-tcp.md 8.3: R R 2R 4R..., ETIMEDOUT, no RST.
    peer-unresponsive or path-blackhole before the hole; behind it the connection merely falls silent."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    cut(run)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="path-blackhole", accept={"server": ["", "idle-open"], "*": WAITED + ["peer-vanished"]}, outcome={"server": "open", "*": "timed-out"})
    run.expect("client", TCPAbortOnTimeout=1, RetransSegs=4)
    run.hold(client, server)


@recipe("path-blackhole/both-ways-server-sends", limit=40, wire=0.010, snaplen=128)
def blackhole_server(run):
    """The path dies in the middle of a download; the server repeats until it gives up, the client just waits.
    Rule: linux-tcp.md 8.3.
    path-blackhole, client-vanished or peer-unresponsive at the server; stalled at the client."""
    run.server.tcp(retries2=4)
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(80000)[:20000])
    recv_exact(client, 20000)
    cut(run)
    server.sendall(filler(4000))
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, truth="path-blackhole",
                   accept={"server": WAITED + ["client-vanished", "peer-vanished"], "*": ["stalled", "", "slow-response", "client-timeout", PEER_SILENT, "path-blackhole", "idle-open", "capture-partial"]},
                   outcome={"server": "timed-out", "*": "stalled"})
    run.expect("server", TCPAbortOnTimeout=1)
    run.hold(client, server)


@recipe("path-blackhole/forward-only", limit=40, wire=0.010, offload=False)
def blackhole_forward(run):
    """Only the way from the client to the server dies; the server still talks and is not heard to be answered.
    Rule: linux-tcp.md 8.3; ACKs of the client are lost as well.
    path-blackhole: data of both sides repeated, one direction arrives."""
    run.client.tcp(retries2=4)
    run.server.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    cut(run, down=False)
    client.sendall(request("/after"))
    server.sendall(filler(500))
    fails(lambda: drain(client), TimeoutError)
    time.sleep(1)
    run.connection(client, truth="path-blackhole", accept={"server": WAITED + ["client-vanished"], "*": WAITED + ["host-dropped"]}, outcome="timed-out")
    run.hold(client, server)


@recipe("path-blackhole/return-only", limit=40, wire=0.010)
def blackhole_return(run):
    """Only the way back dies: the server receives and acknowledges every repetition, the client hears nothing.
    Rule: linux-tcp.md 8.3; duplicates answered by duplicate ACKs.
    path-blackhole at the server, where ACKs are repeated and the client repeats all the same; else peer-unresponsive."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    cut(run, up=False)
    client.sendall(request("/after"))
    recv_until(server)
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="path-blackhole", accept={"server": ["path-blackhole", PEER_SILENT], "*": WAITED + ["peer-vanished"]}, outcome="timed-out")
    run.hold(client, server)


@recipe("path-blackhole/recovers-after-five-seconds", limit=40, wire=0.010)
def blackhole_recovers(run):
    """The path is dead for five seconds and comes back before anybody gives up; everything is delivered.
    Rule: linux-tcp.md 8.3.
    The connection completes: packet-loss or a past blackhole as a note."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    cut(run)
    client.sendall(request("/after"))
    time.sleep(5)
    run.wire.rule = None
    recv_until(server)
    server.sendall(response())
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=["packet-loss"], accept=["", "packet-loss", "path-delay-spike", "path-blackhole"], outcome="completed")


@recipe("path-blackhole/v6", limit=40, wire=0.010, offload=False)
def blackhole_v6(run):
    """An IPv6 connection loses its path; the client gives up.
    Rule: linux-tcp.md 8.3.
    peer-unresponsive or path-blackhole before the hole."""
    run.client.tcp(retries2=3)
    client, server = run.pair(v6=True)
    run.exchange(client, server)
    cut(run)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="path-blackhole", accept={"server": ["", "idle-open"], "*": WAITED + ["peer-vanished"]}, outcome={"server": "open", "*": "timed-out"})
    run.hold(client, server)


@recipe("path-blackhole/windows-limit", limit=60, wire=0.004)
def blackhole_windows(run):
    """A Windows client repeats its data five times and then resets, as its TcpMaxDataRetransmissions says.
    Rule: linux-tcp.md 8.8 and 12.5, played by a raw client; the RST is lost as well.
    peer-unresponsive or path-blackhole before the hole."""
    talker = Talker(run, "client", 50140, SERVER, 80, ttl=128)
    listener = run.server.listen(80)
    talker.connect(packet.windows_syn_options())
    peer, _ = listener.accept()
    talker.send("PA", request())
    recv_until(peer)
    peer.sendall(response())
    talker.recv(data)
    talker.send("A")
    time.sleep(0.3)
    cut(run)
    start = talker.seq
    for wait in (0.3, 0.6, 1.2, 2.4, 4.8, 9.6):
        talker.seq = start
        talker.send("PA", request("/after"))
        time.sleep(wait)
    talker.send("RA", window=0, advance=False)
    run.connection((CLIENT, 50140), truth="path-blackhole", accept={"server": ["", "idle-open"], "*": WAITED + ["peer-vanished"]}, outcome={"server": "open", "*": "timed-out"})
    run.hold(listener, peer)


@recipe("pmtu-blackhole/no-icmp", limit=40, snaplen=128)
def pmtu_blackhole(run):
    """A line with MTU 1400 and a router that sends no ICMP: small segments pass, full ones vanish.
    Rule: RFC 2923 2.1; repeats of full segments only.
    pmtu-blackhole at the sender's side: only large segments are repeated, small ones were acknowledged."""
    run.client.tcp(retries2=4)
    run.hop.run("ip", "link", "set", "east", "mtu", "1400")
    run.hop.drop_in("icmp type destination-unreachable", hook="output")
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/up", size=8000))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="pmtu-blackhole", accept={"server": ["pmtu-blackhole", "", "idle-open", "packet-loss", *NOT_SEEN], "*": ["pmtu-blackhole", PEER_SILENT, "path-blackhole"]},
                   outcome={"server": "open", "*": "timed-out"})
    run.hold(client, server)


@recipe("pmtu-blackhole/download", limit=40, snaplen=128, offload=False)
def pmtu_blackhole_down(run):
    """The same for a download: the server's full segments vanish on the way to the client.
    Rule: RFC 2923 2.1.
    pmtu-blackhole at the server; the client sees a request that was acknowledged and nothing after."""
    run.server.tcp(retries2=4)
    run.hop.run("ip", "link", "set", "west", "mtu", "1400")
    run.hop.drop_in("icmp type destination-unreachable", hook="output")
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(9000))
    time.sleep(0.5)
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, truth="pmtu-blackhole",
                   accept={"server": ["pmtu-blackhole", PEER_SILENT, "path-blackhole", "client-vanished"], "*": ["pmtu-blackhole", *NOT_SEEN, "packet-loss"]},
                   outcome={"server": "timed-out", "*": "stalled"})
    run.hold(client, server)


@recipe("peer-vanished/server-crash", limit=40)
def server_crash(run):
    """The server's host dies without a packet; the client repeats its request until it gives up.
    Rule: linux-tcp.md 8.3.
    peer-unresponsive before the server (a crash cannot be told from a hole); nothing at the server."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    for hook in ("input", "forward", "output"):
        run.hop.drop_in("meta l4proto tcp", hook=hook, table="dead" + hook)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="peer-vanished", accept={"server": ["", "idle-open"], "*": WAITED + ["peer-vanished"]}, outcome={"server": "open", "*": "timed-out"})
    run.hold(client, server)


@recipe("peer-vanished/icmp-says-so", limit=40, offload=False)
def server_crash_icmp(run):
    """The server's host dies; after its neighbour entry has gone the last router says host unreachable.
    Rule: linux-tcp.md 10.2: soft on an established connection; EHOSTUNREACH in place of ETIMEDOUT.
    peer-vanished, or host-unreachable, at the three points before the server."""
    run.client.tcp(retries2=5)
    client, server = run.pair()
    run.exchange(client, server)
    run.server.run("ip", "link", "set", "eth0", "arp", "off")
    run.server.drop_in("meta l4proto tcp", hook="input", table="dead")
    run.hop.run("ip", "neigh", "flush", "dev", "east")
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), OSError)
    run.connection(client, truth="peer-vanished", accept={"server": ["", "idle-open", "host-dropped", "neighbour-unresolved", PEER_SILENT], "*": ["peer-vanished", "host-unreachable", *WAITED]},
                   outcome={"server": "open", "*": "timed-out"})
    run.hold(client, server)


@recipe("client-vanished/before-the-answer", limit=40, wire=0.006)
def client_vanished(run):
    """The client goes away (sleep, no radio) after its request; the response is repeated and never acknowledged.
    Rule: linux-tcp.md 8.3.
    client-vanished, peer-unresponsive or path-blackhole at the server; the client's side sees a request only."""
    run.server.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    client.sendall(request("/after"))
    recv_until(server)
    run.client.drop_in("meta l4proto tcp", hook="input", table="gone1")
    run.client.drop_in("meta l4proto tcp", hook="output", table="gone2")
    run.router.drop_in("oifname in", hook="forward", table="gone3")
    server.sendall(response(3000))
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, truth="client-vanished",
                   accept={"server": ["client-vanished", *WAITED], "nat-outside": ["client-vanished", *WAITED], "*": ["", *NOT_SEEN]},
                   outcome={"server": "timed-out", "nat-outside": "timed-out", "*": "stalled"})
    run.expect("server", TCPAbortOnTimeout=1)
    run.hold(client, server)


@recipe("client-vanished/mid-upload", limit=40, wire=0.006, snaplen=128, offload=False)
def client_vanished_upload(run):
    """The client vanishes in the middle of an upload: everything it sent was acknowledged, and no more comes.
    Rule: a body shorter than announced, no FIN, no RST, silence.
    client-vanished or stalled."""
    client, server = run.pair()
    client.sendall(request("/up", size=100_000)[:30_000])
    recv_exact(server, 30_000)
    run.client.drop_in("meta l4proto tcp", hook="output", table="gone")
    time.sleep(12)
    run.connection(client, truth="client-vanished", accept=["client-vanished", "stalled", "idle-open", "", "capture-partial"], outcome="stalled")
    run.hold(client, server)


@recipe("nat-state-lost-silent/table-flushed", limit=40)
def nat_lost_silent(run):
    """The NAT lost its table and drops what it does not know.
    Rule: linux-tcp.md 8.3.
    peer-unresponsive (nat-state-lost-silent where both sides of the NAT are seen)."""
    run.client.tcp(retries2=4)
    strict_router(run, "drop")
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(0.3)
    run.router.run("conntrack", "-F")
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="nat-state-lost-silent",
                   accept={"client": WAITED + ["nat-state-lost-silent", "peer-vanished", "idle-timeout-silent"], "nat-inside": WAITED + ["nat-state-lost-silent", "peer-vanished", "idle-timeout-silent"],
                           "*": ["", "idle-open"]}, outcome={"client": "timed-out", "nat-inside": "timed-out", "*": "open"})
    run.hold(client, server)


@recipe("idle-timeout-silent/conntrack-five-seconds", limit=60, wire=0.004)
def idle_silent(run):
    """The NAT forgets connections idle for five seconds; the next request is dropped, again and again.
    Rule: nf_conntrack_tcp_timeout_established; linux-tcp.md 8.3.
    idle-timeout-silent after idle time, or peer-unresponsive, inside; outside an idle connection."""
    run.client.tcp(retries2=4)
    strict_router(run, "drop")
    run.router.sysctl(net_netfilter_nf_conntrack_tcp_timeout_established=5)
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(8)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="idle-timeout-silent",
                   accept={"client": ["idle-timeout-silent", *WAITED, "nat-state-lost-silent", "peer-vanished"], "nat-inside": ["idle-timeout-silent", *WAITED, "nat-state-lost-silent", "peer-vanished"],
                           "*": ["", "idle-open"]}, outcome={"client": "timed-out", "nat-inside": "timed-out", "*": "open"})
    run.hold(client, server)


@recipe("idle-timeout-silent/server-pushes", limit=60, wire=0.004, offload=False)
def idle_silent_server(run):
    """The same, and it is the server that speaks after the idle time; its segment is not for the NAT's table any more.
    Rule: the NAT drops it silently; linux-tcp.md 8.3.
    idle-timeout-silent, client-vanished or peer-unresponsive outside."""
    run.server.tcp(retries2=4)
    run.router.sysctl(net_netfilter_nf_conntrack_tcp_timeout_established=5)
    run.router.sysctl(net_netfilter_nf_conntrack_tcp_loose=0)
    run.router.drop_in('iifname "out" meta l4proto tcp', hook="input", table="stealth")
    client, server = run.pair(5222)
    client.sendall(filler(100))
    recv_exact(server, 100)
    server.sendall(filler(100))
    recv_exact(client, 100)
    time.sleep(8)
    server.sendall(filler(200))
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, (SERVER, 5222), "idle-timeout-silent",
                   {"client": ["", "idle-open"], "nat-inside": ["", "idle-open"], "*": ["idle-timeout-silent", "client-vanished", *WAITED, "nat-state-lost-silent", "peer-vanished"]},
                   {"client": "open", "nat-inside": "open", "*": "timed-out"})
    run.hold(client, server)


KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
             (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)]


@recipe("keepalive-dead-peer/client-probes", limit=30, wire=0.005)
def dead_peer(run):
    """The server vanished during idle time; three keepalive probes go unanswered, then RST and ETIMEDOUT.
    Rule: linux-tcp.md 8.6: idle 2, interval 1, count 3: probes at 2, 3, 4 s, RA at 5.
    keepalive-dead-peer before the hole; idle behind it."""
    client, server = run.pair(5432, client_options=KEEPALIVE)
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    time.sleep(0.5)
    cut(run)
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, (SERVER, 5432), "keepalive-dead-peer", {"server": ["", "idle-open"], "*": ["keepalive-dead-peer"]},
                   {"server": "open", "*": "timed-out"})
    run.expect("client", TCPKeepAlive=3, TCPAbortOnTimeout=1)
    run.expect_reset("client", "TCP_KEEPALIVE_TIMEOUT")
    run.hold(client, server)


@recipe("keepalive-dead-peer/server-probes", limit=30, offload=False)
def dead_client(run):
    """The client vanished; the server's keepalive finds out.
    Rule: linux-tcp.md 8.6.
    keepalive-dead-peer at the server and outside the NAT."""
    client, server = run.pair(1883)
    for level, name, value in KEEPALIVE:
        server.setsockopt(level, name, value)
    client.sendall(filler(20))
    recv_exact(server, 20)
    server.sendall(filler(4))
    recv_exact(client, 4)
    time.sleep(0.3)
    run.router.drop_in("oifname in", hook="forward", table="gone")
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, (SERVER, 1883), "keepalive-dead-peer", {"client": ["", "idle-open"], "nat-inside": ["", "idle-open"], "*": ["keepalive-dead-peer"]},
                   {"client": "open", "nat-inside": "open", "*": "timed-out"})
    run.expect("server", TCPKeepAlive=3, TCPAbortOnTimeout=1)
    run.hold(client, server)


@recipe("keepalive-dead-peer/answers-lost", limit=40, wire=0.005)
def deaf_prober(run):
    """The way to the server is gone: its keepalive probes arrive and are answered, no answer reaches it, and it gives up.
    Rule: linux-tcp.md 8.6: an answered probe buys another TCP_KEEPIDLE; here the next comes after TCP_KEEPINTVL, then RA.
    keepalive-dead-peer at every vantage; before the hole the answers are seen."""
    client, server = run.pair(1883)
    for level, name, value in [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 3),
                               (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 5)]:
        server.setsockopt(level, name, value)
    client.sendall(filler(20))
    recv_exact(server, 20)
    server.sendall(filler(4))
    recv_exact(client, 4)
    cut(run, down=False)
    fails(lambda: server.recv(10), TimeoutError)
    run.connection(client, (SERVER, 1883), truth=["keepalive-dead-peer", "path-blackhole"], accept=["keepalive-dead-peer", *WAITED],
                   outcome={"server": "timed-out", "*": "reset"})
    run.expect("server", TCPKeepAlive=5, TCPAbortOnTimeout=1)
    run.expect_reset("server", "TCP_KEEPALIVE_TIMEOUT")
    run.hold(client, server)


@recipe("keepalive-dead-peer/seed-60-20-3", limit=160, wire=0.004)
def dead_peer_article(run):
    """The article's settings: idle 60, interval 20, three probes; a silent peer is found after 120 s.
    Rule: linux-tcp.md 12.6: 60 + 3x20.
    keepalive-dead-peer before the hole."""
    client, server = run.pair(5432, client_options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
                                                    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)])
    client.sendall(b"select 1;")
    server.recv(100)
    server.sendall(b"1\n")
    client.recv(100)
    time.sleep(0.5)
    cut(run)
    client.settimeout(None)
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, (SERVER, 5432), "keepalive-dead-peer", {"server": ["", "idle-open"], "*": ["keepalive-dead-peer"]},
                   {"server": "open", "*": "timed-out"})
    run.hold(client, server)


@recipe("user-timeout/three-seconds", limit=30, wire=0.005)
def user_timeout(run):
    """TCP_USER_TIMEOUT of three seconds ends a connection whose path has died.
    Rule: linux-tcp.md 8.4: the last wait is shortened to end in time.
    user-timeout cannot be told from other give-ups: peer-unresponsive or path-blackhole."""
    client, server = run.pair(client_options=[(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)])
    run.exchange(client, server)
    cut(run)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth=["user-timeout", "path-blackhole"], accept={"server": ["", "idle-open"], "*": ["user-timeout", *WAITED, "peer-vanished"]},
                   outcome={"server": "open", "*": "timed-out"})
    run.expect("client", TCPAbortOnTimeout=1)
    run.hold(client, server)


@recipe("user-timeout/late-answer-meets-reset", limit=30, wire=0.005, offload=False)
def user_timeout_late(run):
    """The same; the path heals after the client gave up and the server's late data meets RST.
    Rule: linux-tcp.md 7.3.1 then N1.
    user-timeout, path-blackhole or client-aborted."""
    client, server = run.pair(client_options=[(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)])
    run.exchange(client, server)
    cut(run)
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.wire.rule = None
    server.sendall(filler(100))
    reset_seen(server)
    run.connection(client, truth=["user-timeout", "path-blackhole"],
                   accept={"server": ["client-aborted", "client-restarted", "half-open", "data-after-close", "client-closed-early", "user-timeout", "path-blackhole", "client-vanished"], "*": ["user-timeout", *WAITED, "client-aborted"]}, outcome="reset")
    run.hold(client, server)


# Stalls ------------------------------------------------------------------------------------------

@recipe("zero-window-stall/server-does-not-read", limit=40, snaplen=128)
def zero_window(run):
    """The server's application does not read; its window closes and stays closed; probes are answered.
    Rule: linux-tcp.md 8.6: answered zero-window probes go on for ever.
    zero-window-stall at every vantage."""
    client, server = run.pair(server_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)])
    client.settimeout(1)
    fails(lambda: client.sendall(request("/up", size=5_000_000)), TimeoutError)
    time.sleep(12)
    run.connection(client, truth="zero-window-stall", accept=["zero-window-stall"], outcome="stalled")
    run.expect("client", TCPWinProbe=3)
    run.hold(client, server)


@recipe("zero-window-stall/client-does-not-read", limit=40, snaplen=128, offload=False, wire=0.004)
def zero_window_client(run):
    """The client asks for a large file and does not read it.
    Rule: linux-tcp.md 8.6.
    zero-window-stall at every vantage, at the client's side."""
    client, server = run.pair(client_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16000)])
    client.sendall(request("/big"))
    recv_until(server)
    server.settimeout(1)
    fails(lambda: server.sendall(response(3_000_000)), TimeoutError)
    time.sleep(10)
    run.connection(client, truth="zero-window-stall", accept=["zero-window-stall"], outcome="stalled")
    run.hold(client, server)


@recipe("server-never-accepts/request-acknowledged", limit=40, wire=0.004)
def never_accepts(run):
    """The kernel completes the handshake and acknowledges the request; the application never calls accept().
    Rule: linux-tcp.md 1.1 last row.
    server-never-accepts, or slow-response and stalled, which look the same: the client waits twelve seconds."""
    listener = run.server.listen(80)
    for _ in range(2):
        client = run.caller()
        client.connect((SERVER, 80))
        client.sendall(request())
        run.hold(client)
        run.connection(client, truth="server-never-accepts", accept=["server-never-accepts", "slow-response", "stalled"], outcome="stalled")
    time.sleep(12)
    run.ss("server", "listener", "-l")
    run.hold(listener)


@recipe("server-never-accepts/client-gives-up", limit=40, offload=False)
def never_accepts_closes(run):
    """The same; the client closes after eight seconds, its FIN is acknowledged, nobody closes the other side.
    Rule: linux-tcp.md 1.1: connections in the accept queue acknowledge FINs.
    server-never-accepts, client-timeout or close-wait-leak."""
    listener = run.server.listen(80)
    client = run.caller()
    client.connect((SERVER, 80))
    client.sendall(request())
    time.sleep(8)
    name = client.getsockname()
    client.close()
    time.sleep(5)
    run.connection(name, truth=["server-never-accepts"], accept=["server-never-accepts", "client-timeout", "close-wait-leak", "slow-response", "stalled", "client-aborted"], outcome="stalled")
    run.hold(listener)


@recipe("slow-response/twelve-seconds", limit=40, wire=0.006)
def slow_response(run):
    """The request is acknowledged at once and answered after twelve seconds.
    Rule: none of TCP's: the application took its time.
    slow-response at every vantage; the connection completes."""
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server)
    client.sendall(request("/report"))
    recv_until(server)
    time.sleep(12)
    server.sendall(response(400))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=["slow-response"], accept=["slow-response"], outcome="completed", healthy=False)


@recipe("slow-response/thirty-seconds", limit=60, offload=False)
def slow_response_30(run):
    """The first and only request is answered after thirty seconds.
    Rule: none of TCP's.
    slow-response at every vantage; the connection completes."""
    client, server = run.pair()
    name = client.getsockname()
    client.sendall(request("/report"))
    recv_until(server)
    time.sleep(30)
    server.sendall(response(400))
    recv_response(client)
    end_both(run, client, server)
    run.connection(name, truth=["slow-response"], accept=["slow-response"], outcome="completed", healthy=False)


@recipe("close-wait-leak/server-forgets", limit=40)
def close_wait(run):
    """Three clients close; the server acknowledges and never closes its ends.
    Rule: linux-tcp.md 9.4: CLOSE_WAIT has no timer.
    close-wait-leak at every vantage."""
    for _ in range(3):
        client, server = run.pair()
        name = client.getsockname()
        run.exchange(client, server)
        client.close()
        run.connection(name, truth="close-wait-leak", accept=["close-wait-leak"], outcome="half-closed", healthy=False)
        run.hold(server)
    time.sleep(20)
    run.ss("server", "close-wait", "state", "close-wait")


@recipe("close-wait-leak/client-forgets", limit=60, wire=0.005, offload=False)
def close_wait_client(run):
    """The server closes an idle connection and the client's pool never closes its end.
    Rule: linux-tcp.md 9.4.
    close-wait-leak at every vantage, at the client's side."""
    client, server = run.pair()
    run.exchange(client, server)
    time.sleep(2)
    server.close()
    time.sleep(35)
    run.connection(client, truth="close-wait-leak", accept=["close-wait-leak", "server-idle-close", "half-close", ""], outcome="half-closed", healthy=False)
    run.hold(client)


@recipe("half-open/client-gone-server-idle", limit=30)
def half_open(run):
    """The client's host lost the connection; later the server sends and is answered with RST.
    Rule: linux-tcp.md 9.5: N1, R seq=ack.
    half-open or client-restarted at every vantage."""
    client, server = run.pair(1883)
    client.sendall(filler(30))
    recv_exact(server, 30)
    server.sendall(filler(4))
    recv_exact(client, 4)
    name = client.getsockname()
    forget(run.client, client, name[1])
    time.sleep(4)
    server.sendall(filler(50))
    reset_seen(server)
    run.connection(name, (SERVER, 1883), ["half-open", "client-restarted"], ["half-open", "client-restarted", "client-aborted", "data-after-close", "peer-restarted"], "reset")
    run.expect_reset("client", "NO_SOCKET")
    run.hold(server)


@recipe("checksum-corruption/every-request", limit=40, wire=0.005, offload=False)
def corruption(run):
    """A device damages every data segment of the client; the server's kernel drops them without a word.
    Rule: linux-tcp.md 7.1: never a RST to a bad checksum; InCsumErrors.
    checksum-corruption at the server; peer-unresponsive or path-blackhole before the damage."""
    run.client.tcp(retries2=4)

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.payload:
            spoiled = bytearray(frame.data)
            spoiled[-9] ^= 0x20
            frame.data = bytes(spoiled)
    client, server = run.pair()
    run.wire.rule = rule
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="checksum-corruption", accept={"server": ["checksum-corruption"], "*": WAITED + ["checksum-corruption", "peer-vanished", "host-dropped"]},
                   outcome="timed-out")
    run.expect("server", InErrs=4)
    run.hold(client, server)


@recipe("checksum-corruption/download-some", limit=40, wire=0.005, offload=False, snaplen=0)
def corruption_some(run):
    """One segment in five of a download arrives damaged and is repeated until it comes whole.
    Rule: InCsumErrors at the client; repaired by retransmission.
    checksum-corruption or packet-loss at the client; packet-loss elsewhere; everything is delivered."""
    count = [0]

    def rule(frame):
        if not frame.up and frame.tcp and frame.tcp.payload:
            count[0] += 1
            if count[0] % 5 == 2:
                spoiled = bytearray(frame.data)
                spoiled[-3] ^= 0x01
                frame.data = bytes(spoiled)
    run.wire.rule = rule
    client, server = run.pair()
    name = client.getsockname()
    run.exchange(client, server, answer=response(12000))
    end_both(run, client, server)
    run.connection(name, truth=["checksum-corruption", "packet-loss"], accept=["checksum-corruption", "packet-loss", ""], outcome="completed")


@recipe("timestamp-regression/paws-drops", limit=40, wire=0.005, offload=False)
def paws(run):
    """A device takes the client's timestamps a million back in mid-connection; the server drops everything by PAWS.
    Rule: linux-tcp.md 9.3 row 1: PAWSEstab, duplicate ACKs.
    timestamp-regression at the server; inside, data that is answered by duplicate ACKs only."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)

    def rule(frame):
        if frame.up and frame.tcp and packet.tsval_of(frame.tcp) is not None:
            value = packet.option_value(frame.tcp.options, 8)
            val, echo = struct.unpack("!II", value)
            options = b"".join(packet.timestamps(val - 1_000_000, echo) if kind == 8 else whole
                               for kind, whole in packet.split_options(frame.tcp.options))
            frame.rewrite(options=options)
    run.wire.rule = rule
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="timestamp-regression",
                   accept={"server": ["timestamp-regression"], "*": ["host-dropped", *WAITED, "timestamp-regression", "stalled"]}, outcome="timed-out")
    run.expect("server", PAWSEstab=3)
    run.hold(client, server)


@recipe("timestamp-regression/raw-client", limit=30)
def paws_raw(run):
    """A client whose clock jumps back: its segments' TSval falls below what it sent before.
    Rule: linux-tcp.md 9.3 row 1.
    timestamp-regression at every vantage, since the regression is on every line."""
    listener = run.server.listen(80)
    talker = Talker(run, "client", 50150, SERVER, 80)
    base = 500_000_000
    talker.send("S", options=packet.linux_syn_options(base))
    answer = talker.recv(has("S", "A"))
    echo = packet.tsval_of(answer)
    talker.options = packet.data_timestamps(base + 5, echo)
    talker.send("A")
    peer, _ = listener.accept()
    talker.send("PA", request())
    recv_until(peer)
    peer.sendall(response())
    echo = packet.tsval_of(talker.recv(data))
    talker.options = packet.data_timestamps(base + 20, echo)
    talker.send("A")
    time.sleep(0.5)
    start = talker.seq
    for wait in (0.6, 0.6, 1.2, 2.4):
        talker.seq = start
        talker.options = packet.data_timestamps(base - 7_000_000, echo)
        talker.send("PA", request("/after"))
        time.sleep(wait)
    run.connection((CLIENT, 50150), truth="timestamp-regression", accept=["timestamp-regression"], outcome="timed-out")
    run.expect("server", PAWSEstab=4)
    run.hold(listener, peer)


@recipe("host-dropped/filter-after-handshake", limit=40, wire=0.004)
def host_dropped(run):
    """After the handshake the server's packet filter drops the client's data (a rate limit, a new rule).
    Rule: segments arrive and nothing follows; drop reason NETFILTER_DROP.
    host-dropped or peer-unresponsive at the server; peer-unresponsive before it."""
    run.client.tcp(retries2=4)
    client, server = run.pair()
    run.exchange(client, server)
    run.server.drop_in("tcp dport 80", hook="input")
    client.sendall(request("/after"))
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="host-dropped", accept={"server": ["host-dropped", PEER_SILENT], "*": ["host-dropped", *WAITED, "peer-vanished"]}, outcome="timed-out")
    run.expect_drop("server", "NETFILTER_DROP")
    run.hold(client, server)


@recipe("stalled/response-stops", limit=60, wire=0.006)
def stalled(run):
    """The server sends a third of its response and then nothing for twenty-five seconds; nobody closes.
    Rule: none of TCP's; everything sent was acknowledged.
    stalled: the reason is not on the wire; slow-response names the same."""
    client, server = run.pair()
    client.sendall(request("/big"))
    recv_until(server)
    server.sendall(response(9000)[:3000])
    recv_exact(client, 3000)
    time.sleep(25)
    run.connection(client, truth="stalled", accept=["stalled", "slow-response"], outcome="stalled")
    run.hold(client, server)


@recipe("peer-unresponsive/data-into-silence", limit=60, offload=False)
def unresponsive(run):
    """The very first request gets no answer any more, although the handshake worked.
    Rule: linux-tcp.md 8.3.
    peer-unresponsive; which of its specifics cannot be told from here."""
    run.client.tcp(retries2=5)
    client, server = run.pair()
    run.hop.drop_in("tcp dport 80 tcp flags & syn == 0", hook="forward")
    client.sendall(request())
    fails(lambda: client.recv(10), TimeoutError)
    run.connection(client, truth="path-blackhole", accept={"server": ["", "idle-open", "no-data", "handshake-ack-lost", "capture-partial", "client-vanished"], "*": WAITED + ["peer-vanished", "host-dropped"]},
                   outcome={"server": "open", "*": "timed-out"})
    run.hold(client, server)
