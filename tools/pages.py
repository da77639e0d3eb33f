#!/usr/bin/env python3
"""Every cause of the catalogue has its file, its page and at least one golden case; nothing has a page without a cause."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
ids = re.findall(r'TCPWHY_CAUSE\(\w+, "([^"]+)"\)', (root / "include/tcpwhy/causes.def").read_text())
bad = []
for i in ids:
    source = root / "src/diagnose/causes" / (i.replace("-", "_") + ".cpp")
    page = root / "docs/causes" / (i + ".md")
    if not source.exists() and not (root / "src/diagnose/populations" / source.name).exists():
        bad.append(f"{i}: no {source.relative_to(root)}")
    if not page.exists() and not (root / "docs/populations" / page.name).exists():
        bad.append(f"{i}: no {page.relative_to(root)}")
    elif page.exists():
        text = page.read_text(encoding="utf-8")
        if not text.startswith(f"# {i}\n"):
            bad.append(f"{page.relative_to(root)}: does not begin with '# {i}'")
    if not any((root / "tests/cases" / i).glob("*/truth.json")):
        bad.append(f"{i}: no golden case below tests/cases/{i}/")
for page in (root / "docs/causes").glob("*.md"):
    if page.stem not in ids and page.stem != "README":
        bad.append(f"{page.relative_to(root)}: no such cause")
for page in sorted((root / "docs").rglob("*.md")):
    for mark in re.findall(r"(?m)^(?:<{7} |={7}$|>{7} ).*", page.read_text(encoding="utf-8")):
        bad.append(f"{page.relative_to(root)}: a merge left '{mark}'")
words = {}
for path in sorted((root / "docs/words").glob("*.md")):
    text = path.read_text(encoding="utf-8")
    words[path.stem] = dict(part.split("\n", 1) for part in re.split(r"(?m)^## ", text)[1:])
    for word in re.findall(r"`([a-z][a-z0-9]*(?:-[a-z0-9]+)+)`", text):
        if not any((root / "docs" / kind / f"{word}.md").exists() for kind in ("causes", "populations")):
            bad.append(f"docs/words/{path.name}: no page {word}")
# What a page of each kind owes its reader (a pile of it, its owner, and what to do), in these words.
owed = {"states": ("A pile of it", "How to see it:", "Whose it is:", "What to do:", "Wrong advice:"),
        "flags": ("Many of it:", "How to see it:", "Whose it is:", "What to do:"),
        "errnos": ("Whose it is", "How to see it:", "What to do:"),
        "sysctls": ("Whose it is:", "How to see it:", "What to do:")}
for kind, leads in owed.items():
    bad += [f"docs/words/{kind}.md: {name} has no '{lead}'" for name, text in words[kind].items()
            for lead in leads if not re.search(rf"(?m)(?:^|[.] |[.]\n){re.escape(lead)}", text)]
print("\n".join(bad) if bad else f"pages: {len(ids)} causes, each with file, page and case; {sum(map(len, words.values()))} words")
sys.exit(1 if bad else 0)
