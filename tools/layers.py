#!/usr/bin/env python3
"""Holds every #include of src/ against tools/layers.txt. Exit 1 names each that climbs."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
rows, headers = {}, {}
for line in (root / "tools/layers.txt").read_text().splitlines():
    line = line.strip()
    if not line or line.startswith("#"):
        continue
    left, _, right = line.partition(":")
    if left.startswith("header "):
        headers[left.split()[1]] = right.strip()
    else:
        rows[left] = right.split()

bad = []


def check(path, room):
    allowed = rows[room]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        m = re.match(r'\s*#include "([^"]+)"', line)
        if not m:
            continue
        name = m.group(1)
        if name.startswith("tcpwhy/"):
            stem = name[len("tcpwhy/"):].removesuffix(".hpp")
            target = headers.get(stem)
        else:
            target = name.split("/")[0]
        if target is None:
            bad.append(f"{path.relative_to(root)}:{number}: {name} belongs to no room; add it to tools/layers.txt")
        elif target != room and allowed != ["*"] and target not in allowed:
            bad.append(f"{path.relative_to(root)}:{number}: {room} may not include {target} ({name})")


files = 0
for path in sorted((root / "src").rglob("*.[ch]pp")):
    room = path.relative_to(root / "src").parts[0]
    if room not in rows:
        bad.append(f"{path.relative_to(root)}: room {room} has no row in tools/layers.txt")
        continue
    check(path, room)
    files += 1
for path in sorted((root / "include/tcpwhy").glob("*.hpp")):
    check(path, headers[path.stem])
    files += 1
print("\n".join(bad) if bad else f"layers: {files} files, every include follows tools/layers.txt")
sys.exit(1 if bad else 0)
