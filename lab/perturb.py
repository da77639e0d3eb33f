"""The same recipes in another world: held-out variants nobody wrote a cause against.

A perturbation changes what the recipe does not care about: the length of the path, options,
offload, initial TTLs, the snap length.  A recipe whose proof depends on it fails and leaves no
case; what is kept has its truth from the kernel's counters like any other.  Chosen with
`gen.py run --perturb NAME[,NAME]`; it reaches the recipe's process through the environment.
"""

import os
import random
import re
import time

VARIABLE = "TCPWHY_LAB_PERTURB"

KNOWN = {
    "rtt20": "round trips are 20 ms longer; any number will do",
    "jitter5": "each frame takes up to 5 ms more, in order; any number",
    "loss10": "10 in 1,000 frames are lost; any number. Only healthy recipes keep what they claim",
    "no-timestamps": "neither host offers timestamps",
    "no-sack": "neither host offers SACK",
    "no-scaling": "neither host offers window scaling",
    "no-tlp": "neither host probes for a lost tail",
    "old-syn": "SYNs are repeated after 1, 3, 7 s as before Linux 6.5, not once a second at first",
    "reno": "both use Reno",
    "small-buffers": "receive buffers begin at 16 kB and may grow to 64 kB",
    "no-slow-start-after-idle": "the congestion window outlives a pause",
    "fat-requests": "each HTTP request carries 4 kB of cookies: several segments",
    "plain-frames": "no offload anywhere: every frame as on the wire",
    "gro": "receive offload on: hosts see super-frames both ways",
    "other-ttls": "the client starts at 128, the server at 255",
    "snap96": "the captures keep 96 octets of each frame; any number",
    "ecn": "both ask for ECN",
    "mtu1400": "a link of 1400 octets at both ends; any number",
    "jumbo": "links of 9000 octets",
}
NUMBERED = re.compile(r"(rtt|jitter|loss|snap|mtu)(\d+)")
SYSCTLS = {
    "no-timestamps": {"timestamps": 0}, "no-sack": {"sack": 0}, "no-scaling": {"window_scaling": 0}, "ecn": {"ecn": 1},
    "no-tlp": {"early_retrans": 0}, "old-syn": {"syn_linear_timeouts": 0}, "reno": {"congestion_control": "reno"}, "small-buffers": {"rmem": "4096 16384 65536"},
    "no-slow-start-after-idle": {"slow_start_after_idle": 0},
}


def choose(names):
    for name in names.split(","):
        if name not in KNOWN and not NUMBERED.fullmatch(name):
            raise SystemExit("no perturbation is called %s; there are: %s" % (name, ", ".join(KNOWN)))
    os.environ[VARIABLE] = names


def chosen():
    return [n for n in os.environ.get(VARIABLE, "").split(",") if n]


def number(kind, changes):
    """The N of kindN, or None."""
    for name in changes:
        match = NUMBERED.fullmatch(name)
        if match and match[1] == kind:
            return int(match[2])
    return None


def world(arguments, changes):
    changed = dict(arguments)
    longer = number("rtt", changes)
    if longer is not None:
        changed["wire"] = (changed.get("wire") or 0) + longer / 2000
    elif number("jitter", changes) or number("loss", changes):
        changed["wire"] = changed.get("wire") or 0
    if "plain-frames" in changes:
        changed["offload"] = False
    return changed


def snaplen(usual, changes):
    return number("snap", changes) or usual


def weather(wire, changes):
    """Delay by chance, in order, and loss: what a wire does to every frame before the recipe's own rule."""
    jitter, loss = number("jitter", changes) or 0, number("loss", changes) or 0
    if wire is None or not (jitter or loss):
        return
    due = {True: 0.0, False: 0.0}

    def blow(frame):
        if random.random() * 1000 < loss:
            frame.drop()
        now = time.monotonic()
        due[frame.up] = max(due[frame.up], now + random.random() * jitter / 1000)
        frame.delay(due[frame.up] - now)
    wire.weather = blow


def cookies(changes):
    """What every request of a recipe carries beside what the recipe says."""
    return "Cookie: made-up=%s\r\n" % ("0123456789abcdef" * 256) if "fat-requests" in changes else ""


def settings(hosts, changes):
    ends = [host for name, host in hosts.items() if name in ("client", "client2", "server")]
    mtu = 9000 if "jumbo" in changes else number("mtu", changes)
    for host in ends:
        for name in changes:
            host.tcp(**SYSCTLS.get(name, {}))
        if "gro" in changes:
            host.run("ethtool", "-K", "eth0", "gro", "on", check=False)
        if "other-ttls" in changes:
            default_ttl(host, 255 if host.name == "server" else 128)
        if mtu:
            host.run("ip", "link", "set", "eth0", "mtu", str(mtu))
    if "jumbo" in changes:
        for host in hosts.values():
            for device in ("in", "out", "lan0", "lan1", "west", "east", "near", "far"):
                host.run("ip", "link", "set", device, "mtu", "9000", check=False)


def default_ttl(host, hops):
    host.sysctl(**{"net_ipv4_ip_default_ttl": hops})
    with host.inside(), open("/proc/sys/net/ipv6/conf/all/hop_limit", "w") as file:
        file.write(str(hops))
