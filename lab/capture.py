"""tcpdump at every point at once, ready before the traffic, complete after it.

Ready means tcpdump said "listening"; complete means that its own count of what it
wrote has reached the kernel's count of what passed the filter (it reports both on
SIGUSR1), so nothing here waits for a guessed time.
"""

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import time

FILTER = "tcp or icmp or arp or (icmp6 and ip6[40] < 128)"


class Capture:
    def __init__(self, points, directory, snaplen=0, nano=False, expression=FILTER):
        self.directory, self._running, self._points, self.ended = directory, {}, points, None
        os.makedirs(directory, exist_ok=True)
        for name, (host, device) in points.items():
            path = os.path.join(directory, name + ".pcap")
            command = ["tcpdump", "-i", device, "-n", "-U", "--immediate-mode", "-Z", "root", "-s", str(snaplen),
                       "-B", "16384", "-w", path]
            command += ["--time-stamp-precision=nano"] if nano else []
            self._running[name] = host.popen(command + [expression], stderr=subprocess.PIPE,
                                             stdin=subprocess.DEVNULL)
        for name, process in self._running.items():
            self._read_until(process, rb"listening on", 20, name)

    @staticmethod
    def _read_until(process, pattern, seconds, name):
        text, end = b"", time.monotonic() + seconds
        while not re.search(pattern, text):
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stderr], [], [], left)[0]:
                raise RuntimeError("tcpdump at %s: %r" % (name, text))
            part = os.read(process.stderr.fileno(), 4096)
            if not part:
                raise RuntimeError("tcpdump at %s ended: %r" % (name, text))
            text += part
        return text

    def _settled(self, name, process):
        """Returns once everything the kernel handed over is in the file.

        A few packets may be counted that came before the filter was in place and are never
        written: a count that stays the same for half a second is complete too."""
        still, last = 0, -1
        for _ in range(400):
            process.send_signal(signal.SIGUSR1)
            text = self._read_until(process, rb"dropped by kernel", 10, name)
            captured, received, dropped = (int(n) for n in re.search(
                rb"(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped",
                text).groups())
            if dropped:
                raise RuntimeError("tcpdump at %s lost %d packets" % (name, dropped))
            still, last = (still + 1 if captured == last else 0), captured
            if captured >= received or still > 50:
                return
            time.sleep(0.01)
        raise RuntimeError("tcpdump at %s does not settle" % name)

    def _mark_the_end(self):
        """One ARP frame that says nothing, at every point: only a frame shows how long a capture went on."""
        for host, device in self._points.values():
            with contextlib.suppress(OSError):
                with host.packet_socket(device) as raw:
                    own = raw.getsockname()[4]
                    raw.send(b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + own + bytes(4) + own + bytes(4))

    def stop(self):
        if self._running:
            self._mark_the_end()
        try:
            for name, process in self._running.items():
                self._settled(name, process)
        finally:
            for process in self._running.values():
                process.send_signal(signal.SIGINT)
            for process in self._running.values():
                process.wait(10)
            self.ended = self.ended or time.time()
            self._running = {}

    def kill(self):
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running = {}


def read_pcap(path):
    """[(seconds, frame bytes)] of a pcap file as tcpdump writes it here."""
    with open(path, "rb") as file:
        data = file.read()
    scale = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}[struct.unpack_from("<I", data)[0]]
    found, at = [], 24
    while at + 16 <= len(data):
        seconds, part, size, _ = struct.unpack_from("<IIII", data, at)
        found.append((seconds + part * scale, data[at + 16:at + 16 + size]))
        at += 16 + size
    return found
