"""Load the model folder again beside the running model, then replace that: ``POST /v1/reload``, and SIGHUP."""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import torch
from fastapi import APIRouter, HTTPException, Request

from ctran.errors import UserError
from ctran.inference.predictor import Predictor
from ctran.labelling.rows import BusyError
from ctran.serving import response_bodies
from ctran.serving.models import RELOAD
from ctran.serving.state import State

log = logging.getLogger(__name__)
router = APIRouter(tags=["upkeep"])


class Loaded(NamedTuple):
    """A model that was read from its folder.

    Args:
        predictor: the model.
        version: name of the folder and digest of the files.
    """

    predictor: Predictor
    version: str


class ReloadError(UserError):
    """The folder cannot replace the model; the one that runs stays."""


class Reloader:
    """Replaces the model of a server by the one that is in its folder now.

    Args:
        load: reads the folder; raises UserError or OSError where it cannot be read.
    """

    def __init__(self, state: State, load: Callable[[], Loaded] | None) -> None:
        self.state, self._load = state, load
        self._lock = threading.Lock()
        self._wanted = threading.Event()

    def reload(self) -> response_bodies.Reloaded:
        """Load, try and replace. The model that runs goes on meanwhile, so that both are in memory for a while.

        Raises:
            ReloadError: the folder cannot be read, or its model does not work; the old model stays.
            BusyError: another reload is in progress.
        """
        if self._load is None:
            raise ReloadError("this server was not started from a model folder (ctran serve), so it cannot load one again")
        if not self._lock.acquire(blocking=False):
            raise BusyError("the model is being loaded already: try again when that is done")
        try:
            return self._replaced(self._load)
        except BaseException as error:
            self.state.metrics.reloads.labels("failed").inc()
            if isinstance(error, (UserError, OSError)):
                version = self.state.models.current.version
                raise ReloadError(f"{error}. The model {version} stays in use") from None
            raise
        finally:
            self._lock.release()

    def _replaced(self, load: Callable[[], Loaded]) -> response_bodies.Reloaded:
        new = load()
        _try_out(new.predictor)
        old = self.state.replace(new.predictor, new.version)
        self.state.metrics.reloads.labels("loaded").inc()
        before, after = (set(model.labels.names) for model in (old.predictor, new.predictor))
        found = response_bodies.Reloaded(
            version=new.version, previous=old.version, added=sorted(after - before), removed=sorted(before - after)
        )
        log.warning("loaded %s in place of %s", new.version, old.version)
        return found

    def in_background(self) -> None:
        """As :meth:`reload`, in a thread; the log has the outcome. A call during a load makes one more follow it."""
        self._wanted.set()
        threading.Thread(target=self._work, name="reload", daemon=True).start()

    def _work(self) -> None:
        while self._wanted.is_set():
            if not self._lock.acquire(timeout=1):  # of a request
                continue
            self._lock.release()
            self._wanted.clear()
            try:
                self.reload()
            except BusyError:
                self._wanted.set()
            except UserError as error:
                log.error("the model was not loaded again: %s", error)
            except Exception:
                log.exception("the model was not loaded again")


def _try_out(predictor: Predictor) -> None:
    """Predict an empty picture, so that a model that cannot compute replaces none, and the first request does not wait.

    Raises:
        ReloadError: it fails, or its probabilities are not numbers.
    """
    side = predictor.preprocessing.size
    try:
        features = predictor.encode_images(torch.zeros(1, side, side, 3, dtype=torch.uint8))
        found = predictor.marginals(features, torch.zeros(1, len(predictor.labels), dtype=torch.long))
    except Exception as error:  # runtimes and methods raise various ones
        raise ReloadError(f"the new model fails at a first picture ({type(error).__name__}: {error})") from error
    if not bool(found.isfinite().all()):
        raise ReloadError("the new model predicts values that are not numbers")


@router.post(
    RELOAD,
    responses=response_bodies.problems(_409="the folder cannot be loaded: it says why, and the old model stays in use"),
)
def reload(request: Request) -> response_bodies.Reloaded:
    """Load the model's folder again and use it from now on. Requests in progress are answered by the model they began with."""
    try:
        return request.app.state.reloader.reload()
    except ReloadError as error:
        raise HTTPException(409, str(error)) from None
