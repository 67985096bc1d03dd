"""A trained model evaluated: on a table of pictures, beside its parts, and at the end of a run."""

from dataclasses import asdict, replace
from pathlib import Path

from ctran import plots
from ctran.analysis.candidates import candidates, markdown
from ctran.analysis.predict_table import predict_table
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import report
from ctran.evaluation.report import Report
from ctran.files import write_text
from ctran.folders.card import model_card
from ctran.folders.tagger import Tagger
from ctran.training.matching import match_labels, own_decoder
from ctran.training.options import Evaluation
from ctran.training.pipeline import training_device
from ctran.training.recipe import Recipe
from ctran.training.run_folder import write_json, write_metrics

CANDIDATES = "candidates.md"
"""In a run folder: what each part of the method predicts alone."""


def evaluate_run(
    tagger: Tagger,
    table: SampleTable,
    options: Evaluation,
    *,
    split: str = "test",
    batch_size: int = 32,
    intervals: int = 0,
    workers: int = 0,
) -> Report:
    """Evaluate a model on a table of pictures, with images read from it.

    Args:
        options: known labels of each setting, number of draws, and additional published metrics.
        split: name of the table in the report.
        intervals: replicates of the bootstrap over pictures; 0 for no intervals.
        workers: processes that read pictures.
    """
    coverage = match_labels(tagger.labels, table.labels)
    truth, outputs = predict_table(
        tagger,
        table,
        options.settings(),
        seed=options.seed,
        draws=options.draws,
        batch_size=batch_size,
        workers=workers,
        what="evaluating",
    )
    found = report(
        truth,
        outputs,
        tagger.labels,
        presets=options.presets,
        intervals=intervals,
        left_out={**tagger.unlearnable.reasons, **coverage.left_out},
        decoder=own_decoder(tagger),
    )
    coverage = replace(found.coverage, foreign=coverage.foreign, hints=coverage.hints)
    return replace(found, split=split, seed=options.seed, coverage=coverage, unlisted=table.unlisted)


def compare_parts(tagger: Tagger, val: SampleTable, recipe: Recipe, run: Path) -> None:
    """Write what each part of a method predicts alone, if it has parts (``candidates.json``, ``candidates.md``)."""
    options = recipe.evaluation
    found = candidates(tagger, val, options.settings(), seed=options.seed, left_out=tagger.unlearnable.reasons)
    if found:
        write_json(run / "candidates.json", [asdict(each) for each in found])
        write_text(run / CANDIDATES, markdown(found, options.settings(), len(val)))


def finish(recipe: Recipe, run: Path, tables: dict[str, SampleTable]) -> Report:
    """Compare the best model with its parts on ``val`` and evaluate it on ``test``, on the device it was trained on; write
    metrics and the page of predictions."""
    tagger, test = Tagger.load(run, training_device(recipe.training)), tables["test"]
    compare_parts(tagger, tables["val"], recipe, run)
    found = evaluate_run(tagger, test, recipe.evaluation)
    write_metrics(found, run / "metrics")
    write_text(run / "model" / "README.md", model_card(tagger, source=recipe.source, report=found))
    plots.contact_sheet(tagger, test, run / "predictions.png")
    return found
