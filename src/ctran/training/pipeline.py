"""From a recipe to what a trainer needs: model, labels, loaders."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from ctran import methods, registry
from ctran.data import reading, sources
from ctran.data.coverage import Unlearnable
from ctran.data.doubts import warn_of_tables
from ctran.data.loading import Batch, EpochOrder, FeatureSet, PictureSet, loader, seed_of
from ctran.data.table import DataError, SampleTable
from ctran.data.truth import SparseTruth, prevalence
from ctran.devices import find_device
from ctran.errors import UserError, nearest
from ctran.folders.config import config_of, tuples
from ctran.folders.tagger import Tagger
from ctran.images.transforms import augmentation
from ctran.labels import LabelSpace
from ctran.methods._base import build as build_method
from ctran.methods._base import preprocessing
from ctran.model import Method
from ctran.model.image_size import at_this_size, check_image_size
from ctran.model.pretrained import load_weights
from ctran.training.fitting import check_fitting, fit_features
from ctran.training.group import ALONE, Group
from ctran.training.options import VAL_BATCH, Training
from ctran.training.recipe import Recipe, read_run
from ctran.training.stored_features import cached_features, key_of_features
from ctran.training.unlisted import check_unlisted
from ctran.training.unused import is_set, refuse_unused

STORED = "on stored image tokens, which are computed in bfloat16 where that is faster"
"""How validation is computed with ``feature_views``, for the messages that print its figures."""


@dataclass
class Ingredients:
    """Everything that training needs, built from a recipe alone."""

    tables: dict[str, SampleTable]
    tagger: Tagger
    train: DataLoader[Batch]
    val: DataLoader[Batch]
    order: EpochOrder
    fit_seconds: float = 0.0
    """Of a fit to all training pictures at once, for methods that have one."""

    @property
    def labels(self) -> LabelSpace:
        return self.tagger.labels


def build_tables(recipe: Recipe) -> dict[str, SampleTable]:
    """The source's tables with the recipe's groups, extra labels and implications; labels that these add are named on stderr.

    Raises:
        DataError: truth that violates an exclusive group.
    """
    read = reading.apply(reading.build(registry.find(sources, recipe.source), recipe.data), recipe.data)
    found = read["train"].labels
    try:
        labels = recipe.labels.of(found)
    except UserError as error:
        raise DataError(str(error)) from None
    for name in recipe.labels.added(found):
        print(
            f"labels.implications: {name!r} is a new label, which no picture lists{nearest(name, found.names)}", file=sys.stderr
        )
    tables = {split: dataclasses.replace(table, labels=labels) for split, table in read.items()}
    for table in tables.values():
        _ = table.truth  # checks exclusive groups
    warn_of_tables(tables)
    return tables


def tables_of_run(run: Path, root: str | None = None) -> dict[str, SampleTable]:
    """All splits of a run's data; ``root`` if they have moved since training."""
    return build_tables(read_run(run, ["--data.root", root] if root else []))


def build_tagger(recipe: Recipe, labels: LabelSpace, unlearnable: Unlearnable | None = None) -> Tagger:
    """The recipe's model at the start of training: random or inherited weights, pretrained backbone.

    Args:
        unlearnable: labels without positive, or without negative, training pictures; those that the model to start from has
            learned are removed.
    """
    check_image_size(recipe.model.backbone, recipe.model.image_size)
    torch.manual_seed(seed_of(recipe.seed, 0))
    module = build_method(recipe.method, recipe.model, labels)
    old = Tagger.load(recipe.training.init_from, "cpu") if recipe.training.init_from is not None else None
    prepared = preprocessing(recipe.model, module.backbone)
    if old is not None:  # a converted model may expect other values than its backbone's own weights do
        prepared = dataclasses.replace(prepared, mean=old.preprocessing.mean, std=old.preprocessing.std)
    config = config_of(recipe.method, recipe.model, prepared)
    if unlearnable is not None and old is not None:
        unlearnable = unlearnable.without(set(old.labels.names) - old.unlearnable.names)
    if unlearnable is not None and unlearnable.names:
        config["unlearnable"] = unlearnable.as_dict()
    tagger = Tagger(module, labels, config, prepared)
    if old is not None:
        if fresh := inherit(tagger, old):
            print(f"labels that start afresh: {', '.join(fresh)}", file=sys.stderr)
        if replaced := [key for key in ("model.weights", "training.prior_bias") if is_set(recipe, key)]:
            print(f"{' and '.join(replaced)} not used: all weights are those of training.init_from", file=sys.stderr)
    else:
        load_weights(module.backbone, recipe.model.weights)
    return tagger


def inherit(new: Tagger, old: Tagger) -> list[str]:
    """Copy weights from ``old``: all that do not depend on the labels, and those of labels with the same name.

    Returns the names of labels that start afresh.

    Raises:
        ValueError: the two models differ in more than their labels.
    """
    (method, options), (their_method, their_options) = _weights_of(new), _weights_of(old)
    may_differ = registry.find(methods, method).Config.may_differ
    pairs = {k: (v, their_options.get(k)) for k, v in options.items() if k not in may_differ}
    other = [f"{k} {mine!r} here, {theirs!r} there" for k, (mine, theirs) in pairs.items() if mine != theirs]
    if method != their_method:
        other.insert(0, f"method {method!r} here, {their_method!r} there")
    if other:
        raise UserError(f"training.init_from: the model's options must be those of the folder it starts from: {other[0]}")
    new.model.take_sizes(old.model.state_dict())
    ours = new.model.state_dict()
    theirs = at_this_size(new.model.backbone.network, old.model.state_dict(), "backbone.network.")
    rows = [(new.labels.index_of[n], old.labels.index_of[n]) for n in new.labels.names if n in old.labels.index_of]
    to, at = torch.tensor([r[0] for r in rows], dtype=torch.long), torch.tensor([r[1] for r in rows], dtype=torch.long)
    for name, mine in ours.items():
        if name in new.model.statistics:  # they depend on the data: fit_statistics writes them
            continue
        other = theirs[name]
        if name in new.model.label_parameters:
            mine[to] = other[at]
        elif name in new.model.label_matrices:
            mine[to[:, None], to] = other[at[:, None], at]
        elif mine.shape != other.shape:
            raise UserError(
                f"training.init_from: {name} has shape {tuple(other.shape)} there, {tuple(mine.shape)} here: "
                f"set model.image_size {old.config['model']['image_size']}, as there"
            )
        else:
            mine.copy_(other)
    return [n for n in new.labels.names if n not in old.labels.index_of]


def _weights_of(tagger: Tagger) -> tuple[str, dict[str, Any]]:
    """The method that a model's weights belong to, and its options."""
    config = registry.find(methods, tagger.config["method"]).Config(**tuples(tagger.config["model"]))
    method, options = config.weights_of or (tagger.config["method"], config)
    return method, dataclasses.asdict(options)


def prior_bias(model: Method, truth: SparseTruth) -> None:
    """Start the model at the log-odds of each label among the pictures in which it is annotated."""
    _, negative, positive = truth.counts()
    model.set_prior(prevalence(negative, positive).logit().float())


def training_device(options: Training, local_rank: int = 0) -> torch.device:
    """The device on which a process trains, and so the one for its image tokens and its evaluations.

    Raises:
        UserError: ``training.accelerator`` names one that this machine does not have.
    """
    name = options.accelerator
    if name == "gpu":
        name = "mps" if torch.backends.mps.is_available() else "cuda"
    device = find_device(name if name in ("auto", "cuda", "mps") else "cpu")  # Lightning supports more, this code does not
    return find_device(f"cuda:{local_rank}") if device.type == "cuda" else device


def prepare(
    recipe: Recipe, tables: dict[str, SampleTable] | None = None, *, group: Group = ALONE, resume: bool = False
) -> Ingredients:
    """Model and loaders of a recipe.

    Args:
        tables: of the recipe's source; None builds them.
        group: the processes of the training.
        resume: the recipe is that of a training already begun: keys without effect are then not refused.

    Raises:
        UserError: the recipe does not fit its method or its labels, or sets keys that have no effect.
    """
    options, rank, world = recipe.training, group.rank, group.world
    tables = tables or build_tables(recipe)
    labels = tables["train"].labels
    tagger = build_tagger(recipe, labels, tables["train"].check_learnable().unlearnable)
    if rank == 0 and (warning := tagger.unlearnable.warning(len(labels))):
        print(f"warning: {warning}", file=sys.stderr)
    tagger.model.fit_statistics(tables["train"])
    check_fitting(recipe, tagger.model)
    check_unlisted(recipe, tagger.model, labels, tables["train"])
    if not resume:
        refuse_unused(recipe, tagger.model, labels)
    if options.prior_bias and options.init_from is None:
        prior_bias(tagger.model, tables["train"].assumed)
    augment = augmentation(options.augmentation, tagger.preprocessing)
    train = PictureSet(tables["train"], labels, tagger.preprocessing, augment, seed=recipe.seed)
    val = PictureSet(tables["val"], labels, tagger.preprocessing)
    train_set: PictureSet | FeatureSet = train
    val_set: PictureSet | FeatureSet = val
    spent = 0.0
    if options.feature_views:
        if why := tagger.model.cache_obstacle:
            raise UserError(
                f"training.feature_views: {tagger.model.title} cannot keep its image features on disk: {why}; set it to 0"
            )
        key = key_of_features(tagger.model, tagger.preprocessing, options.augmentation)
        device = training_device(options, group.place.local_rank)
        cache = cached_features(tagger.model, train, options.feature_views, "train", key, device, group)
        train_set = FeatureSet(cache, train.truth, recipe.seed)
        if tagger.model.fits_features:
            assumed = train.table.assumed_for(labels) if train.table.unlisted else None
            spent = fit_features(tagger.model, cache, train.truth, recipe.seed, quiet=rank > 0, assumed=assumed)
        if rank == 0:
            print(f"val is measured {STORED}; ctran evaluate differs slightly, as it computes them in float32", file=sys.stderr)
        val_set = FeatureSet(cached_features(tagger.model, val, 1, "val", key, device, group), val.truth)
    order = EpochOrder(len(train), recipe.seed, rank, world)
    in_order = EpochOrder(len(val), 0, rank, world, shuffle=False)
    return Ingredients(
        tables,
        tagger,
        loader(train_set, batch_size=options.batch_size, order=order, workers=options.workers),
        loader(val_set, batch_size=max(options.batch_size, VAL_BATCH), order=in_order, workers=options.workers),
        order,
        spent,
    )
