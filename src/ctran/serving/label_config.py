"""Label Studio's labelling configuration: the choices for each picture, and the model's labels that they stand for."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any
from unicodedata import normalize

from pydantic import BaseModel

from ctran.errors import UserError
from ctran.inference.prediction import Prediction
from ctran.labels import LabelSpace, nearest
from ctran.serving.choices import Choices

SHOWN = 8
"""Choices without a label, named in messages."""


class LabelConfigError(UserError):
    """A configuration without a choice that this model predicts; the message names what was expected."""


class Result(BaseModel):
    """One result of an annotation: the value of one tag."""

    from_name: str | None = None
    type: str | None = None
    value: dict[str, Any] = {}


@dataclass(frozen=True)
class LabelConfig:
    """The images and choices of a project.

    Args:
        images: name of an ``<Image>`` -> key of its address in a task's data.
        choices: tags with at least one label of the model.
        left_out: messages about unsupported tags, and choices without a label.
    """

    images: Mapping[str, str]
    choices: tuple[Choices, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, labels: LabelSpace) -> "LabelConfig":
        """Parse the configuration's XML.

        A choice stands for the label named by its ``value``, or for any of those named by ``predicted_values``, separated by
        commas. In results it goes by its ``alias`` if it has one. ``model_state="absent"`` on a ``<Choices>`` makes its ticks
        crosses.

        Raises:
            LabelConfigError: not XML, or no choice about a whole picture that stands for a label of the model.
        """
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise LabelConfigError(f"the labelling configuration is not XML: {error}") from None
        images = {
            tag.get("name", ""): value.removeprefix("$")
            for tag in root.iter("Image")
            if (value := tag.get("value", ""))[:1] == "$"
        }
        found, left_out, tried = list[Choices](), list[str](), list[str]()
        for tag in root.iter("Choices"):
            where = f"<Choices name={tag.get('name')!r}>"
            if why := _refusal(tag, images):
                left_out.append(f"{where}: {why}")
                tried.append(left_out[-1])
                continue
            known, unknown = dict[str, tuple[str, ...]](), list[str]()
            for choice in tag.iter("Choice"):
                fit, none = _labels_of(choice, labels)
                if fit:
                    known[choice.get("alias") or choice.get("value", "")] = fit
                unknown += none
            if unknown:
                left_out.append(f"{where}: {_unknown(unknown, labels, len(unknown))}")
                tried.append(f"{where}: {_unknown(unknown, labels, SHOWN)}")
            if known:
                multiple, absent = tag.get("choice") == "multiple", tag.get("model_state") == "absent"
                found.append(Choices(tag.get("name", ""), tag.get("toName", ""), known, multiple, absent))
        predictable = {label for c in found if not c.absent for names in c.labels.values() for label in names}
        if not any(labels.targets[labels.index(label)] for label in predictable):
            kinds = "only crosses, or labels that are never asked for" if found else "no <Choices> at all"
            raise LabelConfigError(
                "expected <Choices> about an <Image>, with a <Choice> of the name of a label of the model "
                f"(or predicted_values={labels.names[0]!r}); found {'; '.join(tried) or kinds}"
            )
        return cls(images, tuple(found), tuple(left_out))

    def known(self, results: Iterable[Result]) -> dict[str, dict[str, bool]]:
        """Known labels, from the ticks and crosses of an annotation, for each image.

        A tick of a choice of several labels leaves open which of them is present, so none is known; a cross makes all of them
        absent.

        Raises:
            UserError: a label is ticked and crossed.
        """
        known: dict[str, dict[str, bool]] = {image: {} for image in self.images}
        for choices, choice in self._ticks(results):
            labels = choices.labels[choice]
            if len(labels) > 1 and not choices.absent:
                continue
            for label in labels:
                if known[choices.image].setdefault(label, not choices.absent) == choices.absent:
                    raise UserError(f"{label!r} is ticked as present and as absent")
        return known

    def by_people(self, results: Iterable[Result]) -> dict[str, set[str]]:
        """Name of a ``<Choices>`` -> what is ticked there in an annotation."""
        found: dict[str, set[str]] = {choices.name: set() for choices in self.choices}
        for choices, choice in self._ticks(results):
            found[choices.name].add(choice)
        return found

    def _ticks(self, results: Iterable[Result]) -> Iterator[tuple[Choices, str]]:
        """Ticks of choices that stand for labels of the model."""
        tags = {choices.name: choices for choices in self.choices}
        for result in results:
            choices = tags.get(result.from_name or "")
            if choices is None or result.type != "choices":
                continue
            for choice in result.value.get("choices") or ():
                if not isinstance(choice, str):
                    raise UserError(f"a choice in {result.from_name!r} is not text")
                if choice in choices.labels:
                    yield choices, choice

    def result_of(self, predictions: Mapping[str, Prediction], by_people: Mapping[str, Collection[str]] = {}) -> dict[str, Any]:
        """Results and scores in Label Studio's format, from the prediction for each image.

        A score is the expected share of choices that are decided rightly.

        Args:
            by_people: from :meth:`by_people`.
        """
        results, sureness = list[dict[str, Any]](), list[float]()
        for choices in self.choices:
            prediction, people = predictions[choices.image], by_people.get(choices.name, ())
            ticked = choices.ticked(prediction, people)
            certainties = choices.sureness(prediction, ticked, people)
            if not choices.absent:
                sureness += certainties
            if ticked:
                one = {"id": f"{choices.image}-{choices.name}", "from_name": choices.name, "to_name": choices.image}
                results.append({**one, "type": "choices", "value": {"choices": ticked}, "score": fmean(certainties)})
        return {"result": results, "score": fmean(sureness)}


def _labels_of(choice: ElementTree.Element, labels: LabelSpace) -> tuple[tuple[str, ...], list[str]]:
    """The labels that a ``<Choice>`` stands for, and the names in it that are not labels.

    ``predicted_values`` names them, separated by commas, else ``value`` names one. A label of the whole name, commas included,
    comes first; case counts only where two labels differ in nothing else.
    """
    listed, value = choice.get("predicted_values"), choice.get("value", "")
    whole = (listed or value).strip()
    parts = [part for each in whole.split(",") if (part := each.strip())] if listed else []
    parts = parts or [whole]
    if whole in labels.index_of:
        return (whole,), []
    if not all(part in labels.index_of for part in parts) and (same := _without_case(whole, labels)):
        return (same,), []
    found = {part: part if part in labels.index_of else _without_case(part, labels) for part in parts}
    return tuple(dict.fromkeys(label for label in found.values() if label)), [
        part for part, label in found.items() if not label
    ]


def _without_case(name: str, labels: LabelSpace) -> str | None:
    """The one label equal to ``name`` up to case and Unicode normalisation; None for none, or several."""

    def plain(text: str) -> str:
        return normalize("NFC", text).casefold()

    fits = [label for label in labels.names if plain(label) == plain(name)]
    return fits[0] if len(fits) == 1 else None


def _unknown(names: Sequence[str], labels: LabelSpace, most: int) -> str:
    """Message that these are not labels of the model: at most ``most`` names, and the label nearest to the first."""
    few = ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"no labels of the model: {few}{nearest(names[0], labels.names)}"


def _refusal(tag: ElementTree.Element, images: Mapping[str, str]) -> str | None:
    """Why a ``<Choices>`` is not supported; None if it is."""
    if tag.get("toName") not in images:
        return f"toName={tag.get('toName')!r} is not an <Image> with value='$key'"
    for name in ("perRegion", "perItem", "allowNested"):
        if tag.get(name) == "true":
            return f"{name} is not supported"
    if tag.get("value"):
        return "choices that come with each task (value='$key') are not supported"
    state = tag.get("model_state", "present")
    return None if state in ("present", "absent") else f"model_state={state!r}, expected 'present' or 'absent'"
