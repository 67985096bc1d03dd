"""Write requirements.hashes.lock: the pins of requirements.lock with the SHA-256 that the index states of each file.

  python scripts/hashes.py [requirements.lock [requirements.hashes.lock]]

The hashes are of the files that pip takes on this platform and Python. They come from the index, not from files on this disk:
a package that pip finds elsewhere (--find-links, a local copy) is refused, as its hash would prove nothing to others.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HEAD = (
    "# Hashes for {platform}, by scripts/hashes.py from {source}. Install: pip install --require-hashes --no-deps -r {target}\n"
)


class HashesError(Exception):
    """A package without a hash that the index states."""


def resolved(source: Path) -> list[Mapping[str, Any]]:
    """What pip would install of a file of pins, from its own report; nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    done = subprocess.run([*command, "--report", "-", "-r", str(source)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise HashesError(f"pip cannot find all of {source} (above)")
    return json.loads(done.stdout)["install"]


def line_of(found: Mapping[str, Any], local: bool) -> str:
    """``name==version --hash=sha256:...`` of one entry of the report.

    Args:
        local: accept files on this disk.
    """
    name, version, where = found["metadata"]["name"], found["metadata"]["version"], found["download_info"]
    if urlsplit(where["url"]).scheme == "file" and not local:
        raise HashesError(
            f"{name}: pip takes a file on this disk; use the public index alone (no --find-links, no extra index)"
        )
    digest = where.get("archive_info", {}).get("hashes", {}).get("sha256")
    if digest is None:
        raise HashesError(f"{name}: the index states no SHA-256 of its file")
    return f"{name}=={version} --hash=sha256:{digest}\n"


def main(source: Path, target: Path, *, local: bool = False) -> None:
    """Write ``target``, whole or not at all."""
    lines = sorted((line_of(found, local) for found in resolved(source)), key=str.lower)
    head = HEAD.format(
        platform=f"{sys.platform}, Python {sys.version_info[0]}.{sys.version_info[1]}", source=source, target=target
    )
    target.write_text(head + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    given = [Path(each) for each in sys.argv[1:] if each != "--local"]
    try:
        main(*given, *(Path("requirements.lock"), Path("requirements.hashes.lock"))[len(given) :], local="--local" in sys.argv)
    except HashesError as error:
        sys.exit(f"no hashes were written: {error}")
