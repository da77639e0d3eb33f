#!/usr/bin/env python3
"""Makes the golden cases: runs recipes on the kernel at hand, keeps what proved itself.

    python3 lab/gen.py list [WORD]
    python3 lab/gen.py run NAME... [--jobs N] [--out DIR] [--perturb A,B]      NAME may be a prefix, or "all"
    python3 lab/gen.py accept NAME... [--out DIR]
    python3 lab/gen.py live NAME... --program TCPWHY [--jobs N] [--out DIR]    what `watch` and `host` say meanwhile, scored
"""

import argparse
import importlib
import json
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import catalogue
import live
import net
import perturb
import truth
from run import REGISTRY, perform

CASES = os.path.join(os.path.dirname(HERE), "tests", "cases")


def load():
    for module in pkgutil.iter_modules([os.path.join(HERE, "recipes")]):
        importlib.import_module("recipes." + module.name)
    return REGISTRY


def chosen(names):
    known = load()
    picked = []
    for name in names:
        match = [n for n in known if name == "all" or n == name or n.startswith(name.rstrip("/") + "/")]
        if not match:
            sys.exit("no recipe is called %s; see `gen.py list`" % name)
        picked += [n for n in match if n not in picked]
    return picked


def run_one(name, out, events, program):
    """In a process of its own: one recipe."""
    directory = os.path.join(out, name)
    partial = directory + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    problem = perform(REGISTRY[name], partial, events, program)
    if not problem:
        with open(os.path.join(partial, "truth.json")) as file:
            unknown = catalogue.check(json.load(file))
        problem = "not in the catalogue: " + ", ".join(unknown) if unknown else None
    if problem:
        print(problem)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(partial, directory)
    return 0


def run(names, jobs, out, program=None):
    os.makedirs(out, exist_ok=True)
    net.sweep()
    handle, events = tempfile.mkstemp(prefix="tcpwhy-events-")
    os.close(handle)
    listener = truth.start_listener(events)
    if listener is None:
        print("no BPF here: counters only", file=sys.stderr)
    # The slow ones first, so that the end is not one long wait.
    waiting = sorted(names, key=lambda n: -REGISTRY[n].limit)
    running, failed = {}, []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                command = [sys.executable, os.path.abspath(__file__), "one", name, "--out", out]
                command += ["--events", events] if listener else []
                command += ["--program", program] if program else []
                command += ["--capture"] if live.CAPTURE in live.chosen else []
                running[name] = (subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                                  stdin=subprocess.DEVNULL), time.monotonic())
            for name, (process, began) in list(running.items()):
                late = time.monotonic() - began > REGISTRY[name].limit + 30
                if late:
                    process.terminate()
                if process.poll() is None and not late:
                    continue
                text = process.communicate()[0].strip()
                del running[name]
                took = time.monotonic() - began
                if process.returncode or late:
                    failed.append(name)
                    print("FAILED %s (%.1f s)%s\n    %s" % (name, took, " too late" if late else "",
                                                           text.replace("\n", "\n    ")), flush=True)
                else:
                    print("ok     %s (%.1f s)%s" % (name, took, "  " + text if text else ""), flush=True)
            time.sleep(0.02)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait()
        if listener:
            listener.terminate()
            listener.wait()
        os.unlink(events)
        net.sweep()
    print("%d ran, %d failed%s" % (len(names), len(failed), ": " + " ".join(failed) if failed else ""))
    return 1 if failed else 0


def accept(names, out):
    missing = 0
    for name in names:
        source, target = os.path.join(out, name), os.path.join(CASES, name)
        if not os.path.exists(os.path.join(source, "truth.json")):
            print("not yet run, or failed: " + name)
            missing += 1
            continue
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(live.SAID))
    return 1 if missing else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["list", "run", "live", "accept", "one", "missing"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--out", default="/tmp/lab-out")
    parser.add_argument("--perturb", default="", help="changes to the world, comma separated: " + " ".join(perturb.KNOWN))
    parser.add_argument("--program", help="for `live`: the tcpwhy to run at both ends")
    parser.add_argument("--capture", action="store_true", help="for `live`: a capture with the kernel's word at both ends, too")
    parser.add_argument("--events", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.perturb:
        perturb.choose(options.perturb)
    if options.capture:
        live.chosen.append(live.CAPTURE)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.command == "list":
        for name, recipe in sorted(load().items()):
            if not options.names or any(w in name for w in options.names):
                print("%-52s %s" % (name, recipe.lines[0]))
        return 0
    if options.command == "missing":
        load()
        covered = {r.cause for r in REGISTRY.values()}
        print("\n".join(sorted(c for c in catalogue.ALL if c not in covered)))
        return 0
    if options.command == "one":
        load()
        return run_one(options.names[0], options.out, options.events, options.program)
    names = chosen(options.names)
    if options.command == "accept":
        return accept(names, options.out)
    if options.command == "live":
        program = os.path.abspath(options.program or parser.error("live needs --program"))
        failed = run(names, options.jobs, options.out, program)
        return 1 if live.tally(names, options.out) else failed
    return run(names, options.jobs, options.out)


if __name__ == "__main__":
    sys.exit(main())
