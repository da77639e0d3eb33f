"""A wire with a mind: frames go in at one end and come out at the other as told.

It stands for everything a network does to packets: delay, loss, reordering,
duplication, changed numbers, stripped options, forged answers.  A `rule` sees
each frame once and may alter it; without one the wire only delays.  It runs as
one thread and keeps order for frames of equal delay.
"""

import heapq
import itertools
import select
import socket
import threading
import time

import packet

PACKET_OUTGOING = 4


class Frame:
    """What a rule sees.  `up` is from the client's side to the server's."""

    def __init__(self, data, up):
        self.data, self.up = data, up
        self.dropped, self.late, self.copies = False, 0.0, []
        self._segment = None

    @property
    def ip(self):
        return self.data[14:]

    @property
    def tcp(self):
        """The Segment, or None."""
        if self._segment is None and self.data[12:14] in (b"\x08\x00", b"\x86\xdd"):
            self._segment = packet.decode(self.ip)
        return self._segment

    def drop(self):
        self.dropped = True

    def delay(self, seconds):
        self.late += seconds

    def again(self, seconds=0.0):
        """The same frame once more, that much later."""
        self.copies.append(seconds)

    def rewrite(self, **changes):
        self._segment = self.tcp.replace(**changes)
        self.data = self.data[:14] + packet.encode(self._segment)


class Wire(threading.Thread):
    def __init__(self, host, left, right, delay, left_peer, right_peer):
        super().__init__(daemon=True)
        self.delay, self.rule, self.weather = delay, None, None
        self.left, self.right = host.packet_socket(left), host.packet_socket(right)
        self._peers = {True: (left_peer, right_peer), False: (right_peer, left_peer)}
        self._wake, self._waker = socket.socketpair()
        self._queue, self._order, self._lock = [], itertools.count(), threading.Lock()
        self._ending = False
        self._last = 0.0
        self.error = None

    def quiet(self):
        """True when nothing is under way, and nothing came for longer than an answer would take."""
        return not self._queue and time.monotonic() > self._last + 2 * self.delay + 0.05

    def frame(self, ip, up):
        """An IP packet framed as if the far side of the wire had sent it."""
        source, target = (bytes.fromhex(m.replace(":", "")) for m in self._peers[up])
        return target + source + (b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00") + ip

    def inject(self, segment, up, after=0.0):
        """Sends a packet nobody sent: a Segment or the bytes of an IP packet."""
        ip = segment if isinstance(segment, bytes) else packet.encode(segment)
        self._push(self.frame(ip, up), up, after)
        self._waker.send(b"x")

    def _push(self, data, up, after):
        with self._lock:
            heapq.heappush(self._queue, (time.monotonic() + after, next(self._order), data, up))

    def stop(self):
        self._ending = True
        self._waker.send(b"x")
        self.join(5)
        for each in (self.left, self.right, self._wake, self._waker):
            each.close()

    def run(self):
        while not self._ending:
            wait = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else None
            ready, _, _ = select.select([self.left, self.right, self._wake], [], [], wait)
            for source in ready:
                if source is self._wake:
                    source.recv(100)
                else:
                    self._take(source)
            self._flush()

    def _take(self, source):
        while True:
            try:
                data, about = source.recvfrom(70000, socket.MSG_DONTWAIT)
            except (BlockingIOError, OSError):
                return
            if about[2] == PACKET_OUTGOING:
                continue
            self._last = time.monotonic()
            frame = Frame(data, source is self.left)
            for rule in filter(None, (self.weather, self.rule)):
                try:
                    rule(frame)
                except Exception as error:      # the recipe must fail, not the wire
                    self.error = error
            if not frame.dropped:
                self._push(frame.data, frame.up, self.delay + frame.late)
            for late in frame.copies:
                self._push(frame.data, frame.up, self.delay + late)

    def _flush(self):
        while self._queue and self._queue[0][0] <= time.monotonic():
            with self._lock:
                _, _, data, up = heapq.heappop(self._queue)
            try:
                self._last = time.monotonic()
                (self.right if up else self.left).send(data)
            except OSError as error:
                if not self._ending:
                    self.error = error
