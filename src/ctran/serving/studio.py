"""What the studio needs beside the API: its page, what the server can do, pictures to start with, and a folder to save to."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import FileResponse

from ctran.serving import request_bodies, response_bodies
from ctran.serving.gallery import Entry
from ctran.serving.models import ServedModel
from ctran.serving.state import PICTURE, Cached, ModelOf, State, StateOf, annotation_json, prediction_json
from ctran.version import __version__

STATIC = Path(__file__).parent / "static"
SECURITY = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; object-src 'none'; base-uri 'none'; "
SECURITY += "frame-ancestors 'none'"

router = APIRouter(prefix="/v1", tags=["v1"])
page = APIRouter()

SAVE: dict[int | str, dict[str, Any]] = {
    **response_bodies.NO_IMAGE,
    409: {
        "model": response_bodies.Conflicts,
        "description": "contradicts what another user has saved since; or no folder to save to",
    },
    **response_bodies.problems(_507="the folder cannot be written to"),
}


@page.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
def studio() -> FileResponse:
    """The studio page."""
    return FileResponse(STATIC / "index.html", headers={"Content-Security-Policy": SECURITY, "Cache-Control": "no-cache"})


@router.get("/model")
def about(state: StateOf, model: ModelOf, person: Annotated[str | None, Query(max_length=64)] = None) -> response_bodies.About:
    """Labels, groups, what this server can do, and where ``person`` (any name) begins."""
    labels, calibration = model.predictor.labels, model.predictor.calibration
    plain, saved = labels.as_dict(), _saved(model)
    return response_bodies.About(
        ctran=__version__,
        version=model.version,
        labels=plain["names"],
        extra=plain["extra"],
        groups=plain["groups"],
        implications=plain["implications"],
        thresholds=dict(calibration.thresholds) if calibration else {},
        gallery=len(state.gallery),
        start=state.people.start(person, [entry.file_name for entry in state.gallery.entries], saved),
        notes=list(state.gallery.notes),
        saves=model.annotations is not None,
        saved=len(saved),
        heatmap=model.predictor.shows_heatmap,
        attention=model.predictor.shows_attention,
    )


@router.post("/images/{image}/save", response_model_exclude_none=True, responses=SAVE)
def save(image: str, body: request_bodies.SaveBody, cached: Cached, state: StateOf, model: ModelOf) -> response_bodies.Saved:
    """Save the known labels of the picture in the server's folder: the changes since this id was opened or last saved.

    What others saved meanwhile is kept. Where it contradicts these changes nothing is written: 409 shows both.
    """
    annotations = model.annotations
    if annotations is None:
        raise HTTPException(409, "this server saves nothing: start it with --save FOLDER")
    cached.session.given(body.known)  # refuses unknown names and contradictions
    base = (cached.base or {}) if body.base is None else body.base
    for name in base:
        model.predictor.labels.index(name)
    new = cached.content if cached.file_name is None else None
    try:
        name = annotations.save(cached.file_name or cached.name, body.known, new, base=base, contradicts=model.contradicts)
    except OSError as error:
        raise HTTPException(507, f"{annotations.folder} cannot be written to ({error.strerror}); nothing is saved") from None
    now = annotations.known(name)
    state.store.rebase(image, now)
    return response_bodies.Saved(file_name=name, count=len(annotations), merged=None if now == body.known else now)


@router.get("/gallery")
def gallery(state: StateOf, model: ModelOf, offset: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Pictures to start with: number, name, whether an annotation of it is saved."""
    if offset < 0 or not 1 <= limit <= 500:
        raise HTTPException(422, "expected offset from 0 on and limit from 1 to 500")
    saved, entries = _saved(model), state.gallery.entries[offset : offset + limit]
    return [{"number": n, "name": e.name, "saved": e.file_name in saved} for n, e in enumerate(entries, start=offset)]


@router.get(
    "/gallery/{number}/thumbnail",
    response_class=Response,
    responses=PICTURE | response_bodies.NO_ENTRY | response_bodies.NO_PICTURE,
)
def thumbnail(number: int, state: StateOf) -> Response:
    """A small picture, JPEG."""
    _entry(state, number)
    return Response(
        state.gallery.thumbnail(number), media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
    )


@router.post("/gallery/{number}", status_code=201, responses=response_bodies.NO_ENTRY | response_bodies.NO_PICTURE)
def open_gallery(number: int, state: StateOf, model: ModelOf) -> response_bodies.Image:
    """Encode a picture of the gallery; its saved annotation is given as known labels."""
    entry = _entry(state, number)
    name, cached = state.keep(model, entry.content(), entry.name, entry.file_name)
    found = cached.session.given(cached.base or {}).predict()
    return response_bodies.Image(id=name, name=entry.name, **annotation_json(cached.base), **prediction_json(found))


def _saved(model: ServedModel) -> Collection[str | None]:
    """File names of pictures that have an annotation."""
    return () if model.annotations is None else model.annotations.saved()


def _entry(state: State, number: int) -> Entry:
    if not 0 <= number < len(state.gallery):
        raise HTTPException(404, f"the gallery has {len(state.gallery)} pictures, there is no number {number}")
    return state.gallery.entries[number]
