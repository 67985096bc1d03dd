"""Bodies of responses, and which errors a route may give."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field


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


class Problem(BaseModel):
    """Why a request was refused; every error of the server has this body."""

    detail: str = Field(description="for people: what is wrong, where, and what helps")


class Conflicts(Problem):
    """An annotation that was saved meanwhile contradicts this one; nothing was written."""

    conflicts: list[Conflict] = Field([], description="empty where this server saves nothing at all")
    saved: dict[str, bool] = Field({}, description="what is saved now: the base of the next try")


class About(BaseModel):
    """The model and the server."""

    ctran: str
    version: str = Field(description="of the model: name of its folder and digest of its files")
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


class Reloaded(BaseModel):
    """The model that is used from now on."""

    version: str = Field(description="name of its folder and digest of its files")
    previous: str = Field(description="version of the model before; the same where the files are")
    added: list[str] = Field(description="labels that the model before did not have")
    removed: list[str] = Field(description="labels that this model does not have")


class LabelCount(BaseModel):
    """A label of a folder."""

    name: str
    present: int = Field(description="pictures that are known to have it")
    absent: int = Field(description="pictures that are known to lack it")


class Learning(BaseModel):
    """The training of a folder's model."""

    state: Literal["never", "running", "done", "failed"]
    text: str = Field(description="its last line, or why it failed")
    seconds: float
    command: str = Field(description="that does the same in a terminal")
    run: str = Field(description="folder of the trained model")


class FolderAbout(BaseModel):
    """A folder that gets labelled."""

    ctran: str
    folder: str
    revision: int = Field(description="grows with each change, whoever makes it")
    labels: list[LabelCount]
    groups: dict[str, list[str]] = Field(description="exclusive groups: of each, one label is present")
    implications: dict[str, list[str]]
    others_absent: bool = Field(description="labels that are not ticked are absent in a picture that is confirmed")
    by_itself: bool = Field(description="a model is learnt now and then without being asked for")
    pictures: int
    annotated: int = Field(description="pictures with a known label")
    encoded: int = Field(description="pictures whose image features are there, or that cannot be read")
    model: list[str] | None = Field(description="labels of the model; null without one")
    thresholds: dict[str, float]
    learning: Learning
    unsaved: bool = Field(description="changes are in the journal and not yet in the folder's files")
    undo: str | None = Field(description="what an undo of this window would take back")
    notes: list[str] = Field(description="for people: files that were left out, and what went wrong in the background")


class FolderPicture(BaseModel):
    """A picture of a folder."""

    number: int
    name: str
    known: int = Field(description="labels that are known")
    present: int = Field(description="labels that are known to be present")
    broken: bool


class FolderPrediction(BaseModel):
    """A picture of a folder, with its known labels and what the model predicts."""

    number: int
    name: str
    known: dict[str, bool]
    probabilities: dict[str, float] = Field(description="of unknown labels, most probable first; empty without a model")
    labels: list[str] = Field(description="present: known, probable enough, or implied")
    broken: str = Field("", description="why the picture cannot be read")


class GridPicture(BaseModel):
    """A picture in the grid of one label."""

    number: int
    name: str
    known: bool | None
    probability: float | None


class NextPicture(BaseModel):
    """The picture to label next."""

    number: int | None = Field(description="null: nothing is left to label")


class Undone(BaseModel):
    """What an undo has done."""

    title: str | None = Field(description="of the step; null where there was none")
    kept: int = Field(0, description="entries that stayed, as another window has changed them since")


class Revision(BaseModel):
    """A change was stored."""

    revision: int


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
