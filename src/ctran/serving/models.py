"""The model behind the server: which one a request uses, and its replacement while requests go on."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ctran.errors import UserError
from ctran.inference.predictor import Predictor
from ctran.serving.annotations import Annotations
from ctran.serving.batching import BatchedPredictor
from ctran.serving.guard import is_open

HEADER = "Ctran-Model"
"""Header of responses: the version, percent-encoded, of the model that computed them."""
RELOAD = "/v1/reload"
_PINNED = "ctran.model"


class ServedModel:
    """One model, and what depends on its labels.

    Args:
        predictor: the model; calls of many requests share batches.
        annotations: where annotations are saved, restricted to the model's labels; None saves none.
        version: name of the folder and digest of the files.
    """

    def __init__(self, predictor: BatchedPredictor, annotations: Annotations | None, version: str) -> None:
        self.predictor, self.annotations, self.version = predictor, annotations, version
        self.users, self.replaced = 0, False

    def contradicts(self, known: Mapping[str, bool]) -> bool:
        """Whether these labels contradict each other."""
        try:
            self.predictor.labels.states(known)
        except UserError:
            return True
        return False


class Models:
    """The model that new requests use. A replaced one is closed when the last request that uses it has its response.

    Args:
        first: the model at the start.
        observe: of :class:`BatchedPredictor`, for each model.
    """

    def __init__(
        self,
        first: Predictor,
        annotations: Annotations | None,
        version: str,
        observe: Callable[[str, int], None] = lambda kind, calls: None,
    ) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self.current = ServedModel(BatchedPredictor(first, observe), annotations, version)
        self._replaced = set[ServedModel]()

    @contextmanager
    def lease(self) -> Iterator[ServedModel]:
        """The current model, which stays open within the block whatever replaces it."""
        with self._lock:
            model = self.current
            model.users += 1
        try:
            yield model
        finally:
            with self._lock:
                model.users -= 1
                unused = model.replaced and not model.users
                self._replaced -= {model} if unused else set()
            if unused:
                model.predictor.close()

    def replace(self, predictor: Predictor, version: str) -> ServedModel:
        """Make this the model of all later requests.

        Returns:
            The model before.

        Raises:
            AnnotationError: the saved annotations cannot be read; the model is not replaced.
        """
        annotations = self.current.annotations
        if annotations is not None:  # restricted to the new labels; both may write, as two servers may
            annotations = Annotations(annotations.folder, predictor.labels.names)
        new = ServedModel(BatchedPredictor(predictor, self._observe), annotations, version)
        with self._lock:
            old, self.current = self.current, new
            old.replaced, unused = True, not old.users
            if not unused:
                self._replaced.add(old)
        if unused:
            old.predictor.close()
        return old

    def close(self) -> None:
        """Finish the calls that wait, then refuse."""
        with self._lock:
            models = (self.current, *self._replaced)
        for model in models:
            model.predictor.close()


class Pinned:
    """Middleware that gives a request one model from its start to the end of its response, and names it in the header."""

    def __init__(self, app: ASGIApp, models: Models) -> None:
        self.app, self.models = app, models

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_open(scope["path"]) or scope["path"] in ("/metrics", RELOAD):
            await self.app(scope, receive, send)
            return
        with self.models.lease() as model:
            scope[_PINNED] = model
            name = (HEADER.lower().encode(), quote(model.version, safe="").encode())

            async def named(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), name]}
                await send(message)

            await self.app(scope, receive, named)


def pinned(scope: Scope) -> ServedModel:
    """The model of this request."""
    return scope[_PINNED]
