"""What `tcpwhy watch`, `tcpwhy host` and `tcpwhy -i any --with-kernel` say at both ends while a recipe happens, and whether it is right.

`Observers` runs the commands in the client's and the server's namespace for the length of a recipe. `score` holds what
they said against truth.json. What only the payload tells is for the third, which sees it: it counts where the others see nothing. Right is a cause truly at work (exact), one that a capture taken at that end may be
answered with (generic), or "possible" with such a one among the others that are (listed); whatever else is said of the
connections is wrong, and anything said of a healthy one is too. A few things no kernel can see: UNSEEN says which and why.
A finding of `host` names sockets of a process and not one connection: it is right when any failing connection, or a
population, of the recipe is so called.
"""

import datetime
import json
import os
import signal
import threading
import time

from catalogue import BENIGN, GENERICS

SAID = "live.jsonl"
SIDES = {"client": "client", "client2": "client", "server": "server"}
CAPTURE = "capture"
READY = {"watch": "watching", CAPTURE: "capturing"}
COMMANDS = {"watch": ["watch"], CAPTURE: ["-i", "any", "-f", "tcp or icmp or icmp6", "--with-kernel"], "host": ["host", "--interval", "2"], "host 2 s": ["host", "--interval", "0.7", "--patience", "2"]}
# The third needs a capture and programs of its own, which many at once do not bear: `gen.py live --capture` adds it.
chosen = [by for by in COMMANDS if by != CAPTURE]
# The same failure under the word for many sockets of it, and under the honest word of an end whose kernel knows less
# than a capture there: no TTL of a RST, nothing of a SYN-ACK it did not take, one end of a connection only.
ALSO = {
    "syn-unanswered": {"syn-sent-pile"}, "handshake-ack-lost": {"syn-recv-pile"}, "syn-ack-lost": {"syn-recv-pile"},
    "peer-unresponsive": {"fin-wait1-pile", "last-ack-pile", "closing-pile"}, "port-exhaustion": {"time-wait-pile"},
    "fin-wait2-timeout": {"close-wait-leak"},                   # what the other end does meanwhile
    "accept-queue-overflow-reset": {"server-aborted"},          # a RST to a client
    "rejected-by-middlebox": {"port-closed"},                   # connect() gets ECONNREFUSED from either
    "conntrack-invalid-reset": {"half-open"},                   # the target of the segment never had the connection
    "connect-timeout": {"syn-unanswered"}, "host-unreachable": {"syn-unanswered"},      # until the answer comes
    "ack-number-rewritten": {"syn-unanswered", "peer-unresponsive"},                    # its answers are not taken
}


# What happens above or beside TCP: each segment is what TCP ought to see, at both ends.
UNSEEN = {
    "premature-close": "an orderly close; only the payload had announced more",
    "stalled": "an idle connection; only the payload would tell that a response is not complete",
    "client-timeout": "an orderly close; only the payload would tell that an answer was still due",
    "slow-response": "an idle connection, for shorter than a user's patience",
    "client-closed-early": "an orderly close; only the payload had announced more",
    "injected-data": "the second copy of an octet is dropped unread, and that as every segment that comes twice",
}
# Said of many connections none of which fails.
HARMLESS = {"client-connection-limit", "nat-address-sharing"}


class Observers:
    """The commands in every end's namespace, from before the traffic until `end`.

    A recipe is over sooner than a socket is stuck by the patience a user has: `host` runs once with the default, which
    is what healthy connections are held to, and once with two seconds."""

    def __init__(self, program, hosts):
        self._hosts = {name: host for name, host in hosts.items() if name in SIDES}
        self.said, self._running, self._readers = [], [], []
        self._lock, self._over = threading.Lock(), threading.Event()
        self.pids = {os.getpid()}
        for name, host in self._hosts.items():
            for by in chosen:
                self._start(program, host, SIDES[name], by, COMMANDS[by])
        threading.Thread(target=self._children, daemon=True).start()

    def _start(self, program, host, side, by, command):
        import subprocess
        process = host.popen([program, *command, "--format", "jsonl"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        while by in READY:
            line = process.stderr.readline()
            if not line:
                raise RuntimeError("%s did not start" % by)
            if READY[by] in line:
                break
        self._running.append(process)
        for stream, note in ((process.stdout, True), (process.stderr, False)):
            reader = threading.Thread(target=self._read, args=(stream, side, by, note), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _read(self, stream, side, by, note):
        for line in stream:
            if note:
                with self._lock:
                    self.said.append({"at": side, "by": by, "said": json.loads(line)})

    def _children(self):
        """A recipe may start processes, and they may be gone when they are named."""
        while not self._over.wait(0.02):
            try:
                with open("/proc/self/task/%d/children" % os.getpid()) as file:
                    self.pids.update(int(p) for p in file.read().split())
            except OSError:
                return

    def end(self, captured):
        """`captured`: when the capture ended, in seconds. What a recipe ends afterwards is no part of its truth."""
        time.sleep(1.0)      # one more reading of `host`, while everything is still as the recipe left it
        for process in self._running:
            process.send_signal(signal.SIGINT)
        for process in self._running:
            process.wait(20)
        for reader in self._readers:
            reader.join(5)
        self._over.set()
        plays = sorted({SIDES[name] for name, host in self._hosts.items() if host.plays})
        return [{"pids": sorted(self.pids), "plays": plays, "captured": captured}, *self.said]

    def kill(self):
        self._over.set()
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.wait()


def seconds(text):
    return datetime.datetime.fromisoformat(text[:26] + "+00:00").timestamp()


def ends(entry):
    """A connection's two ends, whoever is the client."""
    def word(end):
        return end if isinstance(end, str) else ("[%s]:%d" if ":" in end["ip"] else "%s:%d") % (end["ip"], end["port"])
    return frozenset((word(entry["client"]), word(entry["server"])))


def words(causes):
    """The causes, the generics that stand for them, and the other words for them."""
    causes = set(causes).union(*(ALSO.get(c, set()) for c in causes))
    causes |= {generic for generic, specifics in GENERICS.items() if causes & set(specifics.split())}
    return causes.union(*(ALSO.get(c, set()) for c in causes))


def score(directory):
    """(word, lines) of one recorded recipe: exact, generic, listed, silent, hidden, unseen or healthy, and wrong; who said what."""
    with open(os.path.join(directory, "truth.json")) as file:
        truth = json.load(file)
    with open(os.path.join(directory, SAID)) as file:
        first, *said = [json.loads(line) for line in file]
    pids = set(first["pids"])
    sick = [c for c in truth["connections"] if not c["healthy"]]
    fails = bool(sick or set(truth["populations"]) - HARMLESS)
    by_ends = {}
    for connection in truth["connections"]:
        for side in ("client", "server"):
            if side in connection["at"]:
                by_ends.setdefault((side, ends(connection["at"][side])), []).append(connection)
    told = {}      # (grade, by, at, cause, verdict, process) -> times

    def note(grade, entry, cause, verdict, pid):
        process = "its process" if pid in pids else "no process" if not pid else "another process"
        key = (grade, entry["by"], entry["at"], cause, verdict, process)
        told[key] = told.get(key, 0) + 1

    def grade(cause, connections, side):
        exact = {t for c in connections for t in c["truth"]} | set(truth["populations"])
        generic = words(exact | {a for c in connections for a in c["accept"].get(side, []) if a})
        return "exact" if cause in exact else "generic" if cause in generic else None

    for entry in said:
        x = entry["said"]
        pid = x.get("process", {}).get("pid", 0)
        if x["type"] == "connection":
            cause, verdict = x["diagnoses"][0]["cause"], x["diagnoses"][0]["verdict"]
            known = by_ends.get((entry["at"], ends(x)), [])
            found = grade(cause, known, entry["at"])
            if (x.get("healthy") and cause in BENIGN) or (first.get("captured") and seconds(x["end"]) > first["captured"]):
                continue
            if not known and sick:
                found = grade(cause, sick, entry["at"])      # a SYN that no capture holds, or forged ends
            if entry["at"] in first["plays"]:
                found = found or "aside"      # about the stage: this end has a filter in place of a kernel, or of a crash
            if verdict == "possible" and not found:
                others = [grade(d["cause"], known or sick, entry["at"]) for d in x["diagnoses"][1:] if d["verdict"] == "possible"]
                found = "listed" if any(others) else "doubtful"
            note(found or "wrong", entry, cause, verdict, pid)
        elif x["type"] == "finding":
            if entry["by"] == "host 2 s" and not fails:
                continue
            found = grade(x["cause"], sick or truth["connections"], entry["at"])
            if x["cause"] == "risky-setting":
                found = "aside"      # true of the setting whatever happens
            hasty = entry["by"] != "host"      # with a patience nobody has
            note(found or ("doubtful" if hasty or x["verdict"] == "possible" else "wrong"), entry, x["cause"], x["verdict"], pid)
    grades = [key[0] for key in told if key[1] != CAPTURE]
    by_capture = [key[0] for key in told if key[1] == CAPTURE]
    # At no end that has a kernel anything of it can be seen, by the capture's truth too.
    kernels = [side for side in ("client", "server") if side not in first["plays"]]
    hidden = all("" in c["accept"].get(side, [""]) for c in sick for side in kernels)
    unseen = all(set(c["truth"]) <= set(UNSEEN) and c["outcome"] != "reset" for c in sick)
    word = next((g for g in ("exact", "generic", "listed") if g in grades),
                "healthy" if not fails else "hidden" if sick and hidden else "unseen" if sick and unseen else "silent")
    named = any(key[0] == word and key[5] == "its process" for key in told)
    if "wrong" in grades:
        word = "healthy, alarmed" if word == "healthy" else word + ", and wrong"
    elif word in ("exact", "generic", "listed"):
        word += "" if named else ", no process"
    elif by_capture:
        word += next((", but %s by the capture" % g for g in ("exact", "generic", "listed") if g in by_capture), "")
    if "wrong" in by_capture:
        word += ", capture wrong"
    lines = ["%-8s %-8s at %-6s %s %s, %s%s" % (*key[:3], key[3], key[4], key[5], " x%d" % n if n > 1 else "")
             for key, n in sorted(told.items())]
    return word, lines


def tally(names, out):
    """Prints the score of every recipe that ran, and the sum; returns how many were wrong or alarmed."""
    sums = {}
    for name in names:
        directory = os.path.join(out, name)
        if not os.path.exists(os.path.join(directory, SAID)):
            word, lines = "did not run", []
        else:
            word, lines = score(directory)
        sums.setdefault(word, []).append(name)
        print("%-28s %s" % (word, name))
        for line in lines:
            print("    " + line)
    print("\n%d recipes" % len(names))
    for word, which in sorted(sums.items()):
        print("%4d  %s%s" % (len(which), word, "" if word in ("exact", "healthy", "hidden") else ": " + " ".join(sorted(which))))
    return sum(len(which) for word, which in sums.items() if "wrong" in word or "alarmed" in word)
