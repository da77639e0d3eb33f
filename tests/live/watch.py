#!/usr/bin/env python3
"""Makes failures happen on the running kernel while `tcpwhy watch` looks on, and scores the cause and the process it names.

    watch.py [--short] [--jobs N] PROGRAM [NAME...]    all cases, or those whose name holds a NAME
    watch.py PROGRAM healthy                           100,000 healthy connections, of which nothing may be said (CONNECTIONS=)

Needs root, the right to BPF, iproute2 and nftables: without them it says "skipped" and exits 77. Everything happens in
network namespaces that are removed at the end.
"""
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import stage
from stage import (CLIENT, FORGED, NOBODY, NS, SERVER, SERVER6, Skipped, actor, busy_client, busy_server, children, connect, drop, family_of, flood, go_on,
                   holding, in_ns, libc, listen, segment, serve, sh, sysctl, until_told)

LINGER_ZERO = struct.pack("ii", 1, 0)
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_USER_TIMEOUT, TCP_MD5SIG = 19, 20, 21, 18, 14
TCP_SEND_QUEUE, TCP_REPAIR_OFF_NO_WP = 2, -1


class Watch:
    """A `tcpwhy watch` in one of the two namespaces, or in none of them."""

    def __init__(self, side, *options):
        self.lines, self.err = [], []
        inside = ["ip", "netns", "exec", NS[side]] if side else []
        self.process = subprocess.Popen([*inside, stage.PROGRAM, "watch", "--format", "jsonl", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children.append(self.process.pid)
        while "watching" not in (self.err[-1] if self.err else ""):
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError("watch did not start: %s" % self.err)
            self.err.append(line)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def told(self):
        """What was said of connections and listeners, each by its first cause."""
        out = []
        for x in list(self.lines):
            if x["type"] == "connection":
                out.append(dict(x["diagnoses"][0], object=x, pid=x.get("process", {}).get("pid")))
            elif x["type"] == "finding":
                out.append(dict(x, object=x, pid=x.get("process", {}).get("pid")))
        return out

    def expect(self, cause, pid=None, *, also=(), verdicts=("proven", "likely"), within=4.0, side=None):
        """The cause is named, with the process; whatever else is named must be in `also`."""
        end = time.time() + within
        hit = None
        while hit is None and time.time() < end:
            for t in self.told():
                if t["cause"] == cause and t["verdict"] in verdicts and (pid is None or t["pid"] == pid) and (side is None or t["side"] == side):
                    hit = t
            time.sleep(0.05)
        told = [(t["cause"], t["verdict"], t["side"], t["pid"], t["summary"]) for t in self.told()]
        assert hit, "%s of %s not told; told %s" % (cause, pid, told)
        others = [t for t in told if t[0] != cause and t[0] not in also]
        assert not others, "also told: %s" % others
        return hit

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        children.remove(self.process.pid)
        time.sleep(0.1)
        return [x for x in self.lines if x["type"] == "summary"][0]


def reject(side, rule):
    in_ns(side, "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in " + rule)


def open_again(side):
    in_ns(side, "nft", "delete table inet t")


def next_number(s):
    """The sequence number of what this socket sends next."""
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)
    number = s.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xffffffff
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)
    return number


def vanish(s):
    """Closes a socket without a packet: this side has lost the connection."""
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    s.close()


def then(work, port=80, backlog=128, **how):
    """A server that accepts one connection and does `work` with it."""
    def run(ready):
        s = listen(port, backlog, **how)
        ready()
        held = s.accept()[0]  # open until `work` closes it
        work(held)
        signal.pause()
    return run


def client(work, port=80, **how):
    """A client that connects and does `work` with its connection."""
    def run(ready):
        s = connect(port, **how)
        ready()
        work(s)
        signal.pause()
    return run


def attempt(port=80, address=SERVER, give_up=None):
    """A client whose connect() may fail; it stays to be named. One that gives up is ready when it has."""
    def run(ready):
        s = socket.socket(family_of(address))
        if not give_up:
            ready()
        s.settimeout(give_up)
        try:
            s.connect((address, port))
        except OSError:
            pass
        if give_up:
            s.close()
            ready()
        signal.pause()
    return run


# --- connect() fails --------------------------------------------------------------------------------------------


def case_port_closed_at_the_server():
    w = Watch("server")
    actor("client", attempt(81))
    w.expect("port-closed", verdicts=("proven",), side="server")


def case_port_closed_at_the_client():
    w = Watch("client")
    pid = actor("client", attempt(81))
    w.expect("port-closed", pid)


def case_rejected_with_reset():
    w = Watch("client")
    reject("server", "tcp dport 81 reject with tcp reset")
    pid = actor("client", attempt(81))
    w.expect("port-closed", pid)  # from there a filter's RST reads the same


def case_rejected_by_icmp_port():
    w = Watch("client")
    reject("server", "tcp dport 81 reject with icmp port-unreachable")
    pid = actor("client", attempt(81))
    w.expect("rejected-by-icmp", pid)


def case_rejected_by_icmp_prohibited():
    w = Watch("client")
    reject("server", "tcp dport 81 reject with icmp admin-prohibited")
    pid = actor("client", attempt(81))
    w.expect("rejected-by-icmp", pid)


def case_host_unreachable():
    sysctl("server", net__ipv4__ip_forward=1)
    sh("ip", "-n", NS["server"], "route", "add", "unreachable", "203.0.113.64/26")
    w = Watch("client")
    pid = actor("client", attempt(80, "203.0.113.70"))
    w.expect("host-unreachable", pid)


def case_neighbour_unresolved():
    w = Watch("client")
    pid = actor("client", attempt(80, "198.51.100.99"))
    w.expect("neighbour-unresolved", pid, within=6)


def case_syn_unanswered():
    w = Watch("client")
    drop("server", "tcp dport 81 drop")
    pid = actor("client", attempt(81))
    w.expect("syn-unanswered", pid, within=6)


def case_syn_unanswered_given_up():
    w = Watch("client")
    drop("server", "tcp dport 81 drop")
    pid = actor("client", attempt(81, give_up=1.3))
    w.expect("syn-unanswered", pid, within=6)


def case_syn_dropped_by_host_filter():
    drop("server", "tcp dport 81 drop")
    w = Watch("server")
    actor("client", attempt(81))
    w.expect("syn-dropped-by-host-filter", verdicts=("proven",), side="server")


def case_syn_dropped_by_reverse_path_filter():
    sysctl("server", net__ipv4__conf__all__rp_filter=1, net__ipv4__conf__v0__rp_filter=1)
    actor("server", serve())
    w = Watch("server")
    actor("client", flood(["192.0.2.55"], rounds=3))
    w.expect("syn-dropped-by-host-filter", verdicts=("proven",))


def case_rejecting_is_not_dropping():
    reject("server", "tcp dport 81 reject with icmp admin-prohibited")
    w = Watch("server")
    actor("client", attempt(81))
    w.expect("rejected-by-icmp", verdicts=("proven",), side="server")


def case_a_scan_is_told_once():
    w = Watch("server")
    actor("client", lambda ready: (ready(), [attempt_quick(p) for p in range(1000, 1100)]))
    t = w.expect("port-scan", also={"port-closed"})
    assert len(w.told()) < 20, len(w.told())
    assert t["object"]["type"] == "finding", t["object"]


def attempt_quick(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        pass


def case_syn_dropped_on_the_way_through():
    sysctl("server", net__ipv4__ip_forward=1)
    in_ns("server", "nft", "add table inet t; add chain inet t fw { type filter hook forward priority 0; policy drop; }")
    w = Watch("server")
    actor("client", attempt(80, "203.0.113.70"))
    w.expect("syn-dropped-on-path", verdicts=("proven",), side="path")


# --- the handshake does not complete --------------------------------------------------------------------------


def late_acks(**settings):
    """More handshakes are begun than the accept queue has room for: their last ACKs come when the SYN-ACKs are repeated."""
    if settings:
        sysctl("server", **settings)
    pid = actor("server", holding(lambda: listen(80, 4)))
    actor("client", holding(lambda: [connect() for _ in range(4)]))
    in_ns("server", "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; };"
          " add rule inet t in tcp flags & (syn|ack) == ack drop")
    w = Watch("server")
    actor("client", holding(lambda: [connect(block=False) for _ in range(4)]))
    time.sleep(0.3)
    open_again("server")
    return w, pid


def case_accept_queue_overflow_drops_the_ack():
    w, pid = late_acks()
    w.expect("accept-queue-overflow", pid, verdicts=("proven",))


def case_accept_queue_overflow_resets():
    w, pid = late_acks(net__ipv4__tcp_abort_on_overflow=1)
    w.expect("accept-queue-overflow-reset", pid, verdicts=("proven",), also={"accept-queue-overflow"})


def case_accept_queue_overflow_drops_the_syn():
    pid = actor("server", holding(lambda: listen(80, 1)))
    w = Watch("server")
    c = Watch("client")
    caller = actor("client", holding(lambda: [connect(block=False) for _ in range(6)]))
    w.expect("accept-queue-overflow", pid, verdicts=("proven",))
    c.expect("syn-unanswered", caller, within=6)


def case_syn_queue_overflow():
    sysctl("server", net__ipv4__tcp_syncookies=0)
    pid = actor("server", serve(backlog=8))
    w = Watch("server")
    actor("client", flood(FORGED))
    w.expect("syn-queue-overflow", pid, verdicts=("proven",), also={"syn-flood", "handshake-ack-lost"})


def case_syn_flood_with_cookies():
    pid = actor("server", serve(backlog=8))
    w = Watch("server")
    actor("client", flood(FORGED))
    w.expect("syn-flood", pid, also={"handshake-ack-lost"})


def case_syn_flood_into_a_large_queue():
    pid = actor("server", serve(backlog=4096))
    w = Watch("server")
    actor("client", flood(FORGED, rounds=400, pause=0))
    w.expect("syn-flood", pid, within=6)


def case_listener_drops_for_the_last_quarter():
    # Without syncookies a backlog of tcp_max_syn_backlog keeps its last quarter for peers it knows.
    sysctl("server", net__ipv4__tcp_syncookies=0, net__ipv4__tcp_max_syn_backlog=16)
    pid = actor("server", serve(backlog=4096))
    w = Watch("server")
    actor("client", flood(FORGED, rounds=60))
    w.expect("syn-queue-overflow", pid, verdicts=("proven", "likely", "possible"), also={"syn-flood", "handshake-ack-lost"}, within=6)


def case_connect_timeout():
    actor("server", serve())
    in_ns("server", "nft", "add table inet t; add chain inet t out { type filter hook output priority 0; };"
          " add rule inet t out tcp flags & (syn|ack) == syn|ack drop")
    w = Watch("client")
    pid = actor("client", attempt(give_up=0.6))
    open_again("server")
    # The SYN-ACK comes again after 1, 3 and 7 s, whichever finds the rule gone.
    w.expect("connect-timeout", pid, verdicts=("proven",), also={"syn-unanswered"}, within=12)


def case_handshake_ack_lost():
    pid = actor("server", serve())
    drop("client", "tcp flags & (syn|ack) == syn|ack drop")
    w = Watch("server")
    actor("client", attempt(give_up=0.5))
    w.expect("handshake-ack-lost", pid, within=14)  # the third repeat comes after seven seconds


def case_syn_ack_dropped_here():
    actor("server", serve())
    drop("client", "tcp flags & (syn|ack) == syn|ack drop")
    w = Watch("client")
    pid = actor("client", attempt())
    w.expect("syn-ack-lost", pid, verdicts=("proven",))


def case_defer_accept_no_data():
    def work(ready):
        s = listen()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 2)
        ready()
        held = s.accept()[0]  # without data after all, when the time is over
        held.recv(1)
    actor("server", work)
    w = Watch("server")
    actor("client", holding(connect))
    w.expect("defer-accept-no-data", within=10)


def case_deferred_request_comes_late():
    def work(ready):
        s = listen()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        ready()
        held = s.accept()[0]
        held.recv(1)
        signal.pause()
    actor("server", work)
    w = Watch("server")
    actor("client", client(lambda s: (time.sleep(2.5), s.sendall(b"request"))))
    time.sleep(6)
    assert not w.told(), w.told()


def case_half_open_challenged():
    actor("server", serve())
    # The client loses its side without a packet, and its port is used again.
    w = Watch("server")

    def again(ready):
        vanish(connect(source=(CLIENT, 40000)))
        ready()
        s = connect(source=(CLIENT, 40000))
        s.sendall(b"x")
        signal.pause()
    actor("client", again)
    w.expect("half-open-challenged", within=6)


# --- the connection is reset --------------------------------------------------------------------------------


def case_linger_zero_at_the_server():
    def work(c):
        c.recv(100)
        time.sleep(0.2)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        c.close()
    pid = actor("server", then(work))
    w = Watch("server")
    c = Watch("client")
    caller = actor("client", client(lambda s: s.sendall(b"request")))
    w.expect("linger-zero-abort", pid, verdicts=("proven",), side="server")
    c.expect("server-aborted", caller)


def case_linger_zero_at_the_client():
    actor("server", serve())
    w = Watch("client")

    def work(s):
        s.sendall(b"request")
        time.sleep(0.3)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        s.close()
    pid = actor("client", client(work))
    w.expect("linger-zero-abort", pid, verdicts=("proven",), side="client")


def case_close_with_unread_data():
    def work(c):
        time.sleep(0.3)
        c.close()
    pid = actor("server", then(work))
    w = Watch("server")
    c = Watch("client")
    caller = actor("client", client(lambda s: s.sendall(b"request")))
    t = w.expect("close-with-unread-data", pid, verdicts=("proven",), side="server")
    assert t["object"]["kernel"]["reset_reason"] == "TCP_ABORT_ON_CLOSE", t["object"]["kernel"]
    c.expect("server-aborted", caller)


def case_closed_early_by_the_client():
    pid = actor("server", then(lambda c: (c.recv(10), c.sendall(b"x" * 3_000_000))))
    w = Watch("client")

    def work(s):
        s.sendall(b"GET")
        s.recv(1000)
        s.close()
    pid = actor("client", client(work))
    w.expect("close-with-unread-data", pid, verdicts=("proven",), side="client")


def reset_with(ttl):
    """A connection in use, and then a RST with the client's address and number that took (64 - ttl) hops."""
    pid = actor("server", serve(lambda c: (c.recv(100), c.sendall(b"answer"))))
    w = Watch("server")

    def work(s):
        s.sendall(b"request")
        s.recv(100)
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.sendto(segment(CLIENT, s.getsockname()[1], 80, 4, next_number(s), ttl=ttl), (SERVER, 0))
    actor("client", client(work))
    return w, pid


def case_reset_with_another_ttl_is_not_the_peers():
    w, pid = reset_with(57)
    t = w.expect("reset-by-network", pid, verdicts=("likely",), side="path")
    assert any("TTL 57" in e["text"] and "64" in e["text"] for e in t["evidence"]), t


def case_reset_with_the_peers_ttl_is_the_peers():
    w, pid = reset_with(64)
    w.expect("client-aborted", pid, side="client")


def case_process_killed():
    pid = actor("server", serve(lambda c: c.recv(100)))
    w = Watch("server")
    actor("client", client(lambda s: s.sendall(b"request")))
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    w.expect("process-killed", pid, verdicts=("proven",), side="server")


def case_process_killed_with_unread_data():
    pid = actor("server", serve())
    w = Watch("server")
    actor("client", client(lambda s: s.sendall(b"request")))
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    w.expect("process-killed", pid, verdicts=("proven",), side="server")


def case_data_after_close():
    def work(c):
        c.recv(100)
        c.close()
    pid = actor("server", then(work))
    w = Watch("server")

    def more(s):
        s.sendall(b"one")
        time.sleep(0.5)
        s.sendall(b"two")
    actor("client", client(more))
    w.expect("data-after-close", pid, verdicts=("proven",), side="server")


def case_fin_wait2_timeout():
    sysctl("server", net__ipv4__tcp_fin_timeout=1)

    def work(c):
        c.recv(100)
        c.close()
    pid = actor("server", then(work))
    w = Watch("server")

    def more(s):
        s.sendall(b"one")
        time.sleep(3.5)
        s.sendall(b"two")
    actor("client", client(more))
    w.expect("fin-wait2-timeout", pid, verdicts=("proven",), within=8)


def case_half_open():
    # As after a crash of the server: it never heard of the connection.
    actor("server", serve())
    w = Watch("server")

    def stranger(ready):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.sendto(segment(CLIENT, 41000, 80, 0x18, 77, payload=b"GET /"), (SERVER, 0))
        ready()
    actor("client", stranger)
    w.expect("half-open")


def case_listener_closed_with_connections_waiting():
    def work(ready):
        s = listen()
        ready()
        select.select([s], [], [])
        time.sleep(0.3)
        s.close()
        signal.pause()
    pid = actor("server", work)
    w = Watch("server")
    actor("client", holding(connect))
    w.expect("server-never-accepts", pid)


def case_destroyed_from_outside():
    actor("server", serve())
    w = Watch("server")
    actor("client", holding(connect))
    time.sleep(0.3)
    in_ns("server", "ss", "-K", "dst", CLIENT, check=False)
    if CLIENT in in_ns("server", "ss", "-tnH", "state", "established").stdout:
        raise Skipped("this kernel cannot destroy sockets (INET_DIAG_DESTROY)")
    w.expect("server-aborted", verdicts=("proven",))


# --- silence ------------------------------------------------------------------------------------------------


def silent(work, side="client"):
    """A connection whose peer becomes unreachable once it is open; then `work` is done at the server."""
    pid = actor("server", then(work))
    w = Watch("server")
    actor("client", holding(connect))
    time.sleep(0.2)
    drop(side, "tcp sport 80 drop")
    return w, pid


def case_keepalive_dead_peer():
    def work(c):
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
            c.setsockopt(socket.IPPROTO_TCP, option, value)
    w, pid = silent(work)
    w.expect("keepalive-dead-peer", pid, verdicts=("proven",), within=8)


def case_user_timeout():
    def work(c):
        c.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 900)
        time.sleep(0.5)
        c.sendall(b"hello")
    w, pid = silent(work)
    w.expect("user-timeout", pid, verdicts=("proven",), within=6)


def case_user_timeout_of_keepalive():
    def work(c):
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (TCP_USER_TIMEOUT, 2000)):
            c.setsockopt(socket.IPPROTO_TCP, option, value)
    w, pid = silent(work)
    w.expect("user-timeout", pid, verdicts=("proven",), within=8)


def case_peer_unresponsive():
    w, pid = silent(lambda c: (time.sleep(0.5), c.sendall(b"hello")))
    w.expect("peer-unresponsive", pid, within=14)


def case_peer_unresponsive_until_the_kernel_gives_up():
    sysctl("server", net__ipv4__tcp_retries2=2)
    w, pid = silent(lambda c: (time.sleep(0.5), c.sendall(b"hello")))
    w.expect("peer-unresponsive", pid, within=8)


def case_dropped_here():
    pid = actor("server", serve())
    w = Watch("server")
    sender = actor("client", client(lambda s: (until_told(), s.sendall(b"request"))))
    drop("server", "tcp dport 80 drop")
    go_on(sender)
    w.expect("host-dropped", pid, verdicts=("proven",), side="server")


def case_checksum_corruption():
    actor("server", serve())
    w = Watch("server")

    def bad(ready):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        ready()
        for n in range(3):
            raw.sendto(segment(CLIENT, 40000, 80, 2, 1000, bad=True), (SERVER, 0))
            time.sleep(0.05)
    actor("client", bad)
    w.expect("checksum-corruption", verdicts=("proven",))


def case_authentication_mismatch():
    def work(ready):
        s = listen()
        key = struct.pack("=H2s4s120sBBHi80s", socket.AF_INET, b"\0\0", socket.inet_aton(CLIENT), b"", 0, 0, 3, 0, b"key")
        try:
            s.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, key)
        except OSError:
            os.write(2, b"")
        ready()
        s.accept()
    actor("server", work)
    w = Watch("server")
    actor("client", attempt())
    time.sleep(0.5)
    if CLIENT in in_ns("server", "ss", "-tnH", "state", "established").stdout:
        raise Skipped("this kernel has no TCP MD5 signatures")
    w.expect("authentication-mismatch", verdicts=("proven",))


# --- IPv6, and more namespaces than one ---------------------------------------------------------------------------


def case_port_closed_ipv6():
    w, c = Watch("server"), Watch("client")
    pid = actor("client", attempt(81, SERVER6))
    w.expect("port-closed", verdicts=("proven",), side="server")
    c.expect("port-closed", pid)


def case_rejected_by_icmp_prohibited_ipv6():
    w = Watch("client")
    reject("server", "tcp dport 81 reject with icmpv6 admin-prohibited")
    pid = actor("client", attempt(81, SERVER6))
    w.expect("rejected-by-icmp", pid, verdicts=("proven",))


def case_neighbour_unresolved_ipv6():
    w = Watch("client")
    pid = actor("client", attempt(80, "2001:db8::99"))
    w.expect("neighbour-unresolved", pid, within=6)


def case_syn_dropped_by_host_filter_ipv6():
    drop("server", "tcp dport 81 drop")
    w, c = Watch("server"), Watch("client")
    pid = actor("client", attempt(81, SERVER6))
    w.expect("syn-dropped-by-host-filter", verdicts=("proven",), side="server")
    c.expect("syn-unanswered", pid, within=6)


def case_close_with_unread_data_ipv6():
    pid = actor("server", then(lambda c: (time.sleep(0.3), c.close()), address=SERVER6))
    w, c = Watch("server"), Watch("client")
    caller = actor("client", client(lambda s: s.sendall(b"request"), address=SERVER6))
    t = w.expect("close-with-unread-data", pid, verdicts=("proven",), side="server")
    assert t["object"]["server"] == {"ip": SERVER6, "port": 80}, t["object"]
    c.expect("server-aborted", caller)


def case_accept_queue_overflow_ipv6():
    pid = actor("server", holding(lambda: listen(80, 1, address=SERVER6)))
    w = Watch("server")
    actor("client", holding(lambda: [connect(address=SERVER6, block=False) for _ in range(6)]))
    w.expect("accept-queue-overflow", pid, verdicts=("proven",))


def both_ends(watch):
    """One failure whose two ends are told of, each with its process, and nothing of any other namespace."""
    pid = actor("server", then(lambda c: (c.recv(10), time.sleep(0.2), c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO), c.close())))
    w = watch()
    time.sleep(0.2)
    actor("client", client(lambda s: s.sendall(b"request")))
    caller = actor("client", attempt(81))
    w.expect("linger-zero-abort", pid, verdicts=("proven",), side="server", also={"port-closed", "server-aborted"})
    w.expect("port-closed", caller, also={"linger-zero-abort", "server-aborted"})


def case_two_namespaces_at_once():
    both_ends(lambda: Watch(None, "--netns", NS["server"], "--netns", NS["client"]))


def case_all_namespaces():
    # Whoever else fails on this machine is told of as well.
    pid = actor("server", then(lambda c: (time.sleep(0.3), c.close())))
    w = Watch(None, "--all-netns")
    actor("client", client(lambda s: s.sendall(b"request")))
    caller = actor("client", attempt(81))
    wanted, end = {("close-with-unread-data", pid), ("port-closed", caller)}, time.time() + 6
    while not wanted <= {(t["cause"], t["pid"]) for t in w.told()} and time.time() < end:
        time.sleep(0.1)
    told = {(t["cause"], t["pid"]) for t in w.told()}
    assert wanted <= told, told


# --- nothing wrong --------------------------------------------------------------------------------------------


def case_healthy_busy_server():
    total = int(os.environ.get("CONNECTIONS", "100000"))
    actor("server", busy_server)
    watches = [Watch("server", "--cost"), Watch("client")]
    workers = [actor("client", busy_client(i, total // 4, "cshbekp")) for i in range(4)]
    started = time.time()
    for pid in workers:
        os.waitpid(pid, 0)
        children.remove(pid)
    seconds = time.time() - started
    time.sleep(1.5)
    for w in watches:
        summary = w.end()
        told = [(t["cause"], t["verdict"], t["pid"], t["summary"]) for t in w.told()]
        assert not told, told[:10]
        assert summary["events_lost"] == 0, summary
        assert summary["ends_opened"] >= total, summary
    print("  %d connections in %.0f s, nothing said, no event lost%s" % (total, seconds, "".join("; " + q for q in summary["quality"])))


def case_each_of_many_resets_is_told():
    count = 400

    def work(ready):
        s = listen(backlog=1024)
        ready()
        while True:
            c = s.accept()[0]
            c.recv(10)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            c.close()
    pid = actor("server", work)
    w = Watch("server")

    def many(ready):
        ready()
        for _ in range(count):
            s = connect()
            s.sendall(b"x")
            try:
                s.recv(1)
            except ConnectionResetError:
                pass
            s.close()
        signal.pause()
    actor("client", many)
    end = time.time() + 8
    while len(w.told()) < count and time.time() < end:
        time.sleep(0.1)
    told = [t for t in w.told() if t["cause"] == "linger-zero-abort" and t["pid"] == pid]
    assert len(told) == count == len(w.told()), "%d of %d told, other words: %s" % (len(told), count, [(t["cause"], t["verdict"], t["pid"], t["summary"]) for t in w.told() if t not in told][:3])


def case_capture_with_kernel():
    """One answer of both: the frames of the capture, the process and the word of the kernel."""
    def work(c):
        time.sleep(0.3)
        c.close()
    pid = actor("server", then(work))
    live = subprocess.Popen(["ip", "netns", "exec", NS["server"], stage.PROGRAM, "-i", "v0", "--with-kernel", "--format", "jsonl"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children.append(live.pid)
    while True:
        line = live.stderr.readline()
        assert line, "the capture did not start"
        if "capturing" in line:
            break
    time.sleep(0.3)
    actor("client", client(lambda s: s.sendall(b"request")))
    actor("client", attempt(81))
    time.sleep(2.5)
    live.send_signal(signal.SIGINT)
    out, _ = live.communicate(timeout=10)
    children.remove(live.pid)
    lines = [json.loads(x) for x in out.splitlines()]
    by_port = {x["server"]["port"]: x for x in lines if x["type"] == "connection"}
    reset, refused = by_port[80], by_port[81]
    first = reset["diagnoses"][0]
    assert (first["cause"], first["verdict"]) == ("close-with-unread-data", "proven"), first
    assert reset["process"]["pid"] == pid and reset["kernel"] == {"reset_reason": "TCP_ABORT_ON_CLOSE"}, reset
    assert any(e["text"].startswith("the kernel: ") for e in first["evidence"]) and reset["frames"] >= 4, first
    first = refused["diagnoses"][0]
    assert (first["cause"], first["verdict"]) == ("port-closed", "proven"), first
    assert refused["kernel"] == {"reset_reason": "NO_SOCKET"}, refused


def case_capture_with_kernel_when_all_packets_look_well():
    """The exit of a killed process closes in order: only the kernel knows of the signal. The interface is silent afterwards."""
    pid = actor("server", serve(lambda c: (c.recv(100), c.sendall(b"half an answer"))))
    live = subprocess.Popen(["ip", "netns", "exec", NS["server"], stage.PROGRAM, "-i", "v0", "-f", "tcp", "--with-kernel", "--format", "jsonl"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children.append(live.pid)
    while "capturing" not in (line := live.stderr.readline()):
        assert line, "the capture did not start"
    actor("client", client(lambda s: (s.sendall(b"request"), s.recv(100), s.recv(100), s.close())))
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    told, _, _ = select.select([live.stdout], [], [], 5)
    assert told, "not told while the interface is silent"
    first = json.loads(live.stdout.readline())
    assert first["type"] == "connection" and first["process"]["pid"] == pid, first
    assert [d["cause"] for d in first["diagnoses"]][:1] == ["process-killed"], first["diagnoses"]
    live.send_signal(signal.SIGINT)
    live.communicate(timeout=10)
    children.remove(live.pid)


# --- what is left behind ----------------------------------------------------------------------------------------


def programs():
    """Ids of the BPF programs of this machine."""
    number = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine)
    if number is None:
        raise Skipped("the number of bpf(2) is not known here")
    ids, at = set(), 0
    while True:
        attribute = ctypes.create_string_buffer(struct.pack("=III", at, 0, 0).ljust(128, b"\0"))
        if libc.syscall(number, 11, attribute, 128) != 0:  # BPF_PROG_GET_NEXT_ID
            return ids
        at = struct.unpack_from("=I", attribute, 4)[0]
        ids.add(at)


def programs_of(pid):
    """Those a process holds itself: others on this machine may load and unload their own meanwhile."""
    ids, folder = set(), "/proc/%d/fdinfo/" % pid
    for name in os.listdir(folder):
        with open(folder + name) as file:
            ids.update(int(line.split()[1]) for line in file if line.startswith("prog_id:"))
    return ids


def case_kill_leaves_no_program_behind():
    w = Watch("server")
    during = programs_of(w.process.pid) & programs()
    assert during, "no program seen while watching"
    os.kill(w.process.pid, signal.SIGKILL)
    for _ in range(50):
        left = programs() & during
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError("left behind: %s" % left)


def case_without_rights_it_polls():
    if sh("setpriv", "--version", check=False).returncode != 0:
        raise Skipped("no setpriv")
    done = sh(*NOBODY, stage.PROGRAM, "watch", "--format", "jsonl",
              "--duration", "1.5", check=False)
    assert done.returncode in (0, 1), done
    assert "Polling instead" in done.stderr, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["source"] == "polling", done.stdout


# What CI has time for: one of each kind.
SHORT = {"port_closed_at_the_server", "rejected_by_icmp_prohibited", "syn_dropped_by_host_filter", "accept_queue_overflow_drops_the_ack",
         "accept_queue_overflow_resets", "linger_zero_at_the_server", "close_with_unread_data", "process_killed", "data_after_close",
         "keepalive_dead_peer", "connect_timeout", "dropped_here", "capture_with_kernel", "capture_with_kernel_when_all_packets_look_well",
         "reset_with_another_ttl_is_not_the_peers", "healthy_busy_server", "kill_leaves_no_program_behind",
         "without_rights_it_polls", "rejecting_is_not_dropping", "close_with_unread_data_ipv6", "two_namespaces_at_once"}


def may_bpf():
    done = subprocess.run([stage.PROGRAM, "watch", "--format", "jsonl", "--duration", "0.1"], capture_output=True, text=True, check=False)
    return '"source":"bpf"' in done.stdout, done.stderr.strip().splitlines()[:1]


def main():
    if os.geteuid() != 0:
        print("skipped: tests/live/watch.py needs root for network namespaces and BPF")
        return 77
    return stage.main(globals(), SHORT, short_connections=8000, able=may_bpf)


if __name__ == "__main__":
    sys.exit(main())
