"""TCP, ICMP and IP headers as plain values, and back to bytes.

One `Segment` is one IPv4 or IPv6 packet that carries TCP.  Its numbers are what
the wire holds: the window is unscaled, the options are bytes.  `encode` always
computes right checksums unless it is told to spoil them.  What this leaves out:
fragments, IPv6 extension headers, IPv4 options.
"""

import dataclasses
import ipaddress
import socket
import struct

FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "W": 0x80}

MASK = 0xFFFFFFFF


@dataclasses.dataclass
class Segment:
    src: str
    dst: str
    sport: int
    dport: int
    seq: int = 0
    ack: int = 0
    flags: str = "A"
    window: int = 64240
    options: bytes = b""
    payload: bytes = b""
    ttl: int = 64
    ip_id: int = 0
    df: bool = True
    tos: int = 0
    bad_checksum: bool = False

    @property
    def length(self):
        """What the segment takes of the sequence space (RFC 9293 3.4, SEG.LEN)."""
        return len(self.payload) + ("S" in self.flags) + ("F" in self.flags)

    @property
    def end(self):
        return (self.seq + self.length) & MASK

    def has(self, flag):
        return flag in self.flags

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)


def checksum(data):
    """The Internet checksum, RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address_bytes(text):
    return ipaddress.ip_address(text).packed


def _pseudo_header(src, dst, protocol, length):
    if len(src) == 4:
        return src + dst + struct.pack("!BBH", 0, protocol, length)
    return src + dst + struct.pack("!IHBB", length, 0, 0, protocol)


def encode_tcp(segment):
    src, dst = address_bytes(segment.src), address_bytes(segment.dst)
    options = segment.options + b"\0" * (-len(segment.options) % 4)
    flags = sum(FLAGS[f] for f in segment.flags)
    offset = (20 + len(options)) // 4
    head = struct.pack("!HHIIBBHHH", segment.sport, segment.dport, segment.seq & MASK,
                       segment.ack & MASK, offset << 4, flags, segment.window & 0xFFFF, 0, 0)
    body = head + options + segment.payload
    total = checksum(_pseudo_header(src, dst, 6, len(body)) + body)
    if segment.bad_checksum:
        total ^= 0x5555
    return body[:16] + struct.pack("!H", total) + body[18:]


def encode_ip(src, dst, protocol, body, ttl=64, ip_id=0, df=True, tos=0):
    s, d = address_bytes(src), address_bytes(dst)
    if len(s) == 16:
        return struct.pack("!IHBB", (6 << 28) | (tos << 20), len(body), protocol, ttl) + s + d + body
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), ip_id & 0xFFFF,
                       0x4000 if df else 0, ttl, protocol, 0) + s + d
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def encode(segment):
    return encode_ip(segment.src, segment.dst, 6, encode_tcp(segment), segment.ttl,
                     segment.ip_id, segment.df, segment.tos)


def icmp_error(router, kind, code, offender, rest=0, ttl=64):
    """An ICMP error about the packet `offender` (bytes), quoting as Linux does."""
    if offender[0] >> 4 == 6:
        to = socket.inet_ntop(socket.AF_INET6, offender[8:24])
        quote = offender[:1232]
        body = struct.pack("!BBHI", kind, code, 0, rest) + quote
        s, d = address_bytes(router), address_bytes(to)
        total = checksum(_pseudo_header(s, d, 58, len(body)) + body)
        body = body[:2] + struct.pack("!H", total) + body[4:]
        return encode_ip(router, to, 58, body, ttl)
    to = socket.inet_ntoa(offender[12:16])
    body = struct.pack("!BBHI", kind, code, 0, rest) + offender[:548]
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return encode_ip(router, to, 1, body, ttl, df=False, tos=0xC0)


def decode(packet):
    """The Segment in an IP packet, or None if there is no whole TCP header in it."""
    if not packet:
        return None
    if packet[0] >> 4 == 4 and len(packet) >= 20 and packet[9] == 6:
        size = (packet[0] & 15) * 4
        end = struct.unpack_from("!H", packet, 2)[0] or len(packet)
        common = dict(src=socket.inet_ntoa(packet[12:16]), dst=socket.inet_ntoa(packet[16:20]),
                      ttl=packet[8], ip_id=struct.unpack_from("!H", packet, 4)[0],
                      df=bool(packet[6] & 0x40), tos=packet[1])
    elif packet[0] >> 4 == 6 and len(packet) >= 40 and packet[6] == 6:
        size = 40
        end = 40 + (struct.unpack_from("!H", packet, 4)[0] or len(packet))
        common = dict(src=socket.inet_ntop(socket.AF_INET6, packet[8:24]),
                      dst=socket.inet_ntop(socket.AF_INET6, packet[24:40]), ttl=packet[7],
                      tos=(struct.unpack_from("!I", packet)[0] >> 20) & 0xFF)
    else:
        return None
    tcp = packet[size:end]
    if len(tcp) < 20:
        return None
    sport, dport, seq, ack, offset, bits, window = struct.unpack_from("!HHIIBBH", tcp)
    offset = (offset >> 4) * 4
    flags = "".join(f for f in "SFRPAUEW" if bits & FLAGS[f])
    return Segment(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, window=window,
                   options=tcp[20:offset], payload=tcp[offset:], **common)


# Options -------------------------------------------------------------------

def mss(value):
    return struct.pack("!BBH", 2, 4, value)


def wscale(shift):
    return struct.pack("!BBB", 3, 3, shift)


def timestamps(value, echo=0):
    return struct.pack("!BBII", 8, 10, value & MASK, echo & MASK)


NOP, SACK_OK, END = b"\1", b"\4\2", b"\0"


def linux_syn_options(tsval=None, shift=7, size=1460):
    """Linux's order (linux-tcp.md 11.1), with or without timestamps."""
    if tsval is None:
        return mss(size) + NOP + NOP + SACK_OK + NOP + wscale(shift)
    return mss(size) + SACK_OK + timestamps(tsval) + NOP + wscale(shift)


def windows_syn_options(shift=8, size=1460):
    return mss(size) + NOP + wscale(shift) + NOP + NOP + SACK_OK


def data_timestamps(tsval, echo):
    """How Linux carries timestamps outside the SYN."""
    return NOP + NOP + timestamps(tsval, echo)


def split_options(options):
    """[(kind, whole option bytes)], NOPs included; stops at damage."""
    found, at = [], 0
    while at < len(options):
        kind = options[at]
        size = 1 if kind in (0, 1) else (options[at + 1] if at + 1 < len(options) else 0)
        if size == 0 or (kind > 1 and size < 2):
            break
        found.append((kind, options[at:at + size]))
        at += size
        if kind == 0:
            break
    return found


def option_value(options, kind):
    for k, whole in split_options(options):
        if k == kind:
            return whole[2:]
    return None


def tsval_of(segment):
    value = option_value(segment.options, 8)
    return struct.unpack("!I", value[:4])[0] if value else None
