"""SYNs that are answered, with no."""

import time

import packet
from net import SERVER, SERVER6
from raw import Talker, has
from run import fails, recipe, wait_until


def refused(run, v6=False, port=81):
    sock = run.caller(v6=v6)
    fails(lambda: sock.connect((SERVER6 if v6 else SERVER, port)), ConnectionRefusedError)
    run.connection(sock, (SERVER6 if v6 else SERVER, port), "port-closed", ["port-closed"], "refused")
    run.expect_reset("server", "NO_SOCKET")
    return sock


@recipe("port-closed/plain")
def plain(run):
    """A client connects to a port nobody listens on, and the host answers RST+ACK.
    Rule: linux-tcp.md 7.2 N1, an answer to a segment without ACK: RA, seq 0, ack SYN+1.
    port-closed at every vantage: the RST has the host's own TTL distance, nothing speaks of a middlebox."""
    refused(run)
    run.expect("server", OutRsts=1)


@recipe("port-closed/far", wire=0.020, offload=False)
def far(run):
    """The same over a path of 40 ms, with the server's other port answering as a reference.
    Rule: linux-tcp.md 7.2 N1; the RST takes one round trip, TTL as the other port's SYN-ACK.
    port-closed at every vantage; the connection to port 80 is healthy."""
    reference(run)
    for _ in range(3):
        refused(run)


@recipe("port-closed/v6", wire=0.005)
def v6(run):
    """The same over IPv6, not translated.
    Rule: linux-tcp.md 7.2 N1 in its IPv6 twin.
    port-closed at every vantage."""
    refused(run, v6=True)


@recipe("port-closed/adjacent", hop=False)
def adjacent(run):
    """The same where the router and the server share a line.
    Rule: linux-tcp.md 7.2 N1.
    port-closed at every vantage."""
    refused(run)


@recipe("port-closed/windows-client", limit=20)
def windows_client(run):
    """A Windows client is refused, and asks again every 500 ms before it believes it.
    Rule: linux-tcp.md 8.8, RST answer to its SYN: repeated 2 more times; TTL 128, no timestamps.
    port-closed at every vantage, once, not three faults."""
    talker = Talker(run, "client", 50123, SERVER, 81, ttl=128, window=64240)
    for _ in range(3):
        talker.send("S", options=packet.windows_syn_options(), advance=False)
        talker.recv(has("R"))
        time.sleep(0.5)
    run.connection((talker.address, 50123), (SERVER, 81), "port-closed", ["port-closed"], "refused")
    run.expect("server", OutRsts=3)


@recipe("rejected-by-middlebox/router-reject")
def router_reject(run):
    """The client's own router refuses the port with a RST in the server's name.
    Rule: linux-tcp.md 7.2 N12 and 11.5: at the client the RST arrives with TTL 64, no hop away, the server's
    SYN-ACK with 62.  rejected-by-middlebox where TTLs can be compared; the server never sees the SYN."""
    reference(run)
    run.router.drop_in("tcp dport 8443", hook="forward", action="reject with tcp reset")
    sock = run.caller()
    fails(lambda: sock.connect((SERVER, 8443)), ConnectionRefusedError)
    run.connection(sock, (SERVER, 8443), "rejected-by-middlebox",
                   ["rejected-by-middlebox", "port-closed"], "refused")
    run.expect_exactly("server", OutRsts=0)


def reference(run, port=80):
    """One healthy exchange, which shows what the real server looks like."""
    client, server = run.pair(port)
    name = client.getsockname()
    run.exchange(client, server)
    client.close()
    wait_until(lambda: server.recv(1) == b"", 5)
    server.close()
    run.connection(name, (SERVER, port), [], [""])


@recipe("rejected-by-middlebox/firewall-shape", wire=0.020, offload=False)
def firewall_shape(run):
    """A firewall on a path of 40 ms answers the SYN in its own time, with TTL 255 and a strange window.
    Rule: linux-tcp.md 11.5: faster than the round trip, TTL unlike the server's, shape no Linux sends.
    rejected-by-middlebox before the firewall; the server's capture does not have the connection."""
    reference(run)

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.dport == 8443:
            syn = frame.tcp
            frame.drop()
            run.wire.inject(packet.Segment(syn.dst, syn.src, syn.dport, syn.sport, 0, syn.end, "RA", 8192, ttl=255,
                                           ip_id=4711, df=False), up=False)
    run.wire.rule = rule
    sock = run.caller()
    fails(lambda: sock.connect((SERVER, 8443)), ConnectionRefusedError)
    run.connection(sock, (SERVER, 8443), "rejected-by-middlebox", ["rejected-by-middlebox"], "refused")


@recipe("rejected-by-middlebox/same-host-another-port", wire=0.015)
def same_port(run):
    """The balancer in front lets one connection through and refuses the next two to the same port.
    Rule: linux-tcp.md 11.5: the RST has TTL 128 on arrival where the server's segments have 62.
    rejected-by-middlebox at the three points before the balancer."""
    reference(run)

    def rule(frame):
        if frame.up and frame.tcp and frame.tcp.flags == "S":
            syn = frame.tcp
            frame.drop()
            run.wire.inject(packet.Segment(syn.dst, syn.src, syn.dport, syn.sport, 0, syn.end, "RA", 0, ttl=128,
                                           ip_id=777), up=False, after=0.001)
    run.wire.rule = rule
    for _ in range(2):
        sock = run.caller()
        fails(lambda: sock.connect((SERVER, 80)), ConnectionRefusedError)
        run.connection(sock, (SERVER, 80), "rejected-by-middlebox", ["rejected-by-middlebox"], "refused")


def icmp_rejected(run, where, hook, code, error, v6=False):
    kind = "icmp" if code == "host-prohibited" else "icmpx"      # icmpx: nft's name for either family
    action = "reject with %s %s" % (kind, code)
    run.hosts[where].drop_in("tcp dport 8443", hook=hook, action=action)
    sock = run.caller(v6=v6)
    fails(lambda: sock.connect((SERVER6 if v6 else SERVER, 8443)), *error)
    run.connection(sock, (SERVER6 if v6 else SERVER, 8443), "rejected-by-icmp", ["rejected-by-icmp"], "refused")


@recipe("rejected-by-icmp/hop-admin-prohibited")
def hop_admin(run):
    """A filter on the way answers ICMP administratively prohibited; connect() fails with EHOSTUNREACH.
    Rule: linux-tcp.md 10.2, 3/13.
    rejected-by-icmp at the three points before the filter; the server never sees the SYN."""
    icmp_rejected(run, "hop", "forward", "admin-prohibited", (OSError,))


@recipe("rejected-by-icmp/host-own-filter", offload=False)
def host_own(run):
    """The server's own packet filter rejects with ICMP port unreachable, the default of many firewalls.
    Rule: linux-tcp.md 10.2, 3/3: ECONNREFUSED without a RST.
    rejected-by-icmp at all four points."""
    icmp_rejected(run, "server", "input", "port-unreachable", (ConnectionRefusedError,))


@recipe("rejected-by-icmp/host-prohibited", wire=0.008)
def host_prohibited(run):
    """A filter on the way answers ICMP host prohibited.
    Rule: linux-tcp.md 10.2, 3/10: EHOSTUNREACH.
    rejected-by-icmp at the three points before the filter."""
    icmp_rejected(run, "hop", "forward", "host-prohibited", (OSError,))


@recipe("rejected-by-icmp/v6-admin-prohibited")
def v6_admin(run):
    """The same with IPv6: ICMPv6 administratively prohibited.
    Rule: linux-tcp.md 13.2, ICMPv6 1/1: EACCES.
    rejected-by-icmp at the three points before the filter."""
    icmp_rejected(run, "hop", "forward", "admin-prohibited", (OSError,), v6=True)


@recipe("host-unreachable/no-such-host", limit=20)
def no_such_host(run):
    """Nobody has the address; the last router finds out by ARP and says so after three seconds.
    Rule: linux-tcp.md 10.2, 3/1: EHOSTUNREACH.
    host-unreachable at the three points before the router."""
    sock = run.caller()
    fails(lambda: sock.connect(("198.51.100.99", 80)), OSError)
    run.connection(sock, ("198.51.100.99", 80), "host-unreachable", ["host-unreachable"], "refused")
    run.expect("hop", OutDestUnreachs=1)


@recipe("host-unreachable/no-route", offload=False, hop=False)
def no_route(run):
    """The router has an unreachable route and answers network unreachable at once.
    Rule: linux-tcp.md 10.2, 3/0: ENETUNREACH.
    host-unreachable at the client and inside the NAT; the SYN goes no further."""
    run.router.run("ip", "route", "add", "unreachable", "198.51.100.0/25")
    run.router.run("ip", "route", "flush", "cache")
    sock = run.caller()
    fails(lambda: sock.connect((SERVER, 80)), OSError)
    run.connection(sock, (SERVER, 80), "host-unreachable", ["host-unreachable"], "refused")


@recipe("host-unreachable/v6", limit=20)
def unreachable_v6(run):
    """Nobody has the IPv6 address; the last router's neighbour discovery fails.
    Rule: linux-tcp.md 13.2, ICMPv6 1/3: EHOSTUNREACH.
    host-unreachable at the three points before the router."""
    sock = run.caller(v6=True)
    fails(lambda: sock.connect(("2001:db8:2::99", 80)), OSError)
    run.connection(sock, ("2001:db8:2::99", 80), "host-unreachable", ["host-unreachable"], "refused")
