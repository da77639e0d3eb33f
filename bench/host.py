#!/usr/bin/env python3
"""What `tcpwhy host` costs on many sockets, against a bare sock_diag dump of the same sockets in the same run.

    bench/host.py [--program PROGRAM] [--sockets 250000] [--rounds 5]

Needs root: the sockets live in a network namespace of their own, which ends with them. CPU seconds are user and system
time; a pair of runs makes a ratio, the median of the ratios counts. Memory is the peak of the program.
"""
import argparse
import ctypes
import os
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROCESSES = 8  # or more, where a process may not hold so many descriptors


def ends(sockets):
    """Processes that hold `sockets` ends of loopback connections; returns when all are open."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, value in (("net/core/somaxconn", "4096"), ("net/ipv4/ip_local_port_range", "10000 65000")):
        with open("/proc/sys/" + name, "w") as f:
            f.write(value)
    pids, pipes = [], []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes = max(PROCESSES, -(-sockets // (most - 100)))
    for n in range(processes):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            each = sockets // 2 // processes
            resource.setrlimit(resource.RLIMIT_NOFILE, (2 * each + 100, 2 * each + 100))
            address = ("127.0.0.%d" % (n + 1), 80)
            listener = socket.socket()
            listener.bind(address)
            listener.listen(4096)
            held = []
            for _ in range(each):
                c = socket.socket()
                c.connect(address)
                held += [c, listener.accept()[0]]
            os.write(writing, b".")
            while True:
                signal.pause()
        os.close(writing)
        pids.append(pid)
        pipes.append(reading)
    for p in pipes:
        if not os.read(p, 1):
            raise RuntimeError("the sockets could not be opened")
    return pids


def bare_dump():
    """Asks for every TCP socket and throws the answer away."""
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    buffer = bytearray(1 << 18)
    total = 0
    for family in (socket.AF_INET, socket.AF_INET6):
        request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 0xfff) + bytes(48)
        s.send(struct.pack("=IHHII", 16 + len(request), 20, 0x301, 1, 0) + request)
        while True:
            n = s.recv_into(buffer)
            total += n
            if struct.unpack_from("=IH", buffer)[1] == 3:
                break
    return total


def cpu(work):
    """CPU seconds and peak KiB of work() in a child."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    _, _, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--program", default=os.path.join(ROOT, "build/release/tcpwhy"))
    p.add_argument("--sockets", type=int, default=250_000)
    p.add_argument("--rounds", type=int, default=5)
    o = p.parse_args()
    if os.geteuid() != 0:
        print("skipped: bench/host.py needs root for its network namespace")
        return 77
    program = os.path.abspath(o.program)

    def run(*options):
        def work():
            null = os.open("/dev/null", os.O_WRONLY)
            os.dup2(null, 1)
            os.execv(program, [program, "host", "--wait", "0", "--format", "jsonl", *options])
        return lambda: cpu(work)

    started = time.monotonic()
    pids = ends(o.sockets)
    print("%d sockets of %d processes after %.0f s" % (o.sockets, len(pids), time.monotonic() - started))
    kinds = {"bare dump": lambda: cpu(bare_dump), "host": run(), "host --owners proc": run("--owners", "proc"),
             "host --owners none": run("--owners", "none")}
    seen = {k: [] for k in kinds}
    try:
        for _ in range(o.rounds):
            for kind, work in kinds.items():
                seen[kind].append(work())
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    bare = [c for c, _ in seen["bare dump"]]
    for kind, runs in seen.items():
        ratio = statistics.median(c / b for (c, _), b in zip(runs, bare))
        print("%-20s %6.3f s CPU  %5.2f times the dump  %4.0f MB" % (kind, statistics.median(c for c, _ in runs), ratio, max(m for _, m in runs) / 1024))
    return 0


if __name__ == "__main__":
    sys.exit(main())
