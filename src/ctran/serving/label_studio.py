"""Label Studio's protocol for models (ML backend): ``/health``, ``/setup``, ``/predict``; ``docs/label-studio.md``.

What people have ticked already is given to the model as known labels, and the rest is predicted.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from textwrap import shorten
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field, ValidationError

from ctran.errors import UserError
from ctran.serving import response_bodies
from ctran.serving.batching import StoppingError
from ctran.serving.label_config import LabelConfig, Result
from ctran.serving.models import ServedModel
from ctran.serving.state import ModelOf, State, StateOf
from ctran.serving.task_pictures import brief

AT_ONCE = 8
"""Tasks of one request that are fetched and predicted in parallel."""

log = logging.getLogger(__name__)
router = APIRouter(tags=["Label Studio"])


class Submission(BaseModel):
    """An annotation or a draft."""

    result: Annotated[list[Result], Field(fail_fast=True)] | None = None
    updated_at: str | None = None
    was_cancelled: bool | None = None


class Task(BaseModel):
    """One task with its annotations and drafts; other fields that Label Studio sends are not read."""

    id: int | None = None
    data: dict[str, Any]
    annotations: Annotated[list[Submission], Field(fail_fast=True)] | None = None
    drafts: Annotated[list[Submission], Field(fail_fast=True)] | None = None

    def latest_results(self) -> list[Result]:
        """Results of the annotation or draft that was changed last."""
        found = [each for each in (*(self.annotations or ()), *(self.drafts or ())) if not each.was_cancelled]
        return max(found, key=lambda each: each.updated_at or "", default=Submission()).result or []


class Params(BaseModel):
    """Parameters of a request; ``context`` holds the ticks of a person who is annotating now."""

    context: Submission | None = None


class PredictRequest(BaseModel):
    """What Label Studio sends to ``/predict``."""

    tasks: list[Any] = Field(description="each with id, data, annotations and drafts; read one by one")
    label_config: str
    params: Params | None = None

    def context(self) -> list[Result] | None:
        """Ticks that are not saved yet; None if there are none."""
        return self.params.context.result if self.params and self.params.context else None


class SetupRequest(BaseModel):
    """What Label Studio sends to ``/setup``."""

    schema_: Annotated[str, Field(alias="schema")]


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server is up."""
    return {"status": "UP"}


@router.post("/setup")
def setup(body: SetupRequest, model: ModelOf) -> dict[str, Any]:
    """The model's version, and what of the configuration is left out. Refuses one without any choice that it predicts."""
    try:
        config = LabelConfig.parse(body.schema_, model.predictor.labels)
    except UserError as error:
        log.warning("Label Studio: %s", error)  # it does not show people the response
        raise
    for what in config.left_out:
        log.warning("Label Studio: left out: %s", what)
    return {"model_version": model.version} | ({"left_out": list(config.left_out)} if config.left_out else {})


@router.post("/predict")
def predict(body: PredictRequest, state: StateOf, model: ModelOf) -> dict[str, list[Any]]:
    """Choices and scores for each task; an empty list, which Label Studio does not store, for one that fails.

    The reasons are in the server's log, and in ``errors`` of the response; ``left_out`` names choices that are not predicted.
    Tasks beyond the limits of number and time are not predicted: Label Studio sends them when predictions are retrieved again.
    """
    config, context = LabelConfig.parse(body.label_config, model.predictor.labels), body.context()
    most, end = state.settings.max_tasks, time.monotonic() + state.settings.task_seconds

    def one(raw: Any) -> tuple[Any, str | None]:
        if time.monotonic() > end:
            return [], f"task {_number(raw)}: not begun within {state.settings.task_seconds:g} s; retrieve predictions again"
        try:
            task = Task.model_validate(raw)
            return _predicted(task, task.latest_results() if context is None else context, config, state, model), None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return [], f"task {_number(raw)}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        except UserError as error:  # the others are still predicted
            return [], f"task {_number(raw)}: {error}"
        except StoppingError:
            raise
        except Exception:
            log.exception("Label Studio: task %s failed", _number(raw))
            return [], f"task {_number(raw)}: the server failed; its log says why"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(one, body.tasks[:most]))
    errors = [brief(error, 300) for _, error in found if error]
    if more := len(body.tasks) - len(found):
        errors.append(f"{more} of {len(body.tasks)} tasks are beyond {most} a request; retrieve predictions again for them")
    for error in errors:
        log.warning("Label Studio: %s", error)
    return {"results": [result for result, _ in found] + [[]] * more, "errors": errors, "left_out": list(config.left_out)}


def _number(raw: Any) -> Any:
    return shorten(repr(raw.get("id")), 20) if isinstance(raw, dict) else "?"


def _predicted(task: Task, results: Sequence[Result], config: LabelConfig, state: State, model: ServedModel) -> dict[str, Any]:
    known, predictions = config.known(results), {}
    for image in {choices.image for choices in config.choices}:
        source = task.data.get(config.images[image])
        if not isinstance(source, str):
            raise UserError(f"data[{config.images[image]!r}] is {shorten(repr(source), 80)}, expected the address of a picture")
        content = state.pictures.read(source, task.id)
        session = model.predictor.session_of(state.square(model, content, brief(source, 100)))
        predictions[image] = session.tell(known[image]).predict()
    return config.result_of(predictions, config.by_people(results)) | {"model_version": model.version}


@router.post("/webhook", responses=response_bodies.problems(_501="this server does not train"))
def webhook(body: dict[str, Any]) -> dict[str, str]:
    """Receives Label Studio's events, which are ignored; refuses to train."""
    if body.get("action") == "START_TRAINING":
        raise HTTPException(501, "this server does not train: export the project from Label Studio, then ctran train")
    return {"status": "not used"}
