#!/usr/bin/env python3
"""Holds the program against recorded truth: every case, every vantage, every connection.

    tools/score.py [--program build/release/tcpwhy] [--cases tests/cases] [--only CAUSE[,CAUSE]] [-v]

A case is a directory with truth.json and one capture per vantage (see lab/README.md). A connection
is right when its first diagnosis is in the list that truth.json accepts at that vantage ("" there
means: no diagnosis at all, or a benign one only). A false alarm is a healthy connection of which
the program says that it is not. Prints one row per cause, then what failed; exit status 1 below the
thresholds, 2 when the program itself failed.
"""

import argparse
import functools
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

RIGHT_AT_LEAST = 0.95      # of all connections
FALSE_ALARMS_AT_MOST = 0.001


def endpoint(text):
    """"192.0.2.1:80" or "[2001:db8::1]:80" as (address, port)."""
    address, port = text.rsplit(":", 1)
    return address.strip("[]"), int(port)


def capture_of(case, vantage):
    for name in sorted(os.listdir(case)):
        if re.fullmatch(re.escape(vantage) + r"\.(pcap|pcapng)(\.\w+)?", name):
            return os.path.join(case, name)
    return None


@functools.lru_cache(maxsize=None)
def run(program, capture):
    done = subprocess.run([program, "--format", "jsonl", "--only", "all", capture], capture_output=True, text=True,
                          timeout=120)
    if done.returncode not in (0, 1):
        raise RuntimeError("%s: exit %d: %s" % (capture, done.returncode, done.stderr.strip()[:300]))
    connections, findings = [], []
    for line in done.stdout.splitlines():
        record = json.loads(line)
        if record["type"] == "connection":
            connections.append(record)
        elif record["type"] == "finding":
            findings.append(record)
    return connections, findings


def run_ahead(program, case):
    """All captures of a case; what fails fails again, and is told, when it is scored."""
    for name in sorted(os.listdir(case)):
        if re.search(r"\.(pcap|pcapng)(\.\w+)?$", name):
            try:
                run(program, os.path.join(case, name))
            except (RuntimeError, subprocess.TimeoutExpired, ValueError):
                return


def name_of(record):
    return tuple((record[side]["ip"], record[side]["port"]) for side in ("client", "server"))


class Score:
    def __init__(self):
        self.right = defaultdict(int)
        self.wrong = defaultdict(int)
        self.alarms, self.healthy, self.failures, self.outcomes = [], 0, [], []

    def judge(self, cause, label, wanted, accept, found):
        """One connection that must be there; `found` is its line or None."""
        key = (cause, label[1])
        if found is None:
            self.wrong[key] += 1
            self.failures.append((*label, "not reported", accept))
            return
        given = found.get("diagnoses", [])
        faults = [d for d in given if not d["benign"]]
        first = given[0]["cause"] if given else ""
        right = first in accept or ("" in accept and not faults and found["healthy"])
        (self.right if right else self.wrong)[key] += 1
        if not right:
            said = ["%s %s%s" % (d["cause"], d["verdict"], " benign" if d["benign"] else "") for d in given[:4]]
            self.failures.append((*label, ", ".join(said) or ("nothing, healthy" if found["healthy"] else "unexplained"), accept))
        if wanted["healthy"]:
            self.healthy += 1
            if not found["healthy"]:
                self.alarms.append((*label, first or "unexplained, " + found["outcome"]))


def expected_at(truth, vantage):
    """The connections truth.json names at this vantage, in order of occurrence per name."""
    for entry in truth["connections"]:
        if vantage in entry["at"]:
            at = entry["at"][vantage]
            yield (endpoint(at["client"]), endpoint(at["server"])), at.get("occurrence", entry.get("occurrence", 0)), entry


def score_case(score, program, case, only_vantage):
    with open(os.path.join(case, "truth.json")) as file:
        truth = json.load(file)
    vantages = sorted({v for entry in truth["connections"] for v in entry["at"]})
    for vantage in vantages:
        capture = capture_of(case, vantage)
        if capture is None or (only_vantage and vantage != only_vantage):
            continue
        seen, findings = run(program, capture)
        by_name, known = defaultdict(list), set()
        for record in seen:
            by_name[name_of(record)].append(record)
        for name, occurrence, entry in expected_at(truth, vantage):
            accept = entry["accept"].get(vantage, entry["accept"].get("*", []))
            records = by_name.get(name, []) or by_name.get((name[1], name[0]), [])  # who called may be undecidable
            if not records and entry.get("optional"):
                continue
            found = records[occurrence] if occurrence < len(records) else None
            known.add(name)
            label = ("%s/%s" % (truth["cause"], truth["variant"]), vantage, "%s:%d" % name[0])
            score.judge(truth["cause"], label, entry, accept, found)
            wanted = entry.get("outcome", "")
            if isinstance(wanted, dict):
                wanted = wanted.get(vantage, wanted.get("*", ""))
            if found is not None and wanted and found["outcome"] != wanted:
                score.outcomes.append((*label, found["outcome"], wanted))
        for population in truth.get("populations", []):
            if not any(f["cause"] == population for f in findings):
                score.outcomes.append(("%s/%s" % (truth["cause"], truth["variant"]), vantage, "finding", "missing", population))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--program", default=os.path.join(here, "build/release/tcpwhy"))
    parser.add_argument("--cases", default=os.path.join(here, "tests/cases"))
    parser.add_argument("--only", default="", help="causes, comma separated; a prefix of cause/variant will do")
    parser.add_argument("--vantage", default="")
    parser.add_argument("--right-at-least", type=float, default=RIGHT_AT_LEAST, help="share of right answers below which this fails")
    parser.add_argument("--alarms-at-most", type=float, default=FALSE_ALARMS_AT_MOST, help="share of false alarms above which this fails")
    parser.add_argument("-v", "--verbose", action="store_true", help="outcomes and findings that differ, too")
    options = parser.parse_args()

    score, broken = Score(), []
    wanted = [w for w in options.only.split(",") if w]
    cases = []
    for where, _, files in sorted(os.walk(options.cases)):
        name = os.path.relpath(where, options.cases)
        if "truth.json" not in files or where.endswith(".partial"):
            continue
        if wanted and not any(name.startswith(w) for w in wanted):
            continue
        cases.append((name, where))
    if not options.vantage:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda case: run_ahead(options.program, case[1]), cases))
    for name, where in cases:
        try:
            score_case(score, options.program, where, options.vantage)
        except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
            broken.append("%s: %s" % (name, error))

    vantages = ("client", "nat-inside", "nat-outside", "server")
    keys = set(score.right) | set(score.wrong)
    print("%-28s %s" % ("right / all", " ".join("%12s" % v for v in vantages)))
    for cause in sorted({k[0] for k in keys}):
        cells = []
        for vantage in vantages:
            right, wrong = score.right[(cause, vantage)], score.wrong[(cause, vantage)]
            cells.append("%12s" % ("%d / %d%s" % (right, right + wrong, "" if not wrong else " !") if right + wrong else "-"))
        print("%-28s %s" % (cause, " ".join(cells)))
    print()
    for kind, rows in (("WRONG", score.failures), ("FALSE ALARM", score.alarms),
                       ("OTHER", score.outcomes if options.verbose else [])):
        merged = defaultdict(list)
        for row in rows:
            merged[(row[0], str(row[3:]))].append(row)
        for same in merged.values():
            row = same[0]
            where = ",".join(sorted({r[1] for r in same}))
            tail = "" if len(row) < 5 else "   wanted: %s" % (row[4] if isinstance(row[4], str) else " | ".join(a or "nothing" for a in row[4]))
            print("%s %s [%s] %s%s: %s%s" % (kind, row[0], where, row[2], " (and %d more)" % (len(same) - 1) if len(same) > 1 else "", row[3], tail))
    for line in broken:
        print("BROKEN", line)
    right, wrong = sum(score.right.values()), sum(score.wrong.values())
    share = right / (right + wrong) if right + wrong else 0.0
    alarms = len(score.alarms) / score.healthy if score.healthy else 0.0
    print("%d of %d right (%.4f), %d false alarms among %d healthy, %d broken"
          % (right, right + wrong, share, len(score.alarms), score.healthy, len(broken)))
    if broken:
        return 2
    return 0 if share >= options.right_at_least and alarms <= options.alarms_at_most else 1


if __name__ == "__main__":
    sys.exit(main())
