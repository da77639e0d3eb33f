"""An endpoint without a kernel: every segment is sent, or not sent, by the recipe.

For peers that no kernel of today can play: old Linux timers, Windows, SYN floods, stacks
with faults.  A `Talker` is one end of one connection on a real interface; the host's
own TCP is kept quiet about that port by a packet filter (captures are taken before it).
"""

import random
import select
import time

import net
import packet
from run import Failed
from wire import PACKET_OUTGOING

ETHERTYPE = {4: b"\x08\x00", 6: b"\x86\xdd"}


def next_hop(world, side):
    if side == "server":
        return "hop-east" if world.has_hop else "router-out"
    return "router-in" if world.client2 is None else "bridge"


class Talker:
    def __init__(self, run, side, port, peer=None, peer_port=None, isn=None, ttl=64, window=64240, options=b"",
                 address=None, quiet=True):
        self.run, self.host = run, run.hosts[side]
        self.address = address or {"client": net.CLIENT, "client2": net.CLIENT2, "server": net.SERVER}[side]
        self.port, self.peer, self.peer_port = port, peer, peer_port
        self.isn = random.randrange(1 << 32) if isn is None else isn
        self.seq, self.ack = self.isn, 0
        self.ttl, self.window, self.options, self.ip_id = ttl, window, options, random.randrange(60000)
        self.zero_id = False
        if quiet:
            self.host.drop_in("tcp dport %d" % port, table="quiet%d" % port)
        self._raw = self.host.packet_socket("eth0")
        self._header = net.mac_bytes(next_hop(run.world, side)) + net.mac_bytes(side)
        run.hold(self._raw)

    def send(self, flags, payload=b"", advance=True, **changes):
        """Sends one segment with the numbers as they stand, or as `changes` say."""
        self.ip_id = (self.ip_id + 1) & 0xFFFF
        segment = packet.Segment(self.address, self.peer, self.port, self.peer_port, self.seq, self.ack, flags,
                                 self.window, self.options, payload, self.ttl, 0 if self.zero_id else self.ip_id)
        segment = segment.replace(**changes)
        if not segment.has("A"):
            segment.ack = changes.get("ack", 0)
        ip = packet.encode(segment)
        self._raw.send(self._header + ETHERTYPE[ip[0] >> 4] + ip)
        if advance:
            self.seq = segment.end
        return segment

    def recv(self, want=lambda segment: True, timeout=10.0, take=True):
        """The next segment for this port that `want` accepts; others are passed over."""
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._raw], [], [], left)[0]:
                raise Failed("raw port %d waited in vain" % self.port)
            data, about = self._raw.recvfrom(70000)
            if about[2] == PACKET_OUTGOING or data[12:14] not in ETHERTYPE.values():
                continue
            segment = packet.decode(data[14:])
            if segment is None or segment.dport != self.port or segment.dst != self.address:
                continue
            if self.peer_port is not None and segment.sport != self.peer_port:
                continue
            if not want(segment):
                continue
            if take:
                self.took(segment)
            return segment

    def took(self, segment):
        """Moves the acknowledgment number past the segment."""
        if self.peer is None or self.peer_port is None:
            self.peer, self.peer_port = segment.src, segment.sport
        if segment.length:
            self.ack = segment.end

    def silent(self, seconds):
        """Whatever arrives in this time is read and ignored."""
        heard, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                heard.append(self.recv(timeout=max(0.001, until - time.monotonic()), take=False))
            except Failed:
                break
        return heard

    # Usual openings ---------------------------------------------------------------

    def connect(self, options=None, synack_timeout=10, window=None):
        """Three-way handshake as client."""
        self.send("S", options=packet.linux_syn_options() if options is None else options)
        answer = self.recv(lambda s: s.has("S") and s.has("A"), synack_timeout)
        self.send("A")
        return answer

    def answer_syn(self, options=None, timeout=10):
        """Waits for a SYN and answers it as server; returns the SYN."""
        syn = self.recv(lambda s: s.has("S") and not s.has("A"), timeout)
        self.send("SA", options=packet.mss(1460) if options is None else options, ip_id=0)
        return syn


def has(*flags):
    return lambda segment: all(segment.has(f) for f in flags)


def data(segment):
    return bool(segment.payload)
