"""What is wrong in a request that does not have the form of its route, in one line of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

SHOWN = 20
"""Places of one request that are named."""


def explain(error: RequestValidationError, content_type: str) -> str:
    """``known.flag: Input should be a valid boolean``: each place, and what was expected there.

    Values that were sent are left out: they may be large, or not JSON (NaN).

    Args:
        content_type: header of the request.
    """
    found: dict[str, list[str]] = {}
    errors = error.errors()
    for each in errors:
        if each["type"] == "json_invalid":
            return f"the body is not JSON: {each.get('ctx', {}).get('error', each['msg'])} (character {each['loc'][-1]})"
        place = _place(each, error.body)
        if not place and "json" not in content_type:
            return f"expected a JSON object with Content-Type: application/json, got {readable(content_type, 100) or 'no type'}"
        found.setdefault(place or "the body", []).append(readable(str(each["msg"]), 300))
    lines = [f"{place}: {', or: '.join(dict.fromkeys(messages))}" for place, messages in found.items()]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _place(error: Mapping[str, Any], body: Any) -> str:
    """``images[0].data``; an empty string for the whole body. Parts that pydantic adds, such as of unions, are left out."""
    where, *parts = error["loc"]
    if where != "body":
        return " ".join([where, *(readable(str(part), 100) for part in parts)])
    place, here = "", body
    for part in parts:
        if isinstance(here, Mapping) and part in here:
            place, here = f"{place}.{readable(str(part), 100)}", here[part]
        elif isinstance(here, Sequence) and isinstance(part, int) and part < len(here):
            place, here = f"{place}[{part}]", here[part]
    return f"{place}.{parts[-1]}".lstrip(".") if error["type"] == "missing" and parts else place.lstrip(".")


def readable(text: str, most: int) -> str:
    """About ``most`` characters, without the middle; lone surrogates, which UTF-8 lacks, are escaped."""
    text = text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
