"""The application: one model behind HTTP.

Pictures are looked at once and kept by id; what is known of them comes with each question, so that the server holds no
session of anybody.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from ctran.decoding import BrokenImageError, NotAPictureError
from ctran.inference.predictor import Predictor
from ctran.labels import UnknownLabelError
from ctran.serving import images, label_studio, studio
from ctran.serving.annotations import Annotations, BusyError
from ctran.serving.batching import StoppingError
from ctran.serving.gallery import Gallery
from ctran.serving.merging import ConflictError
from ctran.serving.middleware import RETRY_AFTER, Gate, TooLargeError
from ctran.serving.settings import Settings
from ctran.serving.state import State, StateOf
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
) -> FastAPI:
    """The application of one model.

    Args:
        predictor: from :func:`ctran.load`.
        gallery: pictures that the page starts with.
        annotations: folder that saved answers go to.
        version: which model this is, for those who keep its predictions.
    """
    settings = settings or Settings()
    state = State(predictor, settings, gallery or Gallery([]), annotations, version)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.in_flight + 8
        yield
        await asyncio.to_thread(state.close)

    app = FastAPIOffline(title="ctran", version=__version__, description=__doc__ or "", lifespan=lifespan)
    app.state.ctran = state
    secured = [] if settings.token is None else [Security(HTTPBearer(auto_error=False))]  # Gate checks it; this tells /docs
    for router in (images.router, studio.router, studio.page, label_studio.router, upkeep):
        app.include_router(router, dependencies=secured)
    app.mount("/static", StaticFiles(directory=studio.STATIC), name="static")
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConflictError, _conflict)
    for error, status in STATUS.items():
        app.add_exception_handler(error, _handler(status))
    app.add_middleware(Gate, settings=settings, metrics=state.metrics)
    if "*" not in settings.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts), www_redirect=False)
    return app


async def _conflict(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ConflictError)
    conflicts = [{"yours": dict(each.yours), "saved": dict(each.saved)} for each in error.conflicts]
    return JSONResponse({"detail": str(error), "conflicts": conflicts, "saved": dict(error.saved)}, 409)


STATUS: dict[type[Exception], int] = {
    ForgottenError: 404,
    TooLargeError: 413,
    NotAPictureError: 415,
    BrokenImageError: 422,
    UnknownLabelError: 422,
    ValueError: 422,
    BusyError: 503,
    StoppingError: 503,
}


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong where, without what was sent, which may be large or no JSON (NaN)."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()]}, 422)


def _handler(status: int) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 503 else None
        text = str(error).encode("utf-8", "backslashreplace").decode()  # names in it may be half a character
        return JSONResponse({"detail": text}, status, headers)

    return handle


@upkeep.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@upkeep.get("/metrics", response_class=PlainTextResponse)
async def metrics(state: StateOf) -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
