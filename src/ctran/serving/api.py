"""The application: one model behind HTTP.

Pictures are encoded once and kept by id. Each request carries the known labels, so the server keeps no sessions.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.cors import CORSMiddleware

from ctran.errors import UserError
from ctran.images.reading import BrokenImageError, NotAPictureError
from ctran.inference.predictor import Predictor
from ctran.serving import docs, images, label_studio, schemas, studio
from ctran.serving.annotations import Annotations, BusyError
from ctran.serving.batching import StoppingError
from ctran.serving.gallery import Gallery
from ctran.serving.merging import ConflictError
from ctran.serving.middleware import RETRY_AFTER, Gate, TooLargeError
from ctran.serving.settings import Settings
from ctran.serving.state import State, StateOf
from ctran.serving.store import ForgottenError
from ctran.version import __version__

SHOWN = 20
"""Validation errors of one request that are listed."""

upkeep = APIRouter(tags=["upkeep"])


def create_app(
    predictor: Predictor,
    settings: Settings | None = None,
    *,
    gallery: Gallery | None = None,
    annotations: Annotations | None = None,
    version: str = "ctran",
) -> FastAPI:
    """The application of one model.

    Args:
        predictor: from :func:`ctran.load`.
        gallery: pictures that the page starts with.
        annotations: folder in which annotations are saved.
        version: of the model, for Label Studio, which stores its predictions.
    """
    settings = settings or Settings()
    state = State(predictor, settings, Gallery([]) if gallery is None else gallery, annotations, version)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.in_flight + 8
        yield
        await asyncio.to_thread(state.close)

    app = FastAPI(
        title="ctran",
        version=__version__,
        description=__doc__ or "",
        lifespan=lifespan,
        docs_url=None,  # docs.py serves them, offline and below any path
        redoc_url=None,
        servers=[{"url": "."}],
    )
    app.state.ctran = state
    secured = [] if settings.token is None else [Security(HTTPBearer(auto_error=False))]  # Gate checks it; /docs shows it
    for router in (images.router, studio.router, studio.page, label_studio.router, upkeep):
        app.include_router(router, dependencies=secured, responses=schemas.ERRORS)
    docs.add(app)
    app.mount("/static", StaticFiles(directory=studio.STATIC), name="static")
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConflictError, _conflict)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _handler(status))
    app.add_middleware(Gate, settings=settings, metrics=state.metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-File-Name"],
            expose_headers=["Retry-After"],
        )
    return app


async def _conflict(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConflictError)
    conflicts = [{"yours": dict(each.yours), "saved": dict(each.saved)} for each in error.conflicts]
    return JSONResponse({"detail": str(error), "conflicts": conflicts, "saved": dict(error.saved)}, 409)


_STATUS: dict[type[Exception], int] = {
    ForgottenError: 404,
    TooLargeError: 413,
    NotAPictureError: 415,
    BrokenImageError: 422,
    UserError: 422,
    BusyError: 503,
    StoppingError: 503,
}


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Validation errors without the values that were sent, which may be large or not JSON (NaN)."""
    assert isinstance(error, RequestValidationError)
    found = [
        {
            "loc": [part if isinstance(part, int) else _readable(str(part), 100) for part in each["loc"]],
            "msg": _readable(str(each["msg"]), 300),
            "type": each["type"],
        }
        for each in error.errors()[:SHOWN]
    ]
    return JSONResponse({"detail": found}, 422)


def _handler(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        return JSONResponse({"detail": _readable(str(error), 1000)}, status, headers)

    return handle


def _readable(text: str, most: int) -> str:
    """About ``most`` characters, without the middle; lone surrogates, which UTF-8 lacks, are escaped."""
    text = text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()


@upkeep.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the server is up."""
    return {"status": "ok"}


@upkeep.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(state: StateOf) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
