"""One shard of a collection: its rows predicted and written as one part file. What every way of starting a job calls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from ctran.collection import parts
from ctran.collection.decoding import Pictures
from ctran.collection.known_cells import KnownCells
from ctran.collection.options import Options
from ctran.collection.rows import Row, Shard
from ctran.collection.storage import join
from ctran.errors import UserError
from ctran.inference.prediction import Prediction
from ctran.inference.predictor import Predictor

PREDICTIONS, ERRORS = "predictions", "errors"
"""Folders of the output, and kinds of part files."""


@dataclass(frozen=True)
class Done:
    """What was done of a shard.

    Args:
        predicted: pictures that were predicted.
        failed: pictures that could not be.
        first: the first reason, where there is one.
    """

    predicted: int
    failed: int
    first: str = ""


@dataclass(frozen=True)
class Work:
    """A loaded model with what every shard of a job needs.

    Args:
        model: digest of its files, written with every row.
        fail_fast: stop at the first picture that cannot be predicted.
    """

    predictor: Predictor
    pictures: Pictures
    cells: KnownCells
    options: Options
    output: str
    model: str
    batch_size: int
    fail_fast: bool = False


def predict_shard(work: Work, shard: Shard, name: str, advance: Callable[[int], None] = lambda pictures: None) -> Done:
    """Predict the rows of a shard and write them as part file ``name``.

    Its errors, where there are any, are written first: a part file that is there is whole, with its errors.

    Args:
        advance: called with the number of rows of each batch that is done.

    Raises:
        UserError: a picture cannot be predicted, with ``fail_fast``.
    """
    options, failed = work.options, list[dict[str, str]]()

    def fail(row: Row, reason: str) -> None:
        if work.fail_fast:
            raise UserError(reason)
        failed.append({"id": parts.text(row.id), "where": parts.text(row.where), "reason": parts.text(reason)})

    predicted = 0
    with parts.part(join(work.output, f"{PREDICTIONS}/{name}"), options.form, PREDICTIONS, dense=options.dense) as part:
        for rows, (squares, broken) in work.pictures.decode(_batches(work, shard, fail)):
            good = [row for place, row in enumerate(rows) if place not in broken]
            for place, reason in broken.items():
                fail(rows[place], reason)
            if good:
                known = [row.known for row in good]
                found, present = work.predictor.decided(
                    work.predictor.encode_images(squares), known, threshold=options.threshold
                )
                for row, probabilities, labels in zip(good, found, present, strict=True):
                    part.add(_cells(work, row, probabilities, labels))
            predicted += len(good)
            advance(len(rows))
        if failed:
            with parts.part(join(work.output, f"{ERRORS}/{name}"), options.form, ERRORS) as errors:
                for each in failed:
                    errors.add(each)
    return Done(predicted, len(failed), failed[0]["reason"] if failed else "")


def _batches(work: Work, shard: Shard, fail: Callable[[Row, str], None]) -> Iterator[list[Row]]:
    """Batches of the rows that nothing is known to be wrong with."""
    batch: list[Row] = []
    try:
        for row in shard.rows(work.cells):
            if row.error:
                fail(row, row.error)
                continue
            batch.append(row)
            if len(batch) == work.batch_size:
                yield batch
                batch = []
    except UserError as error:
        if work.fail_fast:
            raise
        fail(Row(f"shard {shard.number}", f"shard {shard.number}"), str(error))
    if batch:
        yield batch


def _cells(work: Work, row: Row, probabilities: Float[Tensor, " L"], present: Bool[Tensor, " L"]) -> dict[str, object]:
    """One row of the output."""
    found: Prediction = work.predictor.named(probabilities, present, row.known, top=work.options.top)
    cells: dict[str, object] = {
        "id": parts.text(row.id),
        "labels": found.labels,
        "probabilities": {name: round(p, 6) for name, p in found.probabilities.items()},
        "known": found.known,
        "model": work.model,
    }
    if work.options.dense:
        labels = work.predictor.labels
        named = labels.targets | (work.predictor.labels.states(row.known) != 0)
        pairs = zip(probabilities.tolist(), named.tolist(), strict=True)
        cells["dense"] = [round(p, 6) if has else None for p, has in pairs]
    return cells
