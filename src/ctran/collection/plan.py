"""What a job consists of, and whether an output folder belongs to it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ctran.collection import storage
from ctran.collection.options import Job
from ctran.collection.predict_shard import ERRORS, PREDICTIONS
from ctran.collection.rows import Input, Shard, digest_of
from ctran.collection.storage import join
from ctran.errors import UserError
from ctran.folders.exported import CHECKSUMS, digests
from ctran.inference.predictor import Predictor

ABOUT = "collection.json"
"""File of the output folder that states what its parts were made of."""
_MODEL = ("config.json", "labels.json", "model.safetensors", "calibration.json", CHECKSUMS)
"""Files of a model or exported folder on which predictions depend."""
FORMAT = 1


def model_digest(predictor: Predictor) -> str:
    """Digest of the files of a model, 16 hexadecimal digits."""
    folder = predictor.folder
    assert folder is not None
    return digest_of(sorted(digests(folder, [n for n in _MODEL if (folder / n).is_file()]).items()))[:16]


@dataclass(frozen=True)
class Plan:
    """All shards of a job, without their rows.

    Args:
        about: content of :data:`ABOUT`.
        base: digest of model and options.
        names: file name of each shard's part; it has a digest of model, options and rows in it.
        pictures: rows of each shard, where that is known before it is read.
        sizes: bytes of each shard.
    """

    about: dict[str, Any]
    base: str
    names: list[str]
    pictures: list[int | None]
    sizes: list[int]


def plan(job: Job, source: Input, predictor: Predictor) -> Plan:
    """Go through the input once, without reading a picture.

    Raises:
        UserError: the input is empty, or cannot be read.
    """
    model, options = model_digest(predictor), job.options.as_dict()
    base = digest_of([FORMAT, model, options])
    names, pictures, sizes, all_digests = [], [], [], []
    for shard in source.shards():
        names.append(part_name(shard, base, job.options.form))
        pictures.append(shard.pictures)
        sizes.append(shard.size)
        all_digests.append(shard.digest)
    if not names:
        raise UserError(f"{job.input}: holds no picture; --input takes a folder of pictures, or a table of them")
    about = {
        "format": FORMAT,
        "model": model,
        "labels": list(predictor.labels.names),
        "options": options,
        "input": {"parts": len(names), "digest": digest_of(all_digests)},
    }
    return Plan(about, base, names, pictures, sizes)


def part_name(shard: Shard, base: str, form: str) -> str:
    """``part-00012-3f9a0c21b7de.parquet``."""
    return f"part-{shard.number:05}-{digest_of([base, shard.digest])[:12]}.{form}"


def claim(job: Job, planned: Plan) -> None:
    """Write what the output folder is for, or check that it is for this job.

    Raises:
        UserError: it has parts of another model, other options or other rows, or holds something else.
    """
    place = join(job.output, ABOUT)
    if storage.kind(job.output) == "file":
        raise UserError(f"--output {job.output}: is a file; name a folder")
    if storage.kind(place) is None:
        if found := storage.names_in(job.output) or storage.names_in(join(job.output, PREDICTIONS)):
            raise UserError(f"--output {job.output}: holds {min(found)!r} and no {ABOUT}; name a new folder")
        with storage.writing(place) as part:
            part.write_text(json.dumps(planned.about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    with storage.opened(place) as file:
        try:
            before = json.loads(file.read())
            differences = list(_differences(before, planned.about))
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UserError(f"{place} is damaged; name a new folder as --output") from None
    if differences:
        raise UserError(
            f"--output {job.output}: its parts were made with {'; '.join(differences)}. Name a new folder, or delete this one"
        )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What differs, in words."""
    if before["format"] != now["format"]:
        yield f"another version of ctran (format {before['format']}, this one writes {now['format']})"
        return
    if before["model"] != now["model"]:
        yield f"another model (digest {before['model']}, now {now['model']})"
    for key, value in now["options"].items():
        if before["options"].get(key) != value:
            yield f"{key} {before['options'].get(key)!r}, now {value!r}"
    if before["options"]["part_size"] == now["options"]["part_size"] and before["input"] != now["input"]:
        yield "other input: pictures or rows were added, removed or changed since"


def check_places(job: Job) -> None:
    """Refuse an output within the input.

    Raises:
        UserError: it is.
    """
    where, out = _absolute(job.input), _absolute(job.output)
    if out == where or out.startswith(where.rstrip("/") + "/"):
        raise UserError(f"--output {job.output}: lies in the input, whose files are listed; name a folder elsewhere")


def _absolute(place: str) -> str:
    local = storage.local_path(place)
    return os.path.realpath(local) if local is not None else place


def finished(job: Job, planned: Plan) -> tuple[set[str], set[str]]:
    """Parts that are there, and those of them that have errors. With ``retry_errors`` the latter are deleted first."""
    parts, errors = (storage.names_in(join(job.output, name)) & set(planned.names) for name in (PREDICTIONS, ERRORS))
    if job.retry_errors:
        for name in sorted(errors):
            storage.remove(join(job.output, f"{PREDICTIONS}/{name}"))  # before its errors: a part that is there has them
            storage.remove(join(job.output, f"{ERRORS}/{name}"))
        return parts - errors, set()
    return parts, errors & parts
