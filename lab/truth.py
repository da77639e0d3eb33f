"""What really happened: the kernel's counters and the kernel's own events.

A recipe says what it means to bring about; this file holds the proof.  Counters
are differences of /proc/net/netstat and /proc/net/snmp per namespace.  Events come
from one bpftrace process that a whole batch of recipes shares and that marks every
event with the number of its network namespace.
"""

import os
import re
import subprocess
import time

EVENTS = r"""
BEGIN { printf("ready\n"); }
tracepoint:tcp:tcp_send_reset
{
  $sk = (struct sock *)args->skaddr;
  $skb = (struct sk_buff *)args->skbaddr;
  $ns = (uint32)0;
  if ($skb != 0 && $skb->dev != 0) { $ns = $skb->dev->nd_net.net->ns.inum; }
  if ($sk != 0) { $ns = $sk->__sk_common.skc_net.net->ns.inum; }
  printf("reset-sent %u %d %d\n", $ns, args->reason, args->state);
}
tracepoint:tcp:tcp_receive_reset
{
  $sk = (struct sock *)args->skaddr;
  printf("reset-received %u %d %d\n", $sk->__sk_common.skc_net.net->ns.inum, args->sport, args->dport);
}
tracepoint:sock:inet_sock_set_state / args->protocol == 6 /
{
  $sk = (struct sock *)args->skaddr;
  printf("state %u %d %d %d %d\n", $sk->__sk_common.skc_net.net->ns.inum, args->oldstate, args->newstate,
         args->sport, args->dport);
}
tracepoint:tcp:tcp_retransmit_skb
{
  $sk = (struct sock *)args->skaddr;
  printf("retransmit %u %d %d\n", $sk->__sk_common.skc_net.net->ns.inum, args->sport, args->dport);
}
tracepoint:skb:kfree_skb / args->reason > 2 && (args->protocol == 0x0800 || args->protocol == 0x86dd) /
{
  $skb = (struct sk_buff *)args->skbaddr;
  $ns = (uint32)0;
  if ($skb->dev != 0) { $ns = $skb->dev->nd_net.net->ns.inum; }
  printf("drop %u %d\n", $ns, args->reason);
}
"""

TRACING = "/sys/kernel/tracing"


def start_listener(path):
    """Starts bpftrace writing to `path`; returns the process, or None where it cannot run."""
    if not os.path.isdir(TRACING + "/events"):
        subprocess.run(["mount", "-t", "tracefs", "nodev", TRACING], capture_output=True)
    try:
        with open(path, "w") as out:
            process = subprocess.Popen(["bpftrace", "-B", "line", "-e", EVENTS], stdout=out,
                                       stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return None
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        with open(path) as file:
            if "ready" in file.read():
                return process
        time.sleep(0.05)
    process.kill()
    return None


def names_of(event, part):
    """{number: name} of an enum that a tracepoint prints."""
    try:
        with open("%s/events/%s/format" % (TRACING, event)) as file:
            text = file.read()
    except OSError:
        return {}
    section = text[text.index(part):]
    return {int(n): name for n, name in re.findall(r"\{ (\d+), \"(\w+)\" \}", section)}


class Events:
    """The events of some namespaces, by host name."""

    def __init__(self, path, hosts):
        self.path = path
        self.names = {str(host.inode): name for name, host in hosts.items()}
        self.start = os.path.getsize(path) if path else 0
        self.reset_reasons = names_of("tcp/tcp_send_reset", "REC->reason")
        self.drop_reasons = names_of("skb/kfree_skb", "REC->reason")

    def read(self):
        """[(host, kind, detail)], as far as the listener has written them."""
        if not self.path:
            return []
        found = []
        with open(self.path) as file:
            file.seek(self.start)
            for line in file.read().splitlines():
                words = line.split()
                host = self.names.get(words[1]) if len(words) > 2 else None
                if not host:
                    continue
                detail = words[2]
                if words[0] == "reset-sent":
                    detail = self.reset_reasons.get(int(detail), detail)
                elif words[0] == "drop":
                    detail = self.drop_reasons.get(int(detail), detail)
                found.append((host, words[0], detail))
        return found

    def wait_for(self, host, kind, detail, seconds=3.0):
        end = time.monotonic() + seconds
        while True:
            if (host, kind, detail) in self.read():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.05)


def counters(host):
    """{name: value} of the Tcp and TcpExt counters of one namespace."""
    found = {}
    with host.inside():
        for path, groups in (("netstat", ("TcpExt:", "IpExt:")), ("snmp", ("Tcp:", "Ip:", "Icmp:"))):
            with open("/proc/thread-self/net/" + path) as file:
                lines = file.read().splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                if names.split()[0] in groups:
                    found.update(zip(names.split()[1:], (int(v) for v in values.split()[1:])))
    return found


# Worth keeping in truth.json when they moved.
KEEP = re.compile(
    r"^(Listen|TCPReqQ|Syncookies|TCPDefer|Embryonic|PAWS|TCPAbort|TCPChallenge|TCPSYNChallenge|TCPACKSkipped|"
    r"TCPTimeouts|TCPSynRetrans|TCPKeepAlive|TCPWinProbe|TCPLossProbes|TCPSpurious|TCPDSACK|TCPFastOpen|TCPMD5|TCPAO|"
    r"TW$|TWRecycled|TWKilled|TCPTimeWaitOverflow|BeyondWindow|TSEcrRejected|TCPSACKReorder|TCPTSReorder|TCPFastRetrans|"
    r"TCPFromZeroWindowAdv|TCPToZeroWindowAdv|TCPWantZeroWindowAdv|TCPRcvCollapsed|TCPZeroWindowDrop|TCPOFOQueue|"
    r"ActiveOpens|PassiveOpens|AttemptFails|EstabResets|OutRsts|InErrs|InCsumErrors|RetransSegs|"
    r"OutOfWindowIcmps|InDestUnreachs|OutDestUnreachs|InTimeExcds|OutTimeExcds|TCPSynchDrop|TCPPureAcks)")


def deltas(before, after):
    return {name: after[name] - before.get(name, 0) for name in after
            if KEEP.match(name) and after[name] != before.get(name, 0) and name != "TCPPureAcks"}
