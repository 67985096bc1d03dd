"""A folder that the studio labels is one that training takes, whatever the names of pictures, labels and columns."""

import json
import unicodedata

import pytest

from ctran.data.sources import imagefolder
from ctran.labels import LabelState
from ctran.serving.annotations import Annotations
from ctran.training.fit import fit
from ctran.training.recipe import read_recipe
from tests.conftest import TOY, draw

LABELS = ("cat", "red, dark", "a|b", "['x']", '{"y": 1}', "größe", "nan", "12", "yes", 'say "so"', "st. bernard")
NAMES = (
    *(
        "plain.png",
        "with blank.png",
        "a,b.png",
        "größe.png",
        unicodedata.normalize("NFD", "café.png"),
        "sub/日本.png",
        "100%.png",
    ),
    *("a\u2028b.png", "['x'].png", "UPPER.PNG", 'quote".png', "#1.png", "x;y.png", "-.png"),
)


@pytest.fixture
def labelled(tmp_path):
    """Folder, and what was said of each picture, label by label."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    columns = [{"file_name": name, "caption": "mine", "width": 48, "objects": {"bbox": [[1, 2]]}} for name in NAMES[:4]]
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in columns), encoding="utf-8")
    annotations, said = Annotations(root, LABELS), {}
    for number, name in enumerate(NAMES):
        draw(root / name, ["red"] * (number % 2), note=name)
        said[name] = {label: (number + i) % 3 == 0 for i, label in enumerate(LABELS) if (number + i) % 3}
        said[name] |= {LABELS[number % len(LABELS)]: True}
        annotations.save(name, said[name])
    return root, said


def test_what_was_labelled_in_the_studio_is_what_training_reads(labelled, capsys):
    root, said = labelled
    tables = imagefolder.build(imagefolder.Config(root, "unknown"))
    found = {
        name: {label: LabelState(code) for label, code in zip(table.labels.names, row, strict=True)}
        for table in tables.values()
        for name, row in zip(table.ids, table.truth.dense().tolist(), strict=True)
    }
    assert set(found) == set(NAMES)
    for name, known in said.items():
        states = {True: LabelState.POSITIVE, False: LabelState.NEGATIVE}
        assert found[name] == {label: states.get(known.get(label), LabelState.UNKNOWN) for label in LABELS}
    assert "warning" not in capsys.readouterr().err
    assert {name: Annotations(root, LABELS).known(name) for name in NAMES} == said


def test_a_labelled_folder_trains(labelled, tmp_path):
    root, _ = labelled
    flags = ["--source", "imagefolder", "--root", str(root), "--absent", "unknown", "--training.epochs", "1"]
    fit(read_recipe(None, [*TOY, *flags]), tmp_path / "run")
    assert (tmp_path / "run" / "model").is_dir() and (tmp_path / "run" / "trained_on.npy").is_file()
