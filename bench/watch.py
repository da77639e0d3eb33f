#!/usr/bin/env python3
"""What `tcpwhy watch` costs: time of its kernel programs by kind of end, throughput with and without it, events lost.

    bench/watch.py [--program PROGRAM]... [--seconds 2] [--rounds 3] [--pairs 5]

Needs root and the right to BPF: the load (bench/churn.cpp) runs over loopback in a network namespace of its own. Program
time is the kernel's own statistics (BPF_STATS_RUN_TIME), interrupts within included: the median and the least of the rounds.
Several programs (before and after a change) take turns. Throughput is compared in pairs that follow each other, with and
without the first program; the median of the ratios counts, its spread is the noise. In that load nobody waits for another:
how threads wake each other would hide a few parts in a hundred. On a busy machine it says nothing, and the
programs' share of the load's CPU time is what can be had. A load is as fast as the
machine makes it: the number of connections a second is printed beside what was lost. The fastest one, in which nobody
waits for another, shows what is lost.
"""
import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NS = "tcpwhy-bench-watch"


def in_ns(*words, **kw):
    return ["ip", "netns", "exec", NS, *words]


class Watch:
    def __init__(self, program, *options):
        self.process = subprocess.Popen(in_ns(program, "watch", "--format", "jsonl", *options), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        while "watching" not in (line := self.process.stderr.readline()):
            if not line:
                raise RuntimeError("watch did not start")
        self.out = tempfile.TemporaryFile("w+")
        self.cat = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=self.out)
        self.process.stdout.close()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.cat.wait()
        self.out.seek(0)
        said = [json.loads(line) for line in self.out]
        return dict(said[-1], causes=[x for x in said if x["type"] == "cause"])


def load(churn, seconds, kind, every, *how):
    done = subprocess.run(in_ns(churn, str(seconds), kind, str(every), *how), capture_output=True, text=True, check=True)
    n, took = done.stdout.split()
    return int(n) / float(took), int(n)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--program", action="append", help="several are compared (default: build/release/tcpwhy)")
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--kinds", default="fin,reset,refused,unread", help="of connections, as bench/churn.cpp names them")
    p.add_argument("--pairs", type=int, default=5)
    o = p.parse_args()
    if os.geteuid() != 0:
        print("skipped: bench/watch.py needs root")
        return 77
    programs = [os.path.abspath(p) for p in o.program or [os.path.join(ROOT, "build/release/tcpwhy")]]
    with tempfile.TemporaryDirectory() as directory:
        churn = os.path.join(directory, "churn")
        subprocess.run(["c++", "-std=c++20", "-O2", "-pthread", os.path.join(ROOT, "bench/churn.cpp"), "-o", churn], check=True)
        subprocess.run(["ip", "netns", "add", NS], check=True)
        try:
            subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up"], check=True)
            for name, value in (("net.ipv4.ip_local_port_range", "10000 65000"), ("net.ipv4.tcp_max_tw_buckets", "20000"),
                                ("net.core.somaxconn", "4096")):
                subprocess.run(in_ns("sysctl", "-qw", "%s=%s" % (name, value)), check=True)
            measure_costs(o, programs, churn)
            measure_throughput(o, programs[0], churn)
            measure_losses(o, programs[0], churn)
        finally:
            subprocess.run(["ip", "netns", "del", NS], check=True)
    return 0


def measure_costs(o, programs, churn):
    load(churn, 0.5, "fin", 1)
    for kind in filter(None, o.kinds.split(",")):
        costs, share, each_ns = {}, {}, {}
        for _ in range(o.rounds):
            for program in programs:
                watch = Watch(program, "--cost")
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                rate, n = load(churn, o.seconds, kind, 1)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9
                end = watch.end()
                print("%-8s %6.0f connections/s, %6d events, %d lost" % (kind, rate, end["events"], end["events_lost"]), flush=True)
                share.setdefault(program, []).append(sum(c["nanoseconds"] for c in end["programs"]) / used)
                each_ns.setdefault(program, []).append(sum(c["nanoseconds"] for c in end["programs"]) / n)
                for c in end["programs"]:
                    if c["runs"] > 1000:
                        costs.setdefault((c["name"], program), []).append(c["nanoseconds"] / c["runs"])
        for (name, program), each in sorted(costs.items()):
            print("    %-20s %4.0f ns, least %4.0f  %s" % (name, statistics.median(each), min(each), program if len(programs) > 1 else ""))


        for program in programs:
            print("    all programs         %4.0f ns a connection, %.1f %% of the load's CPU time (the statistics' own cost within)  %s"
                  % (statistics.median(each_ns[program]), 100 * statistics.median(share[program]), program if len(programs) > 1 else ""))


def measure_throughput(o, program, churn):
    for kind, every in (("fin", 1), ("reset", 100)):
        ratios = []
        for n in range(o.pairs):
            rates = {}
            for on in ((True, False) if n % 2 else (False, True)):
                watch = Watch(program) if on else None
                rates[on], _ = load(churn, o.seconds, kind, every, "alone")
                if watch:
                    watch.end()
            ratios.append(rates[True] / rates[False])
        if ratios:
            print("throughput with watch, %s 1 in %d: %.3f of without (median of %d pairs, %.3f to %.3f)"
                  % (kind, every, statistics.median(ratios), o.pairs, min(ratios), max(ratios)))


def measure_losses(o, program, churn):
    """Healthy connections, one reset in a hundred, and nothing but resets: every one of them is to be told. Then with clients and servers
    in threads of their own, where ports come back at once and either end may fail first."""
    for kind, every, *how in (("fin", 1, "alone"), ("reset", 100, "alone"), ("reset", 1, "alone"), ("reset", 1), ("unread", 1)):
        without, _ = load(churn, o.seconds, kind, every, *how)
        watch = Watch(program)
        rate, n = load(churn, o.seconds, kind, every, *how)
        end = watch.end()
        told = sum(c["connections"] for c in end["causes"])
        print("%s, %-6s 1 in %3d: %6.0f connections/s (%.0f without), %d events, %d lost, %d of %d resets told"
              % ("fastest" if how else "threads", kind, every, rate, without, end["events"], end["events_lost"], told, 0 if kind == "fin" else -(-n // every)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
