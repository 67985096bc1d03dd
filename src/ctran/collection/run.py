"""Run a job on this machine: what is not there yet is predicted, shard after shard."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context

from ctran.collection import storage
from ctran.collection.decoding import Pictures
from ctran.collection.find_input import find_input
from ctran.collection.known_cells import KnownCells
from ctran.collection.options import Job
from ctran.collection.plan import Plan, check_places, claim, finished, model_digest, part_name, plan
from ctran.collection.predict_shard import PREDICTIONS, Done, Work, predict_shard
from ctran.collection.rows import Input, Shard
from ctran.collection.storage import join
from ctran.devices import devices
from ctran.errors import UserError
from ctran.folders.exported import Exported, load
from ctran.inference.many import BATCH, PictureReader, checked
from ctran.inference.predictor import Predictor
from ctran.progress import bar

ON_GPU = 64
"""Pictures of a batch on a GPU by default."""


@dataclass(frozen=True)
class Summary:
    """What a start of a job did.

    Args:
        predicted, failed: pictures, in this start.
        parts: part files of this start's share of the job.
        before: those of them that were there already.
        failed_before: those of these that have errors.
        first: the first reason of a failure in this start.
    """

    predicted: int
    failed: int
    parts: int
    before: int
    failed_before: int
    first: str = ""

    @property
    def has_errors(self) -> bool:
        """Whether some picture of this share could not be predicted."""
        return bool(self.failed or self.failed_before)


@dataclass(frozen=True)
class Prepared:
    """A job that has been checked and planned."""

    work: Work
    source: Input
    planned: Plan


def open_model(job: Job) -> Predictor:
    """The model of a job.

    Raises:
        UserError: no model folder, or ``fast`` of an exported one.
    """
    loaded = load(job.run, job.device)
    if not job.options.fast:
        return loaded
    if isinstance(loaded, Exported):
        raise UserError(f"--fast: {job.run} is exported, so how fast it is was settled then (ctran export --int8)")
    folder, quick = loaded.folder, loaded.fast()
    quick.folder = folder
    return quick


def make_work(job: Job, predictor: Predictor) -> Work:
    """What every shard needs.

    Raises:
        UserError: known labels or a threshold that do not fit the model.
    """
    options = job.options
    default = checked(options.known, predictor.labels)
    predictor.decoder.thresholds(options.threshold)
    reader = PictureReader(predictor.preprocessing, options.truncated, options.white)
    size = job.batch_size or (BATCH if predictor.device.type == "cpu" else ON_GPU)
    cells = KnownCells(predictor.labels, options.columns, default)
    pictures = Pictures(reader, job.workers)
    return Work(predictor, pictures, cells, options, job.output, model_digest(predictor), size, job.fail_fast)


def prepare(job: Job) -> Prepared:
    """Load the model, list the input, and claim the output.

    Raises:
        UserError: something does not fit; the message has what, and what to do.
    """
    check_places(job)
    work = make_work(job, open_model(job))
    source = find_input(job, work.cells)
    planned = plan(job, source, work.predictor)
    claim(job, planned)
    return Prepared(work, source, planned)


def run(job: Job) -> Summary:
    """Predict what is not there yet of a job's share, on every GPU of this machine; what was done before costs the listing.

    Raises:
        UserError: something does not fit; or a picture cannot be predicted, with ``fail_fast``.
    """
    gpus = [name for name in devices() if name.startswith("cuda")]
    if job.device == "auto" and len(gpus) > 1:
        return run_on_each(job, gpus)
    prepared = prepare(job)
    mine, todo, with_errors = left(job, prepared.planned)
    done: list[Done] = []
    with Meter(prepared.planned, mine, todo) as meter:
        for shard, name in shards(prepared, todo):
            done.append(predict_shard(prepared.work, shard, name, meter.advance))
            meter.finished(shard)
    storage.remove_old_leftovers(join(job.output, PREDICTIONS))
    return summary(prepared.planned, mine, todo, with_errors, done)


def run_on_each(job: Job, names: Sequence[str]) -> Summary:
    """The same with a process for each of several devices, which share the shards.

    Raises:
        UserError: as :func:`run`, or a process was killed.
    """
    check_places(job)
    number, of = job.part
    jobs = [replace(job, device=name, part=(number + of * k, of * len(names))) for k, name in enumerate(names)]
    if job.retry_errors:  # by this process, before the others look what is there
        finished(job, prepare(replace(job, device="cpu")).planned)
        jobs = [replace(each, retry_errors=False) for each in jobs]
    try:
        with ProcessPoolExecutor(len(names), mp_context=get_context("spawn")) as pool:
            found = list(pool.map(run, jobs))
    except BrokenProcessPool:
        raise UserError(
            "the process of one device has ended, mostly for want of memory: try a smaller --batch-size. Finished parts are "
            "kept: start the same command again"
        ) from None
    totals = {
        key: sum(getattr(each, key) for each in found) for key in ("predicted", "failed", "parts", "before", "failed_before")
    }
    return Summary(**totals, first=next((each.first for each in found if each.first), ""))


def left(job: Job, planned: Plan) -> tuple[range, list[int], set[str]]:
    """Numbers of the shards that this start is for, of those of them that are not there yet, and parts that have errors."""
    number, of = job.part
    mine = range(number - 1, len(planned.names), of)
    there, with_errors = finished(job, planned)
    return mine, [number for number in mine if planned.names[number] not in there], with_errors


def shards(prepared: Prepared, todo: list[int]) -> Iterator[tuple[Shard, str]]:
    """The shards with these numbers, and the names of their parts.

    Raises:
        UserError: the input changed since it was planned.
    """
    wanted = set(todo)
    for shard in prepared.source.shards() if todo else ():
        if shard.number in wanted:
            name = part_name(shard, prepared.planned.base, prepared.work.options.form)
            if name != prepared.planned.names[shard.number]:
                raise UserError("the input has changed since this command began: start it again, with a new --output")
            yield shard, name


def summary(planned: Plan, mine: range, todo: list[int], with_errors: set[str], done: list[Done]) -> Summary:
    """Totals of a start."""
    reasons = [each.first for each in done if each.first]
    return Summary(
        sum(each.predicted for each in done),
        sum(each.failed for each in done),
        len(mine),
        len(mine) - len(todo),
        sum(planned.names[number] in with_errors for number in mine),
        reasons[0] if reasons else "",
    )


class Meter:
    """Progress in pictures; where their number is not known, it is estimated from bytes."""

    def __init__(self, planned: Plan, mine: range, todo: list[int]) -> None:
        self.planned, self.mine, self.todo = planned, mine, todo
        self.seen = self.bytes = 0
        self._open = ExitStack()
        self._advance: Callable[..., None] = lambda steps, total=None: None

    @property
    def total(self) -> int:
        """Pictures of the share, as far as is known."""
        rate = self.seen / self.bytes if self.bytes else 0
        pairs = [(self.planned.pictures[number], self.planned.sizes[number]) for number in self.mine]
        return round(sum(rate * size if pictures is None else pictures for pictures, size in pairs))

    def __enter__(self) -> "Meter":
        self._advance = self._open.enter_context(bar("predicting", self.total, "pictures"))
        there = set(self.mine) - set(self.todo)
        self._advance(sum(self.planned.pictures[number] or 0 for number in there))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def advance(self, pictures: int) -> None:
        """Count pictures that are done."""
        self.seen += pictures
        self._advance(pictures)

    def finished(self, shard: Shard) -> None:
        """A shard is done: the estimate becomes better."""
        self.bytes += shard.size
        self._advance(0, self.total)
