"""Label Studio's labelling configuration: which choices about which picture, and which labels of the model they are."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pydantic import BaseModel

from ctran.errors import UserError
from ctran.inference.prediction import Prediction
from ctran.labels import LabelSpace, nearest

SHOWN = 8
"""Choices that are no labels, named in messages."""


class LabelConfigError(UserError):
    """A configuration that asks for nothing this model can say; the message says what was looked for."""


class Result(BaseModel):
    """One result of an annotation: what was said with one tag."""

    from_name: str | None = None
    type: str | None = None
    value: dict[str, Any] = {}


@dataclass(frozen=True)
class Choices:
    """One ``<Choices>`` tag about a whole picture.

    Args:
        name, image: names of the tag, and of the ``<Image>`` that it is about.
        labels: what a choice is called in results -> the model's label.
        multiple: several choices may be ticked.
        absent: a tick is a cross: it says that the label is not there.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    multiple: bool = True
    absent: bool = False

    def ticked(self, prediction: Prediction) -> list[str]:
        """Choices that the model ticks, those of people among them; of crosses, people's alone."""
        if self.absent:
            return [choice for choice, label in self.labels.items() if prediction.known.get(label) is False]
        present = set(prediction.labels)
        found = [choice for choice, label in self.labels.items() if label in present]
        return found if self.multiple else sorted(found, key=lambda c: -chance(prediction, self.labels[c]))[:1]

    def sureness(self, prediction: Prediction, ticked: Sequence[str]) -> list[float]:
        """Probability that what is said of each choice is right; 1 for what people said. Labels that are never asked for, and
        of which nothing was said, are left out."""
        said = {choice: label for choice, label in self.labels.items() if label in prediction.known | prediction.probabilities}
        p = {choice: chance(prediction, label) for choice, label in said.items()}
        if self.absent:
            return [1.0] * len(ticked)
        return [each if choice in ticked else 1 - each for choice, each in p.items()]


def chance(prediction: Prediction, label: str) -> float:
    """Probability that a label is present: 0 or 1 where that is known; 0 for one that is never asked for."""
    known = prediction.known.get(label)
    return prediction.probabilities.get(label, 0.0) if known is None else float(known)


@dataclass(frozen=True)
class LabelConfig:
    """What a project asks of a picture.

    Args:
        images: name of an ``<Image>`` -> key of its address in a task's data.
        choices: tags with at least one label of the model.
        left_out: what was not understood, for people.
    """

    images: Mapping[str, str]
    choices: tuple[Choices, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, labels: LabelSpace) -> "LabelConfig":
        """Of the configuration's XML.

        A choice is the label of its ``value``, or of ``predicted_values`` where it is called otherwise; in results it goes by
        its ``alias`` if it has one. ``model_state="absent"`` on a ``<Choices>`` makes its ticks crosses.

        Raises:
            LabelConfigError: no XML, or no choice about a whole picture that is a label of the model.
        """
        try:
            root = ElementTree.fromstring(text)
        except ElementTree.ParseError as error:
            raise LabelConfigError(f"the labelling configuration is no XML: {error}") from None
        images = {
            tag.get("name", ""): value.removeprefix("$")
            for tag in root.iter("Image")
            if (value := tag.get("value", ""))[:1] == "$"
        }
        found, left_out = list[Choices](), list[str]()
        for tag in root.iter("Choices"):
            if why := _refusal(tag, images):
                left_out.append(f"<Choices name={tag.get('name')!r}>: {why}")
                continue
            known, unknown = dict[str, str](), list[str]()
            for choice in tag.iter("Choice"):
                label = choice.get("predicted_values") or choice.get("value", "")
                if label in labels.index_of:
                    known[choice.get("alias") or choice.get("value", "")] = label
                else:
                    unknown.append(label)
            if unknown:
                left_out.append(f"<Choices name={tag.get('name')!r}>: {_unknown(unknown, labels)}")
            if known:
                multiple, absent = tag.get("choice") == "multiple", tag.get("model_state") == "absent"
                found.append(Choices(tag.get("name", ""), tag.get("toName", ""), known, multiple, absent))
        if not any(labels.targets[labels.index(label)] for c in found if not c.absent for label in c.labels.values()):
            tried = "; ".join(left_out) or (
                "only crosses, or labels that are never asked for" if found else "no <Choices> at all"
            )
            raise LabelConfigError(
                "expected <Choices> about an <Image>, with a <Choice> of the name of a label of the model "
                f"(or predicted_values={labels.names[0]!r}); found {tried}"
            )
        return cls(images, tuple(found), tuple(left_out))

    def known(self, results: Iterable[Result]) -> dict[str, dict[str, bool]]:
        """What the ticks and crosses of an annotation say, for each image.

        Raises:
            ValueError: a label is ticked and crossed.
        """
        said: dict[str, dict[str, bool]] = {image: {} for image in self.images}
        tags = {choices.name: choices for choices in self.choices}
        for result in results:
            choices = tags.get(result.from_name or "")
            if choices is None or result.type != "choices":
                continue
            for choice in result.value.get("choices") or ():
                if not isinstance(choice, str):
                    raise UserError(f"a choice in {result.from_name!r} is no text")
                if (label := choices.labels.get(choice)) is None:
                    continue
                if said[choices.image].setdefault(label, not choices.absent) == choices.absent:
                    raise UserError(f"{label!r} is ticked as present and as absent")
        return said

    def answer(self, predictions: Mapping[str, Prediction]) -> dict[str, Any]:
        """Results and scores, of the prediction for each image.

        A score is the share of the choices of which what is said is expected to be right.
        """
        results, sureness = list[dict[str, Any]](), list[float]()
        for choices in self.choices:
            prediction = predictions[choices.image]
            ticked = choices.ticked(prediction)
            sure = choices.sureness(prediction, ticked)
            if not choices.absent:
                sureness += sure
            if ticked:
                one = {"id": f"{choices.image}-{choices.name}", "from_name": choices.name, "to_name": choices.image}
                results.append({**one, "type": "choices", "value": {"choices": ticked}, "score": fmean(sure)})
        return {"result": results, "score": fmean(sureness)}


def _unknown(names: Sequence[str], labels: LabelSpace) -> str:
    """That these are no labels of the model, with what the first may have meant."""
    few = ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"no labels of the model: {few}{nearest(names[0], labels.names)}"


def _refusal(tag: ElementTree.Element, images: Mapping[str, str]) -> str | None:
    """Why a ``<Choices>`` cannot be answered; None if it can."""
    if tag.get("toName") not in images:
        return f"toName={tag.get('toName')!r} is no <Image> with value='$key'"
    for name in ("perRegion", "perItem", "allowNested"):
        if tag.get(name) == "true":
            return f"{name} is not supported"
    if tag.get("value"):
        return "choices that come with each task (value='$key') are not supported"
    state = tag.get("model_state", "present")
    return None if state in ("present", "absent") else f"model_state={state!r}, expected 'present' or 'absent'"
