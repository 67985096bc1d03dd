"""Known vulnerabilities of the packages that requirements.lock pins (pip-audit), which needs the network.

Exit status: 0 none is known, or the service cannot be reached (which is stated: nothing was audited); 1 some are known.
"""

import subprocess
import sys
from pathlib import Path

COMMAND = ("-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off", "--timeout", "15", "--requirement")
FOUND = "known vulnerabilit"
"""What pip-audit prints where it has an answer, of some or of none."""


def verdict(status: int, text: str) -> tuple[int, str]:
    """Exit status, and what to print in addition, of a run of pip-audit that printed ``text``."""
    if FOUND in text:
        return status, ""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
    return 0, f"NOT AUDITED: the vulnerability service gave no answer ({last[:200]}). Run make audit where there is a network."


def main(lock: Path) -> int:
    """Audit the pins of a file."""
    done = subprocess.run([sys.executable, *COMMAND, str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    status, more = verdict(done.returncode, done.stdout)
    print(more or done.stdout.rstrip(), file=sys.stderr if more else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:2] or ["requirements.lock"])))
