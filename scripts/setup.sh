#!/bin/sh
# Make .venv with the pinned dependencies. Checks first what a machine must have: Python 3.11 to 3.13 with venv.
# PYTHON names an interpreter to use; otherwise the first fitting one on the PATH. HASHES names a lock file of make hashes.
set -eu
VENV=${VENV:-.venv}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

found=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && fits "$candidate"; then
        found=$candidate
        break
    fi
done
if [ -z "$found" ]; then
    echo "ctran needs Python 3.11, 3.12 or 3.13${PYTHON:+; $PYTHON is none of them}; none was found on the PATH." >&2
    echo "Install one (Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12 demo" >&2
    exit 1
fi
if ! "$found" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "$found has no venv module. Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi

echo "setting up $VENV with $("$found" --version) (a few minutes and about 6 GB the first time)"
[ -x "$VENV/bin/python" ] || "$found" -m venv "$VENV"
if [ -n "${HASHES:-}" ]; then # a file of make hashes: every package is checked, and this one comes from the checkout
    "$VENV/bin/python" -m pip install --quiet --require-hashes --no-deps --requirement "$HASHES"
    "$VENV/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
else
    "$VENV/bin/python" -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
fi
