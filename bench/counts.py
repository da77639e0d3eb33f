#!/usr/bin/env python3
"""Instructions per packet, from the file to the survey, against the committed figures (bench/counts.json).

Counts under callgrind, which does not depend on the machine's load. What start and end cost is taken out by counting
two captures of one kind, one twice as long as the other. More than the tolerance above the committed figure fails;
as much below it asks for `--accept`, so that the figure follows what was won.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

from run import ROOT, WORK, build_tools

PROGRAM = os.path.join(ROOT, "build", "counts", "bench", "bench_corridor")
FIGURES = os.path.join(ROOT, "bench", "counts.json")
# The first 64 MB have every checksum verified: the bulk goes on well beyond.
KINDS = {"bulk": ("bulk", 80_000), "churn": ("churn", 20_000), "flood": ("flood", 20_000), "fixed": ("fixed", 20_000, 2_000)}
TOLERANCE = 0.08


def instructions(path):
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, path],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"valgrind failed on {path}:\n{run.stderr[-2000:]}")
    return int(found.group(1))


def per_packet(kind):
    mode, packets, *connections = KINDS[kind]
    counted = []
    for factor in (1, 2):
        path = os.path.join(WORK, f"count-{kind}-{factor}.pcap")
        numbers = [str(n * factor) for n in (packets, *connections)]
        subprocess.run([os.path.join(WORK, "generate"), mode, path, *numbers], check=True)
        counted.append(instructions(path))
    return (counted[1] - counted[0]) / packets


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write the figures instead of comparing")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing")
    build_tools()
    now = {kind: round(per_packet(kind)) for kind in KINDS}
    if options.accept:
        with open(FIGURES, "w", encoding="utf-8") as out:
            json.dump(now, out, indent=2)
            out.write("\n")
        print(json.dumps(now))
        return
    if not os.path.exists(FIGURES):
        sys.exit(f"no committed figures to compare with: {json.dumps(now)}; write them with --accept")
    with open(FIGURES, encoding="utf-8") as text:
        committed = json.load(text)
    failed = False
    for kind, count in now.items():
        change = count / committed[kind] - 1
        failed |= change > TOLERANCE
        word = "too many" if change > TOLERANCE else "fewer: --accept" if change < -TOLERANCE else "fine"
        print(f"{kind:8}{count:8} instructions a packet, committed {committed[kind]:8}: {change:+.1%} {word}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
