"""One recipe with several methods: each is trained and measured once, and written as it comes."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jaxtyping import Int
from torch import Tensor

from ctran import methods, registry
from ctran.analysis.compare import Clock, Comparison, Row, load, measure
from ctran.analysis.predict_table import predict_table
from ctran.data.loading import FeatureSet, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.errors import UserError
from ctran.evaluation.entries import SettingLogits
from ctran.evaluation.evaluate import predict
from ctran.folders.tagger import Tagger
from ctran.images.transforms import augmentation
from ctran.methods._base import MethodConfig, build
from ctran.training import wrong_keys
from ctran.training.extend import FINISHED
from ctran.training.fit import fit, fit_only
from ctran.training.fitting import check_fitting
from ctran.training.lock import RunFolderError
from ctran.training.pipeline import build_tables, build_tagger, training_device
from ctran.training.recipe import Recipe, RecipeError, read_run, recipe_of
from ctran.training.recipe_files import Keys
from ctran.training.run_folder import describe, write_json
from ctran.training.stored_features import cached_features, key_of_features
from ctran.training.unused import without_unused
from ctran.training.values import option_types

RESULTS = "comparison.json"
SECONDS = "training_seconds.json"
"""File of a run folder: how long its training took, over all calls."""
BATCH = 64
"""Test pictures whose labels are predicted together."""


def compare(keys: Keys, names: Sequence[str], seeds: int, folder: Path, budget: float | None = None) -> Iterator[Comparison]:
    """Train and measure every method with every seed, the first seed of all methods first; yields what is known after each.

    Rows that ``folder`` holds are kept, finished runs are measured without training again, interrupted ones are resumed. A
    method that cannot be trained with the recipe is left out, with the reason.

    Args:
        keys: of the recipe; those of ``model`` that all methods have, and flags, are for every method that has them, others for
            the recipe's own method.
        names: of methods; none for all that there are.
        seeds: how many, from the recipe's on.
        budget: seconds for each training, as :func:`ctran.training.fit.fit` takes it.

    Raises:
        UserError: an unknown method or key, a run that is in use, data that cannot be read, or rows of another recipe.
    """
    unusable: dict[str, str] = {}
    if names:
        for name in names:
            registry.find(methods, name)
    else:
        found = dict(registry.each(methods))
        unusable = {name: str(module) for name, module in found.items() if isinstance(module, UserError)}
        names = [name for name in found if name not in unusable]
    check_flags(keys)
    base = recipe_of(keys_of(_own(keys), keys))
    if base.training.devices * base.training.nodes > 1:
        raise UserError("ctran compare trains on one device: set training.devices and training.nodes to 1")
    tables = build_tables(base)
    settings = {str(s): float(100 * s.share if s.groups is None else s.groups) for s in base.evaluation.settings()}
    comparison = load(folder / RESULTS, about(keys, budget, tables["test"]), settings)
    before = {name: why for name, why in comparison.left_out.items() if name not in names}
    comparison = dataclasses.replace(comparison, left_out={**before, **unusable})
    for seed in range(base.seed, base.seed + seeds):
        for name in dict.fromkeys(names):
            if comparison.has(name, seed) or name in comparison.left_out:
                continue
            try:
                row = row_of(recipe_for(name, keys, seed, tables["train"]), tables, folder / f"{name}-{seed}", budget)
                comparison = dataclasses.replace(comparison, rows=[*comparison.rows, row])
                shown = " / ".join(f"{value:.1f}" for value in row.figures["mAP"])
                print(f"{name}, seed {seed}: mAP {shown}", file=sys.stderr, flush=True)
            except RunFolderError:
                raise
            except UserError as error:
                comparison = dataclasses.replace(comparison, left_out={**comparison.left_out, name: str(error)})
                print(f"{name}, seed {seed}: not compared: {error}", file=sys.stderr, flush=True)
            comparison.save(folder / RESULTS)
            yield comparison
    comparison.save(folder / RESULTS)
    yield comparison


def check_flags(keys: Keys) -> None:
    """Refuse a flag of ``model`` that no method has."""
    usable = {name: module for name, module in registry.each(methods) if not isinstance(module, UserError)}
    hints = {f"model.{option}": hint for module in usable.values() for option, hint in option_types(module.Config).items()}
    for key, (_, file) in keys.items():
        if key.startswith("model.") and file is None and key not in hints:
            raise RecipeError(wrong_keys.explain(key, hints, {"model": _own(keys)}))


def keys_of(name: str, keys: Keys) -> Keys:
    """Keys of the recipe for a method."""
    common, own = option_types(MethodConfig), option_types(registry.find(methods, name).Config)

    def is_for(key: str, file: Path | None) -> bool:
        part, _, option = key.partition(".")
        if part != "model" or (name == _own(keys) and file is not None):  # also what is wrong in the file is then named
            return True
        return option in own and (option in common or file is None)

    found = {key: (value, file) for key, (value, file) in keys.items() if is_for(key, file)}
    return found | {"method": (name, None)}


def recipe_for(name: str, keys: Keys, seed: int, train: SampleTable) -> Recipe:
    """The recipe with another method, without the keys that have no effect for it.

    Raises:
        UserError: the method cannot be trained with it.
    """
    recipe = dataclasses.replace(recipe_of(keys_of(name, keys)), seed=seed)
    model = build(name, recipe.model, train.labels)
    if not model.needs_epochs:
        recipe = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, epochs=0))
    recipe = without_unused(recipe, model, train.labels)
    check_fitting(recipe, model)
    return recipe


def row_of(recipe: Recipe, tables: Mapping[str, SampleTable], run: Path, budget: float | None = None) -> Row:
    """Train what is left to train, and measure on ``test``."""
    if not (run / "metrics.json").exists():
        store_features(recipe, tables)
        train(recipe, run, budget)
    return row_of_run(recipe, tables, run)


def row_of_run(recipe: Recipe, tables: Mapping[str, SampleTable], run: Path, clock: Clock = time.perf_counter) -> Row:
    """Measure a finished training on ``test``; ``clock`` as of :func:`ctran.analysis.compare.measure`."""
    tagger = Tagger.load(run, training_device(recipe.training))
    test = PictureSet(tables["test"], tagger.labels, tagger.preprocessing)
    truth, outputs = test_outputs(recipe, tagger, test)
    seconds = json.loads((run / SECONDS).read_text()) if (run / SECONDS).exists() else None
    return Row(
        recipe.method, recipe.seed, **measure(tagger, truth, outputs, test.image(0, 0)[None], clock), training_seconds=seconds
    )


def train(recipe: Recipe, run: Path, budget: float | None = None, *, evaluated: bool = True) -> None:
    """Train, or go on, and keep the time; it is unknown once a process was killed.

    Args:
        evaluated: False leaves out the run's own evaluation at the end.
    """
    resume, finished = (run / "recipe.yaml").exists(), (run / FINISHED).exists()
    before = json.loads((run / SECONDS).read_text()) if (run / SECONDS).exists() else None if resume else 0.0
    (run / SECONDS).unlink(missing_ok=True)
    started = time.time()
    try:
        run_fit = fit if evaluated else fit_only
        run_fit(read_run(run) if resume else recipe, run, resume=resume, budget=None if resume else budget)
    finally:
        if run.is_dir() and before is not None:
            end = (run / FINISHED).stat().st_mtime if (run / FINISHED).exists() else time.time()
            write_json(run / SECONDS, before if finished else before + max(0.0, end - started))


def store_features(recipe: Recipe, tables: Mapping[str, SampleTable]) -> None:
    """Store image features before the training, whose time is then the same whichever method comes first."""
    options, labels = recipe.training, tables["train"].labels
    tagger = build_tagger(recipe, labels, tables["train"].check_learnable().unlearnable)
    if options.feature_views and not tagger.model.cache_obstacle:
        key = key_of_features(tagger.model, tagger.preprocessing, options.augmentation)
        augment = augmentation(options.augmentation, tagger.preprocessing)
        for split, views in (("train", options.feature_views), ("val", 1)):
            seed = {"seed": recipe.seed} if split == "train" else {}
            data = PictureSet(tables[split], labels, tagger.preprocessing, augment if split == "train" else None, **seed)
            cached_features(tagger.model, data, views, split, key, training_device(options))


def test_outputs(recipe: Recipe, tagger: Tagger, test: PictureSet) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth and outputs in all settings, from stored image features where the recipe stores them."""
    options, evaluation = recipe.training, recipe.evaluation
    drawn = {"seed": evaluation.seed, "draws": evaluation.draws}
    if not options.feature_views:
        truth, outputs = predict_table(tagger, test.table, evaluation.settings(), what=recipe.method, **drawn)
        return truth.cpu(), [_on_cpu(output) for output in outputs]
    key = key_of_features(tagger.model, tagger.preprocessing, options.augmentation)
    features = FeatureSet(cached_features(tagger.model, test, 1, "test", key, tagger.device), test.truth)
    batches = (batch.to(tagger.device) for batch in loader(features, batch_size=BATCH))
    assumed = test.table.assumed_for(tagger.labels) if test.table.unlisted else None
    truth, outputs = predict(
        tagger.model, batches, test.table.ids, tagger.labels, evaluation.settings(), assumed=assumed, **drawn
    )
    return truth.cpu(), [_on_cpu(output) for output in outputs]


def _on_cpu(output: SettingLogits) -> SettingLogits:
    """The same in main memory."""
    shares, chosen = (None if each is None else each.cpu() for each in (output.shares, output.chosen))
    return dataclasses.replace(output, states=output.states.cpu(), logits=output.logits.cpu(), shares=shares, chosen=chosen)


def _own(keys: Keys) -> str:
    """The recipe's own method."""
    return str(keys.get("method", (methods.DEFAULT, None))[0])


def about(keys: Keys, budget: float | None, test: SampleTable) -> dict[str, str]:
    """What all rows of a comparison share, as text."""
    found = {key: str(value) for key, (value, _) in keys.items() if key != "seed"} | {"budget": str(budget)}
    data = describe(test)
    return found | {"test pictures": str(data["pictures"]), "digest of test": f"{data['ids']} {data['labels']} {data['truth']}"}
