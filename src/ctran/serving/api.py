"""The application: one model behind HTTP.

Pictures are encoded once and kept by id. Each request carries the known labels, so the server keeps no sessions.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from ctran.errors import UserError
from ctran.images.reading import BrokenImageError, NotAPictureError
from ctran.inference.predictor import Predictor
from ctran.labelling.merging import ConflictError
from ctran.labelling.rows import BusyError
from ctran.serving import docs, images, label_studio, reload, response_bodies, studio
from ctran.serving.annotations import Annotations
from ctran.serving.batching import StoppingError
from ctran.serving.gallery import Gallery
from ctran.serving.metrics import Metrics
from ctran.serving.middleware import RETRY_AFTER, Gate, TooLargeError
from ctran.serving.models import HEADER, Pinned
from ctran.serving.refused import explain, readable
from ctran.serving.reload import Loaded
from ctran.serving.settings import Settings
from ctran.serving.state import State
from ctran.serving.store import ForgottenError
from ctran.version import __version__

upkeep = APIRouter(tags=["upkeep"])


def create_app(
    predictor: Predictor,
    settings: Settings | None = None,
    *,
    gallery: Gallery | None = None,
    annotations: Annotations | None = None,
    version: str = "ctran",
    load: Callable[[], Loaded] | None = None,
) -> FastAPI:
    """The application of one model.

    Args:
        predictor: from :func:`ctran.load`.
        gallery: pictures that the page starts with.
        annotations: folder in which annotations are saved.
        version: of the model, for Label Studio, which stores its predictions.
        load: reads the model again, for ``POST /v1/reload``; None refuses that.
    """
    settings = settings or Settings()
    state = State(predictor, settings, Gallery([]) if gallery is None else gallery, annotations, version)
    routers = (images.router, studio.router, studio.page, label_studio.router, reload.router)
    within = [Middleware(Pinned, models=state.models)]
    app = application(settings, state.metrics, routers, close=state.close, description=__doc__ or "", within=within)
    app.state.ctran, app.state.reloader = state, reload.Reloader(state, load)
    return app


def application(
    settings: Settings,
    metrics: Metrics,
    routers: Sequence[APIRouter],
    *,
    close: Callable[[], None],
    description: str,
    start: Callable[[], None] = lambda: None,
    within: Sequence[Middleware] = (),
) -> FastAPI:
    """An application of these endpoints, with what every server here has: limits, access, metrics, documentation, errors.

    Args:
        start, close: called when the server begins, and when its last request is finished.
        description: of the API.
        within: middleware for requests that are allowed and whole.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.in_flight + 8
        await asyncio.to_thread(start)
        yield
        await asyncio.to_thread(close)

    app = FastAPI(
        title="ctran",
        version=__version__,
        description=description,
        lifespan=lifespan,
        middleware=within,
        docs_url=None,  # docs.py serves them, offline and below any path
        redoc_url=None,
        servers=[{"url": "."}],
    )
    app.state.metrics = metrics
    secured = [] if settings.token is None else [Security(HTTPBearer(auto_error=False))]  # Gate checks it; /docs shows it
    for router in (*routers, upkeep):
        app.include_router(router, dependencies=secured, responses=response_bodies.ERRORS)
    docs.add(app)
    app.mount("/static", StaticFiles(directory=studio.STATIC), name="static")
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConflictError, _conflict)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _handler(status))
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-File-Name"],
            expose_headers=["Retry-After", HEADER],
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
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": explain(error, request.headers.get("content-type", ""))}, 422)


def _handler(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        return JSONResponse({"detail": readable(str(error), 1000)}, status, headers)

    return handle


@upkeep.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the server is up."""
    return {"status": "ok"}


@upkeep.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
