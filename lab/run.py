"""One recipe, run once: the world, the captures, the claims and their proof.

A recipe is a function that takes a `Run`, makes something happen with its sockets and
wires, says which connections there were and what was wrong with them (`connection`),
and names the counters and events that must have moved if it is so (`expect...`).  What
it says and what the kernel counted must agree, or the run fails and leaves no case.
"""

import contextlib
import json
import os
import socket
import struct
import time
import traceback

import capture as capturing
import live
import net
import packet
import perturb
import truth as truths

POINTS = ("client", "nat-inside", "nat-outside", "server")
IPV6_HEADERS = 14 + 40 + 20      # octets of a frame up to the end of TCP's fixed header
REGISTRY = {}


class Recipe:
    def __init__(self, name, function, limit, late, snaplen, nano, world):
        self.name, self.function, self.limit, self.late = name, function, limit, late
        self.snaplen, self.nano, self.world = snaplen, nano, world
        self.cause, self.variant = name.split("/")
        self.doc = " ".join(line.strip() for line in function.__doc__.strip().splitlines())
        self.lines = [line.strip() for line in function.__doc__.strip().splitlines()]


def recipe(name, limit=60, late=False, snaplen=0, nano=False, **world):
    """limit: seconds after which the run is given up.  late: the recipe starts the capture itself.
    The rest goes to net.World."""
    def register(function):
        assert name not in REGISTRY, name
        REGISTRY[name] = Recipe(name, function, limit, late, snaplen, nano, world)
        return function
    return register


class Failed(Exception):
    pass


def request(path="/", host="www.example.com", size=0):
    head = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: example/1\r\n" % (path, host)
    if size:
        head = "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n" % (path, host, size)
    return (head + perturb.cookies(perturb.chosen()) + "\r\n").encode() + filler(size)


def response(size=200, close=False, status="200 OK"):
    head = "HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, size, "Connection: close\r\n" if close else "")
    return head.encode() + filler(size)


def filler(size):
    """Synthetic payload that says what it is."""
    line = b"filler payload of the lab, made up, means nothing. "
    return (line * (size // len(line) + 1))[:size]


def tls_record(kind, size):
    """A TLS 1.2 record header with filler in place of what it would protect."""
    return struct.pack("!BHH", kind, 0x0303, size) + filler(size)


def wait_until(condition, seconds, what="condition", step=0.01):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed("waited %g s in vain for %s" % (seconds, what))
        time.sleep(step)


def recv_exact(sock, size):
    got = b""
    while len(got) < size:
        part = sock.recv(min(size - len(got), 1 << 20))
        if not part:
            raise Failed("end of stream after %d of %d bytes" % (len(got), size))
        got += part
    return got


def recv_until(sock, mark=b"\r\n\r\n"):
    got = b""
    while mark not in got:
        part = sock.recv(65536)
        if not part:
            raise Failed("end of stream before %r" % mark)
        got += part
    return got


def recv_response(sock):
    """One whole HTTP response with Content-Length."""
    got = recv_until(sock)
    head, _, body = got.partition(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head, body + recv_exact(sock, size - len(body))


def drain(sock):
    """Reads to the end of the stream; returns the number of bytes."""
    total = 0
    while True:
        part = sock.recv(1 << 20)
        if not part:
            return total
        total += len(part)


def fails(call, *errors):
    """Runs the call, which must fail with one of the exceptions."""
    try:
        call()
    except errors as error:
        return error
    raise Failed("%s did not fail with %s" % (call, errors))


def tcp_state(sock):
    """The kernel's state number of a socket (TCP_INFO, first byte)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def unacked(sock):
    """Bytes sent and not acknowledged (SIOCOUTQ)."""
    import fcntl
    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, b"\0" * 4))[0]


ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(1, 12)


class Run:
    def __init__(self, recipe, directory, events_path):
        self.recipe, self.directory = recipe, directory
        changes = perturb.chosen()
        self.world = net.World(**perturb.world(recipe.world, changes))
        self.hosts = self.world.hosts
        self.client, self.client2, self.router = self.world.client, self.world.client2, self.world.router
        self.hop, self.server = self.world.hop, self.world.server
        self.wire, self.inner = self.world.wire, self.world.inner
        perturb.settings(self.hosts, changes)
        perturb.weather(self.wire, changes)
        self.snaplen = perturb.snaplen(recipe.snaplen, changes)
        self.events = truths.Events(events_path, self.hosts)
        self.before = {name: truths.counters(host) for name, host in self.hosts.items()}
        self.capture = None
        self.connections, self.populations, self.sockets = [], [], {}
        self.listeners = {}
        self._counters, self._events, self._keep = [], [], []

    # For recipes: traffic -----------------------------------------------------

    def start_capture(self):
        self.capture = capturing.Capture(self.world.points(), self.directory, self.snaplen, self.recipe.nano)

    def hold(self, *sockets):
        """Keeps sockets open until the captures are over, so that no close is recorded."""
        self._keep += sockets

    def caller(self, host=None, v6=False, port=0, options=()):
        """A client's socket, bound and so with a name that outlives a failed connect()."""
        host = host or self.client
        sock = host.socket(v6)
        for level, name, value in options:
            sock.setsockopt(level, name, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first = host is self.client
        address = (net.CLIENT6 if first else net.CLIENT6_2) if v6 else (net.CLIENT if first else net.CLIENT2)
        sock.bind((address, port))
        return sock

    def pair(self, port=80, v6=False, host=None, listener=None, client_options=(), server_options=(), bind=None,
             timeout=30):
        """An established connection: (client's socket, server's socket)."""
        if listener is None:
            key = (port, v6)
            if key not in self.listeners:
                self.listeners[key] = self.server.listen(port, v6=v6, options=server_options)
            listener = self.listeners[key]
        sock = (host or self.client).socket(v6)
        sock.settimeout(timeout)
        for level, name, value in client_options:
            sock.setsockopt(level, name, value)
        if bind:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(bind)
        sock.connect((net.SERVER6 if v6 else net.SERVER, port))
        listener.settimeout(timeout)
        peer, _ = listener.accept()
        peer.settimeout(timeout)
        return sock, peer

    def exchange(self, client, server, ask=None, answer=None):
        """One request and its response, read by both."""
        client.sendall(ask or request())
        recv_until(server)
        server.sendall(answer or response())
        return recv_response(client)

    def ss(self, host, label, *arguments):
        text = self.hosts[host].ss(*arguments)
        self.sockets["%s: %s" % (host, label)] = [" ".join(line.split()) for line in text.splitlines()]
        return text

    # For recipes: claims --------------------------------------------------------

    def connection(self, client, server=None, truth=(), accept=(), outcome="completed", healthy=None, occurrence=0,
                   port=80, at=None, optional=False):
        """client: a socket, or (address, port).  accept: a list, or {vantage: list, "*": list}."""
        if isinstance(client, socket.socket):
            client = client.getsockname()[:2]
        if server is None:
            server = (net.SERVER6 if ":" in client[0] else net.SERVER, port)
        truth = [truth] if isinstance(truth, str) else list(truth)
        from catalogue import BENIGN
        if healthy is None:
            healthy = all(t in BENIGN for t in truth)
        self.connections.append(dict(client=tuple(client), server=tuple(server), truth=truth, accept=accept,
                                     outcome=outcome, healthy=healthy, occurrence=occurrence, at=at,
                                     optional=optional))

    def expect(self, host, **least):
        """These counters of the host must have moved by at least so much."""
        self._counters += [(host, name, value, False) for name, value in least.items()]

    def expect_exactly(self, host, **values):
        self._counters += [(host, name, value, True) for name, value in values.items()]

    def expect_reset(self, host, reason):
        """The host must have sent a RST for this reason (linux-tcp.md 7.6)."""
        self._events.append((host, "reset-sent", reason))

    def expect_drop(self, host, reason):
        self._events.append((host, "drop", reason))

    # After the recipe -------------------------------------------------------------

    def delta(self, host):
        return truths.deltas(self.before[host], truths.counters(self.hosts[host]))

    def verify(self):
        """Everything that was expected did happen; what did, for the record."""
        now = {name: self.delta(name) for name in self.hosts}
        for host, name, value, exact in self._counters:
            got = now[host].get(name, 0)
            if got < value or (exact and got != value):
                raise Failed("%s: %s moved by %d, not %d" % (host, name, got, value))
        if self.events.path:
            for wanted in self._events:
                if not self.events.wait_for(*wanted):
                    raise Failed("event did not happen: %s %s %s; seen: %s" % (*wanted, self.resets_seen()))
        for wire in self.world.wires:
            if wire.error:
                raise Failed("wire: %r" % wire.error)
        return {name: values for name, values in now.items() if values and name not in ("wire", "inner")}

    def resets_seen(self):
        found = {}
        for host, kind, detail in self.events.read():
            if kind in ("reset-sent", "drop"):
                found.setdefault("%s %s %s" % (host, kind, detail), 0)
                found["%s %s %s" % (host, kind, detail)] += 1
        return ["%s x%d" % (text, n) if n > 1 else text for text, n in found.items()]

    def locate(self):
        """Where each connection is seen under which addresses, found by its SYN's number."""
        seen = {point: Seen(os.path.join(self.directory, point + ".pcap")) for point in POINTS}
        found = []
        for claim in self.connections:
            places = claim["at"]
            if places is None:
                places = self._places(claim, seen)
            if not places and ":" in claim["client"][0] and 0 < self.snaplen < IPV6_HEADERS:
                continue      # nobody can read the flags that were cut away
            if not places and not claim["optional"]:
                raise Failed("connection %s is in no capture" % (claim["client"],))
            if not places:
                continue
            accept = claim["accept"]
            if not isinstance(accept, dict):
                accept = {"*": accept}
            accept = {point: list(accept.get(point, accept.get("*", []))) for point in places}
            entry = {"at": {point: {"client": end(*c), "server": end(*s)} for point, (c, s) in places.items()},
                     "truth": claim["truth"], "healthy": claim["healthy"], "accept": accept,
                     "outcome": claim["outcome"]}
            if claim["occurrence"]:
                entry["occurrence"] = claim["occurrence"]
            found.append(entry)
        if self.connections and not found:
            raise Failed("no connection can be read in what the captures keep of each frame")
        return found

    def _places(self, claim, seen):
        client, server, n = claim["client"], claim["server"], claim["occurrence"]
        own = "client"
        isns = seen[own].syns.get((client, server), [])
        isn = isns[n] if n < len(isns) else None
        if isn is None:      # not sent from the first client: look at the router
            isns = seen["nat-inside"].syns.get((client, server), [])
            isn = isns[n] if n < len(isns) else None
        places = {}
        for point in POINTS:
            match = [key for key, numbers in seen[point].syns.items() if isn in numbers and key[1] == server] \
                if isn is not None else []
            if not match:
                for address in (client[0], net.ROUTER_OUT):
                    key = ((address, client[1]), server)
                    if key in seen[point].pairs and (isn is None or point == own or not seen[point].syns.get(key)):
                        match = [key]
                        break
            if match:
                places[point] = match[0]
        return places

    def close(self):
        for sock in [*self._keep, *self.listeners.values()]:
            with contextlib.suppress(Exception):
                sock.close()
        if self.capture:
            self.capture.kill()
        self.world.close()


class Seen:
    """What a capture holds, as far as locating connections needs it."""

    def __init__(self, path):
        self.syns, self.pairs, self.frames = {}, set(), 0
        for _, frame in capturing.read_pcap(path):
            self.frames += 1
            segment = packet.decode(frame[14:]) if frame[12:14] in (b"\x08\x00", b"\x86\xdd") else None
            if segment is None:
                continue
            key = ((segment.src, segment.sport), (segment.dst, segment.dport))
            self.pairs.update((key, (key[1], key[0])))
            if segment.has("S") and not segment.has("A"):
                numbers = self.syns.setdefault(key, [])
                if segment.seq not in numbers:
                    numbers.append(segment.seq)


def end(address, port):
    return "[%s]:%d" % (address, port) if ":" in address else "%s:%d" % (address, port)


def perform(recipe, directory, events_path, program=None):
    """Runs one recipe; returns None, or what went wrong.  Writes the case into `directory`.

    With a `program` it also keeps what `tcpwhy watch` and `tcpwhy host` say meanwhile (live.py)."""
    run = observers = None
    try:
        run = Run(recipe, directory, events_path)
        if program:
            observers = live.Observers(program, run.hosts)
        if not recipe.late:
            run.start_capture()
        recipe.function(run)
        with contextlib.suppress(Failed):      # a peer that repeats for ever may keep the wire busy
            wait_until(lambda: all(w.quiet() for w in run.world.wires), 3)
        run.capture.stop()      # does nothing if the recipe has done it
        if observers:
            with open(os.path.join(directory, live.SAID), "w") as file:
                file.writelines(json.dumps(line) + "\n" for line in observers.end(run.capture.ended))
        counters = run.verify()
        connections = run.locate()
        record = {"cause": recipe.cause, "variant": recipe.variant, "kernel": os.uname().release.split("-")[0],
                  "what": recipe.lines[0], "connections": connections, "populations": run.populations,
                  "counters": counters, "events": run.resets_seen()}
        if run.sockets:
            record["sockets"] = run.sockets
        with open(os.path.join(directory, "truth.json"), "w") as file:
            file.write(as_json(record))
        with open(os.path.join(directory, "README.md"), "w") as file:
            file.write(readme(recipe, record))
        return None
    except Failed as error:
        return str(error)
    except Exception:
        return traceback.format_exc()
    finally:
        if observers:
            observers.kill()
        if run:
            run.close()


def as_json(record):
    """The record, one connection per line."""
    lines = []
    for key, value in record.items():
        if key == "connections":
            inner = ",\n  ".join(json.dumps(each) for each in value)
            lines.append(' "connections": [\n  %s]' % inner)
        else:
            lines.append(" %s: %s" % (json.dumps(key), json.dumps(value)))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def readme(recipe, record):
    lines = ["# %s/%s" % (recipe.cause, recipe.variant), "", *recipe.lines, "",
             "Recorded on Linux %s at four points of one path (see `lab/README.md`). Again:" % record["kernel"], "",
             "    python3 lab/gen.py run %s && python3 lab/gen.py accept %s" % (recipe.name, recipe.name), "",
             "First answer that is right, by vantage:", ""]
    for entry in record["connections"][:6]:
        lines.append("- %s: %s" % (next(iter(entry["at"].values()))["client"], "healthy" if entry["healthy"] else ", ".join(entry["truth"])))
        for point, causes in entry["accept"].items():
            lines.append("  - %s: %s" % (point, ", ".join("`%s`" % c if c else "no diagnosis" for c in causes)))
    if len(record["connections"]) > 6:
        lines.append("- and %d more, see `truth.json`" % (len(record["connections"]) - 6))
    return "\n".join(lines) + "\n"
