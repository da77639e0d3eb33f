#!/usr/bin/env python3
"""Small valid files for the fuzz targets to begin from: seeds.py TARGET DIR.

The files are made, not kept: one per shape of input that a parser knows, so
that the fuzzer starts behind every door. The first octets are the target's own
(see its source). Mutations are the fuzzer's work.
"""
import gzip
import lzma
import os
import shutil
import struct
import subprocess
import sys

FRAME = bytes.fromhex("020000000001" "020000000002" "0800"
                      "4500002800070000400600 00c000020ac6336407".replace(" ", "")
                      + "9cb001bb" "fffffff0" "00000000" "50020200" "0000" "0000")
COOKED = b"\0\4\0\1\0\6" + b"\2" * 8 + b"\x08\0" + FRAME[14:]


def pcap(order="<", magic=0xA1B2C3D4, link=1, minor=4, frame=FRAME, count=3):
    out = struct.pack(order + "IHHiIII", magic, 2, minor, 0, 0, 262144, link)
    for i in range(count):
        out += struct.pack(order + "IIII", 1700000003 + i, 123457, len(frame), len(frame) + i)
        if magic == 0xA1B2CD34:
            out += struct.pack(order + "IHBx", 3, 0x800, 4)
        out += frame
    return out


def block(order, kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def pcapng(order="<", resolution=None, link=1):
    out = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + option(order, 4, b"seeds"))
    described = struct.pack(order + "HHI", link, 0, 0)
    if resolution is not None:
        described += option(order, 9, bytes([resolution])) + option(order, 14, struct.pack(order + "q", -7))
    out += block(order, 1, described + option(order, 1, b"a comment"))
    padded = FRAME + b"\0" * (-len(FRAME) % 4)
    head = struct.pack(order + "IIIII", 0, 0x5F00, 7, len(FRAME), len(FRAME))
    out += block(order, 6, head + padded)
    out += block(order, 6, head + padded + option(order, 2, struct.pack(order + "I", 2))
                 + option(order, 4, struct.pack(order + "Q", 3)) + option(order, 0, b""))
    out += block(order, 3, struct.pack(order + "I", len(FRAME)) + padded)
    out += block(order, 2, struct.pack(order + "HHIIII", 0, 5, 0x5F00, 9, len(FRAME), len(FRAME)) + padded)
    out += block(order, 4, b"names nobody reads")
    out += block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 5, struct.pack(order + "Q", 1))
                 + option(order, 7, struct.pack(order + "Q", 2)))
    return out


def capture():
    yield "pcap-le", pcap()
    yield "pcap-be", pcap(">")
    yield "pcap-ns", pcap(magic=0xA1B23C4D)
    yield "pcap-modified", pcap(magic=0xA1B2CD34)
    yield "pcap-old", pcap(minor=2)
    yield "pcap-cooked", pcap(link=113, frame=COOKED)
    yield "pcap-long", pcap(frame=FRAME * 9, count=40)
    yield "pcapng-le", pcapng()
    yield "pcapng-be", pcapng(">")
    yield "pcapng-pico", pcapng(resolution=12)
    yield "pcapng-binary", pcapng(resolution=0x80 | 20, link=276)
    yield "pcapng-sections", pcapng() + pcapng(">") + pcapng(resolution=9)
    yield "gzip", gzip.compress(pcap(count=9), mtime=0)
    yield "gzip-members", gzip.compress(pcap(), mtime=0) + gzip.compress(b"", mtime=0) + b"\0" * 4
    yield "xz", lzma.compress(pcapng(), preset=0)
    for tool in ("zstd", "lz4"):
        if shutil.which(tool):
            yield tool, subprocess.run([tool, "-qc"], input=pcap(count=9), capture_output=True, check=True).stdout


def wire():
    # link type, octets cut off, frame
    yield "ethernet", b"\0\0" + FRAME
    yield "cooked", b"\6\0" + COOKED
    yield "raw", b"\5\0" + FRAME[14:]


def main():
    target, directory = sys.argv[1:3]
    os.makedirs(directory, exist_ok=True)
    made = {"capture": capture, "wire": wire}.get(target)
    if made is None:
        return
    for name, content in made():
        with open(os.path.join(directory, name), "wb") as out:
            # The capture target's first octet is the size of the pieces.
            out.write(b"\x2f" + content if target == "capture" else content)


if __name__ == "__main__":
    main()
