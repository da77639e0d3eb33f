#!/usr/bin/env python3
"""Runs a public packetdrill suite on the model and counts.

  TCPWHY_SUITE_GOOGLE=DIR TCPWHY_SUITE_KERNEL_6_18=DIR suite.py LIST [--tcpwhy PROGRAM] [--class C] [--failures]

LIST has one script a line: suite, class, result on a real kernel, path inside the suite, between tabs. Where the suite
google is, the variable TCPWHY_SUITE_GOOGLE says (the root of its repository). Suites without a variable are left out.
A script counts as passed when it passes over every family it allows; over IPv4 is counted beside it.
"""

import argparse
import collections
import json
import os
import subprocess
import sys


def families(suite, path):
    """google runs IPv4-mapped too; names ending in v4 and v6 are for one family."""
    out = ["ipv4", "ipv6"] + (["mapped"] if suite == "google" else [])
    name = os.path.splitext(path)[0]
    if name.endswith("v4"):
        return [f for f in out if f != "ipv6"]
    return ["ipv6"] if name.endswith("v6") else out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list")
    parser.add_argument("--tcpwhy", default="tcpwhy")
    parser.add_argument("--class", dest="only")
    parser.add_argument("--result", help="only scripts with this result on the real kernel")
    parser.add_argument("--failures", action="store_true", help="one line per run that does not pass")
    args = parser.parse_args()
    tally = collections.defaultdict(collections.Counter)
    with open(args.list) as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    for suite, kind, result, path in rows:
        root = os.environ.get("TCPWHY_SUITE_" + suite.upper().replace("-", "_").replace(".", "_"))
        if not root or (args.only and kind != args.only) or (args.result and result != args.result):
            continue
        file = os.path.join(root, path)
        asked = [word for family in families(suite, path) for word in ("--family", family)]
        said = subprocess.run([args.tcpwhy, "lab", "script", "--format", "jsonl", *asked, file], capture_output=True,
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
