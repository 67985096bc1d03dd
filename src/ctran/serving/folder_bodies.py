"""Bodies of requests to a studio without a model."""

from typing import Annotated

from pydantic import Field, StrictBool

from ctran.labelling.suggest import Order
from ctran.serving.request_bodies import Body

Window = Annotated[
    str, Field(min_length=1, max_length=64, description="name that a window gives itself: undo is of its own steps")
]
Number = Annotated[int, Field(ge=0, strict=True, description="of a picture")]
Name = Annotated[str, Field(max_length=1000, description="of a label")]
Change = Annotated[dict[str, StrictBool | None], Field(description="label -> present, absent, or null: unknown")]


class Windowed(Body):
    """What a window does."""

    window: Window


class PictureEdit(Body):
    """Changed labels of one picture."""

    picture: Number
    change: Change
    base: Change = Field({}, description="what these labels were in this window; labels that are left out were unknown")


class AnnotateBody(Windowed):
    """Changes of pictures: all are made, or none."""

    edits: list[PictureEdit] = Field(min_length=1, max_length=5000, fail_fast=True)


class ConfirmBody(Windowed):
    """Pictures whose other labels are absent."""

    pictures: list[Number] = Field(min_length=1, max_length=5000, fail_fast=True)


class LabelBody(Windowed):
    """A label."""

    name: Name


class RenameBody(LabelBody):
    """A label's new name."""

    to: Name


class MergeBody(LabelBody):
    """The label that another becomes."""

    into: Name


class RulesBody(Windowed):
    """Exclusive groups and implications of the labels; both are replaced."""

    groups: dict[str, list[str]] = Field({}, description="name -> labels of which one is present")
    implications: dict[str, list[str]] = Field({}, description="label -> labels that it implies")


class SettingsBody(Windowed):
    """Settings; those that are left out stay."""

    others_absent: StrictBool | None = None
    by_itself: StrictBool | None = None


class NextBody(Body):
    """How to choose the next picture."""

    order: Order = "order"
    without: list[Number] = Field([], max_length=5000, fail_fast=True, description="numbers of pictures that were just seen")


class QuestionBody(Body):
    """How many questions."""

    k: int = Field(1, ge=1, le=100, strict=True)
