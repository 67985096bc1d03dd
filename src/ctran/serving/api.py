"""The application: one model behind HTTP.

Pictures are looked at once and kept by id; what is known of them comes with each question, so that the server holds no
session of anybody.
"""

import asyncio
import base64
import binascii
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import anyio.to_thread
import torch
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ctran.decoding import BrokenImageError, NotAPictureError, as_image
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor
from ctran.inference.session import LabelSet, Session
from ctran.labels import UnknownLabelError
from ctran.model import CTran
from ctran.plots.heat import overlay
from ctran.serving import schemas
from ctran.serving.annotations import Annotations
from ctran.serving.batching import BatchedPredictor, StoppingError
from ctran.serving.gallery import Entry, Gallery
from ctran.serving.metrics import Metrics
from ctran.serving.middleware import RETRY_AFTER, Gate, TooLargeError
from ctran.serving.settings import Settings
from ctran.serving.store import ForgottenError, Look, Store
from ctran.version import __version__

STATIC = Path(__file__).parent / "static"
LOCAL = {"Cache-Control": "no-store"}
SECURITY = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; object-src 'none'; base-uri 'none'"


class State:
    """What the endpoints share.

    Args:
        predictor: the model.
        gallery: pictures to start with.
        annotations: where answers are saved; None saves none.
    """

    def __init__(
        self, predictor: Predictor, settings: Settings, gallery: Gallery, annotations: Annotations | None = None
    ) -> None:
        self.settings, self.gallery, self.annotations = settings, gallery, annotations
        self.store = Store(settings.cache_bytes)
        self.metrics = Metrics(self.store)
        self.predictor = BatchedPredictor(predictor, lambda kind, calls: self.metrics.batches.labels(kind).observe(calls))
        self.shows_attention = isinstance(predictor.model, CTran) and predictor.model.use_image

    def keep(self, content: bytes, name: str, file_name: str | None = None) -> tuple[str, Session]:
        """Look, and keep what was seen; ``file_name`` where the picture is in the folder of annotations."""
        session = self.predictor.look_at(self.predictor.square(content, name=name, max_pixels=self.settings.max_pixels))
        return self.store.add(Look(session, content, name, file_name)), session


def create_app(
    predictor: Predictor,
    settings: Settings | None = None,
    *,
    gallery: Gallery | None = None,
    annotations: Annotations | None = None,
) -> FastAPI:
    """The application of one model.

    Args:
        predictor: from :func:`ctran.load`.
        gallery: pictures that the page starts with.
        annotations: folder that saved answers go to.
    """
    settings = settings or Settings()
    state = State(predictor, settings, gallery or Gallery([]), annotations)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.in_flight + 8
        yield
        await asyncio.to_thread(state.predictor.close)

    app = FastAPIOffline(title="ctran", version=__version__, description=__doc__ or "", lifespan=lifespan)
    app.state.ctran = state
    app.include_router(router)
    app.include_router(page)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for error, status in STATUS.items():
        app.add_exception_handler(error, _handler(status))
    app.add_middleware(Gate, settings=settings, metrics=state.metrics)
    if "*" not in settings.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts), www_redirect=False)
    return app


STATUS: dict[type[Exception], int] = {
    ForgottenError: 404,
    TooLargeError: 413,
    NotAPictureError: 415,
    BrokenImageError: 422,
    UnknownLabelError: 422,
    ValueError: 422,
    StoppingError: 503,
}


def _handler(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        return JSONResponse({"detail": str(error)}, status, headers)

    return handle


def state_of(request: Request) -> State:
    """What the application holds."""
    return request.app.state.ctran


StateOf = Annotated[State, Depends(state_of)]


def look_of(image: str, state: StateOf) -> Look:
    """The picture of an id in the path."""
    return state.store[image]


LookOf = Annotated[Look, Depends(look_of)]


async def sent(request: Request) -> tuple[bytes, str]:
    """A picture, sent as the body itself or as the file of a form; and its name."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1) as form:
                file = next((value for value in form.values() if isinstance(value, UploadFile)), None)
                if file is None:
                    raise HTTPException(422, "the form holds no file; send one picture as a file field")
                return await file.read(), file.filename or "picture"
        except MultiPartException as error:
            raise HTTPException(422, f"the form cannot be read: {error.message}") from None
    content = await request.body()
    if not content:
        raise HTTPException(422, "the request is empty; send a picture as the body, or as the file of a form")
    return content, unquote(request.headers.get("x-file-name", "")) or "picture"


def answer(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON."""
    return {"labels": prediction.labels, "probabilities": prediction.probabilities, "known": prediction.known}


# ------------------------------------------------------------------- the API

router = APIRouter(prefix="/v1", tags=["v1"])


@router.get("/model")
def about(state: StateOf) -> schemas.About:
    """Labels, groups, and what this server can do."""
    labels, calibration = state.predictor.labels, state.predictor.calibration
    plain = labels.as_dict()
    return schemas.About(
        ctran=__version__,
        labels=plain["names"],
        extra=plain["extra"],
        groups=plain["groups"],
        implications=plain["implications"],
        thresholds=dict(calibration.thresholds) if calibration else {},
        gallery=len(state.gallery),
        saves=state.annotations is not None,
        saved=0 if state.annotations is None else len(state.annotations),
        attention=state.shows_attention,
    )


@router.post("/images", status_code=201)
def add_image(picture: Annotated[tuple[bytes, str], Depends(sent)], state: StateOf) -> schemas.Image:
    """Look at a picture: the body of the request, or the file of a form. The id is good until the picture is forgotten."""
    name, session = state.keep(*picture)
    return schemas.Image(id=name, name=picture[1], **answer(session.predict()))


@router.post("/images/{image}/predict")
def predict(body: schemas.PredictBody, look: LookOf) -> schemas.Answer:
    """What is in the picture, given what is known."""
    return schemas.Answer(**answer(look.session.given(body.known).predict(threshold=body.threshold)))


@router.post("/images/{image}/ask")
def ask(body: schemas.AskBody, look: LookOf) -> list[schemas.AskedQuestion]:
    """Which labels to verify next."""
    generator = torch.Generator().manual_seed(body.seed)
    found = look.session.given(body.known).ask(
        body.k, policy=body.policy, costs=body.costs, within=body.within, generator=generator
    )
    return [schemas.AskedQuestion(name=q.name, labels=list(q.labels), score=q.score, cost=q.cost) for q in found]


@router.post("/images/{image}/what-if")
def what_if(body: schemas.WhatIfBody, look: LookOf) -> dict[str, schemas.Moved]:
    """What an answer would change, the greatest change first."""
    changes = look.session.given(body.known).what_if(body.label, body.present)
    return {name: schemas.Moved(before=c.before, after=c.after) for name, c in changes.items()}


@router.post("/images/{image}/sets")
def sets(body: schemas.SetsBody, look: LookOf, state: StateOf) -> schemas.Sets:
    """Whole label sets: the most likely one (greedily), and some that are drawn."""
    if body.count > state.settings.max_sets:
        raise HTTPException(422, f"count: at most {state.settings.max_sets} sets a request, got {body.count}")
    session, generator = look.session.given(body.known), torch.Generator().manual_seed(body.seed)
    drawn = session.sample(body.count, generator=generator, at_once=body.at_once) if body.count else []

    def plain(found: LabelSet) -> schemas.DrawnSet:
        return schemas.DrawnSet(labels=list(found.labels), log_likelihood=found.log_likelihood)

    return schemas.Sets(most_likely=plain(session.most_likely()), drawn=[plain(each) for each in drawn])


PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}, "image/png": {}}}}


@router.get("/images/{image}/picture", response_class=Response, responses=PICTURE)
def picture(look: LookOf) -> Response:
    """The picture as the model sees it, PNG."""
    return _png(as_image(look.session.square))


@router.post("/images/{image}/attention/{label:path}", response_class=Response, responses=PICTURE)
def attention_given(label: str, body: schemas.Told, look: LookOf, state: StateOf, layer: int | None = None) -> Response:
    """Where the model looks for a label, given what is known: the picture, lit up there; PNG.

    Mean over the layers, or one of them, from 0 on.
    """
    if not state.shows_attention:
        raise HTTPException(422, "this model has no attention to the picture")
    maps = look.session.given(body.known).attention(label)
    if layer is not None and not 0 <= layer < len(maps):
        raise HTTPException(422, f"layer: expected 0 to {len(maps) - 1}, got {layer}")
    return _png(overlay(look.session.square.numpy(), maps.mean(axis=0) if layer is None else maps[layer]))


@router.get("/images/{image}/attention/{label:path}", response_class=Response, responses=PICTURE)
def attention(label: str, look: LookOf, state: StateOf, layer: int | None = None) -> Response:
    """Where the model looks for a label when nothing is known."""
    return attention_given(label, schemas.Told(), look, state, layer)


def _png(image: Any) -> Response:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    return Response(file.getvalue(), media_type="image/png", headers=LOCAL)


@router.post("/images/{image}/save")
def save(body: schemas.Told, look: LookOf, state: StateOf) -> schemas.Saved:
    """Write what is known of the picture to the server's folder."""
    if state.annotations is None:
        raise HTTPException(409, "this server saves nothing: start it with --save FOLDER")
    look.session.given(body.known)  # refuses names and contradictions
    if look.file_name is None:
        name = state.annotations.save(look.name, body.known, look.content)
    else:
        name = state.annotations.save(look.file_name, body.known)
    return schemas.Saved(file_name=name, count=len(state.annotations))


@router.get("/gallery")
def gallery(state: StateOf, offset: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Pictures to start with: number, name, whether an annotation of it is saved."""
    if offset < 0 or not 1 <= limit <= 500:
        raise HTTPException(422, "expected offset from 0 on and limit from 1 to 500")
    entries = list(enumerate(state.gallery.entries))[offset : offset + limit]
    return [{"number": n, "name": e.name, "saved": _saved(state, e)} for n, e in entries]


@router.get("/gallery/{number}/thumbnail", response_class=Response, responses=PICTURE)
def thumbnail(number: int, state: StateOf) -> Response:
    """A small picture, JPEG."""
    _entry(state, number)
    return Response(
        state.gallery.thumbnail(number), media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
    )


@router.post("/gallery/{number}", status_code=201)
def open_gallery(number: int, state: StateOf) -> schemas.Image:
    """Look at a picture of the gallery; what was saved of it before is told."""
    entry = _entry(state, number)
    name, session = state.keep(entry.read(), entry.name, entry.file_name)
    saved = _saved(state, entry)
    said = state.annotations.known(entry.file_name) if saved and state.annotations and entry.file_name else {}
    known = {label: present for label, present in said.items() if label in state.predictor.labels.index_of}
    return schemas.Image(id=name, name=entry.name, saved=saved, **answer(session.given(known).predict()))


def _saved(state: State, entry: Entry) -> bool:
    """Whether there is an annotation of a picture."""
    return state.annotations is not None and entry.file_name is not None and entry.file_name in state.annotations


def _entry(state: State, number: int) -> Entry:
    if not 0 <= number < len(state.gallery):
        raise HTTPException(404, f"the gallery has {len(state.gallery)} pictures, there is no number {number}")
    return state.gallery.entries[number]


@router.post("/predict")
def predict_batch(body: schemas.BatchBody, state: StateOf) -> list[schemas.Answer]:
    """Several pictures at once, in base64, each with what is known of it; nothing is kept."""
    if len(body.images) > state.settings.max_images:
        raise HTTPException(422, f"images: at most {state.settings.max_images} a request, got {len(body.images)}")
    predictor, squares, rows = state.predictor, list[Any](), list[Any]()
    for number, image in enumerate(body.images):
        try:
            content = base64.b64decode(image.data, validate=True)
        except (binascii.Error, ValueError):
            raise HTTPException(422, f"images[{number}].data is no base64") from None
        squares.append(predictor.square(content, name=f"images[{number}]", max_pixels=state.settings.max_pixels))
        rows.append(predictor.labels.states(image.known))
    found = predictor.marginals(predictor.encode_images(torch.stack(squares)), torch.stack(rows))
    each = zip(found, body.images, strict=True)
    return [schemas.Answer(**answer(predictor.prediction(p, i.known, threshold=body.threshold))) for p, i in each]


# ------------------------------------------------------------ page and upkeep

page = APIRouter()


@page.get("/", include_in_schema=False)
def studio() -> FileResponse:
    """The studio."""
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": SECURITY, "Cache-Control": "no-cache"})


@page.get("/healthz", tags=["upkeep"])
async def healthz() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@page.get("/metrics", tags=["upkeep"], response_class=PlainTextResponse)
async def metrics(state: StateOf) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
