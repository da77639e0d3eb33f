"""The causes of product.md section 4 that the recipes speak of; a recipe may name no other."""

BENIGN = set("""
defer-accept-wait time-wait-reuse syncookie-options-lost simultaneous-open reset-after-close spoofed-reset-ignored
dual-port-race packet-loss path-delay-spike reordering half-close simultaneous-close server-idle-close idle-open
no-data pmtud-adjusted capture-partial capture-gap
""".split())

FAULTS = set("""
port-closed rejected-by-middlebox rejected-by-icmp host-unreachable syn-unanswered syn-dropped-on-path
syn-dropped-by-host-filter syn-ack-lost syn-queue-overflow per-host-timestamp-check syn-flood port-scan
handshake-ack-lost accept-queue-overflow accept-queue-overflow-reset defer-accept-no-data connect-timeout
time-wait-syn-challenged half-open-challenged client-restarted nat-port-collision
ack-number-rewritten unacceptable-ack close-with-unread-data linger-zero-abort data-after-close keepalive-race
keepalive-request-limit process-killed immediate-close premature-close peer-restarted nat-state-lost-reset
idle-timeout-reset forged-reset conntrack-invalid-reset fin-wait2-timeout client-aborted client-closed-early
client-timeout path-blackhole pmtu-blackhole peer-vanished client-vanished nat-state-lost-silent
idle-timeout-silent keepalive-dead-peer user-timeout zero-window-stall server-never-accepts slow-response
close-wait-leak half-open checksum-corruption timestamp-regression host-dropped stalled options-stripped
conflicting-syn-acks authentication-mismatch fast-open-blackhole routing-loop injected-data backscatter
neighbour-unresolved server-aborted peer-unresponsive reset-by-network
""".split())

GENERICS = {
    "syn-unanswered": "syn-dropped-on-path syn-dropped-by-host-filter syn-ack-lost syn-queue-overflow "
                      "accept-queue-overflow per-host-timestamp-check peer-vanished",
    "unacceptable-ack": "ack-number-rewritten peer-restarted nat-port-collision",
    "client-aborted": "client-timeout client-closed-early linger-zero-abort close-with-unread-data process-killed",
    "server-aborted": "close-with-unread-data linger-zero-abort process-killed immediate-close",
    "reset-by-network": "forged-reset idle-timeout-reset nat-state-lost-reset conntrack-invalid-reset "
                        "rejected-by-middlebox",
    "half-open": "peer-restarted client-restarted half-open-challenged nat-port-collision",
    "peer-unresponsive": "path-blackhole peer-vanished nat-state-lost-silent idle-timeout-silent pmtu-blackhole "
                         "checksum-corruption host-dropped",
    "stalled": "zero-window-stall slow-response server-never-accepts peer-unresponsive",
}

POPULATIONS = set("""syn-flood backscatter port-scan client-connection-limit port-exhaustion nat-address-sharing
idle-timer listener-saturated""".split())

ALL = BENIGN | FAULTS


def check(record):
    """Names in truth.json that the catalogue does not know."""
    unknown = [t for entry in record["connections"] for t in entry["truth"] if t not in ALL]
    unknown += [c for entry in record["connections"] for causes in entry["accept"].values() for c in causes
                if c and c not in ALL]
    unknown += [p for p in record["populations"] if p not in POPULATIONS]
    unknown += ["no accept at " + point for entry in record["connections"]
                for point, causes in entry["accept"].items() if not causes]
    return sorted(set(unknown))
