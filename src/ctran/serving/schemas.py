"""Bodies of requests and responses."""

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


class Prediction(BaseModel):
    """A prediction."""

    labels: list[str] = Field(description="present: known, probable enough, or implied")
    probabilities: dict[str, float] = Field(description="of unknown labels, most probable first")
    known: dict[str, bool]


class Failed(BaseModel):
    """In the place of a prediction: why a picture failed."""

    error: str


class Image(Prediction):
    """An encoded picture and its prediction."""

    id: str
    name: str
    saved: bool = Field(False, description="there is an annotation of it")
    annotation: dict[str, bool] = Field({}, description="the labels that are saved of it: the base of what is saved next")


class AskedQuestion(BaseModel):
    """A label or group to verify."""

    name: str
    labels: list[str]
    score: float
    cost: float


class ProbabilityChange(BaseModel):
    """A probability before and after."""

    before: float
    after: float


class DrawnSet(BaseModel):
    """One whole label set: the labels that are present."""

    labels: list[str]
    log_likelihood: float


class Sets(BaseModel):
    """Whole label sets."""

    most_likely: DrawnSet
    drawn: list[DrawnSet]


class Saved(BaseModel):
    """An annotation on disk."""

    file_name: str
    count: int
    merged: dict[str, bool] | None = Field(
        None, description="what is saved now, where that is more than was sent: another user saved since"
    )


Change = Annotated[dict[str, bool | None], Field(description="label -> present, absent, or null: set back to unknown")]


class Conflict(BaseModel):
    """Two changes of which only one can be kept."""

    yours: Change
    saved: Change


class Conflicts(BaseModel):
    """An annotation that was saved meanwhile contradicts this one; nothing was written."""

    detail: str
    conflicts: list[Conflict] = Field([], description="empty where this server saves nothing at all")
    saved: dict[str, bool] = Field({}, description="what is saved now: the base of the next try")


class About(BaseModel):
    """The model and the server."""

    ctran: str
    labels: list[str]
    extra: list[str]
    groups: dict[str, Any]
    implications: list[list[str]]
    thresholds: dict[str, float]
    gallery: int
    start: int = Field(description="number of the picture to begin with: without an annotation, and another for each person")
    notes: list[str] = Field([], description="about the folder of pictures, for people: files that were left out")
    saves: bool
    saved: int
    heatmap: bool = Field(description="whether it shows which places of a picture are evidence for a label")
    attention: bool


class Invalid(BaseModel):
    """One validation error."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """Why a request was refused: a message, or the validation errors of the body."""

    detail: str | list[Invalid]


def problems(**texts: str) -> dict[int | str, dict[str, Any]]:
    """Descriptions of refusals, for OpenAPI: ``_404="no such picture"``."""
    return {int(status[1:]): {"model": Problem, "description": text} for status, text in texts.items()}


ERRORS = problems(
    _400="the server is not called so, or the request is not HTTP or JSON",
    _401="no token, or a wrong one",
    _403="sent by a page of another origin",
    _408="the body did not arrive in time",
    _413="too many bytes or values",
    _422="something in the request is wrong",
    _500="the server failed; its log says why",
    _503="busy or stopping: retry after the seconds in Retry-After",
)
"""Error responses that every route may give."""
NO_IMAGE = problems(_404="no picture of this id, or it was dropped from the cache: send it again")
NO_ENTRY = problems(_404="the gallery has no such number")
NO_PICTURE = problems(_415="not a picture of a format that can be read")
