"""An export of Label Studio: its JSON, JSON-MIN or CSV, and the folder of the pictures."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ctran.data.notices import few, notice, warn
from ctran.data.output import Output
from ctran.data.readers.addresses import Pictures, is_address, parts_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.label_studio import Annotation, Export, Tag, Task, read_config
from ctran.data.readers.label_studio_writer import write_export
from ctran.data.rows import Absent, Annotated, OwnFiles, Row, Says
from ctran.data.table import DataError, SampleTable

SUMMARY = "an export of Label Studio (JSON, JSON-MIN or CSV) of a project with choices about pictures"
SAYS = Says.ALL
SPLITS = False
ENDINGS = (".json", ".csv")


@dataclass(frozen=True)
class Config(OwnFiles):
    """An export of Label Studio.

    A tick is a positive; a tick in a ``<Choices>`` with ``model_state="absent"`` a negative. Cancelled annotations and tasks
    without an annotation are left out. Splits: 70 / 10 / 20 % by the content of the pictures.

    Args:
        root: the exported file, or a folder with one.
        absent: meaning of a choice that nobody ticked. ``negative``: it is not in the picture. ``unlisted``: nobody checked,
            and it probably is not. ``unknown``: not annotated.
        images: folder of the pictures, null takes the export's folder; exports only hold addresses. Pictures are found by
            the end of the address.
        config: file with the labelling configuration (Settings, Labeling Interface, Code): which choices are single or
            absent, what their aliases and predicted_values mean.
        choices: names of the <Choices> to read; null takes all.
        negatives: names of the <Choices> whose ticks mark a label as absent; null takes those of the configuration.
        image_key: key of the picture's address in a task's data; null finds it.
        several: what counts where several people annotated a picture. ``agree``: a label on which they disagree is unknown.
            ``last``: the annotation that was changed last. ``majority``: the choice of more than half.
    """

    root: Path
    absent: Absent
    images: Path | None = None
    config: Path | None = None
    choices: tuple[str, ...] | None = None
    negatives: tuple[str, ...] | None = None
    image_key: str | None = None
    several: Literal["agree", "last", "majority"] = "agree"

    def unused(self) -> Iterator[tuple[str, str]]:
        """Options without effect beside the others."""
        if self.choices and self.negatives and not {*self.negatives} & {*self.choices}:
            yield "negatives", "none of them is in data.choices, and others are not read"


def find_export(root: Path) -> Path:
    """The export itself, or the only one in a folder."""
    if root.is_file():
        if root.suffix.lower() not in ENDINGS:
            raise DataError(f"{root}: expected a JSON, JSON-MIN or CSV export of Label Studio, ending in .json or .csv")
        return root
    if not root.is_dir():
        raise DataError(f"{root}: not found; give the exported file of Label Studio as --data.root")
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{root}: expected one .json or .csv file, found {names}; give the exported file as --data.root")
    return found[0]


class Reader:
    """From tasks to rows."""

    def __init__(self, config: Config, export: Export, tags: dict[str, Tag] | None) -> None:
        self.config, self.export, self.tags = config, export, tags
        self.absent = self._absent_tags()
        self.key = config.image_key or self._image_key()
        self.disagreeing: Counter[str] = Counter()

    def _absent_tags(self) -> frozenset[str]:
        """Names of the tags whose ticks are negatives; refuses to guess."""
        used = dict.fromkeys(tag for task in self.export.tasks for one in task.annotations for tag in one.ticks)
        if self.config.negatives is not None:
            if self.tags is None and self.config.choices is None and (unexpected := set(self.config.negatives) - set(used)):
                raise DataError(
                    f"{self.export.path}: no <Choices> {sorted(unexpected)[0]!r} as --data.negatives names it ({few(used)})"
                )
            return frozenset(self.config.negatives)
        if self.tags is not None:
            return frozenset(name for name, tag in self.tags.items() if tag.absent)
        if len(self._chosen(used)) > 1:
            raise DataError(
                f"{self.export.path}: ticks of several <Choices>: {few(self._chosen(used))}. Give the labelling configuration "
                "(--data.config FILE), or name those whose choices mean that a label is absent: --data.negatives "
                '"[not]", "[]" for none'
            )
        return frozenset()

    def _chosen(self, names: Any) -> list[str]:
        """Of tags, those that are read."""
        return [name for name in names if self.config.choices is None or name in self.config.choices]

    def _image_key(self) -> str:
        """The key that the configuration names, or the only one that holds addresses."""
        if named := {tag.image for tag in (self.tags or {}).values() if tag.image and not tag.refused}:
            if len(named) == 1:
                return named.pop()
            raise DataError(
                f"{self.config.config}: choices about several pictures; name one: --data.image_key {sorted(named)[0]}"
            )
        keys = dict.fromkeys(key for task in self.export.tasks for key, value in task.data.items() if is_address(value))
        if "image" in keys or len(keys) == 1:
            return "image" if "image" in keys else next(iter(keys))
        held = few(keys) if keys else f"none; the tasks have {few(dict.fromkeys(k for t in self.export.tasks for k in t.data))}"
        raise DataError(f"{self.export.path}: which key holds the picture's address? ({held}) Name it: --data.image_key KEY")

    def labels_of(self, one: Annotation, where: str) -> dict[str, bool]:
        """Labels of an annotation: label -> present."""
        known: dict[str, bool] = {}
        for name in self._chosen(one.ticks):
            tag, ticked = (self.tags or {}).get(name), one.ticks[name]
            if self.tags is not None and (tag is None or tag.refused):
                why = "is not in the labelling configuration" if tag is None else f"has {tag.refused}"
                self.export.doubts.add(f"<Choices name={name!r}> {why} and is left out", where)
                continue
            if tag and (unexpected := [choice for choice in ticked if choice not in tag.labels]):
                raise DataError(
                    f"{where}: {unexpected[0]!r} is not a choice of {name!r} in {self.config.config}; is the file older?"
                )
            present = name not in self.absent
            found = {(tag.labels[choice] if tag else choice): present for choice in ticked}
            if tag and tag.single and ticked and present:
                found = dict.fromkeys(tag.labels.values(), False) | found
            for label, value in found.items():
                if known.setdefault(label, value) != value:
                    raise DataError(f"{where}: {label!r} is ticked as present and as absent")
        return known

    def merged(self, task: Task) -> tuple[dict[str, bool], set[str]]:
        """Labels of all annotations of a task together, and those left unknown as annotators disagree."""
        chosen = [one for one in task.annotations if one.truth] or task.annotations
        if self.config.several == "last":
            chosen = [max(chosen, key=lambda one: one.updated)]
        votes = [self.labels_of(one, task.where) for one in chosen]
        unlisted = False if self.config.absent == "negative" else None
        known, unknown = dict[str, bool](), set[str]()
        for label in dict.fromkeys(label for vote in votes for label in vote):
            values = [value for vote in votes if (value := vote.get(label, unlisted)) is not None]
            if len(set(values)) == 1:
                known[label] = values[0]
            elif self.config.several == "majority" and 2 * sum(values) != len(values):
                known[label] = 2 * sum(values) > len(values)
            else:
                unknown.add(label)
        self.disagreeing.update(unknown)
        return known, unknown

    def rows(self) -> list[Row]:
        """One row a picture with an annotation."""
        folder = self.config.images or self.export.path.parent
        if not folder.is_dir():
            raise DataError(f"{folder}: not a folder; give the folder of the pictures as --data.images")
        pictures, rows, missing, unannotated = Pictures(folder), list[Row](), list[tuple[str, str]](), 0
        for task in self.export.tasks:
            if not task.annotations:
                unannotated += 1
                continue
            address = task.data.get(self.key)
            if not isinstance(address, str) or not address:
                raise DataError(f"{task.where}: data[{self.key!r}] is {address!r}, expected the address of a picture")
            known, unknown = self.merged(task)
            path = pictures.find(address)
            if path is None:
                missing.append((task.where, address))
                path = folder.joinpath(*(parts_of(address) or [f"task {len(rows) + 1}"]))
            positives, negatives = (tuple(name for name, value in known.items() if value == yes) for yes in (True, False))
            inside = path.relative_to(folder).as_posix()
            rows.append(Row(task.where, path, inside, positives, negatives, unknown=tuple(sorted(unknown))))
        if missing and not self.config.skip_broken:
            where, address = missing[0]
            raise DataError(
                f"{where}: no file for {address[:200]!r} in {folder} or below ({len(missing):,} of {len(rows):,} pictures not "
                "found). Label Studio exports addresses only: get the pictures and name their folder with --data.images"
            )
        if unannotated:
            notice(f"{self.export.path}: {unannotated:,} tasks without an annotation are left out")
        if not rows:
            raise DataError(f"{self.export.path}: no task has an annotation that was not cancelled")
        return rows


def read(config: Config) -> Annotated:
    """The rows of the export; with a labelling configuration, all of its labels."""
    path = find_export(config.root)
    tags = read_config(config.config) if config.config else None
    export = Export(path, config.choices or (tags and tuple(tags)))
    reader = Reader(config, export, tags)
    rows = reader.rows()
    export.doubts.warn()
    if reader.disagreeing:
        warn(
            f"{path}: {sum(reader.disagreeing.values()):,} labels on which annotators disagree are unknown (most: "
            f"{few(dict(reader.disagreeing.most_common()))}); --data.several changes that"
        )
    used = [tag for name, tag in (tags or {}).items() if not tag.refused and (not config.choices or name in config.choices)]
    names = tuple(dict.fromkeys(label for tag in used for label in tag.labels.values()))
    return Annotated(rows, config.absent, names, config.images)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the export."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """``export.json`` in the JSON format, ``config.xml`` to set up the project, and the pictures; the options that read it."""
    return write_export(annotated, output)
