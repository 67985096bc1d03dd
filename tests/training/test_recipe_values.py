"""What is written is read: recipes with every option set, and names that YAML takes for something else."""

import dataclasses
import types
from contextlib import suppress
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ctran import losses, methods, registry
from ctran.data import sources
from ctran.errors import UserError
from ctran.metrics import PRESETS
from ctran.training.label_options import GroupOptions, Labels
from ctran.training.options import STRATEGIES, Evaluation, Training
from ctran.training.recipe import Recipe, RecipeError, parts_of, read_recipe
from ctran.training.recipe_files import PARTS as PARTS_OF_A_RECIPE
from ctran.training.values import convert, is_structured, may_be_null, option_types
from ctran.training.yaml_text import Plain, read_yaml, write_yaml

ODD = (
    *("yes", "no", "on", "off", "y", "n", "true", "False", "null", "Null", "~", "", "12", "1.5", "1e3", "0x1F", "010", "1_000"),
    *(".inf", ".nan", "-", "-1", "2020-01-01", "12:30:45", "st. bernard", "a.b.c", "a: b", "a:b", "key: [x]", "# x", "a #b"),
    *("'", '"', "it's", 'say "hi"', "{a}", "[b]", "a, b", "*", "&a", "!x", "!!int", "%", "@x", "`", "|", ">", "?", "? a", "<<"),
    *(
        "=",
        "a=b",
        "=yes",
        " leading",
        "trailing ",
        "\ttab",
        "two\nlines",
        "\\",
        "\\n",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "e\u0301",
    ),
    *("日本", "🐩", "\udc80", "--flag", "-k", "\x00", "\x7f", "---", "...", "x" * 300, "a " * 100),
)
"""Names that YAML, a shell or a terminal may take for something else."""

TEXT = st.one_of(st.sampled_from(ODD), st.text(max_size=12))
NAMES = st.lists(TEXT, max_size=4).map(tuple)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, within the bounds that most options have."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if each is type(None) else values(each) for each in inner))
    if origin is Literal:
        return st.sampled_from(inner)
    if hint == tuple[float, float]:
        return st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(lambda pair: (min(pair), max(pair)))
    if origin is tuple:
        return st.lists(values(inner[0]), unique=True, max_size=4).map(tuple)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=3)
    plain = {bool: st.booleans(), int: st.integers(2, 8), float: st.floats(0.01, 0.9), str: TEXT, Any: st.integers(2, 8)}
    return plain[hint] if hint is not Path else TEXT.filter(bool).map(lambda name: Path("/data") / name.replace("\0", "0"))


FIXED: dict[str, Any] = {
    "training.epochs": st.integers(8, 500),
    "training.milestones": st.sets(st.integers(1, 7), max_size=3).map(sorted).map(tuple),
    "training.strategy": st.sampled_from(STRATEGIES),
    "training.loss": st.sampled_from(registry.names(losses)),
    "training.heartbeat": st.floats(1, 1000),  # others are refused
    "training.backbone_learning_rate": st.just(0.0),  # what feature_views needs
    "evaluation.presets": st.lists(st.sampled_from(tuple(PRESETS)), unique=True, min_size=1).map(tuple),
    "evaluation.known_share": st.lists(st.floats(0, 1), unique=True, min_size=1).map(tuple),
    "evaluation.known_groups": st.sampled_from([(), (1, 10)]),
    "labels.groups": st.dictionaries(TEXT, st.tuples(NAMES, st.booleans()), max_size=3),
    "labels.implications": st.dictionaries(TEXT, NAMES, max_size=3),
}


@cache
def options(part: str, cls: type) -> st.SearchStrategy[dict[str, Any]]:
    """A value for every field of a dataclass."""
    hints = option_types(cls).items()
    keys = {name: f"{part}.{name}" for name, _ in hints}
    return st.fixed_dictionaries({n: FIXED[keys[n]] if keys[n] in FIXED else values(hint) for n, hint in hints})


def build(cls: type, chosen: dict[str, Any]) -> Any:
    """The dataclass with the chosen options; one that contradicts options before it keeps its default.

    To drop such examples instead would drop nearly all of them.
    """
    if "groups" in chosen:  # not built in the strategy: the type checks of the tests draw random numbers
        chosen = chosen | {"groups": {name: GroupOptions(*group) for name, group in chosen["groups"].items()}}
    needed = {f.name for f in dataclasses.fields(cls) if f.default is f.default_factory is dataclasses.MISSING}
    kept = {name: chosen[name] for name in chosen if name in needed}
    for together in (1, 2, 1):  # some need another one
        for names in combinations([name for name in chosen if name not in kept], together):
            with suppress(UserError):
                more = kept | {name: chosen[name] for name in names}
                cls(**more)
                kept = more
    return cls(**kept)


PARTS = {names: parts_of(*names) for names in product(registry.names(methods), registry.names(sources), registry.names(losses))}


def drawn(data: st.DataObject) -> Recipe:
    method, source, loss = data.draw(st.sampled_from(list(PARTS)))
    built = {part: build(cls, data.draw(options(part, cls))) for part, cls in PARTS[method, source, loss].items()}
    built["training"] = dataclasses.replace(built["training"], loss=loss)
    return Recipe(method, source, data.draw(st.integers(0, 2**40)), **built)


def flags_of(recipe: Recipe) -> list[str]:
    """The recipe as ``--key=value`` flags."""
    flags = [f"--method={recipe.method}", f"--source={recipe.source}", f"--seed={recipe.seed}"]
    for part in PARTS_OF_A_RECIPE:
        for key, value in dataclasses.asdict(getattr(recipe, part)).items():
            if isinstance(value, tuple | dict):
                text = write_yaml(plain(value), flow=True)
            else:
                text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            flags.append(f"--{part}.{key}={text}")
    return flags


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def texts_named_null(recipe: Recipe) -> bool:
    """Optional text that reads null: a flag has no quotes to tell it from nothing."""
    parts = (getattr(recipe, part) for part in ("model", "data", "training"))
    hints = ((getattr(part, name), hint) for part in parts for name, hint in option_types(type(part)).items())
    return any(value == "null" and may_be_null(hint) for value, hint in hints)


SOME = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@SOME
@given(st.data())
def test_a_saved_recipe_is_read_as_it_was(tmp_path_factory, data):
    recipe = drawn(data)
    path = tmp_path_factory.getbasetemp() / "recipe.yaml"
    recipe.save(path)
    assert read_recipe(path) == recipe
    other = dataclasses.replace(recipe, seed=recipe.seed + 1)
    assert read_recipe(path, ["--seed", str(other.seed)]) == other


@SOME
@given(st.data())
def test_a_recipe_given_by_flags_is_read_as_it_was(data):
    recipe = drawn(data)
    assume(not texts_named_null(recipe))
    assert read_recipe(None, flags_of(recipe)) == recipe


@pytest.mark.parametrize(("part", "cls"), [("labels", Labels), ("training", Training), ("evaluation", Evaluation)])
def test_the_property_reaches_values_beside_the_default_of_every_option(part, cls):
    every, seen = {f.name for f in dataclasses.fields(cls)}, set[str]()

    @settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(options(part, cls))
    def look(chosen):
        if seen != every:
            found = build(cls, chosen)
            seen.update(name for name in every if getattr(found, name) != getattr(cls(), name))

    look()
    assert seen == every


def in_every_place(name: str) -> Labels:
    groups = {name: GroupOptions((name, "other"), True), "second": GroupOptions((name,))}
    return Labels((name, "other"), groups, {name: ("other", name), "other": (name,)})


@pytest.mark.parametrize("name", ODD)
def test_a_label_of_any_name_stays_what_it_is_in_every_place(tmp_path, name):
    labels = in_every_place(name)
    path = tmp_path / "r.yaml"
    path.write_text(write_yaml({"labels": plain(dataclasses.asdict(labels))}), encoding="utf-8")
    assert read_recipe(path).labels == labels
    flags = [f"--labels.{k}={write_yaml(plain(v), flow=True)}" for k, v in dataclasses.asdict(labels).items()]
    assert read_recipe(None, flags).labels == labels


BARE = (
    *("yes", "no", "off", "12", "1.5", "010", "1_000", "-1", "st. bernard", "null", "~", "2020-01-01", "12:30:45", "="),
    *("é", "日本"),
)


@pytest.mark.parametrize("name", BARE)
def test_names_that_a_person_writes_without_quotes_are_names(tmp_path, name):
    labels = Labels((name,), {name: GroupOptions((name, "b"))}, {name: ("b", name)})
    extra, groups, implications = f"[{name}]", f"{{{name}: {{labels: [{name}, b]}}}}", f"{{{name}: [b, {name}]}}"
    text = f"labels:\n  extra:\n  - {name}\n  groups:\n    {name}: {{labels: [{name}, b]}}\n"
    text += f"  implications:\n    {name}: [b, {name}]\n"
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    assert read_recipe(tmp_path / "r.yaml").labels == labels
    flags = ["--labels.extra", extra, "--labels.groups", groups, "--labels.implications", implications]
    assert read_recipe(None, flags).labels == labels


@given(st.recursive(TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8), st.booleans())
@settings(max_examples=100, deadline=None)
def test_yaml_of_any_text_is_read_as_it_was(content, flow):
    assert read_yaml(write_yaml(content, flow=flow)) == content


@given(st.text(max_size=40) | st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_yaml_or_one_readable_line(content):
    try:
        read_yaml(content)
    except RecipeError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels:\n  implications: {a: [b], a: [c]}\n", r"r.yaml is not YAML: key 'a' stands twice \(line 2"),
        ("seed: 1\nseed: 2\n", r"key 'seed' stands twice \(line 2, column 1\)"),
        ("training: 3\n", "r.yaml: training: expected keys and values, got '3'"),
        ("", "r.yaml must hold keys and values, got nothing"),
        ("training:\n  epochs:\n", "r.yaml: training.epochs: expected a whole number, got nothing"),
        ("training:\n  epochs: [3]\n", r"training.epochs: expected a whole number, got \['?3'?\]"),
        ("training:\n  epochs: 3.5\n", "training.epochs: expected a whole number, got '3.5'"),
        ("training:\n  loss: acl\n", "training.loss: unknown loss 'acl'; did you mean 'asl'"),
        (
            "training:\n  unknown_share: 0.5\n",
            r"training.unknown_share: expected a list of 2 values such as \[0.5, 0.5\], got '0.5'",
        ),
        ("training:\n  unknown_share: [0.5]\n", "training.unknown_share: expected a list of 2 values"),
        ("training:\n  prior_bias: maybe\n", "training.prior_bias: expected true or false, got 'maybe'"),
        ("labels:\n  extra: sun\n", r"labels.extra: expected a list such as \[name, ...\], got 'sun'"),
        (
            "labels:\n  implications: [a]\n",
            r"labels.implications: expected names and values in braces, such as \{name: \[name\]\}",
        ),
        ("labels:\n  implications: {a: b}\n", r"labels.implications.a: expected a list such as \[name, ...\], got 'b'"),
        ("labels:\n  groups: {a: {exclusive: true}}\n", "labels.groups.a: labels is missing"),
        ("labels:\n  groups: {a: {label: [x]}}\n", "labels.groups.a: unknown key 'label'; did you mean 'labels'"),
        ("labels:\n  implication: {a: [b]}\n", "unknown recipe key 'labels.implication'; did you mean 'labels.implications'"),
        ("epochs: 3\n", "r.yaml: unknown recipe key 'epochs'; did you mean 'training.epochs'"),
        (
            "source: csv\ndata: {root: x, image_column: null}\n",
            "data.image_column: expected text, got 'null'; leave the key out",
        ),
        ("source: csv\ndata: {root: ''}\n", "data.root: expected a path, got ''"),
        ("a: *b\n", "found undefined alias"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("[" * 1000, "nested too deeply"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_key_expectation_and_value(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message) as refused:
        read_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(refused.value) and "typing." not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--labels.implications.poodle", "[dog]"], "labels.implications.poodle: labels.implications is given as a whole"),
        (["--labels.extra", "[a"], r"--labels.extra: cannot read '\[a'"),
        (["--labels.extra"], r"--labels.extra needs a value: a list such as \[name, ...\]"),
        (["--method"], "--method: expected a name, got nothing"),
        (
            ["--source", "imagefolder"],
            r"needs data.root \(--root\): a path; data.absent \(--absent\): one of negative, unlisted, unknown",
        ),
        (["--source", "imagefolder", "--root", "x"], r"needs data.absent \(--absent\): one of negative, unlisted, unknown \("),
        (["--source", "imagefolder", "--root", "x", "--absent", "negativ"], "got 'negativ'; did you mean 'negative'"),
        (["--training.learning_rate", "1e-5x"], "training.learning_rate: expected a number, got '1e-5x'"),
        (["--model.token_dim", "wide"], "model.token_dim: expected a whole number or null, got 'wide'"),
        (["--lr", "3"], "unknown recipe key 'lr'"),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_key_expectation_and_value(flags, message):
    with pytest.raises(RecipeError, match=message) as refused:
        read_recipe(None, flags)
    text = str(refused.value)
    assert "\n" not in text and not any(word in text for word in ("typing.", "init_args", "class path"))


def test_numbers_and_booleans_are_read_in_yamls_spellings():
    assert [convert(t, float, "k") for t in ("1e-5", "1.0e-05", ".5", "3", "-.inf")] == [1e-5, 1e-5, 0.5, 3.0, float("-inf")]
    assert [convert(t, bool, "k") for t in ("true", "Yes", "ON", "false", "No", "off")] == [True] * 3 + [False] * 3
    assert convert(Plain("~"), float | None, "k") is None and convert("~", str | None, "k") == "~"


def test_a_flag_without_a_value_is_true_only_where_the_option_is():
    assert read_recipe(None, ["--training.activation_checkpointing", "--seed", "1"]).training.activation_checkpointing is True


def test_a_recipe_in_utf16_or_with_a_byte_order_mark_is_read(tmp_path):
    for encoding in ("utf-16", "utf-8-sig"):
        (tmp_path / "r.yaml").write_text("labels:\n  extra: [é]\n", encoding=encoding)
        assert read_recipe(tmp_path / "r.yaml").labels.extra == ("é",)


def test_the_block_about_implications_is_a_recipe(tmp_path):
    text = (Path(__file__).parents[2] / "docs/howto/implications.md").read_text(encoding="utf-8")
    blocks = [b.partition("```")[0] for b in text.split("```yaml\n")[1:]]
    found = [b for b in blocks if "implications" in b]
    assert found
    for number, block in enumerate(found):
        (tmp_path / f"{number}.yaml").write_text(block, encoding="utf-8")
        flags = ["--root", "x", "--absent", "negative"] if "imagefolder" in block or "base: tagger" in block else []
        assert read_recipe(tmp_path / f"{number}.yaml", flags).labels.implications == {
            name: tuple(parents) for name, parents in yaml.safe_load(block)["labels"]["implications"].items()
        }


def test_every_option_of_every_part_has_a_type_that_text_can_be_converted_to():
    for cls in {cls for parts in PARTS.values() for cls in parts.values()}:
        for name, hint in option_types(cls).items():
            with pytest.raises(RecipeError, match=f"{name}: expected"):
                convert([[["x"]]] if not is_structured(hint) else "x", hint, name)
