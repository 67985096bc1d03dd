"""The API: pictures are encoded once, then used by id; ``/v1/predict`` keeps nothing."""

import base64
from typing import Annotated
from urllib.parse import unquote

import torch
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from starlette.datastructures import UploadFile
from torch import Tensor

from ctran.errors import UserError
from ctran.images.reading import as_image
from ctran.inference.prediction import LabelSet
from ctran.plots.heat import evidence_overlay, overlay
from ctran.serving import request_bodies, response_bodies
from ctran.serving.state import PICTURE, Cached, ModelOf, StateOf, annotation_json, jpeg, png, prediction_json
from ctran.serving.task_pictures import brief

router = APIRouter(prefix="/v1", tags=["v1"])
BYTES = {"schema": {"type": "string", "format": "binary"}}
FORM = {"schema": {"type": "object", "properties": {"file": BYTES["schema"]}, "required": ["file"]}}
UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": BYTES, "image/*": BYTES, "multipart/form-data": FORM},
    }
}


async def sent(request: Request) -> tuple[bytes, str]:
    """A picture, sent as the body itself or as the file of a form; and its name."""
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=1) as form:
            file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if file is None:
                raise HTTPException(422, "the form holds no file; send one picture as a file field")
            return await file.read(), file.filename or "picture"
    content = await request.body()
    if not content:
        raise HTTPException(422, "the request is empty; send a picture as the body, or as the file of a form")
    return content, unquote(request.headers.get("x-file-name", "")) or "picture"


@router.post("/images", status_code=201, responses=response_bodies.NO_PICTURE, openapi_extra=UPLOAD)
def add_image(picture: Annotated[tuple[bytes, str], Depends(sent)], state: StateOf, model: ModelOf) -> response_bodies.Image:
    """Encode a picture: the body of the request, or the file of a form. The id is valid until the picture is dropped."""
    name, cached = state.keep(model, *picture)
    return response_bodies.Image(
        id=name, name=picture[1], **annotation_json(cached.base), **prediction_json(cached.session.predict())
    )


@router.post("/images/{image}/predict", responses=response_bodies.NO_IMAGE)
def predict(body: request_bodies.PredictBody, cached: Cached) -> response_bodies.Prediction:
    """Predict the labels of the picture, given the known ones."""
    return response_bodies.Prediction(**prediction_json(cached.session.given(body.known).predict(threshold=body.thresholds)))


@router.post("/images/{image}/ask", responses=response_bodies.NO_IMAGE)
def ask(body: request_bodies.AskBody, cached: Cached) -> list[response_bodies.AskedQuestion]:
    """Which labels to verify next."""
    generator = torch.Generator().manual_seed(body.seed)
    found = cached.session.given(body.known).ask(
        body.k, policy=body.policy, costs=body.costs, within=body.within, generator=generator
    )
    return [response_bodies.AskedQuestion(name=q.name, labels=list(q.labels), score=q.score, cost=q.cost) for q in found]


@router.post("/images/{image}/what-if", responses=response_bodies.NO_IMAGE)
def what_if(body: request_bodies.WhatIfBody, cached: Cached) -> dict[str, response_bodies.ProbabilityChange]:
    """How the other probabilities change if a label becomes known, the greatest change first."""
    changes = cached.session.given(body.known).what_if(body.label, body.present)
    return {name: response_bodies.ProbabilityChange(before=c.before, after=c.after) for name, c in changes.items()}


@router.post("/images/{image}/sets", responses=response_bodies.NO_IMAGE)
def sets(body: request_bodies.SetsBody, cached: Cached, state: StateOf) -> response_bodies.Sets:
    """Whole label sets: the most likely one (greedily), and random samples."""
    if body.count > state.settings.max_sets:
        raise HTTPException(422, f"count: at most {state.settings.max_sets} sets a request, got {body.count}")
    session, generator = cached.session.given(body.known), torch.Generator().manual_seed(body.seed)
    drawn = session.sample(body.count, generator=generator, at_once=body.at_once) if body.count else []

    def plain(found: LabelSet) -> response_bodies.DrawnSet:
        return response_bodies.DrawnSet(labels=list(found.labels), log_likelihood=found.log_likelihood)

    return response_bodies.Sets(most_likely=plain(session.most_likely()), drawn=[plain(each) for each in drawn])


@router.get("/images/{image}/picture", response_class=Response, responses=PICTURE | response_bodies.NO_IMAGE)
def picture(cached: Cached, state: StateOf, side: Annotated[int | None, Query(ge=1, le=4096)] = None) -> Response:
    """The model's input as PNG; with ``side`` the upright picture as JPEG, its longer side at most so long."""
    return png(as_image(cached.session.square)) if side is None else jpeg(state.original(cached.content, cached.name, side))


@router.post("/images/{image}/heatmap/{label:path}", response_class=Response, responses=PICTURE | response_bodies.NO_IMAGE)
def heatmap_given(label: str, body: request_bodies.KnownLabels, cached: Cached) -> Response:
    """Evidence for a label, given the known ones: the picture, amber where it supports the label; PNG."""
    session = cached.session.given(body.known)
    return png(evidence_overlay(session.square.numpy(), session.heatmap(label)))


@router.get("/images/{image}/heatmap/{label:path}", response_class=Response, responses=PICTURE | response_bodies.NO_IMAGE)
def heatmap(label: str, cached: Cached) -> Response:
    """Evidence for a label when no label is known."""
    return heatmap_given(label, request_bodies.KnownLabels(), cached)


@router.post("/images/{image}/attention/{label:path}", response_class=Response, responses=PICTURE | response_bodies.NO_IMAGE)
def attention_given(
    label: str, body: request_bodies.KnownLabels, cached: Cached, model: ModelOf, layer: int | None = None
) -> Response:
    """Attention of a label to the picture, given the known labels: an overlay; PNG. For research, not evidence.

    Mean over the layers, or one of them, counted from 0.
    """
    if not model.predictor.shows_attention:
        raise HTTPException(422, "this model has no attention to the picture")
    maps = cached.session.given(body.known).attention(label)
    if layer is not None and not 0 <= layer < len(maps):
        raise HTTPException(422, f"layer: expected 0 to {len(maps) - 1}, got {layer}")
    return png(overlay(cached.session.square.numpy(), maps.mean(axis=0) if layer is None else maps[layer]))


@router.get("/images/{image}/attention/{label:path}", response_class=Response, responses=PICTURE | response_bodies.NO_IMAGE)
def attention(label: str, cached: Cached, model: ModelOf, layer: int | None = None) -> Response:
    """Attention of a label to the picture when no label is known."""
    return attention_given(label, request_bodies.KnownLabels(), cached, model, layer)


@router.post("/predict", responses=response_bodies.NO_PICTURE)
def predict_batch(
    body: request_bodies.BatchBody, state: StateOf, model: ModelOf
) -> list[response_bodies.Prediction | response_bodies.Failed]:
    """Several pictures at once, in base64, each with its known labels; nothing is kept.

    A picture that fails has an `error` in its place, the others have predictions; if all fail, the request is refused.
    """
    if len(body.images) > state.settings.max_images:
        raise HTTPException(422, f"images: at most {state.settings.max_images} a request, got {len(body.images)}")
    predictor, squares = model.predictor, list[Tensor]()
    errors = dict[int, UserError]()
    for number, image in enumerate(body.images):
        try:
            square = state.square(model, _decoded(image.data, number), f"images[{number}]")
            predictor.labels.states(image.known)  # refuses wrong ones
            squares.append(square)
        except UserError as error:
            errors[number] = error
    if not squares:
        raise next(iter(errors.values()))
    known = [image.known for number, image in enumerate(body.images) if number not in errors]
    found = iter(predictor.predictions(predictor.encode_images(torch.stack(squares)), known, threshold=body.thresholds))

    def one(number: int) -> response_bodies.Prediction | response_bodies.Failed:
        if number in errors:
            text = str(errors[number])
            return response_bodies.Failed(error=brief(text if text.startswith("images[") else f"images[{number}]: {text}", 500))
        return response_bodies.Prediction(**prediction_json(next(found)))

    return [one(number) for number in range(len(body.images))]


def _decoded(data: str, number: int) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise UserError(f"images[{number}].data is not base64") from None
