"""What is damaged, and what reads it: label files of every format, the studio's own files, pictures."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ctran.cli._errors import readable
from ctran.data import conversion, reading
from ctran.data.folder_labels import FolderLabels
from ctran.errors import UserError
from ctran.images.reading import BrokenImageError, open_image, open_pixels
from ctran.labelling.folder import Edit, LabelledFolder
from tests.data.miniatures import imagefolder, miniature
from tests.data.sources.test_real_exports import EXPORTS, PICTURES
from tests.faults.mutations import mutated
from tests.faults.wrong_values import CELLS, RAW
from tests.images.test_formats import seeds

LABELS = FolderLabels(("red", "green", "blue"), {"one": ("red", "green")}, {"blue": ("green",)}, True)
TABLES = 0.15
"""Share of the trials that go on to tables, which takes ten times as long as the rows."""
PICTURE_ENDINGS = (".png", ".jpg")


@dataclass(frozen=True)
class Outcome:
    """What became of a damaged file.

    Args:
        subject: what was damaged.
        kind: ``read``, ``refused``, or what must not be: ``fault``, ``unnamed``; of a campaign ``hang``, ``crash``, ``memory``.
        detail: the message.
    """

    subject: str
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Subject:
    """A folder that is copied and damaged, and what reads the copy."""

    name: str
    root: Path
    read: Callable[[Path, bool], object]


def subjects(root: Path) -> list[Subject]:
    """Every format in its miniature, other packages' exports, and a folder of the studio; made below ``root``."""
    found = []
    for name in conversion.formats():
        options = miniature(name, root / name)[1]
        found.append(Subject(name, root / name, _reader(name, root / name, options)))
    found += [_other_metadata(root / f"imagefolder-{ending}", ending) for ending in ("jsonl", "parquet")]
    for name, pictures in PICTURES.items():
        folder = root / f"export-{name}"
        shutil.copytree(EXPORTS / name, folder, copy_function=shutil.copyfile)
        for number, picture in enumerate(pictures):
            (folder / picture).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / f"csv/0{number}.png", folder / picture)
        found.append(Subject(folder.name, folder, _reader(name, folder, {"root": folder, "absent": "unknown"})))
    return [*found, _studio(root / "studio"), _studio(root / "journal", open_=True)]


def _reader(name: str, root: Path, options: dict[str, Any]) -> Callable[[Path, bool], object]:
    module = conversion.formats()[name]

    def read(copy: Path, build: bool) -> object:
        moved = {k: copy / v.relative_to(root) if isinstance(v, Path) else v for k, v in options.items()}
        config = module.Config(**moved)
        return reading.build(module, config) if build else conversion.read(module, config)

    return read


def _other_metadata(root: Path, ending: str) -> Subject:
    """The miniature of imagefolder with its rows in another format."""
    import pandas as pd

    options = miniature("imagefolder", root)[1]
    rows = pd.read_csv(root / "metadata.csv", keep_default_na=False)
    for column in ("labels", "negatives"):
        rows[column] = [cell.split(",") if cell else [] for cell in rows[column]]
    if ending == "jsonl":
        rows.to_json(root / "metadata.jsonl", orient="records", lines=True)
    else:
        rows.to_parquet(root / "metadata.parquet")
    (root / "metadata.csv").unlink()
    return Subject(root.name, root, _reader("imagefolder", root, options))


def _studio(root: Path, *, open_: bool = False) -> Subject:
    """A folder that was labelled in the studio: ``labels.yaml`` and ``metadata.jsonl``, or these and the journal."""
    root.mkdir()
    imagefolder.pictures(root)
    LABELS.write(root)
    folder = LabelledFolder(root)
    names = folder.pictures
    folder.annotate("w", [Edit(name, {LABELS.names[n % 2]: True}, {}) for n, name in enumerate(names)])
    folder.confirm("w", names[:8])
    folder.flush()
    folder.annotate("w", [Edit(names[0], {"new": True}, {})])
    folder._journal.close()
    folder._alone.release()
    if not open_:
        shutil.rmtree(root / ".ctran")
        return Subject(root.name, root, _reader("imagefolder", root, {"root": root, "absent": "negative"}))
    return Subject(root.name, root, lambda copy, _: _use(copy))


def _use(copy: Path) -> object:
    """Open a folder in the studio, label, take back, and close it."""
    folder = LabelledFolder(copy)
    try:
        if folder.pictures:
            folder.annotate("v", [Edit(folder.pictures[0], {"other": True}, {})])
        folder.last("w")
        for _ in range(3):
            folder.undo("w")
        folder.undo("v")
    finally:
        folder.close()
    return folder.all_known()


@contextmanager
def damaged(subject: Subject, chance: Random) -> Iterator[tuple[Path, list[str]]]:
    """A damaged copy, and the names of what was damaged."""
    with tempfile.TemporaryDirectory(dir=subject.root.parent) as place:
        copy = Path(place) / "copy"
        shutil.copytree(subject.root, copy, copy_function=_link_pictures)
        files = [p for p in sorted(copy.rglob("*")) if p.is_file()]
        files = [p for p in files if p.suffix not in PICTURE_ENDINGS and p.name != "lock"] or files
        path = chance.choice(files)
        if subject.name == "journal" and chance.random() < 0.6:
            path = copy / ".ctran/journal.sqlite"
        kind = chance.random()
        if path.suffix == ".sqlite" and kind < 0.5:
            _change_rows(path, chance)
        elif kind < 0.03:
            path.unlink()
            chance.choice([lambda: None, path.mkdir, lambda: path.symlink_to(path), lambda: path.symlink_to(copy)])()
        elif kind < 0.06:
            other = chance.choice([p for p in copy.rglob("*") if p.is_file() and p != path]).read_bytes()
            path.unlink()
            path.write_bytes(other)
        else:
            content = path.read_bytes()
            path.unlink()  # it may be a link
            path.write_bytes(mutated(content, path.suffix, chance))
        yield copy, [path.name, str(copy)]


def _link_pictures(source: str, target: str) -> None:
    (os.link if source.endswith(PICTURE_ENDINGS) else shutil.copyfile)(source, target)


def _change_rows(path: Path, chance: Random) -> None:
    """Rows of the journal that are valid SQLite and wrong."""
    with closing(sqlite3.connect(path)) as held, held:
        table, columns = chance.choice(
            [("picture", ["known", "written", "name"]), ("step", ["content", "window", "id"]), ("value", ["content", "key"])]
        )
        if chance.random() < 0.1:
            held.execute(
                chance.choice(
                    [f"DROP TABLE {table}", f"ALTER TABLE {table} RENAME TO x", f"DELETE FROM {table}", "PRAGMA user_version=9"]
                )
            )
            return
        column = chance.choice(columns)
        old = chance.choice(held.execute(f"SELECT rowid, {column} FROM {table}").fetchall())
        own = [*RAW[:-2], *CELLS, None, 7, b"\xff\0", '{"red": 1}', '{"red": "yes"}', '{"": true}', '{"labels": [1]}']
        new = chance.choice(own)
        if isinstance(old[1], str) and chance.random() < 0.5:
            new = mutated(old[1].encode(), ".json", chance).decode("utf-8", "replace")
        if isinstance(new, str):
            new = new.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        try:
            held.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, old[0]))
        except sqlite3.Error:  # a duplicate key
            held.execute(f"DELETE FROM {table} WHERE rowid = ?", (old[0],))


def try_annotation(subject: Subject, chance: Random) -> Outcome:
    """Damage a copy and read it: a table, or a refusal that names a file."""
    with damaged(subject, chance) as (copy, names):
        try:
            subject.read(copy, chance.random() < TABLES)
        except Exception as error:
            message = readable(error)
            if message is None:
                return Outcome(subject.name, "fault", f"{type(error).__name__}: {error}"[:300])
            named = any(name in message for name in names) and len(message) < 3000 and "\n" not in message
            return Outcome(subject.name, "refused" if named else "unnamed", message[:300])
    return Outcome(subject.name, "read")


def picture_subjects() -> list[bytes]:
    """Pictures of every format that is read."""
    return seeds()


def try_picture(content: bytes, chance: Random) -> Outcome:
    """Damage a picture and open it both ways: the same picture, or a refusal that names it."""
    found, truncated = mutated(content, "", chance), chance.choice(["read", "refuse"])
    for name, opened in (("pixels", open_pixels), ("image", open_image)):
        try:
            opened(found, name="cat.png", truncated=truncated)
        except BrokenImageError as error:
            if not str(error).startswith("cat.png") or len(str(error)) > 3000:
                return Outcome(name, "unnamed", str(error)[:300])
            return Outcome(name, "refused")
        except UserError as error:
            return Outcome(name, "fault", f"not of a picture: {error}"[:300])
        except Exception as error:
            return Outcome(name, "fault", f"{type(error).__name__}: {error}"[:300])
    return Outcome("picture", "read")
