"""Whether the data of a run are still those that it began with, and what is said where they are not."""

from dataclasses import replace

import pytest

from ctran.data.sources import imagefolder
from ctran.labels import LabelSpace
from ctran.training.run_folder import check_data

SPLITS = ("train", "val", "test")


@pytest.fixture
def tables(folder):
    return imagefolder.build(imagefolder.Config(folder, "negative"))


def relabelled(table, row):
    """The same pictures; one has no label any more."""
    lists = [[] if i == row else labels for i, labels in enumerate(table.rows["positives"])]
    features = table.rows.features["positives"]
    return replace(table, rows=table.rows.remove_columns("positives").add_column("positives", lists, feature=features))


def changes(table):
    """Tables that differ from this in one way, and what is said of it."""
    row = int(table.truth.positives_each().argmax())
    names = LabelSpace(("other", *table.labels.names[1:]))
    order = [1, 0, *range(2, len(table))]
    return {
        "truth": relabelled(table, row),
        "labels": replace(table, labels=names),
        "ids": replace(table, rows=table.rows.remove_columns("id").add_column("id", table.select(order).ids)),
        "ids and truth": table.select(range(len(table) - 1)),
    }


def test_data_that_stay_the_same_are_the_same(tables, folder, tmp_path):
    assert check_data(tables, tmp_path, SPLITS) == ""
    again = imagefolder.build(imagefolder.Config(folder, "negative"))
    assert check_data(again, tmp_path, SPLITS) == ""


@pytest.mark.parametrize("what", ["truth", "labels", "ids", "ids and truth"])
def test_what_differs_is_said_of_the_splits_that_are_asked_for(tables, tmp_path, what):
    check_data(tables, tmp_path, SPLITS)
    other = changes(tables["train"])[what]
    said = check_data(tables | {"train": other}, tmp_path, SPLITS)
    sizes = f"{len(tables['train'])} pictures then, {len(other)} now"
    assert said.endswith(f"was trained with: train ({sizes}; other {what})")
    assert check_data(tables | {"train": other}, tmp_path, ("val", "test")) == ""
