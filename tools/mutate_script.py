#!/usr/bin/env python3
"""Changes one thing in a packetdrill script: a runner that is right tells the difference when a kernel does.

  mutate_script.py make OUT SCRIPT... [--per-script N] [--seed S]   writes OUT/NAME-K.pkt
  mutate_script.py compare OUT --tcpwhy PROGRAM [--family F]        asks kernel and model about each
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packetdrill  # noqa: E402

TIME = r"[+*]?[0-9.]*(?:~[+]?[0-9.]+)?"
PACKET = re.compile(r"^(\s*" + TIME + r"\s*)([<>])(\s+(?:\[[^]]*\]\s*)?)([SFRPUEWA.]+)(\s+)(\d+):(\d+)\((\d+)\)(.*)$")
WAIT = re.compile(r"^(\s*\+)(\d*\.?\d+)(?=\s|\.\.\.)")
ERRNO = re.compile(r"= -1 (E[A-Z]+)")
OPTIONS = {"mss": (re.compile(r"mss \d+"), 4), "wscale": (re.compile(r"wscale \d+"), 3), "sackOK": (re.compile(r"sackOK"), 2),
           "TS": (re.compile(r"TS val \d+ ecr \d+"), 10)}


def flag(line):
    m = PACKET.match(line)
    if not m:
        return []
    flags = m[4]
    swaps = {"S": ["S."], "S.": ["S", "."], ".": ["P.", "F.", "R."], "P.": ["."], "F.": ["."], "R": ["R."], "R.": ["R"],
             "FP.": ["F."], "SE": ["S"], "SEW": ["S"], "SE.": ["S."]}
    return [("flags %s instead of %s" % (new, flags), m[1] + m[2] + m[3] + new + "".join(m.group(5, 6)) + ":" + m[7] + "(" + m[8] + ")" + m[9])
            for new in swaps.get(flags, [])]


def sequence(line):
    m = PACKET.match(line)
    if not m:
        return []
    out = []
    for by in (1, -1):
        if int(m[6]) + by < 0:
            continue
        out.append(("SEQ %+d" % by, "%s%s%s%s%s%d:%d(%s)%s" % (m[1], m[2], m[3], m[4], m[5], int(m[6]) + by, int(m[7]) + by, m[8], m[9])))
    return out


def acknowledgement(line):
    m = PACKET.match(line)
    a = m and re.search(r"ack (\d+)", m[9])
    if not a:
        return []
    return [("ACK %+d" % by, line.replace(a[0], "ack %d" % (int(a[1]) + by), 1)) for by in (1, -1) if int(a[1]) + by >= 0]


def dropped(line):
    return [("packet left out", "")] if PACKET.match(line) else []


def added(line):
    m = PACKET.match(line)
    if not m or m[2] != ">":
        return []
    return [("packet twice", line + "\n" + " +0 " + line[len(m[1]):])]


def later(line):
    m = WAIT.match(line)
    if not m or float(m[2]) < 0.02 or "..." in line:
        return []
    return [("time +25 %", line[:m.start(2)] + ("%.6f" % (float(m[2]) * 1.25)) + line[m.end(2):])]


def errno(line):
    m = ERRNO.search(line)
    if not m:
        return []
    other = "ECONNREFUSED" if m[1] != "ECONNREFUSED" else "ETIMEDOUT"
    return [("errno %s instead of %s" % (other, m[1]), line[:m.start(1)] + other + re.sub(r"^\s*\([^)]*\)", "", line[m.end(1):]))]


def option(line):
    m = PACKET.match(line)
    if not m or "<..." in m[9]:
        return []
    out = []
    for name, (pattern, octets) in OPTIONS.items():
        o = pattern.search(m[9])
        if o:
            start = len(line) - len(m[9])
            out.append(("no option %s" % name, line[:start] + m[9][:o.start()] + ",".join(["nop"] * octets) + m[9][o.end():]))
    return out


KINDS = [flag, sequence, acknowledgement, dropped, added, later, errno, option]


def mutants(text, rng, count):
    lines = text.split("\n")
    by_kind = []
    for kind in KINDS:
        found = [(i, what, new) for i, line in enumerate(lines) if not line.lstrip().startswith("//") for what, new in kind(line)]
        rng.shuffle(found)
        by_kind.append(found)
    out = []
    while len(out) < count and any(by_kind):  # every kind in turn, as long as there are any
        for found in by_kind:
            if found and len(out) < count:
                i, what, new = found.pop()
                out.append((i + 1, what, "\n".join(lines[:i] + [new] + lines[i + 1:])))
    return out


def make(args):
    os.makedirs(args.out, exist_ok=True)
    rng = random.Random(args.seed)
    index = []
    for script in args.scripts:
        with open(script) as f:
            text = f.read()
        base = os.path.splitext(os.path.basename(script))[0]
        for k, (line, what, mutant) in enumerate(mutants(text, rng, args.per_script)):
            # Beside the original, so that its commands are found.
            path = os.path.join(os.path.dirname(os.path.abspath(script)), ".mutant-%s-%d.pkt" % (base, k))
            with open(path, "w") as f:
                f.write(mutant)
            index.append({"path": path, "script": script, "line": line, "what": what})
    with open(os.path.join(args.out, "mutants.jsonl"), "w") as f:
        for entry in index:
            f.write(json.dumps(entry) + "\n")
    print("%d mutants" % len(index))


def verdict_of_model(program, path, family):
    said = subprocess.run([program, "lab", "script", "--family", family, "--format", "jsonl", path], capture_output=True,
                          text=True, check=False).stdout
    return json.loads(said) if said.strip() else {"verdict": "no answer", "message": "", "line": 0}


def compare(args):
    """The kernel's verdicts are kept beside the mutants, since they take long: asking again asks the model only."""
    kept_path = os.path.join(args.out, "kernel-%s.json" % args.family)
    kept = {}
    if os.path.exists(kept_path):
        with open(kept_path) as f:
            kept = json.load(f)
    with open(os.path.join(args.out, "mutants.jsonl")) as f:
        index = [json.loads(line) for line in f]
    killed = missed = survivors = stricter = 0
    for entry in index:
        path = entry["path"]
        if path not in kept:
            if args.model_only:
                continue
            kept[path] = packetdrill.passes(path, args.family, tries=2, limit=25)
            with open(kept_path, "w") as f:
                json.dump(kept, f)
        kernel_passes = kept[path][0]
        model = None if args.kernel_only else verdict_of_model(args.tcpwhy, path, args.family)
        if model is None:
            continue
        model_passes = model["verdict"] == "passed"
        if kernel_passes:
            survivors += 1
            if not model_passes:
                stricter += 1
                print("STRICT %s:%d %s: %d: %s" % (path, entry["line"], entry["what"], model["line"], model["message"].split("\n")[0]))
        elif model_passes:
            missed += 1
            print("MISSED %s:%d %s; the kernel: %s" % (path, entry["line"], entry["what"], kept[path][1].strip().split("\n")[0]))
        else:
            killed += 1
    total = killed + missed
    print("fail on the kernel: %d, of these fail in the model: %d (%.1f %%); pass on the kernel: %d, of these fail in the model: %d"
          % (total, killed, 100.0 * killed / total if total else 0.0, survivors, stricter))
    return 1 if missed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    a = commands.add_parser("make")
    a.add_argument("out")
    a.add_argument("scripts", nargs="+")
    a.add_argument("--per-script", type=int, default=16)
    a.add_argument("--seed", type=int, default=1)
    a.set_defaults(run=make)
    b = commands.add_parser("compare")
    b.add_argument("out")
    b.add_argument("--tcpwhy", default="tcpwhy")
    b.add_argument("--family", default="ipv4", choices=sorted(packetdrill.FAMILIES))
    b.add_argument("--kernel-only", action="store_true")
    b.add_argument("--model-only", action="store_true")
    b.set_defaults(run=compare)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
