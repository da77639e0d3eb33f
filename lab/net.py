"""A throw-away world: client, NAT router, a plain router behind it, server.

    client eth0 ── in [router] out ──(wire)── west [hop] east ── eth0 server
    192.0.2.10     192.0.2.1  203.0.113.1     203.0.113.254  198.51.100.1   198.51.100.7

Every box is a network namespace of the running kernel, every line a veth pair.
`(wire)` is optional: two more veth ends in a namespace of their own, joined by a
program (wire.py) that can delay, lose, change and invent frames.  Nothing here
touches the namespace the program was started in, and names carry the process id,
so many worlds live side by side.  `World.close` removes everything.
"""

import atexit
import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
PREFIX = "tcpwhy"

CLIENT, CLIENT2 = "192.0.2.10", "192.0.2.11"
ROUTER_IN, ROUTER_OUT = "192.0.2.1", "203.0.113.1"
HOP_WEST, HOP_EAST = "203.0.113.254", "198.51.100.1"
SERVER = "198.51.100.7"
CLIENT6, CLIENT6_2, SERVER6 = "2001:db8:1::10", "2001:db8:1::11", "2001:db8:2::7"

# RFC 7042 2.1.2: the documentation range of EUI-48 addresses.
MAC = {name: "00:00:5e:00:53:%02x" % number for number, name in enumerate(
    ["client", "client2", "router-in", "router-in2", "router-out", "hop-west", "hop-east",
     "server", "wire-a", "wire-b", "wire-c", "wire-d", "bridge"], start=0x10)}


def mac_bytes(name):
    return bytes.fromhex(MAC[name].replace(":", ""))


class Host:
    """One namespace.  Sockets made `inside` belong to it for good."""

    def __init__(self, name, netns):
        self.name, self.netns = name, netns
        self._fd = os.open("/run/netns/" + netns, os.O_RDONLY)
        self.inode = os.fstat(self._fd).st_ino
        self.plays = False      # a filter here stands for something else: an end without a kernel, a crash, an old rule

    def close(self):
        os.close(self._fd)

    @contextlib.contextmanager
    def inside(self):
        """This thread, moved into the namespace for the length of the block."""
        with open("/proc/thread-self/ns/net") as home:
            if LIBC.setns(self._fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                LIBC.setns(home.fileno(), CLONE_NEWNET)

    # Commands and settings ------------------------------------------------

    def run(self, *command, check=True, stdin=None):
        with self.inside():
            done = subprocess.run(command, input=stdin, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError("%s: %s: %s" % (self.name, " ".join(command), done.stderr.strip()))
        return done.stdout

    def popen(self, command, **keywords):
        with self.inside():
            return subprocess.Popen(command, **keywords)

    def sysctl(self, **settings):
        """sysctl(net_ipv4_tcp_syncookies=0): the first two underscores are dots."""
        with self.inside():
            for name, value in settings.items():
                path = name.replace("_", "/", 2)
                with open("/proc/sys/" + path, "w") as file:
                    file.write(str(value))

    def tcp(self, **settings):
        """tcp(retries2=3) is sysctl net.ipv4.tcp_retries2=3."""
        self.sysctl(**{"net_ipv4_tcp_" + name: value for name, value in settings.items()})

    def nft(self, rules):
        self.run("nft", "-f", "-", stdin=rules)

    def drop_in(self, match, hook="input", action="drop", table="lab"):
        """A filter rule on this host; `lift(table)` takes it away again.  Only the table "lab" is meant as a filter."""
        self.plays = self.plays or table != "lab"
        self.nft("table inet %s { chain c { type filter hook %s priority -150; %s %s; }\n}"
                 % (table, hook, match, action))

    def lift(self, table="lab"):
        self.nft("delete table inet %s" % table)

    def link(self, device, state):
        self.run("ip", "link", "set", device, state)

    def ss(self, *arguments):
        return self.run("ss", "-tnaoeiH", *arguments)

    # Sockets ----------------------------------------------------------------

    def socket(self, v6=False, kind=socket.SOCK_STREAM):
        with self.inside():
            made = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind)
        made.settimeout(30)
        return made

    def listen(self, port, backlog=16, v6=False, options=(), address=None):
        listener = self.socket(v6)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for level, name, value in options:
            listener.setsockopt(level, name, value)
        listener.bind((address or ("::" if v6 else "0.0.0.0"), port))
        listener.listen(backlog)
        return listener

    def packet_socket(self, device):
        """Raw frames of one device; what the host itself sends is left out by the reader."""
        with self.inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            raw.bind((device, 3))      # ETH_P_ALL
        return raw


class World:
    def __init__(self, hop=True, nat=True, clients=1, offload=True, wire=None, inner_wire=None):
        """wire / inner_wire: None, or the one-way delay in seconds of a wire outside / inside."""
        self.tag = "%s-%d-" % (PREFIX, os.getpid())
        self.hosts, self.wires, self._closing = {}, [], []
        self.has_hop, self.offload = hop, offload
        atexit.register(self.close)
        self._owner = threading.get_ident()
        names = ["client", "router", "server"] + (["hop"] if hop else [])
        names += ["client2"] if clients > 1 else []
        names += ["wire"] if wire is not None else []
        names += ["inner"] if inner_wire is not None else []
        self._batch(["netns add " + self.tag + n for n in names])
        for name in names:
            self.hosts[name] = Host(name, self.tag + name)
        self.client, self.router, self.server = (self.hosts[n] for n in ("client", "router", "server"))
        self.client2, self.hop = self.hosts.get("client2"), self.hosts.get("hop")
        self._links(clients, wire is not None, inner_wire is not None)
        self._settings(nat)
        if not offload or wire is not None or inner_wire is not None:
            self._offload_off(everywhere=not offload)
        self.wire = self.inner = None
        from wire import Wire
        if wire is not None:
            self.wire = Wire(self.hosts["wire"], "near", "far", wire,
                             MAC["router-out"], MAC["hop-west" if hop else "server"])
        if inner_wire is not None:
            self.inner = Wire(self.hosts["inner"], "near", "far", inner_wire, MAC["client"], MAC["router-in"])
        self.wires = [w for w in (self.wire, self.inner) if w]
        for w in self.wires:
            w.start()

    # The points at which captures are taken.
    def points(self):
        return {"client": (self.client, "eth0"), "nat-inside": (self.router, "in"),
                "nat-outside": (self.router, "out"), "server": (self.server, "eth0")}

    def _batch(self, lines):
        done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def _links(self, clients, wire, inner):
        lines = []

        def veth(left, left_device, left_mac, right, right_device, right_mac):
            lines.append("link add %s address %s netns %s%s type veth peer name %s address %s netns %s%s"
                         % (left_device, MAC[left_mac], self.tag, left,
                            right_device, MAC[right_mac], self.tag, right))

        inside = "lan0" if clients > 1 else "in"
        if inner:
            veth("client", "eth0", "client", "inner", "near", "wire-c")
            veth("inner", "far", "wire-d", "router", inside, "router-in")
        else:
            veth("client", "eth0", "client", "router", inside, "router-in")
        far, far_device, far_mac = ("hop", "west", "hop-west") if self.has_hop else ("server", "eth0", "server")
        if wire:
            veth("router", "out", "router-out", "wire", "near", "wire-a")
            veth("wire", "far", "wire-b", far, far_device, far_mac)
        else:
            veth("router", "out", "router-out", far, far_device, far_mac)
        if self.has_hop:
            veth("hop", "east", "hop-east", "server", "eth0", "server")
        if clients > 1:
            veth("client2", "eth0", "client2", "router", "lan1", "router-in2")
        self._batch(lines)

        # Settings that must be in place before a link comes up.
        for name, host in self.hosts.items():
            with host.inside():
                for which in ("all", "default"):
                    base = "/proc/sys/net/ipv6/conf/%s/" % which
                    for key, value in (("accept_ra", "0"), ("router_solicitations", "0"), ("accept_dad", "0")):
                        with open(base + key, "w") as file:
                            file.write(value)
                if name in ("wire", "inner"):
                    with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
                        file.write("1")
                    for device in ("near", "far"):
                        with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % device, "w") as file:
                            file.write("1")

        def configure(name, *commands):
            if name in self.hosts:
                done = subprocess.run(["ip", "-n", self.tag + name, "-batch", "-"], input="\n".join(commands),
                                      capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError("%s: %s" % (name, done.stderr))

        up = ["link set lo up"]
        for name, v4, v6 in (("client", CLIENT, CLIENT6), ("client2", CLIENT2, CLIENT6_2)):
            configure(name, *up, "link set eth0 up", "addr add %s/24 dev eth0" % v4,
                      "addr add %s/64 dev eth0 nodad" % v6, "route add default via " + ROUTER_IN,
                      "route add default via 2001:db8:1::1")
        for name in ("wire", "inner"):
            configure(name, "link set near up promisc on", "link set far up promisc on")
        bridge = [] if clients == 1 else [
            "link add in address %s type bridge" % MAC["bridge"], "link set lan0 up master in",
            "link set lan1 up master in"]
        through = HOP_WEST if self.has_hop else None
        out = ["route add 198.51.100.0/24 via " + HOP_WEST, "route add 2001:db8:2::/64 via 2001:db8:ff::fe"] \
            if through else ["route add 198.51.100.0/24 dev out", "route add 2001:db8:2::/64 dev out"]
        configure("router", *up, *bridge, "link set in up", "link set out up",
                  "addr add %s/24 dev in" % ROUTER_IN, "addr add 2001:db8:1::1/64 dev in nodad",
                  "addr add %s/24 dev out" % ROUTER_OUT, "addr add 2001:db8:ff::1/64 dev out nodad", *out)
        configure("hop", *up, "link set west up", "link set east up",
                  "addr add %s/24 dev west" % HOP_WEST, "addr add 2001:db8:ff::fe/64 dev west nodad",
                  "addr add %s/24 dev east" % HOP_EAST, "addr add 2001:db8:2::1/64 dev east nodad",
                  "route add 192.0.2.0/24 via " + ROUTER_OUT, "route add 2001:db8:1::/64 via 2001:db8:ff::1")
        back = ["route add default via " + HOP_EAST, "route add default via 2001:db8:2::1"] if self.has_hop else \
            ["route add %s/24 dev eth0" % "203.0.113.0", "route add default via " + ROUTER_OUT,
             "route add 2001:db8:ff::/64 dev eth0", "route add default via 2001:db8:ff::1"]
        configure("server", *up, "link set eth0 up", "addr add %s/24 dev eth0" % SERVER,
                  "addr add %s/64 dev eth0 nodad" % SERVER6, *back)

    def _settings(self, nat):
        for name in ("router", "hop"):
            if name in self.hosts:
                with self.hosts[name].inside():
                    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                        with open("/proc/sys/net/" + path, "w") as file:
                            file.write("1")
        # The filter table makes conntrack work even where nothing is translated.
        self.router.nft("""
            table ip nat { chain post { type nat hook postrouting priority 100; %s; }
            }
            table inet track { chain forward { type filter hook forward priority 0; ct state invalid counter; }
            }
            """ % ('oifname "out" masquerade' if nat else "accept"))

    def _offload_off(self, everywhere):
        """Without a wire the kernel's default (checksums and segmentation left to a device that
        does not exist); with one the ends of the wire must send whole, finished frames."""
        targets = [("router", "out"), ("hop", "west"), ("client", "eth0"), ("router", "in")]
        if not self.has_hop:
            targets.append(("server", "eth0"))
        if everywhere:
            targets = [("client", "eth0"), ("client2", "eth0"), ("router", "in"), ("router", "out"),
                       ("router", "lan0"), ("router", "lan1"), ("hop", "west"), ("hop", "east"), ("server", "eth0")]
        elif not any("inner" == n for n in self.hosts):
            targets = [t for t in targets if t not in (("client", "eth0"), ("router", "in"))]
        for name, device in targets:
            if name in self.hosts:
                self.hosts[name].run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off",
                                     check=False)

    def close(self):
        if not self.hosts and not self.wires:
            return
        for wire in self.wires:
            wire.stop()
        self.wires = []
        for host in self.hosts.values():
            host.close()
            subprocess.run(["ip", "netns", "del", host.netns], capture_output=True)
        self.hosts = {}
        atexit.unregister(self.close)


def sweep():
    """Removes worlds whose process is gone (killed before it could clean up)."""
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    for name in names:
        parts = name.split("-")
        if parts[0] == PREFIX and len(parts) == 3 and parts[1].isdigit() and not os.path.exists("/proc/" + parts[1]):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def linger_zero(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
