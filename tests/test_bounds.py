"""Every numeric option of a recipe has bounds, and what is outside of them is refused by key when the recipe is read."""

import dataclasses
import math
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctran import losses, methods, registry
from ctran.bounds import BOUND, Bound
from ctran.data import sources
from ctran.errors import UserError
from ctran.training.options import Evaluation, Training
from ctran.training.recipe import RecipeError, read_recipe

PARTS = {("training", Training), ("evaluation", Evaluation)}
PARTS |= {("model", registry.find(methods, name).Config) for name in registry.names(methods)}
PARTS |= {("loss", registry.find(losses, name).Config) for name in registry.names(losses)}
PARTS |= {("data", registry.find(sources, name).Config) for name in registry.names(sources)}


def numbers_in(hint):
    inner = [each for outer in get_args(hint) for each in get_args(outer)]
    return {hint, *get_args(hint), *inner} & {int, float}


NUMERIC = [
    (part, kind, field, numbers_in(get_type_hints(kind)[field.name]))
    for part, kind in sorted(PARTS, key=str)
    for field in dataclasses.fields(kind)
    if numbers_in(get_type_hints(kind)[field.name])
]


def test_every_numeric_option_has_bounds_that_hold_its_default():
    assert len(NUMERIC) > 50
    for part, kind, field, _ in NUMERIC:
        assert BOUND in field.metadata, f"{part}.{field.name} of {kind.__module__}"
        default = field.default
        values = default if isinstance(default, tuple) else () if default is None else (default,)
        assert all(field.metadata[BOUND].holds(v) for v in values), field.name


def built(kind, **given):
    required = {f.name: Path("root") for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING and "root" in f.name}
    required |= {f.name: "negative" for f in dataclasses.fields(kind) if f.name == "absent"}
    return kind(**{**required, **given})


def outside(bound, types):
    """Numbers that the bound does not hold."""
    wrong = [math.nan, math.inf, -math.inf] if float in types else []
    for end, step in ((bound.least, -1), (bound.most, 1)):
        if math.isfinite(end):
            wrong += [int(end) + step, int(end) + 1000 * step]
    return [value for value in wrong if not bound.holds(value)]


@pytest.mark.parametrize(
    ("part", "kind", "field", "types"), NUMERIC, ids=[f"{kind.__module__}.{field.name}" for _, kind, field, _ in NUMERIC]
)
def test_a_number_outside_of_its_bounds_is_refused_by_key(part, kind, field, types):
    wrong = outside(field.metadata[BOUND], types)
    assert wrong
    for value in wrong:
        given_value = (value, *field.default[1:]) if isinstance(field.default, tuple) else value
        with pytest.raises(UserError, match=rf"{part}\.{field.name}(: each)? must .*got "):
            built(kind, **{field.name: given_value})


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.booleans(), st.booleans(), st.floats(allow_nan=True, allow_infinity=True))
def test_a_bound_holds_what_its_text_states(least, length, above, below, value):
    bound = Bound(least, least + length, above=above, below=below)
    expected = math.isfinite(value) and least <= value <= least + length
    expected &= not (above and value == least) and not (below and value == least + length)
    assert bound.holds(value) == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.num_layers", "0"], r"model.num_layers must lie between 1 and 256, got 0"),
        (["--model.dropout", "1"], r"model.dropout must be at least 0 and below 1, got 1"),
        (["--model.dropout", "2"], r"model.dropout must be at least 0 and below 1, got 2"),
        (["--model.token_dim", "30"], r"model.num_heads must divide model.token_dim, got 4 heads and 30 channels"),
        (["--model.token_dim", "6", "--model.num_heads", "2", "--model.positions", "sine"], "sine needs a model.token_dim"),
        (["--training.clip_norm", ".nan"], r"training.clip_norm must not be negative or infinite, got nan"),
        (["--training.learning_rate", ".inf"], r"training.learning_rate must not be negative or infinite, got inf"),
        (["--training.weight_decay", "-.inf"], r"training.weight_decay must not be negative or infinite, got -inf"),
        (["--training.unknown_share", "[0, 0]"], r"training.unknown_share \[0, 0\] hides no label"),
        (["--training.unknown_share", "[0.5, .nan]"], r"training.unknown_share: each must lie between 0 and 1"),
        (["--training.batch_size", "0"], r"training.batch_size must be at least 1, got 0"),
        (["--training.precision", "16-mixed", "--training.accelerator", "cpu"], r"16-mixed needs a GPU"),
        (["--training.strategy", "fsdp"], r"training.strategy must be auto, ddp.*got 'fsdp'"),
        (["--training.strategy", "deepspeed_stage_2"], r"got 'deepspeed_stage_2'"),
        (["--training.strategy", "ddp_spawn"], r"got 'ddp_spawn'"),
        (["--evaluation.known_share", "[.nan]"], r"evaluation.known_share must be shares"),
    ],
)
def test_odd_options_are_refused_when_the_recipe_is_read(flags, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(None, flags)


def test_all_labels_unknown_in_some_pictures_is_something_to_train_on():
    assert read_recipe(None, ["--training.unknown_share", "[0, 0]", "--training.all_unknown", "0.5"])
