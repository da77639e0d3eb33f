"""The same recipes in another world: held-out variants nobody wrote a cause against.

A perturbation changes what the recipe does not care about: the length of the path, options,
offload, initial TTLs, the snap length.  A recipe whose proof depends on it fails and leaves no
case; what is kept has its truth from the kernel's counters like any other.  Chosen with
`gen.py run --perturb NAME[,NAME]`; it reaches the recipe's process through the environment.
"""

import os

VARIABLE = "TCPWHY_LAB_PERTURB"

KNOWN = {
    "rtt20": "the wire takes 10 ms each way, on top of what the recipe asks for",
    "rtt150": "75 ms each way",
    "rtt300": "150 ms each way",
    "no-timestamps": "neither host offers timestamps",
    "no-sack": "neither host offers SACK",
    "no-scaling": "neither host offers window scaling",
    "plain-frames": "no offload anywhere: every frame as on the wire",
    "gro": "receive offload on: hosts see super-frames both ways",
    "other-ttls": "the client starts at 128, the server at 255",
    "snap96": "the captures keep 96 octets of each frame",
    "snap64": "the captures keep 64 octets of each frame",
    "ecn": "both ask for ECN",
    "mtu1400": "a link of 1400 octets at both ends",
    "jumbo": "links of 9000 octets",
}
ONE_WAY = {"rtt20": 0.010, "rtt150": 0.075, "rtt300": 0.150}


def choose(names):
    for name in names.split(","):
        if name not in KNOWN:
            raise SystemExit("no perturbation is called %s; there are: %s" % (name, ", ".join(KNOWN)))
    os.environ[VARIABLE] = names


def chosen():
    return [n for n in os.environ.get(VARIABLE, "").split(",") if n]


def world(arguments, changes):
    changed = dict(arguments)
    for name in changes:
        if name in ONE_WAY:
            changed["wire"] = (changed.get("wire") or 0) + ONE_WAY[name]
        if name == "plain-frames":
            changed["offload"] = False
    return changed


def snaplen(usual, changes):
    for name in changes:
        if name.startswith("snap"):
            return int(name[4:])
    return usual


def settings(hosts, changes):
    ends = [host for name, host in hosts.items() if name in ("client", "client2", "server")]
    for name in changes:
        for host in ends:
            if name == "no-timestamps":
                host.tcp(timestamps=0)
            elif name == "no-sack":
                host.tcp(sack=0)
            elif name == "no-scaling":
                host.tcp(window_scaling=0)
            elif name == "ecn":
                host.tcp(ecn=1)
            elif name == "gro":
                host.run("ethtool", "-K", "eth0", "gro", "on", check=False)
            elif name == "other-ttls":
                default_ttl(host, 255 if host.name == "server" else 128)
            elif name in ("mtu1400", "jumbo"):
                host.run("ip", "link", "set", "eth0", "mtu", "1400" if name == "mtu1400" else "9000")
        if name == "jumbo":
            for host in hosts.values():
                for device in ("in", "out", "lan0", "lan1", "west", "east", "near", "far"):
                    host.run("ip", "link", "set", device, "mtu", "9000", check=False)


def default_ttl(host, hops):
    host.sysctl(**{"net_ipv4_ip_default_ttl": hops})
    with host.inside(), open("/proc/sys/net/ipv6/conf/all/hop_limit", "w") as file:
        file.write(str(hops))
