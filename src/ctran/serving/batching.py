"""Requests of many clients, computed by the model in batches."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from ctran.inference.predictor import Predictor
from ctran.model import Features

MOST = {"predict": 64, "choose": 64, "encode": 4, "attention": 1, "heatmap": 1}
"""Rows of states (for probabilities or label sets), pictures, attention maps and heat maps in one batch when requests wait."""
_PREDICTIONS = ("predict", "choose")
"""Kinds of calls that are fast, and come before others."""
TURNS = 4
"""Batches of predictions after which a waiting call of another kind has its turn."""


class StoppingError(RuntimeError):
    """A call after :meth:`BatchedPredictor.close`."""


@dataclass(frozen=True)
class Job:
    """One call that waits for the model.

    Args:
        kind: calls of one kind can share a batch.
        size: rows of states, or pictures.
        inputs: arguments of the call.
        future: on which the caller waits.
    """

    kind: tuple[Any, ...]
    size: int
    inputs: tuple[Any, ...]
    future: "Future[Any]" = field(default_factory=Future)


class BatchedPredictor(Predictor):
    """A thread-safe predictor: a separate thread runs the model on batches of the calls that wait.

    No call waits for a batch to fill: a free model takes what is there, so a single client is served at once. Outputs differ
    from unbatched ones by rounding. Predictions come before other calls, which take longer, but not for ever
    (:data:`TURNS`).

    Args:
        predictor: the model.
        observe: called for each batch with its kind (a key of :data:`MOST`) and the number of calls that it held.
    """

    def __init__(self, predictor: Predictor, observe: Callable[[str, int], None] = lambda kind, calls: None) -> None:
        super().__init__(predictor.model, predictor.labels, predictor.preprocessing, predictor.calibration)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._observe = observe
        self._lock, self._closed = threading.Lock(), False
        self._turns = 0
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the calls that wait, then stop; later calls are refused."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)
        self._thread.join()

    def marginals(self, features: Features, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """As :meth:`Predictor.marginals`, batched with the calls of other threads."""
        kind = ("predict", features.rows_each(states), features.tokens.shape[1:])
        return self._ask(Job(kind, len(states), (features, states)))

    def choose(self, features: Features, states: Int[Tensor, "R L"]) -> Bool[Tensor, "R L"] | None:
        """As :meth:`Predictor.choose`, batched with the calls of other threads."""
        if not self.model.decodes:
            return None
        kind = ("choose", features.rows_each(states), features.tokens.shape[1:])
        return self._ask(Job(kind, len(states), (features, states)))

    def encode_images(self, squares: UInt8[Tensor, "B S S 3"]) -> Features:
        """As :meth:`Predictor.encode_images`, batched with the calls of other threads; many pictures in several batches."""
        parts = squares.split(MOST["encode"])
        return Features.join([self._ask(Job(("encode",), len(part), (part,))) for part in parts])

    def attention(self, features: Features, states: Int[Tensor, " L"]) -> Float[Tensor, "layers N N"]:
        """As :meth:`Predictor.attention`, in turn with the calls of other threads."""
        return self._ask(Job(("attention",), 1, (features, states)))

    def heatmap(
        self,
        square: UInt8[Tensor, "D D 3"],
        states: Int[Tensor, " L"],
        label: int,
        *,
        window: tuple[int, int] | None = None,
    ) -> Float[Tensor, "h w"]:
        """As :meth:`Predictor.heatmap`, in turn with the calls of other threads."""
        return self._ask(Job(("heatmap",), 1, (square, states, label, window)))

    def _ask(self, job: Job) -> Any:
        with self._lock:
            if self._closed:
                raise StoppingError("the server is stopping")
            self._jobs.put(job)
        return job.future.result()

    def _work(self) -> None:
        waiting, running = list[Job](), True
        while running or waiting:
            if running:
                running = self._collect(waiting)
            if waiting:
                batch = self._next(waiting)
                for job in batch:
                    waiting.remove(job)
                self._run(batch)

    def _collect(self, waiting: list[Job]) -> bool:
        """Add the calls that have come in; blocks only while ``waiting`` is empty. False after :meth:`close`."""
        while True:
            try:
                job = self._jobs.get(block=not waiting)
            except queue.Empty:
                return True
            if job is None:
                return False
            waiting.append(job)

    def _next(self, waiting: Sequence[Job]) -> list[Job]:
        """The oldest call whose turn it is, and others of its kind that fit the batch."""
        predictions = (job for job in waiting if job.kind[0] in _PREDICTIONS)
        others = (job for job in waiting if job.kind[0] not in _PREDICTIONS)
        first = next(others, None) if self._turns >= TURNS else next(predictions, None)
        first = first or waiting[0]  # nothing else waits
        self._turns = self._turns + 1 if first.kind[0] in _PREDICTIONS else 0
        free = MOST[first.kind[0]] - first.size
        chosen = [first]
        for job in waiting:
            if job is not first and job.kind == first.kind and job.size <= free:
                chosen.append(job)
                free -= job.size
        return chosen

    def _run(self, jobs: Sequence[Job]) -> None:
        self._observe(jobs[0].kind[0], len(jobs))
        try:
            fast = {"predict": self._predict, "choose": self._choose}
            kinds = fast | {"encode": self._encode, "attention": self._attention_maps, "heatmap": self._heatmaps}
            results = kinds[jobs[0].kind[0]](jobs)
        except BaseException as error:  # raised in the callers; the thread goes on
            for job in jobs:
                job.future.set_exception(error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.future.set_result(result)

    def _predict(self, jobs: Sequence[Job]) -> Sequence[Tensor]:
        features = Features.join([job.inputs[0] for job in jobs])
        found = super().marginals(features, torch.cat([job.inputs[1] for job in jobs]))
        return found.split([job.size for job in jobs])

    def _choose(self, jobs: Sequence[Job]) -> Sequence[Tensor]:
        features = Features.join([job.inputs[0] for job in jobs])
        found = super().choose(features, torch.cat([job.inputs[1] for job in jobs]))
        assert found is not None  # of a method that decodes
        return found.split([job.size for job in jobs])

    def _attention_maps(self, jobs: Sequence[Job]) -> list[Tensor]:
        return [super(BatchedPredictor, self).attention(*job.inputs) for job in jobs]

    def _heatmaps(self, jobs: Sequence[Job]) -> list[Tensor]:
        found = list[Tensor]()
        for square, states, label, window in (job.inputs for job in jobs):
            found.append(super().heatmap(square, states, label, window=window))
        return found

    def _encode(self, jobs: Sequence[Job]) -> list[Features]:
        features, first, parts = super().encode_images(torch.cat([job.inputs[0] for job in jobs])), 0, list[Features]()
        for job in jobs:
            part = features[first : first + job.size]
            parts.append(part.copy() if len(jobs) > 1 else part)  # a view would keep the whole batch in memory
            first += job.size
        return parts
