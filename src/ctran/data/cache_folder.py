"""Where cached files are kept between runs, and cache keys from the parts they depend on."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def default_root() -> Path:
    """``$CTRAN_CACHE``, or ``~/.cache/ctran``."""
    return Path(os.environ.get("CTRAN_CACHE") or Path.home() / ".cache" / "ctran")


def key_of(parts: Mapping[str, object]) -> str:
    """Cache key: digest of the named parts."""
    return hashlib.sha256(text_of(parts).encode()).hexdigest()[:24]


def text_of(parts: Mapping[str, object]) -> str:
    """The same text for the same parts, whatever their order."""
    return json.dumps(parts, sort_keys=True, default=str)
