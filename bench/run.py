#!/usr/bin/env python3
"""What we promise about speed, as ratios of medians within one run.

Generates its captures once (below build/bench), then runs the program and its yardsticks in turn, and prints for each
capture the median wall and CPU seconds, peak memory, and the ratios. A ratio is taken pair by pair, so that a machine
whose speed drifts does not move it. Peers that are not installed are left out.
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
# What issue and decision pages promise: (capture, yardstick, most or least, ratio).
PROMISES = [
    ("bulk", "cat", "at most", 1.4),
    ("bulk", "tcptrace", "at least", 5.0),
    ("churn", "touch", "at most", 6.0),
    ("churn", "one thread", "at most", 0.75),
    ("flood", "touch", "at most", 10.0),
]


def build_tools():
    os.makedirs(WORK, exist_ok=True)
    for tool in ("generate", "touch"):
        source, program = os.path.join(ROOT, "bench", tool + ".cpp"), os.path.join(WORK, tool)
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            subprocess.run(["c++", "-O2", "-std=c++20", "-o", program, source], check=True)


def capture(name, scale):
    mode, packets, *connections = CAPTURES[name]
    path = os.path.join(WORK, f"{name}-{scale:g}.pcap")
    if not os.path.exists(path):
        numbers = [str(int(n * scale)) for n in (packets, *connections)]
        subprocess.run([os.path.join(WORK, "generate"), mode, path + ".new", *numbers], check=True)
        os.rename(path + ".new", path)
    return path


def measure(command):
    """Wall seconds, CPU seconds and peak KiB of one run."""
    before = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def yardsticks(path, name, all_peers):
    out = {
        "ours": [PROGRAM, path],
        "one thread": [PROGRAM, "--threads", "1", path],
        "touch": [os.path.join(WORK, "touch"), path],
        "cat": ["cat", path],
    }
    if name == "bulk" and shutil.which("tcptrace"):
        out["tcptrace"] = ["tcptrace", "-n", path]
    if all_peers and shutil.which("tshark") and name in ("bulk", "churn"):
        out["tshark"] = ["tshark", "-n", "-r", path, "-q", "-z", "conv,tcp"]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", default=["bulk", "churn", "flood"], help="of " + ", ".join(CAPTURES))
    parser.add_argument("--scale", type=float, default=1.0, help="size of the captures, 1 is the promised one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="slow ones too")
    options = parser.parse_args()
    if not os.path.exists(PROGRAM):
        sys.exit("build/release/tcpwhy is missing: ./dev build")
    build_tools()
    for name in options.captures:
        path = capture(name, options.scale)
        commands = yardsticks(path, name, options.peers)
        results = {who: [] for who in commands}
        for who in commands:
            measure(commands[who])  # warms the cache and the program
        for _ in range(options.rounds):
            for who in commands:
                results[who].append(measure(commands[who]))
        print(f"\n{name} ({os.path.getsize(path) / 1e6:.0f} MB), medians of {options.rounds}")
        print(f"  {'':12}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'ours/this wall':>16}{'one thread/this CPU':>21}")
        for who, runs in results.items():
            wall, cpu, peak = (statistics.median(r[k] for r in runs) for k in range(3))
            by_wall = statistics.median(o[0] / r[0] for o, r in zip(results["ours"], runs))
            by_cpu = statistics.median(o[1] / r[1] for o, r in zip(results["one thread"], runs))
            print(f"  {who:12}{wall:9.3f}{cpu:9.3f}{peak / 1024:9.0f}{by_wall:16.2f}{by_cpu:21.2f}")
        for which, against, word, bound in PROMISES:
            if which == name and against in results:
                ratio = statistics.median(o[0] / r[0] for o, r in zip(results["ours"], results[against]))
                ratio = 1 / ratio if word == "at least" else ratio
                kept = ratio >= bound if word == "at least" else ratio <= bound
                print(f"  {'kept' if kept else 'MISSED'}: {word} {bound:g} of {against} (wall): {ratio:.2f}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
