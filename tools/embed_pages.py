#!/usr/bin/env python3
"""Writes the pages of `tcpwhy why` as one C++ file: embed_pages.py DOCS OUT.cpp

docs/causes/*.md and docs/populations/*.md are one page each. In docs/words/*.md
(states, errnos, counters, sysctls, flags, tools) every second-level heading begins a page.
"""
import pathlib
import re
import sys


def literal(text):
    # A raw string may hold at most 64 KiB on some compilers; pages are far smaller.
    assert ')page"' not in text
    return 'R"page(' + text + ')page"'


def main():
    docs, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    pages = []
    for folder, group in (("causes", "cause"), ("populations", "population")):
        for path in sorted((docs / folder).glob("*.md")):
            if path.stem != "README":
                pages.append((path.stem, group, path.read_text(encoding="utf-8")))
    for path in sorted((docs / "words").glob("*.md")):
        group = re.sub(r"s$", "", path.stem)
        for part in re.split(r"(?m)^## ", path.read_text(encoding="utf-8"))[1:]:
            title, _, _ = part.partition("\n")
            pages.append((title.strip(), group, "# " + part))
    lines = ['// Made by tools/embed_pages.py from docs/. Do not edit.', '#include "cli/pages.hpp"', '',
             'namespace tcpwhy::cli {', 'std::span<const Page> pages() {', '  static constexpr Page kPages[] = {']
    lines += ['      {"%s", "%s", %s},' % (name, group, literal(text)) for name, group, text in pages]
    lines += ['  };', '  return kPages;', '}', '}  // namespace tcpwhy::cli', '']
    text = "\n".join(lines)
    if not out.exists() or out.read_text(encoding="utf-8") != text:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


main()
