#!/usr/bin/env python3
"""Makes failures happen on the running kernel and asks `tcpwhy host` while they do.

    host.py [--short] [--jobs N] PROGRAM [NAME...]     all cases, or those whose name holds a NAME
    host.py PROGRAM healthy                            only the busy healthy server (CONNECTIONS=100000)

Needs root, iproute2 and nftables: without root it says so and exits 77. Everything
happens in network namespaces that are removed at the end.
"""
import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import stage
from stage import CLIENT, CLIENT6, NOBODY, NS, SERVER, SERVER6, actor, busy_client, busy_server, children, connect, drop, flood, FORGED, holding, in_ns, listen, serve, sh, sysctl


def ask(side, *options, patience="2"):
    done = in_ns(side, stage.PROGRAM, "host", "--format", "jsonl", "--patience", patience, *options, check=False)
    if done.returncode == 2:
        raise AssertionError("tcpwhy could not work: " + done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [x for x in lines if x["type"] == "finding"], done.returncode


def find(side, cause, pid=None, *, tries=6, also=None, options=(), verdicts=("proven", "likely")):
    """Asks until the cause is named; the others it names must be in `also`."""
    findings = []
    for _ in range(tries):
        findings, status = ask(side, *options)
        hits = [f for f in findings if f["cause"] == cause and f["verdict"] in verdicts]
        if pid is not None:
            hits = [f for f in hits if f.get("process", {}).get("pid") == pid]
        if hits:
            others = sorted({f["cause"] for f in findings} - {cause} - set(also or ()))
            assert not others, "also found: %s" % others
            assert status == 1, "exit status %d" % status
            return hits[0]
        time.sleep(0.7)
    raise AssertionError("%s not found; found %s" % (cause, [(f["cause"], f["verdict"], f.get("process", {}).get("pid")) for f in findings]))


# --- the cases -----------------------------------------------------------------------------------------------


def case_accept_queue_overflow():
    pid = actor("server", holding(lambda: listen(80, 2)))
    actor("client", holding(lambda: [connect(block=False) for _ in range(8)]))
    f = find("server", "accept-queue-overflow", pid)
    assert f["listener"]["limit"] == 2 and f["listener"]["limit_from"] == "backlog", f["listener"]
    find("client", "syn-unanswered", also={"syn-sent-pile"})


def case_accept_queue_overflow_somaxconn():
    sysctl("server", net__core__somaxconn=130)
    pid = actor("server", holding(lambda: listen(80, 4096)))
    actor("client", holding(lambda: [connect(block=False) for _ in range(140)]))
    f = find("server", "accept-queue-overflow", pid)
    assert f["listener"]["limit_from"] == "net.core.somaxconn", f["listener"]


def case_accept_queue_out_of_descriptors():
    def work(ready):
        s = listen(80, 2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
        held = []
        ready()
        while True:
            try:
                held.append(s.accept()[0])
            except OSError:
                time.sleep(0.05)
    pid = actor("server", work)

    def client(ready):
        # One after the other: many at once would meet a full queue before the descriptors run out.
        ready()
        held = []
        for _ in range(60):
            held.append(connect(block=False))
            time.sleep(0.02)
        signal.pause()
    actor("client", client)
    f = find("server", "accept-queue-overflow", pid)
    assert any("EMFILE" in e for e in f["evidence"]), f["evidence"]


def case_accept_queue_stopped_process():
    pid = actor("server", serve(backlog=1))
    os.kill(pid, signal.SIGSTOP)
    actor("client", holding(lambda: [connect(block=False) for _ in range(6)]))
    f = find("server", "accept-queue-overflow", pid)
    assert any("stopped" in e for e in f["evidence"]), f["evidence"]


def case_server_never_accepts():
    pid = actor("server", holding(lambda: listen(80, 64)))
    actor("client", holding(lambda: [connect() for _ in range(3)]))
    find("server", "server-never-accepts", pid)


def case_server_does_not_read():
    pid = actor("server", serve())

    def ask_it(ready):
        held = [connect() for _ in range(3)]
        for c in held:
            c.sendall(b"GET / HTTP/1.1\r\n\r\n")
        ready()
        signal.pause()
    actor("client", ask_it)
    find("server", "server-never-accepts", pid)


def case_syn_queue_overflow():
    sysctl("server", net__ipv4__tcp_syncookies=0)
    pid = actor("server", serve(backlog=8))
    actor("client", flood(FORGED))
    find("server", "syn-queue-overflow", pid, also={"risky-setting", "syn-flood"})


def case_syn_flood_with_cookies():
    pid = actor("server", serve(backlog=8))
    actor("client", flood(FORGED))
    find("server", "syn-flood", pid)


def case_syn_flood_into_a_large_queue():
    pid = actor("server", serve(backlog=4096))
    actor("client", flood(FORGED, rounds=600, pause=0))
    find("server", "syn-flood", pid)


def case_syncookies_for_real_clients():
    pid = actor("server", serve(backlog=2))
    # Half-open requests that never end keep the SYN queue full; whoever calls then is let in by a cookie.
    actor("client", flood(FORGED[:8], rounds=8, pause=0))

    def client(ready):
        ready()
        held = []
        for _ in range(200):
            held.append(connect())
            time.sleep(0.03)
        signal.pause()
    actor("client", client)
    f = find("server", "syncookie-options-lost", pid, also={"syn-flood"})
    assert f["counters"]["SyncookiesRecv"]["rise"] > 0, f["counters"]


def case_syn_recv_pile():
    # One client, whose SYN-ACKs are lost on the way back.
    drop("client", "tcp flags & (syn|ack) == syn|ack drop")
    pid = actor("server", serve(backlog=16))
    actor("client", holding(lambda: [connect(block=False) for _ in range(14)]))
    find("server", "syn-recv-pile", pid)


def case_syn_sent_pile():
    drop("server", "tcp dport 81 drop")
    pid = actor("client", holding(lambda: [connect(81, block=False) for _ in range(12)]))
    f = find("client", "syn-sent-pile", pid)
    assert "198.51.100.7:81" in f["summary"], f["summary"]


def case_syn_unanswered():
    drop("server", "tcp dport 81 drop")
    pid = actor("client", holding(lambda: connect(81, block=False)))
    find("client", "syn-unanswered", pid)


def case_scan():
    drop("server", "ip daddr 203.0.113.0/24 drop")
    in_ns("server", "nft", "add chain inet t fw { type filter hook forward priority 0; policy drop; }")
    pid = actor("client", holding(lambda: [connect(445, a, block=False) for a in FORGED[:60]]))
    f = find("client", "syn-sent-pile", pid)
    assert "60 hosts" in f["summary"], f["summary"]


def case_close_wait_leak():
    pid = actor("server", serve())
    actor("client", lambda ready: ([connect().close() for _ in range(20)], ready()))
    f = find("server", "close-wait-leak", pid)
    assert f["sockets"][0]["count"] == 20, f["sockets"]
    assert any("never read" in e for e in f["evidence"]), f["evidence"]


def case_close_wait_leak_after_eof():
    pid = actor("server", serve(lambda c: c.recv(100)))
    actor("client", lambda ready: ([connect().close() for _ in range(5)], ready()))
    f = find("server", "close-wait-leak", pid)
    assert any("did not call close()" in e for e in f["evidence"]), f["evidence"]


def closers(count, then):
    """Clients that connect, and do `then` with the list when a byte came from the server."""
    def run(ready):
        held = [connect() for _ in range(count)]
        ready()
        then(held)
        signal.pause()
    return run


def case_fin_wait1_pile():
    def work(ready):
        s = listen()
        ready()
        held = [s.accept()[0] for _ in range(20)]
        in_peer_gone.wait()
        for c in held:
            c.close()
        signal.pause()
    in_peer_gone = multiprocessing.Event()
    actor("server", work)
    actor("client", closers(20, lambda held: None))
    time.sleep(0.3)
    drop("client", "tcp sport 80 drop")
    in_peer_gone.set()
    find("server", "fin-wait1-pile")


def case_last_ack_pile():
    gone = multiprocessing.Event()

    def work(ready):
        s = listen()
        ready()
        held = [s.accept()[0] for _ in range(20)]
        gone.wait()
        for c in held:
            c.close()
        signal.pause()
    actor("server", work)
    actor("client", closers(20, lambda held: [c.close() for c in held]))
    time.sleep(0.5)
    drop("client", "tcp sport 80 drop")
    gone.set()
    find("server", "last-ack-pile")


def case_closing_pile():
    gone = multiprocessing.Event()

    def work(ready):
        s = listen()
        ready()
        held = [s.accept()[0] for _ in range(20)]
        gone.wait()
        for c in held:
            c.close()
        signal.pause()
    actor("server", work)
    actor("client", closers(20, lambda held: (gone.wait(), time.sleep(0.5), [c.close() for c in held])))
    time.sleep(0.4)
    # What the server sends is lost; what the client sends arrives: its FIN without an ACK of ours.
    drop("client", "tcp sport 80 drop")
    gone.set()
    find("server", "closing-pile", also={"fin-wait1-pile"})


def case_fin_wait2_held():
    pid = actor("server", serve(lambda c: c.shutdown(socket.SHUT_WR)))
    actor("client", closers(15, lambda held: None))
    find("server", "fin-wait2-pile", pid)
    find("client", "close-wait-leak")


def case_fin_wait2_orphans():
    sysctl("server", net__ipv4__tcp_fin_timeout=8)

    def work(ready):
        s = listen(backlog=256)
        ready()
        while True:
            s.accept()[0].close()
    actor("server", work)
    actor("client", closers(150, lambda held: None))
    find("server", "fin-wait2-pile", tries=9)


def case_time_wait_pile():
    sysctl("server", net__ipv4__tcp_max_tw_buckets=5)

    def work(ready):
        s = listen()
        ready()
        while True:
            s.accept()[0].close()

    def client(ready):
        ready()
        while True:
            c = connect()
            c.recv(1)
            c.close()
            time.sleep(0.01)
    actor("server", work)
    actor("client", client)
    find("server", "time-wait-pile", also={"risky-setting"})


def case_port_exhaustion():
    sysctl("client", net__ipv4__ip_local_port_range="40000 40499", net__ipv4__tcp_tw_reuse=0)

    def work(ready):
        s = listen(backlog=4096)
        ready()
        while True:
            c = s.accept()[0]
            c.recv(1)
            c.close()
    actor("server", work)

    def client(ready):
        for _ in range(498):
            connect().close()
        ready()
        signal.pause()
    actor("client", client)
    f = find("client", "port-exhaustion", also={"risky-setting"})
    assert any("they last" in e for e in f["evidence"]) or f["verdict"] == "proven", f["evidence"]


def case_zero_window_of_the_peer():
    def work(c):
        c.setblocking(False)
        try:
            while True:
                c.send(b"x" * 65536)
        except BlockingIOError:
            pass
    pid = actor("server", serve(work))
    reader = actor("client", closers(2, lambda held: None))
    f = find("server", "zero-window-stall", pid)
    assert f["side"] == "client", f["side"]
    f = find("client", "zero-window-stall", reader)
    assert f["side"] == "client", f["side"]


def case_peer_unresponsive():
    def work(ready):
        s = listen()
        ready()
        held = [s.accept()[0] for _ in range(3)]
        time.sleep(1)
        for c in held:
            c.send(b"hello")
        signal.pause()
    pid = actor("server", work)
    actor("client", closers(3, lambda held: None))
    drop("client", "tcp sport 80 drop")
    find("server", "peer-unresponsive", pid, tries=10)


def case_packet_loss():
    def pump(c):
        while True:
            c.sendall(b"x" * 65536)
            time.sleep(0.01)
    pid = actor("server", serve(lambda c: threading.Thread(target=pump, args=(c,), daemon=True).start()))

    def client(ready):
        held = [connect() for _ in range(20)]
        ready()
        while True:
            for c in held:
                c.recv(1 << 20)
    drop("client", "tcp sport 80 tcp flags & syn == 0 numgen random mod 100 < 12 drop")
    actor("client", client)
    f = find("server", "packet-loss", also={"peer-unresponsive"}, options=("--wait", "2"))
    assert f["side"] == "path" and f["process"]["pid"] == pid, f


def case_keepalive_dead_peer():
    def work(c):
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 20)):
            c.setsockopt(socket.IPPROTO_TCP, option, value)
    pid = actor("server", serve(work))
    actor("client", closers(3, lambda held: None))
    time.sleep(0.3)
    drop("client", "tcp sport 80 drop")
    find("server", "keepalive-dead-peer", pid)


def case_checksum_corruption():
    actor("server", serve())
    actor("client", flood([CLIENT], bad=True))
    find("server", "checksum-corruption")


def case_risky_setting():
    sysctl("server", net__ipv4__tcp_abort_on_overflow=1)
    f = find("server", "risky-setting")
    assert f["sysctls"] == {"net.ipv4.tcp_abort_on_overflow": "1"}, f["sysctls"]


def case_tiny_backlog_of_a_busy_listener():
    pid = actor("server", serve(backlog=4))
    actor("client", holding(lambda: [connect() for _ in range(220)]))
    findings, status = ask("server")
    assert [(f["cause"], f["verdict"], f["process"]["pid"]) for f in findings] == [("risky-setting", "possible", pid)] and status == 0, findings


def case_ipv6():
    pid = actor("server", serve(address=SERVER6))
    full = actor("server", holding(lambda: listen(81, 2, address=SERVER6)))
    actor("client", lambda ready: ([connect(address=SERVER6).close() for _ in range(20)], ready()))
    caller = actor("client", holding(lambda: [connect(81, SERVER6, block=False) for _ in range(8)]))
    f = find("server", "close-wait-leak", pid, also={"accept-queue-overflow"})
    assert f["sockets"][0]["count"] == 20 and SERVER6 in f["sockets"][0]["where"], f["sockets"]
    f = find("server", "accept-queue-overflow", full, also={"close-wait-leak"})
    assert (f["listener"]["ip"], f["listener"]["port"]) == (SERVER6, 81), f["listener"]
    find("client", "syn-unanswered", caller)


def case_two_namespaces_at_once():
    pid = actor("server", serve())
    drop("server", "tcp dport 81 drop")
    actor("client", lambda ready: ([connect().close() for _ in range(5)], ready()))
    caller = actor("client", holding(lambda: connect(81, block=False)))
    time.sleep(3.5)
    done = sh(stage.PROGRAM, "host", "--format", "jsonl", "--patience", "2", "--netns", NS["server"], "--netns", NS["client"], check=False)
    found = sorted((f["netns"], f["cause"], f["process"]["pid"]) for f in map(json.loads, done.stdout.splitlines()) if f["type"] == "finding")
    assert found == sorted([(NS["server"], "close-wait-leak", pid), (NS["client"], "syn-unanswered", caller)]), found


def case_without_rights():
    """Sockets, counters and settings are anybody's to read; whose they are is told of one's own processes only."""
    pid = actor("server", serve())
    actor("client", lambda ready: ([connect().close() for _ in range(5)], ready()))
    time.sleep(2.2)

    def asked(*options):
        done = in_ns("server", *NOBODY, stage.PROGRAM, "host", "--format", "jsonl", "--patience", "2", *options, check=False)
        lines = [json.loads(x) for x in done.stdout.splitlines()]
        return done, [x for x in lines if x["type"] == "finding"], lines[-1] if lines else None
    done, findings, summary = asked()
    assert done.returncode == 1 and [f["cause"] for f in findings] == ["close-wait-leak"], done
    assert "process" not in findings[0] and findings[0]["sockets"][0]["count"] == 5, findings
    assert any("CAP_SYS_PTRACE" in q for q in summary["quality"]), summary
    done, findings, summary = asked("--all-netns")
    assert done.returncode == 1 and [f["cause"] for f in findings] == ["close-wait-leak"], done
    assert any("root" in q for q in summary["quality"]), summary
    done, _, _ = asked("--pid", str(pid))
    assert done.returncode == 2 and "root is needed" in done.stderr and not done.stdout, done
    done, _, _ = asked("--netns", NS["client"])
    assert done.returncode == 2 and "CAP_SYS_ADMIN" in done.stderr and not done.stdout, done


def case_names_a_process_in_another_namespace():
    pid = actor("server", serve())
    actor("client", lambda ready: ([connect().close() for _ in range(3)], ready()))
    time.sleep(2.2)
    done = sh(stage.PROGRAM, "host", "--format", "jsonl", "--patience", "2", "--pid", str(pid), check=False)
    findings = [json.loads(x) for x in done.stdout.splitlines()]
    assert findings[0]["cause"] == "close-wait-leak" and findings[0]["process"]["pid"] == pid, findings
    done = sh(stage.PROGRAM, "host", "--format", "jsonl", "--patience", "2", "--all-netns", check=False)
    hits = [f for f in map(json.loads, done.stdout.splitlines()) if f["type"] == "finding" and f.get("netns") == NS["server"]]
    assert [f["cause"] for f in hits] == ["close-wait-leak"], hits


def case_capture_with_the_servers_snapshot():
    """Client's capture alone: nobody answers. With the server's snapshot: whose queue was full."""
    pid = actor("server", holding(lambda: listen(80, 2)))
    with tempfile.TemporaryDirectory() as directory:
        pcap, saved = os.path.join(directory, "client.pcap"), os.path.join(directory, "server.host")
        dump = subprocess.Popen(["ip", "netns", "exec", NS["client"], "tcpdump", "-i", "any", "-U", "--immediate-mode", "-Z", "root", "-w", pcap, "tcp"],
                                stderr=subprocess.PIPE, text=True)
        while "listening" not in dump.stderr.readline():
            assert dump.poll() is None, "tcpdump ended"
        reading = subprocess.Popen(["ip", "netns", "exec", NS["server"], stage.PROGRAM, "host", "--wait", "4", "--save", saved],
                                   stdout=subprocess.DEVNULL)
        actor("client", holding(lambda: [connect(block=False) for _ in range(8)]))
        reading.wait()
        time.sleep(0.2)
        dump.send_signal(signal.SIGINT)
        dump.wait()
        dump.stderr.close()

        def first(*options):
            done = sh(stage.PROGRAM, pcap, "--format", "jsonl", *options, check=False)
            lines = [json.loads(x) for x in done.stdout.splitlines()]
            return [x for x in lines if x["type"] == "connection" and not x["healthy"] and x["packets"]["server"] == 0], lines[-1]
        alone, _ = first()
        assert alone and all(c["diagnoses"][0]["cause"] == "syn-unanswered" for c in alone), alone
        joined, summary = first("--host", saved)
        assert len(joined) == len(alone)
        for c in joined:
            d = c["diagnoses"][0]
            assert d["cause"] == "accept-queue-overflow" and d["verdict"] == "likely", d
            assert c["process"]["pid"] == pid, c["process"]
            texts = " ".join(e["text"] for e in d["evidence"])
            assert "ListenOverflows rose by" in texts and "limit 2 (its listen() backlog)" in texts, texts
        assert not summary["quality"], summary["quality"]

        # A snapshot of a third host, a cut one, and one that is none.
        other = sh(stage.PROGRAM, "host", "--wait", "0", "--no-processes", "--save", saved + ".other", check=False)
        assert other.returncode in (0, 1), other.stderr
        strangers, summary = first("--host", saved + ".other")
        assert strangers[0]["diagnoses"][0]["cause"] == "syn-unanswered"
        assert any("none of this host's addresses" in q for q in summary["quality"]), summary["quality"]
        whole = open(saved).read().splitlines(keepends=True)
        open(saved, "w").write("".join(whole[:-1]))
        _, summary = first("--host", saved)
        assert any("ends early" in q for q in summary["quality"]), summary["quality"]
        open(saved, "w").write("".join(whole)[:-40])
        for bad in (saved, pcap, os.path.join(directory, "missing")):
            done = sh(stage.PROGRAM, pcap, "--host", bad, check=False)
            assert done.returncode == 2 and bad in done.stderr and not done.stdout, done


def case_healthy_busy_server():
    total = int(os.environ.get("CONNECTIONS", "100000"))
    actor("server", busy_server)
    workers = [actor("client", busy_client(i, total // 4)) for i in range(4)]
    started, asked = time.time(), 0
    alive = set(workers)
    wrong = []
    while alive:
        for side in ("server", "client"):
            findings, status = ask(side, patience="60")
            asked += 1
            wrong += [(side, f["cause"], f["verdict"], f["summary"]) for f in findings]
        for pid in list(alive):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                alive.discard(pid)
                children.remove(pid)
    for side in ("server", "client"):               # and what is left when all is quiet
        findings, status = ask(side, patience="60")
        wrong += [(side, f["cause"], f["verdict"], f["summary"]) for f in findings]
    print("  %d connections in %.0f s, asked %d times" % (total, time.time() - started, asked + 2))
    assert not wrong, wrong


# What CI has time for: one of each kind.
SHORT = {"accept_queue_overflow", "accept_queue_out_of_descriptors", "server_never_accepts", "syn_queue_overflow", "syn_flood_with_cookies",
         "syn_sent_pile", "close_wait_leak", "fin_wait1_pile", "time_wait_pile", "zero_window_of_the_peer", "keepalive_dead_peer", "risky_setting",
         "capture_with_the_servers_snapshot",
         "names_a_process_in_another_namespace", "healthy_busy_server", "ipv6", "without_rights", "packet_loss"}


def main():
    if os.geteuid() != 0:
        print("skipped: tests/live/host.py needs root for network namespaces")
        return 77
    return stage.main(globals(), SHORT, short_connections=8000)


if __name__ == "__main__":
    sys.exit(main())
