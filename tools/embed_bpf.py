#!/usr/bin/env python3
"""embed_bpf.py OBJECT OUT.cpp NAME: the BPF object as bytes of the program, kNameObject."""

import sys


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    lines = ["  " + ",".join("%d" % b for b in data[i:i + 32]) + "," for i in range(0, len(data), 32)]
    with open(sys.argv[2], "w") as out:
        name = "k%sObject" % sys.argv[3].capitalize()
        out.write("#include <cstddef>\nnamespace tcpwhy::host {\n"
                  "extern const unsigned char %s[];\nextern const std::size_t %sSize;\n"
                  "alignas(8) const unsigned char %s[] = {\n%s\n};\n"
                  "const std::size_t %sSize = %d;\n}  // namespace tcpwhy::host\n" % (name, name, name, "\n".join(lines), name, len(data)))


if __name__ == "__main__":
    main()
