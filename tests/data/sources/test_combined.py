"""Several sources as one: whose labels are known where, what is refused, and a training on two folders."""

import shutil

import pytest
import yaml

from ctran.cli.main import main
from ctran.data.sources import combined
from ctran.data.table import DataError
from ctran.errors import UserError
from ctran.labels import LabelState
from tests.conftest import TOY, draw
from tests.data.miniatures import combined as miniature

U, N, P = LabelState.UNKNOWN, LabelState.NEGATIVE, LabelState.POSITIVE


def write(root, entries):
    (root / "sources.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    return root / "sources.yaml"


def folder(root, rows, colour="red", rules=None):
    """A folder with a row (labels, split) for each picture."""
    root.mkdir()
    lines = ["file_name,labels,split"]
    for number, (labels, split) in enumerate(rows):
        draw(root / f"{number}.png", [colour], note=str(number))
        lines.append(f'{number}.png,"{labels}",{split}')
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    if rules:
        (root / "labels.yaml").write_text(yaml.safe_dump(rules))


SPLITS = ("train", "train", "val", "test")


@pytest.fixture
def two(tmp_path):
    folder(tmp_path / "zoo", [(labels, split) for labels, split in zip(("cat", "dog", "cat,dog", ""), SPLITS, strict=True)])
    folder(tmp_path / "sea", [(labels, s) for labels, s in zip(("cat", "ship", "", "ship"), SPLITS, strict=True)], "blue")
    return tmp_path


def entries(**more):
    each = {"source": "imagefolder", "absent": "negative"}
    return {name: {**each, "root": name, **more.get(name, {})} for name in ("zoo", "sea")}


def states(table):
    rows = table.truth.dense().tolist()
    return {id: dict(zip(table.labels.names, row, strict=True)) for id, row in zip(table.ids, rows, strict=True)}


def test_a_label_is_unknown_in_the_pictures_of_a_source_that_does_not_annotate_it(two):
    train = combined.build(combined.Config(root=write(two, entries())))["train"]
    assert train.labels.names == ("cat", "dog", "ship")
    assert states(train) == {
        "zoo/0.png": {"cat": P, "dog": N, "ship": U},
        "zoo/1.png": {"cat": N, "dog": P, "ship": U},
        "sea/0.png": {"cat": P, "dog": U, "ship": N},
        "sea/1.png": {"cat": N, "dog": U, "ship": P},
    }
    assert train.content(2) == (two / "sea/0.png").read_bytes()


def test_a_source_may_annotate_only_some_of_the_labels_in_its_files(two):
    train = combined.build(combined.Config(root=write(two, entries(sea={"annotates": ["ship"]}))))["train"]
    assert states(train)["sea/0.png"] == {"cat": U, "dog": U, "ship": N}


def test_one_source_can_be_read_apart(two):
    path = write(two, entries())
    both, one = (combined.build(combined.Config(root=path, only=only))["test"] for only in ((), ("sea",)))
    assert both.ids == ["zoo/3.png", "sea/3.png"] and one.ids == ["sea/3.png"]
    assert {k: v for k, v in states(both)["sea/3.png"].items() if k != "dog"} == states(one)["sea/3.png"]


def test_rules_of_all_sources_hold(two):
    rules = {"labels": ["cat", "dog"], "groups": {"animal": {"exclusive": True, "labels": ["cat", "dog"]}}}
    shutil.rmtree(two / "zoo")
    folder(two / "zoo", [("cat", s) for s in SPLITS[:1]] + [("dog", s) for s in SPLITS[1:]], rules=rules)
    train = combined.build(combined.Config(root=write(two, entries())))["train"]
    assert [group.name for group in train.labels.groups] == ["animal"]
    assert states(train)["sea/0.png"]["dog"] == N  # its cat excludes it
    rules["groups"]["animal"]["labels"] = ["cat", "ship"]
    (two / "sea/labels.yaml").write_text(yaml.safe_dump(rules | {"labels": ["cat", "ship"]}))
    with pytest.raises(DataError, match="group 'animal' of sea differs"):
        combined.build(combined.Config(root=two / "sources.yaml"))


def test_a_picture_in_two_sources_and_two_splits_is_warned_of(two, capsys):
    shutil.copy(two / "zoo/0.png", two / "sea/3.png")
    combined.build(combined.Config(root=write(two, entries())))
    assert "in two splits (first: 'zoo/0.png' in train, 'sea/3.png' in test)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a name for each source"),
        ("[a, b]", "expected a name for each source"),
        ("zoo: photos", "zoo names no source; expected such as"),
        ("zoo: {root: zoo}", "zoo names no source"),
        ("a/b: {source: csv, root: zoo}", "the name 'a/b' of a source must be text without a slash"),
        ("zoo: {source: imagefolder, root: zoo", "not YAML"),
        ("zoo: {source: imagefoldr, root: zoo}", "zoo: unknown source 'imagefoldr'; did you mean 'imagefolder'"),
        ("zoo: {source: imagefolder, root: zoo}", "zoo: option 'absent' is missing"),
        ("zoo: {source: imagefolder, rot: zoo, absent: negative}", "zoo: unknown option 'rot'; did you mean 'root'"),
        ("zoo: {source: imagefolder, root: zoo, absent: no}", r"zoo: .*absent.*ctran data imagefolder"),
        ("zoo: {source: imagefolder, root: zoo, absent: [negative]}", r"zoo: .*absent.*ctran data imagefolder"),
        ("zoo: {source: imagefolder, root: nowhere, absent: negative}", "zoo: .*nowhere: not a folder"),
        ("zoo: {source: imagefolder, root: zoo, absent: negative, truncated: read}", "zoo.truncated: .*give --data.truncated"),
        ("zoo: {source: imagefolder, root: zoo, absent: negative, annotates: [cta]}", "no label 'cta'; did you mean 'cat'"),
        ("zoo: {source: imagefolder, root: zoo, absent: negative, annotates: cat}", "annotates: expected a list of labels"),
        ("zoo: {source: imagefolder, root: zoo, absent: unlisted}", "zoo.absent: unlisted is not known to combined sources"),
        ("zoo: {source: combined, root: sources.yaml}", "a combined source cannot hold another"),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_of_the_source(two, content, message):
    (two / "sources.yaml").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        combined.build(combined.Config(root=two / "sources.yaml"))
    assert "sources.yaml" in str(error.value)


def test_an_unknown_name_of_a_source_to_read_is_refused(two):
    with pytest.raises(DataError, match="has no source 'see'; did you mean 'sea'"):
        combined.build(combined.Config(root=write(two, entries()), only=("see",)))


def test_text_that_looks_like_numbers_or_truth_values_stays_a_label(tmp_path):
    folder(tmp_path / "zoo", [("yes,12", s) for s in SPLITS[:1]] + [("", s) for s in SPLITS[1:]])
    (tmp_path / "sources.yaml").write_text(
        "zoo: {source: imagefolder, root: zoo, absent: negative, annotates: [yes, 12], splits: null}\n"
    )
    table = combined.build(combined.Config(root=tmp_path / "sources.yaml"))["train"]
    assert set(table.labels.names) == {"yes", "12"}


def test_a_model_is_trained_on_two_sources_and_measured_together_and_apart(tmp_path, capsys):
    options = miniature.make(tmp_path)
    run = str(tmp_path / "run")
    flags = ["--source", "combined", "--root", str(options["root"])]
    assert main(["train", "--method", "ctran", *TOY, *flags, "--output", run]) == 0
    for only, pictures in (([], 4), (["--data.only", "[first]"], 2)):
        capsys.readouterr()
        assert main(["evaluate", run, "--known-share", "0", *only]) == 0
        assert f"{pictures} pictures" in "".join(capsys.readouterr())
