#!/usr/bin/env python3
"""Every capture below a directory through tcpwhy, against tshark's count.

  tools/corpora.py [--program P] [--jobs N] [--timeout S] [--list FILE] DIR...

For each file: does the program end in time, without a signal and without a
sanitizer's report; and does it see as many TCP connections as
`tshark -q -z conv,tcp`? The first is a failure (exit status 1), a difference in
numbers is listed with what is known about it, since the two programs do not
count the same thing:

  ports reused   tshark counts 4-tuples once unless it sees a new SYN; so do we,
                 by other rules
  inside         tshark counts the outer connection of a tunnel, and TCP quoted
                 in ICMP errors, as well

A table over the top-level directories is printed last, in the form that
docs/conformance.md quotes. Only captures tshark can read are compared.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

SUFFIXES = re.compile(r"\.(pcap|pcapng|cap|trace|pcp|ntar|dmp|pkt|pcap\d+)(\.(gz|zst|lz4|xz))?$", re.I)
SANITIZER = re.compile(rb"(AddressSanitizer|UndefinedBehaviorSanitizer|LeakSanitizer|runtime error:)[^\n]*")

Outcome = collections.namedtuple("Outcome", "path kind status seconds ours theirs frames note")


def captures(directory):
    for root, directories, files in os.walk(directory):
        directories[:] = sorted(d for d in directories if not d.startswith("."))
        for name in sorted(files):
            if SUFFIXES.search(name):
                yield os.path.join(root, name)


def run(command, timeout):
    begin = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, b"", b"", time.monotonic() - begin
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begin


def ours(program, path, timeout):
    """(kind, status, seconds, connections, frames, note)"""
    status, out, err, seconds = run([program, "--format", "jsonl", "--only", "all", path], timeout)
    if status is None:
        return "hang", None, seconds, None, None, f"no end within {timeout} s"
    report = SANITIZER.search(err)
    if report:
        return "sanitizer", status, seconds, None, None, report.group(0).decode(errors="replace")[:160]
    if status < 0 or status > 2:
        last = err.strip().split(b"\n")[-1].decode(errors="replace")[:160]
        return "crash", status, seconds, None, None, last
    if status == 2:
        return "refused", status, seconds, None, None, err.strip().split(b"\n")[-1].decode(errors="replace")[:200]
    connections = frames = None
    for line in out.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            return "bad-output", status, seconds, None, None, repr(line[:100])
        if record.get("type") == "summary":
            connections, frames = record["connections"], record["frames"]
    if connections is None:
        return "bad-output", status, seconds, None, None, "no summary line"
    return "read", status, seconds, connections, frames, ""


class Shark:
    """Connections as Wireshark's engine counts them.

    sharkd answers for file after file what `tshark -q -z conv,tcp` answers for
    one, without a second's start each time. Where it is missing, or falls over a
    file, tshark is asked.
    """

    def __init__(self, timeout):
        self.timeout = timeout
        self.daemon = None
        self.number = 0

    def connections(self, path):
        """None when it cannot read the file."""
        if not shutil.which("sharkd"):
            return self.tshark(path)
        if self.daemon is None or self.daemon.poll() is not None:
            self.daemon = subprocess.Popen(["sharkd", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL, text=True, errors="replace")
        watchdog = threading.Timer(self.timeout, self.daemon.kill)
        watchdog.start()
        try:
            loaded = self.ask("load", {"file": os.path.abspath(path)})
            if loaded.get("result", {}).get("status") != "OK":
                return None
            taps = self.ask("tap", {"tap0": "conv:TCP"})["result"]["taps"]
            return sum(len(tap["convs"]) for tap in taps if tap["tap"] == "conv:TCP")
        except (OSError, ValueError, KeyError):
            self.close()
            return self.tshark(path)
        finally:
            watchdog.cancel()

    def ask(self, method, params):
        self.number += 1
        self.daemon.stdin.write(json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}) + "\n")
        self.daemon.stdin.flush()
        return json.loads(self.daemon.stdout.readline())

    def tshark(self, path):
        status, out, _, _ = run(["tshark", "-n", "-r", path, "-q", "-z", "conv,tcp"], self.timeout)
        if status is None or (status != 0 and b"<->" not in out):
            return None
        return sum(1 for line in out.splitlines() if b"<->" in line)

    def close(self):
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None


local = threading.local()


def one(program, path, timeout, tshark):
    kind, status, seconds, connections, frames, note = ours(program, path, timeout)
    if not hasattr(local, "shark"):
        local.shark = Shark(timeout)
    count = local.shark.connections(path) if tshark and kind == "read" else None
    return Outcome(path, kind, status, seconds, connections, count, frames, note)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="build/dev/tcpwhy")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--list", help="write one line per file to this file, as they are done")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at every Nth file only")
    parser.add_argument("--no-tshark", dest="tshark", action="store_false", help="only whether it survives")
    parser.add_argument("directories", nargs="+", metavar="DIR")
    arguments = parser.parse_args()

    # A single directory with several below it is a collection of collections.
    groups = []
    for directory in arguments.directories:
        below = sorted(e.path for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
        groups += below if len(arguments.directories) == 1 and len(below) > 1 else [directory]
    jobs = [(group, path) for group in groups for path in captures(group)][::arguments.every]
    if not jobs:
        sys.exit(f"corpora: no captures below {' '.join(arguments.directories)}")

    results = collections.defaultdict(list)
    lines = open(arguments.list, "w", encoding="utf-8") if arguments.list else None
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        def work(job):
            return job[0], one(arguments.program, job[1], arguments.timeout, arguments.tshark)
        for done, (group, outcome) in enumerate(pool.map(work, jobs), 1):
            results[group].append(outcome)
            if lines:
                o = outcome
                print(o.path, o.kind, o.status, f"{o.seconds:.2f}", o.frames, o.ours, o.theirs, o.note, sep="\t",
                      file=lines, flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)

    bad = [o for group in results.values() for o in group if o.kind in ("crash", "hang", "sanitizer", "bad-output")]
    refused = [o for group in results.values() for o in group if o.kind == "refused"]
    different = [o for group in results.values() for o in group if o.theirs is not None and o.ours != o.theirs]
    for o in refused:
        print(f"refused    {o.path}: {o.note}")
    for o in sorted(different, key=lambda o: -abs(o.ours - o.theirs)):
        print(f"different  {o.path}: {o.ours} here, {o.theirs} in tshark")
    for o in bad:
        print(f"{o.kind:10} {o.path}: status {o.status}, {o.note}")
    print()
    print("| collection | files | crash, hang, report | refused | frames | connections | tshark | same count | slowest s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    total = []
    for group in groups:
        total += results[group]
        print(row(os.path.basename(os.path.normpath(group)), results[group]))
    if len(groups) > 1:
        print(row("all", total))
    return 1 if bad else 0


def row(name, outcomes):
    compared = [o for o in outcomes if o.theirs is not None]
    bad = sum(o.kind in ("crash", "hang", "sanitizer", "bad-output") for o in outcomes)
    refused = sum(o.kind == "refused" for o in outcomes)
    frames = sum(o.frames or 0 for o in outcomes)
    same = sum(o.ours == o.theirs for o in compared)
    slowest = max((o.seconds for o in outcomes), default=0)
    return (f"| {name} | {len(outcomes)} | {bad} | {refused} | {frames} | {sum(o.ours for o in compared)} "
            f"| {sum(o.theirs for o in compared)} | {same} of {len(compared)} | {slowest:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
