#!/usr/bin/env python3
"""Held-out variants: the recorded cases as other networks, captures and stacks would have shown them.

    tools/vary.py [--program build/release/tcpwhy] [--cases DIR] [--share 0.1] [--seed N] [--only WORD,..]
                  [--kind NAME,..] [--keep DIR] [-v]

Every variation alters what a cause must not depend on (addresses, initial numbers, TTLs, IP IDs, link
types, options, payload, capture order, the length of round trips) or takes away what a capture may
lack (its beginning, its end, frames, one direction, payload). In the first kind the recorded answer must
stay; in the second it must stay, become the honest generic, or become silence: another fault claimed is
wrong, and a healthy connection called sick is a false alarm in both.
"""

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter, defaultdict

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, "tools"))
import score as scoring  # noqa: E402

POINTS = ("client", "nat-inside", "nat-outside", "server")

# product.md section 4: a generic cause and what it stands for.
GENERICS = {
    "syn-unanswered": "syn-dropped-on-path syn-dropped-by-host-filter syn-ack-lost syn-queue-overflow accept-queue-overflow "
                      "per-host-timestamp-check peer-vanished",
    "unacceptable-ack": "ack-number-rewritten peer-restarted nat-port-collision",
    "client-aborted": "client-timeout client-closed-early linger-zero-abort close-with-unread-data process-killed",
    "server-aborted": "close-with-unread-data linger-zero-abort process-killed immediate-close",
    "reset-by-network": "forged-reset idle-timeout-reset nat-state-lost-reset conntrack-invalid-reset rejected-by-middlebox",
    "half-open": "peer-restarted client-restarted half-open-challenged nat-port-collision",
    "peer-unresponsive": "path-blackhole peer-vanished nat-state-lost-silent idle-timeout-silent pmtu-blackhole "
                         "checksum-corruption host-dropped keepalive-dead-peer user-timeout",
    "stalled": "zero-window-stall slow-response server-never-accepts peer-unresponsive path-blackhole peer-vanished "
               "nat-state-lost-silent idle-timeout-silent pmtu-blackhole checksum-corruption host-dropped",
}
# Without readable payload a cause that speaks of requests and lengths may come down to what is left of it.
WITHOUT_PAYLOAD = {
    "premature-close": ["", "half-close", "server-aborted", "reset-after-close", "client-aborted"],
    "keepalive-race": ["data-after-close"], "keepalive-request-limit": ["data-after-close", "keepalive-race"],
    "client-closed-early": ["client-aborted", "data-after-close", "linger-zero-abort", "close-with-unread-data", "reset-after-close"],
    "client-timeout": ["client-aborted", ""], "slow-response": ["", "stalled", "server-never-accepts"],
    "server-never-accepts": ["", "stalled", "slow-response"], "dual-port-race": ["client-aborted", "", "linger-zero-abort"],
    "immediate-close": ["server-aborted", "no-data", ""], "stalled": ["", "slow-response"],
    "linger-zero-abort": ["client-aborted", "server-aborted", "reset-after-close"],
    "reset-after-close": ["client-aborted", "data-after-close", "linger-zero-abort"],
    "data-after-close": ["client-closed-early", "reset-after-close"],
    "server-idle-close": [""], "close-with-unread-data": ["server-aborted", "client-aborted"],
    "process-killed": ["server-aborted", "client-aborted"],
}


# --- Files ------------------------------------------------------------------------------------------


def read(path):
    """[(nanoseconds, bytes, original length)] of an Ethernet pcap."""
    data = open(path, "rb").read()
    unit = 1 if data[:4] == b"\x4d\x3c\xb2\xa1" else 1000
    frames, at = [], 24
    while at + 16 <= len(data):
        sec, part, kept, length = struct.unpack_from("<IIII", data, at)
        frames.append((sec * 1_000_000_000 + part * unit, data[at + 16:at + 16 + kept], length))
        at += 16 + kept
    return frames


def write(path, frames, link=1):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
        for t, data, length in frames:
            out.write(struct.pack("<IIII", t // 1_000_000_000, t % 1_000_000_000, len(data), length) + data)


def write_pcapng(path, frames, link=1):
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    with open(path, "wb") as out:
        out.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        out.write(block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0)))
        for t, data, length in frames:
            out.write(block(6, struct.pack("<IIIII", 0, t >> 32, t & 0xFFFFFFFF, len(data), length) + data))


# --- Packets ----------------------------------------------------------------------------------------


class Packet:
    """A frame that carries TCP over IPv4 or IPv6 without options or extensions, taken apart. Others are None."""

    def __init__(self, data, length):
        self.ether, self.version = data[:14], 4 if data[12:14] == b"\x08\x00" else 6
        ip = data[14:]
        if self.version == 4:
            size = (ip[0] & 15) * 4
            self.ip = ip[:size]
            self.src, self.dst = ip[12:16], ip[16:20]
            total = struct.unpack_from("!H", ip, 2)[0]
            self.ttl, self.id, self.proto = ip[8], struct.unpack_from("!H", ip, 4)[0], ip[9]
        else:
            size = 40
            self.ip = ip[:40]
            self.src, self.dst = ip[8:24], ip[24:40]
            total = struct.unpack_from("!H", ip, 4)[0] + 40
            self.ttl, self.id, self.proto = ip[7], 0, ip[6]
        self.total = total or length - 14
        tcp = ip[size:self.total]
        (self.sport, self.dport, self.seq, self.ack, off, self.flags, self.window, self.sum,
         self.urgent) = struct.unpack_from("!HHIIBBHHH", tcp)
        self.reserved = off & 15
        head = (off >> 4) * 4
        self.options, self.payload = tcp[20:head], tcp[head:]
        self.size = self.total - size - head       # payload on the wire
        self.cut = len(self.payload) < self.size
        self.health = self.check(tcp)

    def pseudo(self, length):
        if self.version == 4:
            return self.src + self.dst + struct.pack("!BBH", 0, 6, length)
        return self.src + self.dst + struct.pack("!IHBB", length, 0, 0, 6)

    def check(self, tcp):
        """Is its checksum right, unfinished (offload), or wrong?"""
        if self.cut:
            return "right"
        length = 20 + len(self.options) + self.size
        if ones(self.pseudo(length) + tcp) == 0:
            return "right"
        return "unfinished" if self.sum == (~ones(self.pseudo(length)) & 0xFFFF) else "wrong"

    def data(self):
        options = self.options + b"\0" * (-len(self.options) % 4)
        head = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack, (20 + len(options)) // 4 << 4 | self.reserved,
                           self.flags, self.window, 0, self.urgent) + options
        length = len(head) + self.size
        if self.health == "unfinished":
            checksum = ~ones(self.pseudo(length)) & 0xFFFF
        else:
            checksum = ones(self.pseudo(length) + head + self.payload) ^ (0x5A5A if self.health == "wrong" else 0)
        tcp = head[:16] + struct.pack("!H", checksum) + head[18:] + self.payload
        if self.version == 4:
            ip = self.ip[:2] + struct.pack("!HH", (20 + length) & 0xFFFF if self.ip[2:4] != b"\0\0" else 0, self.id) + self.ip[6:8] + \
                bytes([self.ttl, 6, 0, 0]) + self.src + self.dst
            ip = ip[:10] + struct.pack("!H", ones(ip)) + ip[12:]
        else:
            ip = self.ip[:4] + struct.pack("!H", length & 0xFFFF) + bytes([6, self.ttl]) + self.src + self.dst
        return self.ether[:12] + (b"\x08\x00" if self.version == 4 else b"\x86\xdd") + ip + tcp

    @property
    def length(self):
        options = len(self.options) + (-len(self.options) % 4)
        return 14 + (20 if self.version == 4 else 40) + 20 + options + self.size

    @property
    def key(self):
        return (self.src, self.sport, self.dst, self.dport)


def ones(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(data, length):
    if data[12:14] == b"\x08\x00" and len(data) >= 54 and data[14] == 0x45 and data[23] == 6 and \
            not struct.unpack_from("!H", data, 20)[0] & 0x3FFF:
        made = Packet
    elif data[12:14] == b"\x86\xdd" and len(data) >= 74 and data[20] == 6:
        made = Packet
    else:
        return None
    try:
        p = made(data, length)
    except struct.error:
        return None
    return p if len(p.options) % 4 == 0 else None


def icmp_inside(frames):
    return any((d[12:14] == b"\x08\x00" and d[23] == 1) or (d[12:14] == b"\x86\xdd" and d[20] == 58 and d[54] < 128) for _, d, _ in frames)


def each(frames, change):
    """`change` alters a Packet in place; the rest passes."""
    out = []
    for t, data, length in frames:
        p = packet(data, length)
        if p is not None:
            change(p)
            data, length = p.data(), p.length
        out.append((t, data, length))
    return out


def options_of(raw):
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind == 0:
            return
        size = 1 if kind == 1 else raw[at + 1] if at + 1 < len(raw) else 0
        if size == 0 or at + size > len(raw):
            return
        yield raw[at:at + size]
        at += size


def without(*kinds):
    def change(p):
        kept = b"".join(o for o in options_of(p.options) if o[0] not in kinds and o[0] != 1)
        p.options = kept + b"\1" * (-len(kept) % 4)
    return change


def name(text):
    import ipaddress
    return ipaddress.ip_address(text).packed


# --- Variations: (frames, rng, context) -> frames, or None where it makes no sense ----------------------


class Context:
    def __init__(self, truth, vantage):
        self.truth, self.vantage, self.rename, self.link, self.pcapng = truth, vantage, lambda end: end, 1, False
        self.clients = {name(scoring.endpoint(e["at"][vantage]["client"])[0]) for e in truth["connections"] if vantage in e["at"]}


def initial_ttls(frames, rng, ctx):
    add = {}
    def change(p):
        p.ttl = min(255, p.ttl + add.setdefault(p.src, rng.choice([64, 191])))
    return each(frames, change)


def many_hops(frames, rng, ctx):
    far = {}
    def change(p):
        here = (ctx.vantage == "client" and p.src in ctx.clients) or (ctx.vantage == "server" and p.src not in ctx.clients)
        if not here:
            p.ttl = max(1, p.ttl - far.setdefault(p.src, rng.randrange(5, 14)))
    return each(frames, change)


def as_v6(frames, rng, ctx):
    if icmp_inside(frames) or any(d[12:14] == b"\x08\x06" for _, d, _ in frames):
        frames = [f for f in frames if f[1][12:14] != b"\x08\x06"]
        if icmp_inside(frames):
            return None
    prefix = bytes.fromhex("20010db8000000000000ffff")
    def change(p):
        if p.version == 4:
            p.version, p.src, p.dst = 6, prefix + p.src, prefix + p.dst
            p.ip = b"\x60\0\0\0"
    def rename(end):
        return ("2001:db8::ffff:%x:%x" % struct.unpack("!HH", name(end[0])), end[1]) if ":" not in end[0] else end
    ctx.rename = rename
    return each(frames, change)


def renumbered(frames, rng, ctx):
    """Other initial numbers: near the end of the circle as often as not."""
    shift = {}
    first = {}
    def change(p):
        me, peer = p.key, (p.dst, p.dport, p.src, p.sport)
        for side, number in ((me, p.seq), (peer, p.ack)):
            if side not in shift:
                shift[side] = (0xFFFFFFF0 - number + rng.randrange(40)) if rng.random() < 0.5 else rng.getrandbits(32)
        first.setdefault(me, p.seq)
        if not (p.flags & 4 and p.seq == 0):
            p.seq = (p.seq + shift[me]) & 0xFFFFFFFF
        if p.flags & 16:
            p.ack = (p.ack + shift[peer]) & 0xFFFFFFFF
        made = b""
        for o in options_of(p.options):
            if o[0] == 5:
                o = o[:2] + b"".join(struct.pack("!I", (n + shift[peer]) & 0xFFFFFFFF) for n in struct.unpack("!%dI" % ((len(o) - 2) // 4), o[2:]))
            made += o
        p.options = made + b"\1" * (len(p.options) - len(made))
    return None if icmp_inside(frames) else each(frames, change)


def ids_random(frames, rng, ctx):
    salt = rng.getrandbits(32)
    def change(p):
        p.id = zlib.crc32(struct.pack("!HI", p.id, salt) + p.src) & 0xFFFF if p.id else 0
    return each(frames, change)


def ids_zero(frames, rng, ctx):
    def change(p):
        p.id = 0
    return each(frames, change)


def no_timestamps(frames, rng, ctx):
    return each(frames, without(8))


def no_options(frames, rng, ctx):
    return each(frames, without(8, 4, 5))


def with_payload(make):
    def vary(frames, rng, ctx):
        known = {}
        def change(p):
            if p.size and not p.flags & 4:
                if p.payload and (p.key, p.seq, p.size) not in known:
                    known[(p.key, p.seq, p.size)] = make(rng, p.size)
                p.payload = known.get((p.key, p.seq, p.size), make(rng, p.size))[:len(p.payload)]
        return each(frames, change)
    return vary


def tls_like(rng, size):
    return (struct.pack("!BHH", 23, 0x0303, size - 5) + rng.randbytes(size - 5)) if size >= 8 else rng.randbytes(size)


def snapped(size):
    def vary(frames, rng, ctx):
        return [(t, d[:size], n) for t, d, n in frames]
    return vary


def wrapped(kind):
    def vary(frames, rng, ctx):
        out = []
        for t, d, n in frames:
            if kind == "vlan":
                d, n = d[:12] + b"\x81\0\0\x2a" + d[12:], n + 4
            elif kind == "qinq":
                d, n = d[:12] + b"\x88\xa8\0\x07\x81\0\0\x2a" + d[12:], n + 8
            elif kind == "vxlan":
                udp = struct.pack("!HHHH", 40000, 4789, (len(d) + 16) & 0xFFFF, 0) + b"\x08\0\0\0\0\0\x2a\0"
                ip = struct.pack("!BBHHHBBH", 0x45, 0, (len(d) + 36) & 0xFFFF, 0, 0, 64, 17, 0) + b"\x0a\0\0\1\x0a\0\0\2"
                if len(d) + 36 > 65535:
                    return None
                ip = ip[:10] + struct.pack("!H", ones(ip)) + ip[12:]
                d, n = b"\2" * 6 + b"\4" * 6 + b"\x08\0" + ip + udp + d, n + 50
            elif kind == "gre":
                if d[12:14] not in (b"\x08\0", b"\x86\xdd"):
                    continue
                inner = d[14:]
                ip = struct.pack("!BBHHHBBH", 0x45, 0, (len(inner) + 24) & 0xFFFF, 0, 0, 64, 47, 0) + b"\x0a\0\0\1\x0a\0\0\2"
                ip = ip[:10] + struct.pack("!H", ones(ip)) + ip[12:]
                if len(inner) + 24 > 65535:
                    return None
                d, n = d[:12] + b"\x08\0" + ip + b"\0\0" + d[12:14] + inner, n + 24
            elif kind == "raw":
                if d[12:14] not in (b"\x08\0", b"\x86\xdd"):
                    continue
                ctx.link = 101
                d, n = d[14:], n - 14
            else:
                p = packet(d, n)
                sent = p is not None and ((ctx.vantage == "client") == (p.src in ctx.clients))
                if ctx.vantage == "nat-outside":      # what comes from the clients leaves the router here
                    sent = p is not None and p.src in ctx.clients
                elif ctx.vantage == "nat-inside":
                    sent = p is not None and p.src not in ctx.clients
                way = 4 if sent else 0
                if kind == "sll":
                    ctx.link = 113
                    d, n = struct.pack("!HHH", way, 1, 6) + d[6:12] + b"\0\0" + d[12:14] + d[14:], n + 2
                else:
                    ctx.link = 276
                    d, n = d[12:14] + struct.pack("!HIHBB", 0, 2, 1, way, 6) + d[6:12] + b"\0\0" + d[14:], n + 6
            out.append((t, d, n))
        return out
    return vary


def twice(frames, rng, ctx):
    out = []
    for t, d, n in frames:
        out += [(t, d, n), (t + 2000 + rng.randrange(1500), d, n)]
    return sorted(out, key=lambda f: f[0])


def twice_routed(frames, rng, ctx):
    """A mirror of both sides of a router: each packet again with one hop less."""
    out = []
    for t, d, n in frames:
        out.append((t, d, n))
        p = packet(d, n)
        if p is not None and p.ttl > 1:
            p.ttl -= 1
            p.ether = b"\2\0\0\0\0\1\2\0\0\0\0\2" + p.ether[12:]
            out.append((t + 15000 + rng.randrange(20000), p.data(), n))
    return sorted(out, key=lambda f: f[0])


def swapped(frames, rng, ctx):
    out = list(frames)
    for i in range(len(out) - 1):
        if out[i + 1][0] - out[i][0] < 80_000 and rng.random() < 0.15:
            a, b = out[i], out[i + 1]
            out[i], out[i + 1] = (a[0], b[1], b[2]), (b[0], a[1], a[2])
    return out


def stretched(factor, limit=50_000_000):
    """Round trips `factor` times as long; timers (pauses above `limit`) stay."""
    def vary(frames, rng, ctx):
        out, now, before = [], frames[0][0] if frames else 0, frames[0][0] if frames else 0
        for t, d, n in frames:
            gap = t - before
            now += int(gap * factor) if 0 <= gap < limit else gap
            before = t
            out.append((now, d, n))
        return out
    return vary


def coarse(frames, rng, ctx):
    return [(t // 1_000_000 * 1_000_000, d, n) for t, d, n in frames]


def stepped(by):
    def vary(frames, rng, ctx):
        if len(frames) < 4:
            return None
        at = rng.randrange(1, len(frames))
        return [(t + (by if i >= at else 0), d, n) for i, (t, d, n) in enumerate(frames)]
    return vary


def begins_late(frames, rng, ctx):
    tcp = [i for i, (_, d, n) in enumerate(frames) if packet(d, n)]
    if len(tcp) < 4:
        return None
    return frames[tcp[min(len(tcp) - 1, rng.choice([1, 2, 3, 4, 6, len(tcp) // 2]))]:]


def ends_early(frames, rng, ctx):
    if len(frames) < 4:
        return None
    return frames[:-min(len(frames) - 2, rng.choice([1, 2, 3, 4, 6, len(frames) // 2]))]


def holes(share):
    def vary(frames, rng, ctx):
        return [f for f in frames if rng.random() >= share]
    return vary


def one_way(server):
    def vary(frames, rng, ctx):
        def keep(d, n):
            p = packet(d, n)
            return p is None or (p.src not in ctx.clients) == server
        return [f for f in frames if keep(f[1], f[2])]
    return vary


def hurried(frames, rng, ctx):
    ctx.pcapng = True
    return frames


# name: (variation, what it leaves: "all", "payload" (no readable application data), "part")
KINDS = {
    "initial-ttls": (initial_ttls, "all"), "many-hops": (many_hops, "all"), "ipv6": (as_v6, "all"),
    "renumbered": (renumbered, "all"), "ids-random": (ids_random, "all"), "ids-zero": (ids_zero, "all"),
    "no-timestamps": (lambda f, r, c: None if c.truth["cause"] == "timestamp-regression" else no_timestamps(f, r, c), "all"), "no-options": (no_options, "all"),
    "opaque": (with_payload(lambda rng, n: rng.randbytes(n)), "payload"), "tls": (with_payload(tls_like), "payload"),
    "snap96": (snapped(96), "payload"), "snap64": (snapped(64), "payload"), "snap68": (snapped(68), "payload"),
    "vlan": (wrapped("vlan"), "all"), "qinq": (wrapped("qinq"), "all"), "vxlan": (wrapped("vxlan"), "all"),
    "gre": (wrapped("gre"), "all"), "raw": (wrapped("raw"), "all"), "sll": (wrapped("sll"), "all"), "sll2": (wrapped("sll2"), "all"),
    "twice": (twice, "all"), "twice-routed": (twice_routed, "all"), "swapped": (swapped, "all"),
    "long-path": (stretched(8), "all"), "short-path": (stretched(0.05), "all"), "coarse-clock": (coarse, "all"),
    "clock-back": (stepped(-3_000_000_000), "part"), "clock-ahead": (stepped(3600_000_000_000), "part"), "pcapng": (hurried, "all"),
    "begins-late": (begins_late, "part"), "ends-early": (ends_early, "part"), "holes-3": (holes(0.03), "part"),
    "holes-10": (holes(0.10), "part"), "client-only": (one_way(False), "part"), "server-only": (one_way(True), "part"),
}


def accepts(entry, vantage, leaves):
    accept = list(entry["accept"].get(vantage, entry["accept"].get("*", [])))
    for cause in set(accept) | set(entry["truth"]):
        accept += [g for g, specifics in GENERICS.items() if cause in specifics.split()]
        if leaves == "payload":
            accept += WITHOUT_PAYLOAD.get(cause, [])
    if leaves == "part":
        # What is missing may have been the proof: silence is right, and so is saying that something is missing.
        accept += ["", "capture-partial", "capture-gap"]
    return accept


def judge(tally, program, path, truth, vantage, ctx, kind, leaves, label):
    seen, _ = scoring.run.__wrapped__(program, path)      # the path is the same for every variation: nothing to remember
    by_name = defaultdict(list)
    for record in seen:
        by_name[scoring.name_of(record)].append(record)
    for ends, occurrence, entry in scoring.expected_at(truth, vantage):
        ends = tuple(ctx.rename(e) for e in ends)
        records = by_name.get(ends, []) or by_name.get((ends[1], ends[0]), [])
        if occurrence >= len(records):
            if leaves != "part" and not entry.get("optional"):
                tally.add(kind, label, ends, None, entry, ["?"], vantage)
            continue
        tally.add(kind, label, ends, records[occurrence], entry, accepts(entry, vantage, leaves), vantage)


class Tally:
    def __init__(self):
        self.right, self.all, self.healthy, self.alarms = Counter(), Counter(), Counter(), Counter()
        self.rows, self.few, self.few_right, self.crowd = [], 0, 0, False

    def add(self, kind, label, ends, found, entry, accept, vantage):
        self.all[kind] += 1
        given = found.get("diagnoses", []) if found else []
        faults = [d for d in given if not d["benign"]]
        first = given[0]["cause"] if given else ""
        right = found is not None and (first in accept or ("" in accept and not faults and found["healthy"]))
        said = ", ".join("%s %s%s" % (d["cause"], d["verdict"], " benign" if d["benign"] else "") for d in given[:3]) or \
            ("not reported" if found is None else "nothing, healthy" if found["healthy"] else "unexplained, " + found["outcome"])
        self.right[kind] += right
        self.few += not self.crowd
        self.few_right += bool(right) and not self.crowd
        alarm = found is not None and entry["healthy"] and not found["healthy"]
        self.healthy[kind] += entry["healthy"]
        self.alarms[kind] += alarm
        if alarm or not right:
            self.rows.append(("ALARM" if alarm else "WRONG", kind, label, vantage, "%s:%d" % ends[0], said, " | ".join(a or "nothing" for a in dict.fromkeys(accept))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.path.join(HERE, "build/release/tcpwhy"))
    parser.add_argument("--cases", default=os.path.join(HERE, "tests/cases"))
    parser.add_argument("--share", type=float, default=0.1, help="of all combinations of case, vantage and variation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name begins with one of these")
    parser.add_argument("--kind", default="", help="variations")
    parser.add_argument("--largest", type=int, default=400_000, help="captures above this many octets are left out")
    parser.add_argument("--keep", default="", help="leave the captures of wrong answers in this directory")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    kinds = [k for k in options.kind.split(",") if k] or list(KINDS)
    tally, broken = Tally(), []
    with tempfile.TemporaryDirectory() as scratch:
        for where, _, files in sorted(os.walk(options.cases)):
            case = os.path.relpath(where, options.cases)
            if "truth.json" not in files or where.endswith(".partial"):
                continue
            if options.only and not any(case.startswith(w) for w in options.only.split(",")):
                continue
            truth = json.load(open(os.path.join(where, "truth.json")))
            for vantage in POINTS:
                path = scoring.capture_of(where, vantage)
                if path is None or os.path.getsize(path) > options.largest or not any(vantage in e["at"] for e in truth["connections"]):
                    continue
                frames = None
                tally.crowd = len(truth["connections"]) > 30
                for kind in kinds:
                    rng = random.Random(zlib.crc32(("%s %s %s %d" % (case, vantage, kind, options.seed)).encode()))
                    if rng.random() >= options.share:
                        continue
                    frames = frames or read(path)
                    ctx = Context(truth, vantage)
                    vary, leaves = KINDS[kind]
                    varied = vary(list(frames), rng, ctx)
                    if not varied:
                        continue
                    made = os.path.join(scratch, "v.pcapng" if ctx.pcapng else "v.pcap")
                    (write_pcapng if ctx.pcapng else write)(made, varied, ctx.link)
                    before = len(tally.rows)
                    try:
                        judge(tally, options.program, made, truth, vantage, ctx, kind, leaves, case)
                    except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
                        broken.append("%s %s %s: %s" % (case, vantage, kind, error))
                    if options.keep and len(tally.rows) > before:
                        os.makedirs(options.keep, exist_ok=True)
                        os.replace(made, os.path.join(options.keep, "%s-%s-%s%s" % (case.replace("/", "-"), vantage, kind, os.path.splitext(made)[1])))
    print("%-16s %8s %8s %8s %8s %8s" % ("variation", "right", "all", "share", "alarms", "healthy"))
    for kind in kinds:
        if tally.all[kind]:
            print("%-16s %8d %8d %8.4f %8d %8d" % (kind, tally.right[kind], tally.all[kind], tally.right[kind] / tally.all[kind], tally.alarms[kind], tally.healthy[kind]))
    same = defaultdict(list)
    for row in tally.rows:
        same[(row[0], row[2], row[5])].append(row)
    for (sort, case, said), rows in sorted(same.items(), key=lambda item: (item[0][0], -len(item[1]))):
        if options.verbose or len(same) < 60:
            print("%s %s [%s] {%s} %s%s: %s   wanted: %s" % (sort, case, ",".join(sorted({r[3] for r in rows})), ",".join(sorted({r[1] for r in rows})),
                  rows[0][4], " +%d" % (len(rows) - 1) if len(rows) > 1 else "", said, rows[0][6]))
    for line in broken:
        print("BROKEN", line)
    right, every, alarms, healthy = (sum(c.values()) for c in (tally.right, tally.all, tally.alarms, tally.healthy))
    print("%d of %d right (%.4f), %d false alarms among %d healthy (%.2f in 1,000), %d broken"
          % (right, every, right / max(1, every), alarms, healthy, 1000 * alarms / max(1, healthy), len(broken)))
    print("without floods and scans: %d of %d right (%.4f)" % (tally.few_right, tally.few, tally.few_right / max(1, tally.few)))
    return 2 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
