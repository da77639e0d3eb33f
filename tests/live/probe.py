#!/usr/bin/env python3
"""Asks `tcpwhy probe` through a network where something is wrong, and holds it to what is known to be wrong.

    probe.py [--short] [--jobs N] PROGRAM [NAME...]     all cases, or those whose name holds a NAME

    client 192.0.2.10 -- 192.0.2.1 NAT 203.0.113.2 -- 203.0.113.1 router 198.51.100.1 -- 198.51.100.7 server
                         hop 1                        hop 2                               hop 3

Needs root, iproute2 and nftables: without root it says so and exits 77. Everything happens in four network
namespaces that are removed at the end. The NAT masquerades, so that the server sees one address for all clients.
"""
import json
import signal
import socket
import subprocess
import sys
import time

import stage
from stage import NOBODY, NS, SERVER, actor, connect, in_ns, listen, serve, sh

NAT, ROUTER = "192.0.2.1", "203.0.113.1"
SURE = ("proven", "likely")


def link(a, dev_a, address_a, b, dev_b, address_b):
    sh("ip", "link", "add", dev_a, "netns", NS[a], "type", "veth", "peer", "name", dev_b, "netns", NS[b])
    for side, dev, address in ((a, dev_a, address_a), (b, dev_b, address_b)):
        for family in address:
            sh("ip", "-n", NS[side], "addr", "add", family, "dev", dev, *(["nodad"] if ":" in family else []))
        sh("ip", "-n", NS[side], "link", "set", dev, "up")


def up():
    for ns in NS.values():
        sh("ip", "netns", "add", ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
    link("client", "c0", ["192.0.2.10/24", "2001:db8:1::10/64"], "nat", "n0", [NAT + "/24", "2001:db8:1::1/64"])
    link("nat", "n1", ["203.0.113.2/24", "2001:db8:2::2/64"], "router", "r0", [ROUTER + "/24", "2001:db8:2::1/64"])
    link("router", "r1", ["198.51.100.1/24", "2001:db8:3::1/64"], "server", "s0", [SERVER + "/24", "2001:db8:3::7/64"])
    for side in ("nat", "router"):
        stage.sysctl(side, net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    route("client", "default", NAT)
    route("nat", "198.51.100.0/24", ROUTER)
    route("server", "203.0.113.0/24", "198.51.100.1")
    route("client", "default", "2001:db8:1::1")
    route("nat", "2001:db8:3::/64", "2001:db8:2::1")
    route("router", "2001:db8:1::/64", "2001:db8:2::2")
    route("server", "default", "2001:db8:3::1")
    in_ns("nat", "nft", "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; "
          "add rule ip nat post oifname n1 masquerade")


def route(side, to, via, *more):
    sh("ip", "-n", NS[side], *(["-6"] if ":" in via else []), "route", "replace", to, "via", via, *more)


def rule(side, hook, *rules):
    """Rules in a chain of their own, at the usual place of a filter (prerouting: before everything)."""
    priority = -300 if hook == "prerouting" else 0
    in_ns(side, "nft", "add table inet t; add chain inet t %s { type filter hook %s priority %d; }; %s"
          % (hook, hook, priority, "; ".join("add rule inet t %s %s" % (hook, r) for r in rules)))


def ask(port, *options, address=SERVER, prefix=()):
    target = "[%s]:%d" % (address, port) if ":" in address else "%s:%d" % (address, port)
    done = in_ns("client", *prefix, stage.PROGRAM, "probe", target, "--format", "jsonl", *options, check=False)
    if done.returncode not in (0, 1):
        raise AssertionError("tcpwhy could not work (%d): %s" % (done.returncode, done.stderr))
    lines = [json.loads(x) for x in done.stdout.splitlines()]
    summary = lines[-1]
    assert summary["type"] == "summary" and summary["packets"] <= summary["max_packets"], summary
    assert len(lines) == 2, "one address was asked for"
    return lines[0], done.returncode


def find(port, cause, *options, verdicts=SURE, side=None, says=(), never=(), **kw):
    """The first diagnosis must be this cause; `says` must stand in its sentences, `never` must not be likely."""
    answer, status = ask(port, *options, **kw)
    got = [(d["cause"], d["verdict"]) for d in answer["diagnoses"]]
    text = lambda: json.dumps(answer, indent=1)  # noqa: E731
    assert got, "no diagnosis; %s" % text()
    first = answer["diagnoses"][0]
    assert first["cause"] == cause and first["verdict"] in verdicts, "found %s\n%s" % (got, text())
    assert side is None or first["side"] == side, "side %s\n%s" % (first["side"], text())
    sentences = first["summary"] + " " + " ".join(e["text"] for e in first["evidence"])
    for word in says:
        assert word in sentences, "'%s' is not said in: %s\n%s" % (word, sentences, text())
    others = [c for c, v in got[1:] if v in SURE and c not in never]
    assert not others, "also found: %s" % others
    assert status == 1 and not answer["healthy"], "exit status %d" % status
    return answer


def well(port, *options, benign=(), **kw):
    answer, status = ask(port, *options, **kw)
    found = [(d["cause"], d["verdict"]) for d in answer["diagnoses"] if d["cause"] not in benign]
    assert not found and status == 0 and answer["healthy"], "status %d, found %s\n%s" % (status, found, json.dumps(answer, indent=1))
    return answer


def step(answer, name, n=0):
    return [s for s in answer["steps"] if s["step"] == name][n]


def service(port=80, **kw):
    """An echo that ends with its client."""
    def work(ready):
        s = listen(port, **kw)
        ready()
        import threading

        def talk(c):
            while True:
                try:
                    data = c.recv(4096)
                except OSError:
                    break
                if not data:
                    break
                c.sendall(data)
            c.close()
        while True:
            c, _ = s.accept()
            threading.Thread(target=talk, args=(c,), daemon=True).start()
    return actor("server", work)



# --- nothing is wrong ------------------------------------------------------------------------------------------


def case_healthy():
    service()
    a = well(80)
    assert [h.get("ip") for h in step(a, "path")["hops"]][:2] == [NAT, ROUTER], step(a, "path")
    assert step(a, "connect")["asked"][0]["ttl_of_answer"] == 62, step(a, "connect")
    assert any(q["octets"] == 1500 and q["answer"] == "ack" for q in step(a, "size")["asked"]), step(a, "size")


def case_healthy_where_all_other_ports_are_dropped():
    service()
    rule("server", "input", "tcp dport != 80 drop")
    well(80)


def case_healthy_where_routers_say_nothing():
    service()
    for side in ("nat", "router"):
        rule(side, "output", "meta l4proto icmp drop")
    well(80)


def case_healthy_without_timestamps():
    stage.sysctl("server", net__ipv4__tcp_timestamps=0)
    service()
    well(80)


def case_healthy_ipv6():
    actor("server", listener6)
    a = well(80, address="2001:db8:3::7")
    assert len(step(a, "path")["hops"]) == 3, step(a, "path")


def listener6(ready):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("2001:db8:3::7", 80))
    s.listen(64)
    ready()
    while True:
        s.accept()[0].close()


def case_healthy_with_a_tenth_of_all_packets_lost():
    service()
    rule("router", "forward", "meta mark set 0", "numgen random mod 10 == 0 drop")
    for _ in range(3):
        well(80)


def case_healthy_unprivileged():
    service()
    a = well(80, prefix=NOBODY)
    assert len(step(a, "path")["hops"]) == 3, step(a, "path")


def case_healthy_on_the_same_network():
    actor("nat", lambda ready: (globals().__setitem__("s", listen(80, address=NAT)), ready()))
    well(80, address=NAT)


# --- refused ---------------------------------------------------------------------------------------------------


def case_port_closed():
    service()
    find(81, "port-closed", side="server")


def case_port_closed_and_no_other_open():
    find(81, "port-closed", side="server")


def case_port_closed_unprivileged():
    service()
    find(81, "port-closed", side="server", prefix=NOBODY)


def case_port_closed_by_the_hosts_own_reject():
    # The product's words: a host's own REJECT looks the same.
    service()
    rule("server", "input", "tcp dport 81 reject with tcp reset")
    find(81, "port-closed", side="server")


def case_rejected_by_the_nat_with_reset():
    service()
    rule("nat", "forward", "tcp dport 81 reject with tcp reset")
    find(81, "rejected-by-middlebox", side="path", says=("hop 1 (%s)" % NAT,))


def case_rejected_by_the_nat_with_reset_unprivileged():
    service()
    rule("nat", "forward", "tcp dport 81 reject with tcp reset")
    find(81, "rejected-by-middlebox", side="path", says=("hop 1 (%s)" % NAT,), prefix=NOBODY)


def case_rejected_by_the_last_router_with_reset():
    service()
    rule("router", "forward", "tcp dport 81 reject with tcp reset")
    find(81, "rejected-by-middlebox", side="path", says=("TTL 63", "TTL 62"))


def case_rejected_by_icmp_on_the_path():
    service()
    rule("router", "forward", "tcp dport 81 reject with icmpx type admin-prohibited")
    find(81, "rejected-by-icmp", side="path", verdicts=("proven",), says=(ROUTER, "hop 2"))


def case_rejected_by_icmp_unprivileged():
    service()
    rule("router", "forward", "tcp dport 81 reject with icmpx type admin-prohibited")
    find(81, "rejected-by-icmp", side="path", verdicts=("proven",), says=(ROUTER, "hop 2"), prefix=NOBODY)


def case_rejected_by_icmp_of_the_host():
    service()
    rule("server", "input", "tcp dport 81 reject")
    find(81, "rejected-by-icmp", side="server", says=(SERVER,))


def case_rejected_by_icmp_ipv6():
    actor("server", listener6)
    rule("router", "forward", "tcp dport 81 reject with icmpx type admin-prohibited")
    find(81, "rejected-by-icmp", side="path", says=("2001:db8:2::1",), address="2001:db8:3::7")


# --- unreachable -----------------------------------------------------------------------------------------------


def case_host_unreachable():
    find(80, "host-unreachable", says=(ROUTER, "3 s"), address="198.51.100.99")


def case_network_unreachable():
    sh("ip", "-n", NS["router"], "route", "add", "unreachable", "198.51.100.128/25")
    find(80, "host-unreachable", says=(ROUTER,), address="198.51.100.200", verdicts=("proven",))


def case_host_unreachable_unprivileged():
    find(80, "host-unreachable", says=(ROUTER, "3 s"), address="198.51.100.99", prefix=NOBODY)


def case_no_route_here():
    sh("ip", "-n", NS["client"], "route", "del", "default")
    find(80, "host-unreachable", side="client", says=("no route",))


def case_neighbour_unresolved():
    find(80, "neighbour-unresolved", address="192.0.2.77")


def case_routing_loop():
    stage.sysctl("server", net__ipv4__ip_forward=1)
    route("router", "198.51.100.128/25", SERVER)
    route("server", "198.51.100.128/25", "198.51.100.1")
    find(80, "routing-loop", address="198.51.100.200")


# --- silence ---------------------------------------------------------------------------------------------------


def case_dropped_on_path_at_the_nat():
    service()
    rule("nat", "forward", "tcp dport 81 drop")
    find(81, "syn-dropped-on-path", side="path", says=("between hop 1 (%s) and hop 2 (%s)" % (NAT, ROUTER),))


def case_dropped_on_path_at_the_nat_unprivileged():
    service()
    rule("nat", "forward", "tcp dport 81 drop")
    find(81, "syn-dropped-on-path", side="path", says=("between hop 1 (%s) and hop 2 (%s)" % (NAT, ROUTER),), prefix=NOBODY)


def case_dropped_on_path_as_the_router_receives():
    service()
    rule("router", "prerouting", "tcp dport 81 drop")
    find(81, "syn-dropped-on-path", side="path", says=("between hop 1 (%s) and hop 2 (%s)" % (NAT, ROUTER),))


def case_dropped_on_path_as_the_last_router_forwards():
    service()
    rule("router", "forward", "tcp dport 81 drop")
    find(81, "syn-dropped-on-path", side="path", says=("between hop 2 (%s) and the host" % ROUTER,))


def case_dropped_on_path_syns_only():
    # The classical "established" access list.
    service()
    rule("router", "forward", "tcp dport 81 tcp flags & (syn|ack) == syn drop")
    find(81, "syn-dropped-on-path", side="path", says=("between hop 2 (%s) and the host" % ROUTER,))


def case_dropped_by_host():
    service()
    rule("server", "input", "tcp dport 81 drop")
    find(81, "syn-dropped-by-host-filter", side="server", says=("reaches the host",))


def case_dropped_by_host_that_closes_every_other_port():
    rule("server", "input", "tcp dport 81 drop")
    find(81, "syn-dropped-by-host-filter", side="server", says=("reaches the host",))


def case_dropped_by_host_unprivileged():
    # A filter or a full queue: without a stray ACK it cannot be told, yet that the SYN arrives can.
    service()
    rule("server", "input", "tcp dport 81 drop")
    a = find(81, "syn-unanswered", side="server", says=("reaches the host",), prefix=NOBODY)
    assert "syn-dropped-by-host-filter" in [d["cause"] for d in a["diagnoses"]]


def case_dropped_by_host_where_options_are_dropped():
    # Many networks drop IP options. Then nobody can tell, and nobody must say so.
    service()
    rule("router", "prerouting", "ip hdrlength > 5 drop")
    rule("server", "input", "tcp dport 81 drop")
    find(81, "syn-unanswered", says=("hop 2 (%s)" % ROUTER,))


def case_everything_dropped_behind_the_router():
    rule("router", "forward", "ip daddr %s drop" % SERVER)
    find(81, "syn-unanswered", says=("hop 2 (%s)" % ROUTER,))


def case_dropped_by_this_host():
    service()
    rule("client", "output", "tcp dport 81 drop")
    find(81, "syn-dropped-by-host-filter", side="client")


def case_saturated_listener():
    actor("server", lambda ready: (globals().__setitem__("s", listen(80, 1)), ready()))
    actor("client", lambda ready: (globals().__setitem__("c", [connect(80) for _ in range(2)]), ready()))
    find(80, "accept-queue-overflow", side="server", says=("stray ACK",))


def case_saturated_listener_with_an_open_port_beside():
    service(443)
    actor("server", lambda ready: (globals().__setitem__("s", listen(80, 1)), ready()))
    actor("client", lambda ready: (globals().__setitem__("c", [connect(80) for _ in range(2)]), ready()))
    find(80, "accept-queue-overflow", side="server", says=("stray ACK", "reaches the host"))


def case_saturated_listener_that_accepts_now_and_then():
    def work(ready):
        s = listen(80, 1)
        ready()
        held = []
        while True:
            held.append(s.accept()[0])
            time.sleep(1.5)
    actor("server", work)
    actor("client", lambda ready: (globals().__setitem__("c", [connect(80, block=False) for _ in range(30)]), ready()))
    time.sleep(0.5)
    find(80, "accept-queue-overflow", side="server", says=("stray ACK",))


def stamps_below(mark, also=""):
    """The rule of tcp_tw_recycle, emulated: no kernel of today has it. A SYN whose TSval lies in the half circle
    behind `mark`, which another client behind the same NAT has left, is dropped; `also` those without timestamps."""
    low = (mark - (1 << 31)) % (1 << 32)
    spans = ["%d-%d" % (low, mark - 1)] if low < mark else ["%d-4294967295" % low, "0-%d" % (mark - 1)]
    rule("server", "input", *["tcp flags & (syn|ack) == syn tcp option timestamp tsval %s drop" % s for s in spans],
         *(["tcp flags & (syn|ack) == syn tcp option timestamp missing drop"] if also else []))


def case_timestamp_drop_behind_nat():
    service()
    stamps_below(0x60000000)
    find(80, "per-host-timestamp-check", side="server", says=("without timestamps was answered",))


def case_timestamp_drop_behind_nat_el7():
    service()
    stamps_below(0xc0000000, also="without")
    find(80, "per-host-timestamp-check", side="server", says=("without timestamps went unanswered",))


def case_one_sick_backend_drops():
    service()
    rule("router", "forward", "tcp dport 80 jhash tcp sport mod 2 == 0 drop")
    find(80, "syn-unanswered", "--connects", "8", says=("backend",))


def case_one_sick_backend_refuses():
    service()
    # The balancer is the router; its sick backend is the server's closed port.
    in_ns("router", "nft", "add table ip lb; add chain ip lb pre { type nat hook prerouting priority -100; }; "
          "add rule ip lb pre tcp dport 80 jhash tcp sport mod 2 == 0 dnat to %s:81" % SERVER)
    find(80, "port-closed", "--connects", "8", says=("backend",))


# --- the connection that comes about ---------------------------------------------------------------------------


def narrow(mtu):
    sh("ip", "-n", NS["router"], "link", "set", "r1", "mtu", str(mtu))


def case_mtu_black_hole():
    service()
    narrow(1300)
    rule("router", "output", "icmp type destination-unreachable drop")
    a = find(80, "pmtu-blackhole", side="path")
    passed = max(q["octets"] for q in step(a, "size")["asked"] if q["answer"] == "ack")
    assert 1290 <= passed <= 1300, step(a, "size")


def case_mtu_told_by_icmp():
    service()
    narrow(1300)
    a = well(80, benign=("pmtud-adjusted",))
    assert [d["cause"] for d in a["diagnoses"]] == ["pmtud-adjusted"], a["diagnoses"]


def case_mtu_black_hole_ipv6():
    actor("server", listener6_held)
    narrow(1400)
    rule("router", "output", "icmpv6 type packet-too-big drop")
    find(80, "pmtu-blackhole", side="path", address="2001:db8:3::7")


def listener6_held(ready):
    s = socket.socket(socket.AF_INET6)
    s.bind(("2001:db8:3::7", 80))
    s.listen(64)
    ready()
    held = []
    while True:
        held.append(s.accept()[0])


def case_idle_timer_of_the_nat():
    service()
    stage.sysctl("nat", net__netfilter__nf_conntrack_tcp_timeout_established=6, net__netfilter__nf_conntrack_tcp_loose=0)
    rule("nat", "forward", "ct state invalid drop")
    a = find(80, "idle-timeout-silent", "--idle", "40", side="path")
    alive = max(q["idle_s"] for q in step(a, "idle")["asked"] if q["end"] == "alive")
    dead = min(q["idle_s"] for q in step(a, "idle")["asked"] if q["end"] == "silent")
    assert alive <= 6 <= dead + 1 and dead - alive <= 3, (alive, dead)


def case_idle_close_of_the_server():
    def work(ready):
        s = listen(80)
        ready()
        import threading

        def talk(c):
            c.settimeout(5)
            try:
                c.recv(1)
            except OSError:
                pass
            c.close()
        while True:
            c, _ = s.accept()
            threading.Thread(target=talk, args=(c,), daemon=True).start()
    actor("server", work)
    a = well(80, "--idle", "30", benign=("server-idle-close",))
    assert [d["cause"] for d in a["diagnoses"]] == ["server-idle-close"], a["diagnoses"]


def case_idle_and_nothing_forgets():
    service()
    well(80, "--idle", "14")


def case_half_open_is_challenged():
    service()
    a = well(80, "--half-open")
    assert step(a, "half-open")["asked"][0]["answer"] == "ack", step(a, "half-open")


# --- politeness ------------------------------------------------------------------------------------------------


def case_never_more_packets_than_stated():
    service()
    rule("server", "input", "tcp dport 81 drop")
    in_ns("client", "nft", "add table ip count; add chain ip count out { type filter hook output priority 200; }; "
          "add rule ip count out ip daddr %s counter" % SERVER)
    for bound in ("8", "30", "90"):
        for port in (80, 81):
            in_ns("client", "nft", "reset", "counters", check=False)
            before = counted()
            answer, _ = ask(port, "--max-packets", bound)
            sent = counted() - before
            assert sent <= int(bound), "%d packets left, the bound is %s" % (sent, bound)
            assert abs(sent - answer["packets"]) <= 1, "%d packets left, it says %d" % (sent, answer["packets"])


def counted():
    time.sleep(0.3)
    out = json.loads(in_ns("client", "nft", "-j", "list", "chain", "ip", "count", "out").stdout)
    return next(e["counter"]["packets"] for r in out["nftables"] if "rule" in r for e in r["rule"]["expr"] if "counter" in e)


# What `./dev test` runs.
SHORT = ("healthy", "port_closed", "rejected_by_the_nat_with_reset", "rejected_by_icmp_on_the_path", "host_unreachable")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(stage.main(globals(), SHORT, sides=("client", "nat", "router", "server"), build=up))
