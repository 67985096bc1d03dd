"""Bodies of requests."""

from collections.abc import Callable
from math import inf
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from ctran.inference.acquisition import Policy


def _up_to_the_first_wrong(right: Callable[[Any], bool]) -> BeforeValidator:
    """Reduce a mapping with wrong values to the first of them: a report of all would keep the server busy."""

    def trim(value: Any) -> Any:
        if isinstance(value, dict):
            for name, each in value.items():
                if not right(each):
                    return {name: each}
        return value

    return BeforeValidator(trim)


def _between(low: float, high: float) -> Callable[[Any], bool]:
    def right(value: Any) -> bool:
        try:
            return low <= float(value) <= high
        except (TypeError, ValueError, OverflowError):
            return False

    return right


Known = Annotated[
    dict[str, StrictBool],
    _up_to_the_first_wrong(lambda value: isinstance(value, bool)),
    Field(description="label -> present (true) or absent (false)"),
]
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True, description="of what is drawn")]
Probability = Annotated[float, Field(ge=0, le=1)]
Thresholds = Annotated[
    Probability | Annotated[dict[str, Probability], _up_to_the_first_wrong(_between(0, 1))] | None,
    Field(description="from where on a label is present: one for all, or some by name; else the model's own, or one half"),
]


class Body(BaseModel):
    """Refuses unknown keys."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _one_unknown_key(cls, value: Any) -> Any:
        """Keep only the first of many unknown keys, for the report."""
        if not isinstance(value, dict):
            return value
        unknown = [key for key in value if key not in cls.model_fields][:1]
        return {key: each for key, each in value.items() if key in cls.model_fields or key in unknown}


class KnownLabels(Body):
    """The known labels of a picture."""

    known: Known = {}


class SaveBody(KnownLabels):
    """An annotation to save."""

    base: Known | None = Field(
        None,
        description="labels that were saved when the annotator began: only the changes from there to `known` are applied, so "
        "that nothing is lost that others saved meanwhile; by default what this id was opened or last saved with",
    )


class PredictBody(KnownLabels):
    """What one picture is predicted with."""

    thresholds: Thresholds = None


class AskBody(KnownLabels):
    """How to choose the labels to verify next."""

    k: int = Field(5, ge=1, le=100, strict=True)
    policy: Policy = "total"
    costs: Annotated[dict[str, float], _up_to_the_first_wrong(_between(-inf, inf))] = {}
    within: Annotated[list[str], Field(fail_fast=True)] | None = Field(None, description="labels and groups to choose from")
    seed: Seed = 0


class WhatIfBody(KnownLabels):
    """A label that is assumed to be present or absent."""

    label: str
    present: StrictBool


class SetsBody(KnownLabels):
    """Which whole label sets to return."""

    count: int = Field(5, ge=0, strict=True, description="sets that are drawn, in addition to the most likely one")
    seed: Seed = 0
    at_once: int = Field(
        1, ge=1, strict=True, description="labels revealed in one pass; more is faster and takes them for independent"
    )


class Encoded(Body):
    """One picture of a batch."""

    data: str = Field(description="the file, in base64")
    known: Known = {}


class BatchBody(Body):
    """Several pictures at once, of which nothing is kept."""

    images: list[Encoded] = Field(min_length=1, fail_fast=True)
    thresholds: Thresholds = None
