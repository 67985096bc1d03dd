"""Where computed files are kept between runs, and the name of what depends on given parts."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def default_root() -> Path:
    """``$CTRAN_CACHE``, or ``~/.cache/ctran``."""
    return Path(os.environ.get("CTRAN_CACHE") or Path.home() / ".cache" / "ctran")


def key_of(parts: Mapping[str, object]) -> str:
    """Digest of what is to be kept depends on, by name."""
    return hashlib.sha256(text_of(parts).encode()).hexdigest()[:24]


def text_of(parts: Mapping[str, object]) -> str:
    """The same text for the same parts, whatever their order."""
    return json.dumps(parts, sort_keys=True, default=str)
