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
print("\n".join(bad) if bad else f"pages: {len(ids)} causes, each with file, page and case")
sys.exit(1 if bad else 0)
