"""Exports of Label Studio: which choices people ticked about each picture, and where the picture's file is.

Its formats: JSON (tasks with annotations), JSON-MIN and CSV (a record an annotation; one choice is a text, several are
``{"choices": [...]}``). They hold the annotations, but not the labelling configuration, which can be given as well.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctran.data.notices import Doubts
from ctran.data.readers.addresses import is_address
from ctran.data.readers.cells import names_of
from ctran.data.readers.tabular import read_csv
from ctran.data.table import DataError
from ctran.textfile import parse_json, read_json, read_text

_OWN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history")
"""Columns of JSON-MIN and CSV that Label Studio adds to those of the task and of the tags."""
SIZES = frozenset(("choices", "type", "original_width", "original_height"))
"""Keys of a choice about a whole picture; others are those of a region in it."""


@dataclass(frozen=True)
class Tag:
    """One ``<Choices>`` of a labelling configuration.

    Args:
        labels: what a choice is called in results (its alias, or else its value) -> label. The label is the one name of
            ``predicted_values``, or else the value, as ``ctran serve`` has it.
        image: key of the picture's address in a task's data; None where that is not known.
        single: at most one choice is ticked, which makes the others absent.
        absent: a tick means that the label is absent.
        refused: why its choices are not about whole pictures; None if they are.
    """

    labels: Mapping[str, str]
    image: str | None
    single: bool = False
    absent: bool = False
    refused: str | None = None


def read_config(path: Path) -> dict[str, Tag]:
    """Name -> :class:`Tag` of a labelling configuration (Settings, Labeling Interface, Code).

    Raises:
        DataError: not XML, or no ``<Choices>`` in it.
    """
    try:
        root = ElementTree.fromstring(read_text(path, DataError))
    except (ElementTree.ParseError, RecursionError) as error:
        raise DataError(f"{path}: not XML ({error}); expected the code of the project's labeling interface") from None
    images = {tag.get("name", ""): tag.get("value", "").removeprefix("$") for tag in root.iter("Image")}
    found: dict[str, Tag] = {}
    for tag in root.iter("Choices"):
        labels = {}
        for choice in tag.iter("Choice"):
            value, predicted = choice.get("value", ""), [p.strip() for p in choice.get("predicted_values", "").split(",")]
            labels[choice.get("alias") or value] = predicted[0] if len(predicted) == 1 and predicted[0] else value
        refused = next((name for name in ("perRegion", "perItem") if tag.get(name) == "true"), None)
        single, absent = tag.get("choice") != "multiple", tag.get("model_state") == "absent"
        found[tag.get("name", "")] = Tag(labels, images.get(tag.get("toName", "")), single and not absent, absent, refused)
    if not found:
        raise DataError(f"{path}: no <Choices> in the labelling configuration")
    return found


@dataclass(frozen=True)
class Annotation:
    """One person's annotation of a task: names of ticked choices by tag."""

    ticks: dict[str, tuple[str, ...]]
    updated: str = ""
    truth: bool = False


@dataclass(frozen=True)
class Task:
    """One task: its place in the file, its data, and its annotations that were not cancelled."""

    where: str
    data: dict[str, Any]
    annotations: list[Annotation] = field(default_factory=list)


class Export:
    """Tasks of an export file.

    Args:
        path: ``.json`` (JSON or JSON-MIN) or ``.csv``.
        tags: names of the ``<Choices>`` if they are known; JSON-MIN and CSV do not mark their columns.

    Raises:
        DataError: none of the three formats; the message names file and task.
    """

    def __init__(self, path: Path, tags: Iterable[str] | None) -> None:
        self.path, self.doubts = path, Doubts()
        self._tags = None if tags is None else tuple(tags)
        self.tasks = list(self._read())

    def _read(self) -> Iterator[Task]:
        if self.path.suffix.lower() == ".csv":
            yield from self._records(read_csv(self.path))
            return
        content = read_json(self.path, DataError)
        content = [content] if isinstance(content, dict) else content
        if not isinstance(content, list) or not content or not all(isinstance(task, dict) for task in content):
            raise DataError(f"{self.path}: expected the tasks of Label Studio's JSON or JSON-MIN export, a list of objects")
        if "data" in content[0]:
            for number, raw in enumerate(content, start=1):
                yield self._task(raw, number)
        else:
            yield from self._records(content)

    # ------------------------------------------------------------------- JSON

    def _task(self, raw: dict[str, Any], number: int) -> Task:
        """A task of the JSON format."""
        where = f"{self.path}, task {raw.get('id', number)}"
        annotations = raw.get("annotations", raw.get("completions"))
        if not isinstance(raw.get("data"), dict) or not isinstance(annotations, list):
            raise DataError(f"{where}: expected data and annotations, as Label Studio's JSON export has them")
        task = Task(where, raw["data"])
        for one in annotations:
            if not isinstance(one, dict) or not isinstance(one.get("result") or [], list):
                raise DataError(f"{where}: an annotation without a list of results")
            if one.get("was_cancelled") or one.get("skipped"):
                self.doubts.add("an annotation that was cancelled is left out", where)
                continue
            ticks: dict[str, tuple[str, ...]] = {}
            for result in one.get("result") or []:
                if (found := self._result(result, where)) is not None:
                    name, choices = found
                    ticks[name] = tuple(dict.fromkeys((*ticks.get(name, ()), *choices)))
            task.annotations.append(Annotation(ticks, str(one.get("updated_at") or ""), bool(one.get("ground_truth"))))
        return task

    def _result(self, result: Any, where: str) -> tuple[str, tuple[str, ...]] | None:
        """Tag and choices of one result; None for what is not a choice about the whole picture."""
        if not isinstance(result, dict) or not isinstance(value := result.get("value"), dict):
            raise DataError(f"{where}: a result without a value")
        if result.get("type") != "choices" or "choices" not in value:
            self.doubts.add(f"results of type {result.get('type')!r} are not choices and left out", where)
            return None
        if set(value) - SIZES:
            self.doubts.add("choices about a region of a picture are left out", where)
            return None
        return str(result.get("from_name")), names_of({"choices": value["choices"]}, "\0", where, self.doubts)

    # ------------------------------------------------------- JSON-MIN and CSV

    def _records(self, records: list[dict[str, Any]] | list[dict[str, str]]) -> Iterator[Task]:
        """Tasks of the formats with one record an annotation; records are grouped by task id."""
        columns = dict.fromkeys(key for record in records for key in record)
        if "annotation_id" not in columns:
            raise DataError(
                f"{self.path}: no column annotation_id, so this is not an export of Label Studio in JSON, JSON-MIN or CSV "
                f"(found: {', '.join(list(columns)[:8])})"
            )
        tasks: dict[Any, Task] = {}
        for number, record in enumerate(records, start=1):
            where = f"{self.path}, row {number}"
            data = {key.removeprefix("_data_"): value for key, value in record.items() if key not in _OWN}
            task = tasks.setdefault(str(record.get("id", f"row {number}")), Task(where, data))
            if record.get("annotation_id") in (None, ""):
                continue
            ticks = {tag: self._cell(record.get(tag), where) for tag in self._tags or self._candidates(records, columns)}
            task.annotations.append(Annotation(ticks, str(record.get("updated_at") or "")))
        yield from tasks.values()

    def _candidates(self, records: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> tuple[str, ...]:
        """Columns that may be tags: found once, as no record marks them."""
        free = [c for c in columns if c not in _OWN and not c.startswith("_data_")]
        addresses = {c for c in free for record in records if is_address(record.get(c))}
        free = [c for c in free if c not in addresses]
        if len(free) != 1:
            raise DataError(
                f"{self.path}: it does not name its <Choices> columns: {', '.join(free) or 'none'} may be. Name them: "
                '--data.choices "[tags]", or give the labelling configuration: --data.config FILE'
            )
        self._tags = tuple(free)
        return self._tags

    def _cell(self, cell: Any, where: str) -> tuple[str, ...]:
        """Choices of one cell: JSON, or text that is one choice."""
        if cell is None or cell == "":
            return ()
        if isinstance(cell, str) and cell.startswith(("{", "[")):
            cell = parse_json(cell, where, DataError, distinct=True)
        if isinstance(cell, dict) and "choices" in cell:
            if set(cell) - SIZES:
                self.doubts.add("choices about a region of a picture are left out", where)
                return ()
            cell = cell["choices"]
        if isinstance(cell, list) and any(isinstance(one, dict) for one in cell):
            self.doubts.add("choices about regions of a picture are left out", where)
            return ()
        return names_of([cell] if isinstance(cell, str) else cell, "\0", where, self.doubts)
