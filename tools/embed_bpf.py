#!/usr/bin/env python3
"""embed_bpf.py OBJECT OUT.cpp: the BPF object as bytes of the program."""

import sys


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    lines = ["  " + ",".join("%d" % b for b in data[i:i + 32]) + "," for i in range(0, len(data), 32)]
    with open(sys.argv[2], "w") as out:
        out.write("#include <cstddef>\nnamespace tcpwhy::host {\n"
                  "extern const unsigned char kWatchObject[];\nextern const std::size_t kWatchObjectSize;\n"
                  "alignas(8) const unsigned char kWatchObject[] = {\n%s\n};\n"
                  "const std::size_t kWatchObjectSize = %d;\n}  // namespace tcpwhy::host\n" % ("\n".join(lines), len(data)))


if __name__ == "__main__":
    main()
