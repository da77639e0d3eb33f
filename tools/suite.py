#!/usr/bin/env python3
"""Runs a public packetdrill suite on the model and counts.

  TCPWHY_SUITE_GOOGLE=DIR TCPWHY_SUITE_KERNEL_6_18=DIR suite.py LIST [--tcpwhy PROGRAM] [--class C] [--failures]

LIST has one script a line: suite, class, result on a real kernel, path inside the suite, between tabs. Where the suite
google is, the variable TCPWHY_SUITE_GOOGLE says (the root of its repository). Suites without a variable are left out.
With --neutral, what an outgoing packet says of windows and options, and shell commands, are taken out first: for suites
written for other kernels.

A script counts as passed when it passes over every family it allows; over IPv4 is counted beside it.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile


def families(suite, path):
    """google runs IPv4-mapped too; names ending in v4 and v6 are for one family."""
    out = ["ipv4", "ipv6"] + (["mapped"] if suite == "google" else [])
    name = os.path.splitext(path)[0]
    if name.endswith("v4"):
        return [f for f in out if f != "ipv6"]
    return ["ipv6"] if name.endswith("v6") else out


def neutral(text):
    """Flags, numbers, lengths, results and times stay; lines keep their places."""
    out = []
    for line in text.split("\n"):
        code = line.split("//")[0]
        if re.match(r"^\s*[-+*0-9.~ ]*\s*>", code) and "icmp" not in code:
            line = re.sub(r"<[^>]*>\s*$", "", re.sub(r"\s+win\s+\d+", "", code).rstrip()) + " <...>"
        elif re.match(r"^\s*[+*0-9.]+\s*`[^`]*`\s*$", code):
            line = re.sub(r"`[^`]*`", "`true`", code)
        elif re.search(r"SO_(RCV|SND)BUF", code):
            line = re.sub(r"(get|set)sockopt\(.*", "`true`", code)
        out.append(line)
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list")
    parser.add_argument("--tcpwhy", default="tcpwhy")
    parser.add_argument("--class", dest="only")
    parser.add_argument("--result", help="only scripts with this result on the real kernel")
    parser.add_argument("--neutral", action="store_true")
    parser.add_argument("--family", action="append", help="instead of every family of the suite")
    parser.add_argument("--failures", action="store_true", help="one line per run that does not pass")
    args = parser.parse_args()
    holder = tempfile.TemporaryDirectory(prefix="tcpwhy-suite-")  # until the end
    scratch = holder.name
    tally = collections.defaultdict(collections.Counter)
    with open(args.list) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    for suite, kind, result, path in rows:
        root = os.environ.get("TCPWHY_SUITE_" + suite.upper().replace("-", "_").replace(".", "_"))
        if not root or (args.only and kind != args.only) or (args.result and result != args.result):
            continue
        file = os.path.join(root, path)
        asked = [word for family in args.family or families(suite, path) for word in ("--family", family)]
        given = file
        if args.neutral:
            given = os.path.join(scratch, os.path.basename(file))
            with open(file, errors="replace") as f, open(given, "w") as g:
                g.write(neutral(f.read()))
        said = subprocess.run([args.tcpwhy, "lab", "script", "--format", "jsonl", *asked, given], capture_output=True,
                              text=True, check=False).stdout
        runs = [json.loads(line) for line in said.splitlines()]
        row = tally[(suite, kind, result)]
        row["scripts"] += 1
        row["runs"] += len(runs)
        row["runs passed"] += sum(r["verdict"] == "passed" for r in runs)
        row["refused"] += any(r["verdict"] == "refused" for r in runs)
        row["ipv4"] += any(r["verdict"] == "passed" and r["family"] == "ipv4" for r in runs)
        row["all"] += bool(runs) and all(r["verdict"] == "passed" for r in runs)
        if args.failures:
            for r in runs:
                if r["verdict"] != "passed":
                    print("%s\t%s\t%s:%d\t%s" % (r["verdict"], r["family"], file, r["line"], r["message"].replace("\n", " | ")))
    columns = ["scripts", "ipv4", "all", "refused", "runs", "runs passed"]
    print("%-16s %-28s %-22s %s" % ("suite", "class", "on the real kernel", " ".join("%11s" % c for c in columns)))
    for key in sorted(tally):
        print("%-16s %-28s %-22s %s" % (*key, " ".join("%11d" % tally[key][c] for c in columns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
