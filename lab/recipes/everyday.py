"""Ordinary traffic in bulk: many conversations at once, drawn by a seed, over paths of every kind.

Nothing is wrong in any of them. They were written after the causes, to hold the causes against
what they had not seen: every kind of talk, pause and orderly close, on good and on lossy paths.
"""

import random
import socket
import threading
import time

from net import SERVER, SERVER6
from run import drain, filler, recipe, recv_exact, request, response, tls_record

QUIET = ["", "packet-loss", "reordering", "path-delay-spike", "half-close", "simultaneous-close", "server-idle-close",
         "no-data", "idle-open", "reset-after-close", "capture-partial"]


def talk(rng):
    """A conversation: [(who, octets, pause before)] and its port."""
    kind = rng.choice(["http", "http", "http-close", "tls", "rpc", "greeting", "push", "chat", "log", "upload", "download", "nothing"])
    pause = lambda most=0.3: rng.choice([0, 0, 0, rng.random() * most])
    steps = []
    if kind in ("http", "http-close"):
        for n in range(rng.choice([1, 1, 2, 3, 7, 12])):
            size = rng.choice([0, 0, 0, 80, 3000, 40000])
            steps.append(("c", request("/%d" % n, size=size), pause(2)))
            steps.append(("s", response(rng.choice([0, 20, 900, 1448, 1449, 9000, 70000]), close=kind == "http-close"), pause(0.9)))
            if kind == "http-close":
                break
        return kind, rng.choice([80, 8080, 8000]), steps
    if kind == "tls":
        for who, record, size in (("c", 22, 517), ("s", 22, 3000), ("c", 20, 70)):
            steps.append((who, tls_record(record, size), 0))
        for _ in range(rng.randrange(1, 9)):
            steps.append(("c", tls_record(23, rng.randrange(40, 2000)), pause(1.5)))
            steps.append(("s", tls_record(23, rng.choice([60, 1200, 16000])), pause(0.6)))
        if rng.random() < 0.6:
            steps.append((rng.choice("cs"), tls_record(21, 19), pause(0.4)))
        return kind, rng.choice([443, 8443, 993]), steps
    if kind == "rpc":
        for _ in range(rng.randrange(1, 40)):
            steps.append(("c", rng.randbytes(rng.randrange(1, 300)), pause(0.2)))
            steps.append(("s", rng.randbytes(rng.randrange(1, 5000)), pause(0.2)))
        return kind, rng.choice([3306, 5432, 6379, 9092, 50051]), steps
    if kind == "greeting":
        steps.append(("s", b"220 mail.example.com ready\r\n", pause(0.5)))
        for _ in range(rng.randrange(1, 6)):
            steps.append(("c", b"NOOP %d\r\n" % rng.randrange(99), pause(0.5)))
            steps.append(("s", b"250 ok\r\n", pause(0.5)))
        return kind, rng.choice([25, 21, 22, 110]), steps
    if kind == "push":
        steps.append(("c", b"SUBSCRIBE all\n", 0))
        steps += [("s", rng.randbytes(rng.randrange(10, 900)), pause(1.0)) for _ in range(rng.randrange(3, 25))]
        return kind, rng.choice([1883, 5222, 9000]), steps
    if kind == "chat":
        steps += [(rng.choice("cs"), rng.randbytes(rng.randrange(1, 60)), pause(1.2)) for _ in range(rng.randrange(4, 40))]
        return kind, rng.choice([22, 23, 6667, 3389]), steps
    if kind == "log":
        steps += [("c", filler(rng.randrange(50, 3000)), pause(0.8)) for _ in range(rng.randrange(1, 15))]
        return kind, rng.choice([514, 6514, 9200, 2003]), steps
    if kind == "upload":
        return kind, 8081, [("c", request("/up", size=rng.choice([100_000, 400_000])), 0), ("s", response(12), pause(1.5))]
    if kind == "download":
        return kind, 8082, [("c", request("/down"), 0), ("s", response(rng.choice([100_000, 500_000])), pause(0.9))]
    return kind, 8083, []


ENDS = ["client", "client", "server", "server", "client-half", "server-half", "both", "open", "late"]


def hold_talk(run, client, server, rng, steps, end):
    for who, octets, pause in steps:
        if pause:
            time.sleep(pause)
        near, far = (client, server) if who == "c" else (server, client)
        sender = threading.Thread(target=near.sendall, args=(octets,), daemon=True)
        sender.start()
        recv_exact(far, len(octets))
        sender.join()
    if end == "open":
        run.hold(client, server)
        return
    if end == "late":
        time.sleep(rng.random() * 4)
        end = rng.choice(["client", "server"])
    first, second = (client, server) if end.startswith("client") else (server, client)
    if end == "both":
        first.shutdown(socket.SHUT_WR)
        second.shutdown(socket.SHUT_WR)
        drain(first), drain(second)
    elif end.endswith("half"):
        first.shutdown(socket.SHUT_WR)
        drain(second)
        time.sleep(rng.random())
        second.sendall(filler(rng.randrange(1, 2000)))
        second.shutdown(socket.SHUT_WR)
        drain(first)
    else:
        first.shutdown(socket.SHUT_WR)
        drain(second)
        if rng.random() < 0.3:
            time.sleep(rng.random() * 2)
        second.close()
        drain(first)
    client.close()
    server.close()


def conversations(run, seed, count, rule=None, v6=False):
    rng = random.Random(seed)
    if rule and run.wire:
        run.wire.rule = rule(random.Random(seed + 1))
    threads, problems = [], []
    for _ in range(count):
        kind, port, steps = talk(rng)
        end = "client" if kind == "http" and rng.random() < 0.3 else rng.choice(ENDS)
        if kind == "http-close":
            end = "server"
        if kind == "nothing":      # a server that closes at once is no healthy one
            end = rng.choice(["client", "open"])
        client, server = run.pair(port, v6=v6, timeout=40)
        name = client.getsockname()[:2]

        def body(client=client, server=server, mine=random.Random(rng.random()), steps=steps, end=end):
            try:
                hold_talk(run, client, server, mine, steps, end)
            except Exception as error:
                problems.append("%s %r" % (end, error))

        threads.append(threading.Thread(target=body, daemon=True))
        threads[-1].start()
        run.connection(name, (SERVER6 if v6 else SERVER, port), [], QUIET, outcome="completed")
        time.sleep(rng.random() * 0.05)
    for thread in threads:
        thread.join(60)
    assert not problems, problems[:3]


def losing(share):
    def rule(rng):
        def each(frame):
            if frame.tcp and rng.random() < share:
                frame.drop()
        return each
    return rule


def disordering(share, late):
    def rule(rng):
        def each(frame):
            if frame.tcp and rng.random() < share:
                frame.delay(rng.random() * late)
        return each
    return rule


def doubling(rng):
    def each(frame):
        if frame.tcp and rng.random() < 0.05:
            frame.again(0.002)
    return each


def holding(rng):
    """The whole path stands still for most of a second now and then (a radio link)."""
    state = {"until": 0.0}

    def each(frame):
        now = time.monotonic()
        if now > state["until"] and rng.random() < 0.004:
            state["until"] = now + 0.3 + rng.random() * 0.6
        if now < state["until"]:
            frame.delay(state["until"] - now)
    return each


def everyday(name, seed, count=40, rule=None, v6=False, **world):
    def body(run):
        conversations(run, seed, count, rule, v6)
    body.__doc__ = """Forty conversations of every kind at once, drawn by the seed %d: %s.
    Rule: RFC 9293 3.10.
    Healthy; what the path did to it may be noted.""" % (seed, name.replace("-", " "))
    recipe("everyday/" + name, limit=120, **world)(body)


everyday("plain", 1)
everyday("plain-frames", 2, offload=False)
everyday("ten-milliseconds", 3, wire=0.005)
everyday("across-an-ocean", 4, wire=0.070)
everyday("satellite", 5, wire=0.280)
everyday("one-percent-lost", 6, wire=0.010, rule=losing(0.01))
everyday("five-percent-lost", 7, wire=0.020, rule=losing(0.05))
everyday("disordered", 8, wire=0.015, rule=disordering(0.05, 0.02))
everyday("doubled", 9, wire=0.008, rule=doubling)
everyday("radio-pauses", 10, wire=0.030, rule=holding)
everyday("ipv6", 11, wire=0.012, v6=True)
everyday("ipv6-lossy", 12, wire=0.012, v6=True, rule=losing(0.02), offload=False)
everyday("snap-96", 13, wire=0.010, snaplen=96)
everyday("no-router", 14, hop=False, nat=False, wire=0.004)
everyday("lossy-ocean", 15, wire=0.060, rule=losing(0.02))
everyday("busy", 16, count=150, wire=0.003)
