"""packetdrill on the running kernel, one fresh network namespace per run.

The original (github.com/google/packetdrill) is built elsewhere; PACKETDRILL names its program. Runs need root.
"""

import os
import subprocess
import tempfile

# As google/packetdrill run_all.py and the kernel's ksft_runner.sh call it: the same that `tcpwhy lab script` assumes.
FAMILIES = {
    "ipv4": ["--ip_version=ipv4", "--local_ip=192.168.0.1", "--gateway_ip=192.168.0.1", "--netmask_ip=255.255.0.0",
             "--remote_ip=192.0.2.1", "-D", "TFO_COOKIE=3021b9d889017eeb", "-D", "TFO_COOKIE_ZERO=b7c12350a90dc8f5",
             "-D", "CODE=host_unreachable", "-D", "CMSG_LEVEL_IP=SOL_IP", "-D", "CMSG_TYPE_RECVERR=IP_RECVERR"],
    "ipv6": ["--ip_version=ipv6", "--mtu=1520", "--local_ip=fd3d:0a0b:17d6::1", "--gateway_ip=fd3d:0a0b:17d6:8888::1",
             "--remote_ip=fd3d:fa7b:d17d::1", "-D", "TFO_COOKIE=c1d1e9742a47a9bc",
             "-D", "TFO_COOKIE_ZERO=82af1a8f9a205c34", "-D", "CMSG_LEVEL_IP=SOL_IPV6",
             "-D", "CMSG_TYPE_RECVERR=IPV6_RECVERR"],
    "mapped": ["--ip_version=ipv4-mapped-ipv6", "--local_ip=192.168.0.1", "--gateway_ip=192.168.0.1",
               "--netmask_ip=255.255.0.0", "--remote_ip=192.0.2.1", "-D", "TFO_COOKIE=3021b9d889017eeb",
               "-D", "TFO_COOKIE_ZERO=b7c12350a90dc8f5", "-D", "CODE=host_unreachable",
               "-D", "CMSG_LEVEL_IP=SOL_IPV6", "-D", "CMSG_TYPE_RECVERR=IPV6_RECVERR"],
}

# A congestion control that paces would blur every time; a namespace may only have one the host allows.
SETUP = ('ip link set lo up; sysctl -q net.ipv4.tcp_congestion_control=cubic 2>/dev/null || '
         'sysctl -q net.ipv4.tcp_congestion_control=reno; exec "$@"')


def program():
    path = os.environ.get("PACKETDRILL")
    if not path:
        raise SystemExit("PACKETDRILL must name the packetdrill program (github.com/google/packetdrill)")
    return path


def run(script, family, limit=180):
    """One run. Returns (passed, what was said)."""
    command = ["unshare", "-n", "sh", "-c", SETUP, "sh", program(), *FAMILIES[family], "--send_omit_free",
               os.path.basename(script)]
    # The folder of the script is the working directory, as its backticks expect.
    with tempfile.TemporaryFile() as said:
        try:
            code = subprocess.run(command, cwd=os.path.dirname(os.path.abspath(script)), stdout=said, stderr=said,
                                  timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            return False, "no end after %d s" % limit
        said.seek(0)
        text = said.read().decode(errors="replace")
    return code == 0, "\n".join(line for line in text.splitlines() if not line.startswith("sysctl:"))


def passes(script, family, tries=3, limit=180):
    """Passes once in so many tries: other work on the machine shifts times by milliseconds."""
    said = ""
    for _ in range(tries):
        passed, said = run(script, family, limit)
        if passed:
            return True, ""
    return False, said
