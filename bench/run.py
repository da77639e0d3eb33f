#!/usr/bin/env python3
"""What we promise about speed, as ratios of medians within one run.

Generates its captures once (below build/bench), then runs the program and its yardsticks in turn, and prints for each
capture the median wall and CPU seconds, peak memory and ratios, and then what is promised and whether it is kept. A
ratio is taken pair by pair, so that a machine whose speed drifts does not move it.

A promise about time is one about wall time with both cores of a quiet machine. Beside it stands the same ratio of CPU
seconds with --threads 1, of which 0.6 is asked for (`at most` 1/0.6): the figure to read where the machine is noisy.

Peers that are not installed are left out, and so are tcptrace and tshark without --peers. They take half a minute to
minutes where they are slow: whoever needs longer than --patience is run once, and without warming up.

The whole of it, in at most 12 minutes on two quiet cores, with 8 GB of disk for captures and 10 GB of memory for tshark and tcptrace:

    ./dev build && bench/run.py --rounds 3 --peers all
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "build", "bench")
PROGRAM = os.path.join(ROOT, "build", "release", "tcpwhy")

CAPTURES = {  # name: arguments of the generator at scale 1
    "bulk": ("bulk", 2_000_000),
    "churn": ("churn", 8_700_000),
    "flood": ("flood", 5_300_000),
    "flood6": ("flood6", 5_300_000),
    "fixed-10k": ("fixed", 5_000_000, 10_000),
    "fixed-1m": ("fixed", 5_000_000, 1_000_000),
    "fixed-5m": ("fixed", 5_000_000, 5_000_000),
}
PACKED = {  # name: capture, share of it, packer, bare unpacker
    "bulk.zst": ("bulk", 0.25, ["zstd", "-3", "-q", "-f"], ["zstd", "-dc", "-q"]),
    "churn.zst": ("churn", 0.5, ["zstd", "-3", "-q", "-f"], ["zstd", "-dc", "-q"]),
    "bulk.gz": ("bulk", 0.1, ["gzip", "-1", "-k", "-f"], ["gzip", "-dc"]),
    "churn.gz": ("churn", 0.2, ["gzip", "-1", "-k", "-f"], ["gzip", "-dc"]),
}
USUAL = ["bulk", "churn", "flood"]
EVERYTHING = [*CAPTURES, *PACKED]

# What issue and decision pages promise: (capture, yardstick, most or least, ratio).
PROMISES = [
    ("bulk", "cat", "at most", 1.4),
    ("bulk", "tcptrace", "at least", 5.0),
    ("bulk", "tshark", "at least", 50.0),
    ("churn", "touch", "at most", 6.0),
    ("churn", "tcptrace", "at least", 25.0),
    ("churn", "tshark", "at least", 80.0),
    ("flood", "touch", "at most", 10.0),
    *((name, "unpacker", "at most", 1.15) for name in PACKED),
]
SECOND_CORE = ("churn", 0.75)  # of the wall time with one thread
NOISY = 0.6
# Octets of peak memory for each connection, and CPU time against 10 thousand connections at once.
MEMORY = {"flood": 64, "flood6": 96, "fixed-1m": 256}
GROWTH = {"fixed-1m": 1.6, "fixed-5m": 2.5}


def build_tools():
    os.makedirs(WORK, exist_ok=True)
    for tool in ("generate", "touch"):
        source, program = os.path.join(ROOT, "bench", tool + ".cpp"), os.path.join(WORK, tool)
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            subprocess.run(["c++", "-O2", "-std=c++20", "-o", program, source], check=True)


def capture(name, scale):
    if name in PACKED:
        of, share, pack, _ = PACKED[name]
        plain = capture(of, scale * share)
        path = plain + "." + name.rpartition(".")[2]
        if not os.path.exists(path):
            subprocess.run([*pack, plain], check=True)
        return path
    mode, packets, *connections = CAPTURES[name]
    path = os.path.join(WORK, f"{name}-{scale:g}.pcap")
    if not os.path.exists(path):
        numbers = [str(int(n * scale)) for n in (packets, *connections)]
        subprocess.run([os.path.join(WORK, "generate"), mode, path + ".new", *numbers], check=True)
        os.rename(path + ".new", path)
    return path


def connections_of(name, scale):
    return int(CAPTURES[name][-1] * scale)  # of a flood every packet is one


def measure(command):
    """Wall seconds, CPU seconds and peak KiB of one run."""
    before = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def yardsticks(path, name, peers):
    out = {"ours": [PROGRAM, path], "one thread": [PROGRAM, "--threads", "1", path]}
    if name in PACKED:
        out["unpacker"] = [*PACKED[name][3], path]
        return out
    out["touch"] = [os.path.join(WORK, "touch"), path]
    out["cat"] = ["cat", path]
    if peers and name in ("bulk", "churn"):
        if shutil.which("tcptrace"):
            out["tcptrace"] = ["tcptrace", "-n", path]
        if shutil.which("tshark"):
            out["tshark"] = ["tshark", "-n", "-r", path, "-q", "-z", "conv,tcp"]
    return out


def run_in_turn(commands, rounds, patience):
    """Runs of each command. The first warms the cache and the program; of who is slow it is the only one."""
    results = {who: [] for who in commands}
    for who in commands:
        first = measure(commands[who])
        if first[0] > patience:
            results[who].append(first)
    quick = [who for who in commands if not results[who]]
    for _ in range(rounds):
        for who in quick:
            results[who].append(measure(commands[who]))
    return results


def ratio(results, ours, against, what):
    """Median of wall (0) or CPU (1) ratios, pair by pair; of who ran once against the median."""
    a, b = results[ours], results[against]
    if len(a) != len(b):
        return statistics.median(r[what] for r in a) / statistics.median(r[what] for r in b)
    return statistics.median(x[what] / max(y[what], 1e-3) for x, y in zip(a, b))


def judged(value, word, bound, text):
    kept = value >= bound if word == "at least" else value <= bound
    print(f"  {'kept' if kept else 'MISSED':6} {text}: {word} {bound:.3g}, is {value:.3g}")


def report(name, path, results):
    print(f"\n{name} ({os.path.getsize(path) / 1e6:.0f} MB), medians of {len(results['ours'])}, load {os.getloadavg()[0]:.1f}")
    print(f"  {'':12}{'runs':>5}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'ours/this wall':>16}{'one thread/this CPU':>21}")
    for who, runs in results.items():
        wall, cpu, peak = (statistics.median(r[k] for r in runs) for k in range(3))
        print(f"  {who:12}{len(runs):5}{wall:9.3f}{cpu:9.3f}{peak / 1024:9.0f}{ratio(results, 'ours', who, 0):16.2f}"
              f"{ratio(results, 'one thread', who, 1):21.2f}")
    for which, against, word, bound in PROMISES:
        if which != name or against not in results:
            continue
        wall, cpu = ratio(results, "ours", against, 0), ratio(results, "one thread", against, 1)
        if word == "at least":
            judged(1 / wall, word, bound, f"as fast as {against}, wall")
            judged(1 / cpu, word, bound * NOISY, f"as fast as {against}, CPU of one thread")
        else:
            judged(wall, word, bound, f"of {against}, wall")
            judged(cpu, word, bound / NOISY, f"of {against}, CPU of one thread")
    if name == SECOND_CORE[0]:
        judged(ratio(results, "ours", "one thread", 0), "at most", SECOND_CORE[1], "two threads of one, wall")
    sys.stdout.flush()


def report_sizes(measured, scale):
    print("\nMemory and growth")
    peak = lambda name: statistics.median(r[2] for r in measured[name]["one thread"]) * 1024
    cpu = lambda name: statistics.median(r[1] for r in measured[name]["one thread"])
    for name, most in MEMORY.items():
        if name in measured:
            judged(peak(name) / connections_of(name, scale), "at most", most, f"octets a connection of {name}")
    for name, most in GROWTH.items():
        if name in measured and "fixed-10k" in measured:
            judged(cpu(name) / cpu("fixed-10k"), "at most", most, f"CPU of {name} against fixed-10k")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", default=USUAL, help="`all`, or of " + ", ".join(EVERYTHING))
    parser.add_argument("--scale", type=float, default=1.0, help="size of the captures, 1 is the promised one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="tcptrace and tshark too")
    parser.add_argument("--patience", type=float, default=8.0, metavar="SECONDS", help="who takes longer is run once")
    options = parser.parse_args()
    names = EVERYTHING if options.captures == ["all"] else options.captures
    for name in names:
        if name not in EVERYTHING:
            parser.error(f"no capture is called {name}")
    if not os.path.exists(PROGRAM):
        sys.exit("build/release/tcpwhy is missing: ./dev build")
    build_tools()
    measured = {}
    for name in names:
        path = capture(name, options.scale)
        measured[name] = run_in_turn(yardsticks(path, name, options.peers), options.rounds, options.patience)
        report(name, path, measured[name])
    report_sizes(measured, options.scale)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
