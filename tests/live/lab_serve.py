#!/usr/bin/env python3
"""Real sockets talk to kernels that no longer exist: `tcpwhy lab serve` in a network namespace.

    lab_serve.py [--short] [--jobs N] PROGRAM [NAME...]     all cases, or those whose name holds a NAME

Needs root, iproute2 and /dev/net/tun: without them it says so and exits 77.
"""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import stage
from stage import NS, Skipped, children, libc, sh

MODEL, HERE = "198.18.0.2", "198.18.0.1"
SYN, RST, ACK = 2, 4, 16


class Served:
    """`lab serve` from its first word to its report."""

    def __init__(self, *arguments):
        # The sanitizer keeps what is freed for a while: little, or what the model keeps cannot be told from it.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
        self.process = subprocess.Popen([stage.PROGRAM, "lab", "serve", "--format", "json", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, "ASAN_OPTIONS": options})
        children.append(self.process.pid)
        first = self.process.stderr.readline()
        assert "Ctrl-C ends" in first, first

    def rss_kib(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def cpu_s(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, err
        return json.loads(out)


def get(port=80):
    """One request; reads to the end of the stream where the server says that it closes, as HTTP clients do."""
    with socket.create_connection((MODEL, port), 3) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        while b"Connection: close" in got or not got.endswith(b"x"):
            more = s.recv(65536)
            if not more:
                break
            got += more
        return got


def syn(source_port, tsval):
    """A SYN with the timestamp of another machine behind this address; does a SYN-ACK come?"""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    options = struct.pack("!BBHBBBBII", 2, 4, 1460, 1, 1, 8, 10, tsval, 0)
    head = struct.pack("!HHIIBBHHH", source_port, 80, 1000, 0, (20 + len(options)) // 4 << 4, SYN, 64240, 0, 0) + options
    pseudo = socket.inet_aton(HERE) + socket.inet_aton(MODEL) + struct.pack("!BBH", 0, 6, len(head))
    total = sum(struct.unpack("!%dH" % ((len(pseudo) + len(head)) // 2), pseudo + head))
    total = (total >> 16) + (total & 0xffff)
    total += total >> 16
    raw.sendto(head[:16] + struct.pack("!H", ~total & 0xffff) + head[18:], (MODEL, 0))
    end = time.time() + 0.5
    while time.time() < end:
        if not select.select([raw], [], [], 0.1)[0]:
            continue
        segment = raw.recv(65536)[20:]
        if struct.unpack("!HH", segment[:4]) == (80, source_port) and segment[13] == SYN | ACK:
            return True
    return False


def case_a_keep_alive_server_serves_real_sockets():
    with tempfile.TemporaryDirectory() as folder:
        pcap = os.path.join(folder, "served.pcapng")
        served = Served("--kernel", "3.10", "--pcap", pcap)
        assert get().startswith(b"HTTP/1.1 200 OK")
        with socket.create_connection((MODEL, 7), 3) as s:
            s.sendall(b"echo")
            assert s.recv(100) == b"echo"
        report = served.end()
        assert report["counters"]["PassiveOpens"] == 2, report
        # The program reads its own file: two connections, nothing wrong with either.
        told = sh(stage.PROGRAM, pcap, "--format", "jsonl", "--only", "all").stdout
        connections = [json.loads(line) for line in told.splitlines() if '"type":"connection"' in line]
        assert len(connections) == 2 and all(c["healthy"] for c in connections), told


def case_a_closed_port_refuses():
    served = Served()
    try:
        socket.create_connection((MODEL, 81), 3)
        raise AssertionError("connected")
    except ConnectionRefusedError:
        pass
    assert served.end()["counters"]["OutRsts"] == 1


def per_host_timestamps(kernel):
    # The clock of this namespace's connections is the machine's, so that "older" has a meaning.
    sh("sysctl", "-qw", "net.ipv4.tcp_timestamps=2")
    now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    served = Served("--kernel", kernel, "--set", "net.ipv4.tcp_tw_recycle=1", "--listen", "80=http,keepalive_timeout=0")
    assert syn(40001, 1000), "nothing is remembered yet"
    assert get(), "the server closes first and remembers the timestamp"
    assert not syn(40002, 1000), "an older timestamp from the same address"
    assert syn(40003, int(now) + 60000 & 0xffffffff), "a newer one"
    counters = served.end()["counters"]
    assert counters["PAWSPassive"] == 1, counters
    return counters


def case_per_host_timestamps_of_3_10_drop_the_second_client():
    # ListenDrops counts them from 3.10 on (linux-tcp.md 12.4), not on el6.
    assert per_host_timestamps("3.10")["ListenDrops"] == 1


def case_per_host_timestamps_of_el6_drop_the_second_client():
    assert "ListenDrops" not in per_host_timestamps("el6")


def case_per_host_timestamps_are_gone_from_4_19():
    served = Served("--kernel", "4.19", "--listen", "80=http,keepalive_timeout=0")
    assert get() and syn(40002, 1000)
    assert "PAWSPassive" not in served.end()["counters"]


def case_a_slow_acceptor_overflows_as_3_10_did():
    # listen(1) holds two connections; the third client believes it is connected (seed 003, case D).
    served = Served("--kernel", "3.10", "--listen", "8888=slow,backlog=1")
    held = []
    for _ in range(3):
        held.append(socket.create_connection((MODEL, 8888), 3))
    time.sleep(0.2)  # the third ACK is on its way when connect() returns
    report = served.end()
    assert report["counters"]["ListenOverflows"] >= 1, report
    assert sum(s["state"] == "SYN-RECV" for s in report["sockets"]) == 1, report


def case_thousands_of_connections_leave_no_memory_behind():
    served = Served("--kernel", "6.18", "--set", "net.ipv4.tcp_max_tw_buckets=100")
    for _ in range(500):
        get()
    before = served.rss_kib()
    for _ in range(3000):
        get()
    grown = served.rss_kib() - before
    idle = served.cpu_s()
    time.sleep(1)  # what is measured is a second without anything to do
    idle = served.cpu_s() - idle
    served.end()
    assert grown < 4096, "%d KiB more after 3000 connections" % grown
    assert idle < 0.1, "%.2f s of a quiet second" % idle


def build():
    """The namespace of the case, entered: what is opened in it from now on is there."""
    sh("ip", "netns", "add", NS["gateway"])
    with open("/run/netns/" + NS["gateway"]) as netns:
        if libc.setns(netns.fileno(), 0x40000000) != 0:
            raise Skipped("network namespaces cannot be entered")
    sh("ip", "link", "set", "lo", "up")


def able():
    return os.path.exists("/dev/net/tun"), ["there is no /dev/net/tun"]


if __name__ == "__main__":
    # One at a time: memory and processor time are measured.
    sys.exit(stage.main(globals(), able=able, sides=("gateway",), build=build, at_once=1))
