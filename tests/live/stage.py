"""What the live tests share: two network namespaces joined by a cable, processes in them, a busy healthy server."""
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import time

PROGRAM = ""
SERVER, CLIENT = "198.51.100.7", "198.51.100.8"
SERVER6, CLIENT6 = "2001:db8::7", "2001:db8::8"
# Without any right: no root, no capability.
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
NS = {}
libc = ctypes.CDLL(None, use_errno=True)
children = []


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True)


def in_ns(side, *words, check=True):
    return sh("ip", "netns", "exec", NS[side], *words, check=check)


def sysctl(side, **values):
    for name, value in values.items():
        in_ns(side, "sysctl", "-qw", "%s=%s" % (name.replace("__", "."), value))


def go_on(pid):
    """Ends an actor's until_told(): what it does next comes after what was done here."""
    os.kill(pid, signal.SIGUSR1)


def until_told():
    signal.sigwait({signal.SIGUSR1})


def drop(side, rule):
    in_ns(side, "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in " + rule)


def up():
    for ns in NS.values():
        sh("ip", "netns", "add", ns)
        sh("ip", "-n", ns, "link", "set", "lo", "up")
    sh("ip", "link", "add", "v0", "netns", NS["server"], "type", "veth", "peer", "name", "v1", "netns", NS["client"])
    for side, dev, address, address6 in (("server", "v0", SERVER, SERVER6), ("client", "v1", CLIENT, CLIENT6)):
        sh("ip", "-n", NS[side], "addr", "add", address + "/24", "dev", dev)
        sh("ip", "-n", NS[side], "addr", "add", address6 + "/64", "dev", dev, "nodad")
        sh("ip", "-n", NS[side], "link", "set", dev, "up")
    in_ns("client", "ip", "route", "add", "203.0.113.0/24", "via", SERVER)
    in_ns("server", "ip", "route", "add", "203.0.113.0/24", "via", CLIENT)
    for _ in range(50):  # duplicate address detection is for IPv6; ARP needs a link
        if "state UP" in sh("ip", "-n", NS["client"], "link", "show", "v1").stdout:
            return
        time.sleep(0.02)


def down():
    for pid in children:
        for sig in (signal.SIGCONT, signal.SIGKILL):
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
    for pid in children:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
    children.clear()
    for ns in NS.values():
        sh("ip", "netns", "del", ns, check=False)


def actor(side, work, wait=True):
    """Runs work(ready) in a process inside the namespace; returns its pid once it called ready()."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # until it waits for go_on()
            fd = os.open("/run/netns/" + NS[side], os.O_RDONLY)
            if libc.setns(fd, 0x40000000) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            work(lambda: os.write(writing, b"."))
            while True:
                signal.pause()
        except BaseException as e:  # noqa: B902 - the child must never return into the parent's code
            os.write(2, ("actor: %r\n" % e).encode())
        os._exit(1)
    os.close(writing)
    children.append(pid)
    if wait:
        os.read(reading, 1)
    os.close(reading)
    return pid


def holding(make):
    """Work for an actor: makes something and keeps it."""
    def work(ready):
        kept = make()
        ready()
        while kept is not None:
            signal.pause()
    return work


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(port=80, backlog=128, address=SERVER):
    s = socket.socket(family_of(address))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(backlog)
    return s


def connect(port=80, address=SERVER, block=True, source=None):
    s = socket.socket(family_of(address))
    if source:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(source)
    if not block:
        s.setblocking(False)
    try:
        s.connect((address, port))
    except BlockingIOError:
        pass
    return s


def serve(work=None, port=80, backlog=128, **kw):
    """A server that accepts everything and then does `work` with each connection."""
    def run(ready):
        s = listen(port, backlog, **kw)
        ready()
        held = []
        while True:
            c, _ = s.accept()
            held.append(c)
            if work:
                work(c)
    return run


def segment(source, sport, dport, flags, seq=1, bad=False, payload=b"", ttl=64):
    """A raw TCP segment to the server, IP header included."""
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flags, 64240, 0, 0) + payload
    pseudo = socket.inet_aton(source) + socket.inet_aton(SERVER) + struct.pack("!BBH", 0, 6, len(tcp))
    data = pseudo + tcp + (b"\0" if len(tcp) % 2 else b"")
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    total += total >> 16
    check = (~total & 0xffff) ^ (0x5555 if bad else 0)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, ttl, 6, 0, socket.inet_aton(source),
                       socket.inet_aton(SERVER)) + tcp


def flood(sources, port=80, rounds=1000, pause=0.005, bad=False, flags=2):
    def run(ready):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        ready()
        for n in range(rounds):
            raw.sendto(segment(sources[n % len(sources)], 1024 + n % 60000, port, flags, 1000 + n, bad), (SERVER, 0))
            time.sleep(pause)
    return run


FORGED = ["203.0.113.%d" % i for i in range(1, 250)]

# --- the busy healthy server -----------------------------------------------------------------------------------

PORTS = list(range(8000, 8016))


def busy_server(ready):
    """Closes as it is told: by the first octet of the request."""
    import selectors
    sel = selectors.DefaultSelector()
    for port in PORTS:
        s = listen(port, 1024)
        s.setblocking(False)
        sel.register(s, selectors.EVENT_READ, None)
    ready()
    while True:
        for key, _ in sel.select():
            s = key.fileobj
            if key.data is None:
                try:
                    while True:
                        c, _ = s.accept()
                        c.setblocking(False)
                        sel.register(c, selectors.EVENT_READ, "client")
                except BlockingIOError:
                    continue
            try:
                data = s.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b""
            try:
                if not data:
                    sel.unregister(s)
                    s.close()
                elif data[:1] in (b"s", b"b", b"e"):  # the server closes first, or both at once
                    s.send(b"x" * 1000)
                    sel.unregister(s)
                    s.close()
                elif data[:1] == b"h":              # half-close: an answer, then FIN, the client follows
                    s.send(b"x" * 1000)
                    s.shutdown(socket.SHUT_WR)
                else:
                    s.send(b"x" * 1000)
            except (BrokenPipeError, ConnectionResetError):
                sel.unregister(s)
                s.close()


def busy_client(number, count, kinds="cshbrkp"):
    def run(ready):
        def whole(s):
            got = 0
            while got < 1000:
                data = s.recv(4096)
                if not data:
                    break
                got += len(data)
        ready()
        held = []
        for n in range(count):
            kind = kinds[n % len(kinds)]
            s = connect(PORTS[(n + number) % len(PORTS)])
            s.sendall(kind.encode() + b" request")
            whole(s)
            if kind in "se":
                s.recv(10)
            if kind == "e":                         # the server has closed: RST in place of the last FIN
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind == "h":
                s.shutdown(socket.SHUT_WR)
                s.recv(10)
            if kind == "r":                         # all is delivered: RST in place of the close
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind == "k":                         # several requests on one connection
                for _ in range(3):
                    s.sendall(b"k again")
                    whole(s)
            if kind == "p":                         # a pool: some stay open and idle
                held.append(s)
                if len(held) > 200:
                    held.pop(0).close()
                continue
            s.close()
        os._exit(0)
    return run


# --- running the cases -------------------------------------------------------------------------------------------


def one(name, case, sides, build):
    """One case in namespaces of its own; 0 when it is as it should be, 77 when it cannot be run here."""
    started = time.time()
    NS.update({side: "tw-live-%s%d" % (side[0], os.getpid()) for side in sides})
    status, word = 0, "ok     %-40s %.1f s"
    try:
        build()
        case()
        print(word % (name.replace("_", "-"), time.time() - started))
    except Skipped as e:
        status = 77
        print("skipped %-39s %s" % (name.replace("_", "-"), e))
    except Exception as e:  # noqa: B902 - the other cases go on
        status = 1
        print("FAILED %-40s %s" % (name.replace("_", "-"), e))
        if isinstance(e, subprocess.CalledProcessError):
            print(e.stderr)
    finally:
        down()
    sys.stdout.flush()
    return status


class Skipped(Exception):
    """The kernel here lacks what the case needs."""


def run(cases, jobs, sides, build):
    """All cases, `jobs` at a time: most of a case is waiting. Returns the statuses by name."""
    waiting, running, statuses = list(cases), {}, {}
    while waiting or running:
        while waiting and len(running) < jobs:
            name, case = waiting.pop(0)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                os._exit(one(name, case, sides, build))
            running[pid] = name
        pid, status = os.wait()
        if pid in running:
            statuses[running.pop(pid)] = os.waitstatus_to_exitcode(status)
    return statuses


def score(statuses):
    failed = sum(s not in (0, 77) for s in statuses.values())
    skipped = list(statuses.values()).count(77)
    print("%d of %d cases as they should be%s" % (len(statuses) - failed - skipped, len(statuses), ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


def main(found, in_short=None, short_connections=0, able=None, sides=("server", "client"), build=up, at_once=4):
    """[--short] [--jobs N] PROGRAM [NAME...]: the functions case_NAME of `found`.

    `in_short`: their names for --short, None all; `build` makes the namespaces of `sides`, which down() removes;
    `at_once`: how many of the short ones run beside each other."""
    global PROGRAM
    words, short, jobs = [], False, 0
    arguments = iter(sys.argv[1:])
    for word in arguments:
        if word == "--short":
            short = True
        elif word == "--jobs":
            jobs = int(next(arguments))
        else:
            words.append(word)
    PROGRAM = os.path.abspath(words[0])
    if sh("ip", "netns", "add", "tw-live-try%d" % os.getpid(), check=False).returncode != 0:
        print("skipped: no network namespace can be made here")
        return 77
    sh("ip", "netns", "del", "tw-live-try%d" % os.getpid())
    if able is not None:
        can, why = able()
        if not can:
            print("skipped:", *why)
            return 77
    if short:
        os.environ.setdefault("CONNECTIONS", str(short_connections))
    wanted = [w.replace("-", "_") for w in words[1:]]
    cases = [(n[5:], f) for n, f in found.items()
             if n.startswith("case_") and (not wanted or any(w in n for w in wanted))
             and (not short or in_short is None or n[5:] in in_short)]
    if not cases:
        print("no case is called that")
        return 2
    statuses = run(cases, jobs or (at_once if short else 1), sides, build)
    # Failures need their time to happen, and a busy machine of CI may not give it: once more, alone.
    again = [(name, case) for name, case in cases if short and statuses.get(name) not in (0, 77)]
    statuses.update(run(again, 1, sides, build))
    return score(statuses)
