"""Sparse truth against the dense table that it stands for: random tables, holes, groups, other label spaces."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ctran.constraints.closure import closure
from ctran.constraints.exclusive import ExclusiveError
from ctran.data import truth as module
from ctran.data.implied import ImpliedError
from ctran.data.lists import LabelRangeError, Lists
from ctran.data.truth import SparseTruth
from ctran.labels import LabelState
from tests.data.truths import complete, sparse

U, N, P = (int(s) for s in LabelState)


def arrow(lists, kind=None):
    return pa.chunked_array([pa.array(lists, kind or pa.list_(pa.int32()))])


@st.composite
def tables(draw):
    """Codes of up to six pictures and labels, what absence means of each, up to two exclusive groups; often contradictory."""
    shape, absent = (draw(st.integers(1, 6)), draw(st.integers(2, 6))), draw(st.sampled_from([(U,), (N,), (U, N)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    absent = rng.choice(absent, size=shape[1]).tolist()
    codes = rng.choice([-1, N, P], size=shape, p=[0.5, 0.25, 0.25])
    codes = np.where(codes < 0, absent, codes)
    order = draw(st.permutations(range(shape[1])))
    groups = [order[:2], order[2:]] if shape[1] > 3 else [order]
    return codes, absent, groups[: draw(st.integers(0, len(groups)))]


def dense_of(codes, groups):
    return complete(torch.tensor(codes, dtype=torch.int8), [torch.tensor(g) for g in groups])


def refusal(make):
    """What the result is, or what was wrong."""
    try:
        return make()
    except ExclusiveError as error:
        return error.group, error.row, error.positives, error.rows


@settings(max_examples=150, deadline=None)
@given(tables())
def test_sparse_truth_gives_the_same_as_the_dense_table(table):
    codes, absent, groups = table
    expected, found = refusal(lambda: dense_of(codes, groups)), refusal(lambda: sparse(codes, groups, absent))
    if isinstance(expected, tuple) or isinstance(found, tuple):
        assert expected == found
        return
    assert torch.equal(found.dense(), expected)
    assert torch.equal(torch.cat(list(found.blocks())), expected)
    assert torch.equal(found.counts(), torch.stack([(expected == s).sum(0) for s in (U, N, P)]))
    assert torch.equal(found.positives_each(), (expected == P).sum(1))
    assert all(torch.equal(found.column(i), expected[:, i]) for i in range(expected.shape[1]))


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_over_other_labels_a_truth_is_the_dense_table_with_its_columns_moved(table, data):
    """Also what follows from a group is kept, whether the other labels have that group, a part of it, or none."""
    codes, absent, groups = table
    here = refusal(lambda: dense_of(codes, groups))
    if isinstance(here, tuple):
        return
    labels = codes.shape[1]
    columns = data.draw(st.permutations([*range(labels), -1, -1]))[: data.draw(st.integers(2, labels + 2))]
    moved = torch.where(torch.tensor(columns) < 0, U, here[:, columns].long()).to(torch.int8)
    old = [i for i, label in enumerate(columns) if groups and label in groups[0]]  # what is left of a group, and more
    other = data.draw(st.sampled_from([[], old])) + data.draw(st.lists(st.sampled_from(range(len(columns))), max_size=2))
    others = [sorted(set(other))] if len(set(other)) > 1 else []
    expected = refusal(lambda: complete(moved, [torch.tensor(g) for g in others]))
    found = refusal(lambda: sparse(codes, groups, absent).over(np.array(columns), [torch.tensor(g) for g in others]))
    if isinstance(expected, tuple) or isinstance(found, tuple):
        assert expected == found
        return
    assert torch.equal(found.dense(), expected)
    assert torch.equal(found.counts(), torch.stack([(expected == s).sum(0) for s in (U, N, P)]))


def test_a_positive_label_makes_the_others_of_its_group_negative():
    truth = sparse([[U, U, U, P, U], [U, U, U, N, U]], [[1, 3, 4]])
    assert truth.dense().tolist() == [[U, N, U, P, N], [U, U, U, N, U]]


def follow(codes, pairs):
    """The dense way to what follows from implications; names the first that is broken."""
    found = codes.copy()
    for row in range(len(codes)):
        for child, parent in pairs:
            if codes[row, child] == P and codes[row, parent] == N:
                return child, parent
            if codes[row, child] == P:
                found[row, parent] = P
            if codes[row, parent] == N:
                found[row, child] = N
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=4))
def test_what_is_implied_follows_and_a_contradiction_is_refused(seed, pairs):
    rng = np.random.default_rng(seed)
    codes = rng.choice([U, N, P], size=(5, 5), p=[0.6, 0.1, 0.3])
    pairs = closure([pair for pair in pairs if pair[0] < pair[1]])
    expected = follow(codes, pairs)
    try:
        found = sparse(codes, implied=pairs).dense().numpy()
    except ImpliedError as error:
        assert isinstance(expected, tuple) and (error.child, error.parent) in pairs
        assert codes[error.row, error.child] == P and codes[error.row, error.parent] == N
        return
    assert (found == expected).all()


def test_a_label_in_both_lists_is_present_and_its_children_stay_open():
    lists = Lists.from_arrow(arrow([[1], [0, 1]]), 2), Lists.from_arrow(arrow([[1], [0, 1]]), 2)
    found = SparseTruth(*lists, np.int8([U, U]), implied=torch.tensor([[0, 1]]))
    assert found.dense().tolist() == [[U, P], [P, P]]


def test_absence_that_nobody_stated_gives_way_to_what_is_implied():
    truth = sparse([[P, N, N], [N, N, N]], absent=N, implied=[(0, 2)])
    assert truth.dense().tolist() == [[P, N, P], [N, N, N]]
    assert truth.counts().tolist() == [[0, 0, 0], [1, 2, 1], [1, 0, 1]]
    assert truth.over(np.array([2, 0, -1]), implied=torch.tensor([[0, 2]])).dense().tolist() == [[P, P, P], [N, N, U]]


@pytest.mark.parametrize(("row", "positives"), [([U, P, U, P, U], 2), ([P, N, U, N, N], 0)])
def test_truth_that_breaks_a_group_is_refused(row, positives):
    with pytest.raises(ExclusiveError) as error:
        sparse([[U, P, U, N, N], row, row], [[1, 3, 4]])
    assert (error.value.row, error.value.positives, error.value.rows) == (1, positives, 2)


def test_what_follows_from_a_group_is_kept_where_its_positive_label_is_not():
    here = sparse([[P, U, U], [U, P, U]], [[0, 1, 2]])
    there = here.over(np.array([1, 2, -1]), [torch.tensor([0, 1, 2])])
    assert there.dense().tolist() == [[N, N, U], [P, N, N]]


def test_rows_come_in_the_order_that_is_asked_for_and_may_come_twice(rng):
    codes = rng.choice([U, N, P], size=(9, 5))
    found = sparse(codes)
    for rows in ([3, 0, 3], np.array([8]), torch.tensor([2, 1]), []):
        assert found.rows(rows).tolist() == codes[np.asarray(rows, dtype=int)].tolist()


@pytest.mark.parametrize("rows", [[0, 4], [-1]])
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(IndexError, match="between 0 and 3, got"):
        sparse([[P, N]] * 4).rows(rows)


def test_a_label_that_is_listed_twice_and_out_of_order_counts_once():
    found = SparseTruth(
        Lists.from_arrow(arrow([[2, 0, 2], [], [1]]), 3), Lists.from_arrow(arrow([[1], [2, 2], []]), 3), np.int8([0, 0, 0])
    )
    assert found.dense().tolist() == [[P, N, P], [U, U, N], [U, P, U]]
    assert found.positives.labels.tolist() == [0, 2, 1]


def test_a_label_in_both_lists_is_positive():
    lists = Lists.from_arrow(arrow([[0, 1]]), 2), Lists.from_arrow(arrow([[1]]), 2)
    found = SparseTruth(*lists, np.int8([U, U]))
    assert found.dense().tolist() == [[P, P]] and found.counts().tolist() == [[0, 0], [0, 0], [1, 1]]


def test_sorted_lists_of_a_table_are_not_copied():
    values, offsets = pa.array(np.arange(12, dtype=np.int32) % 4), pa.array(np.array([0, 4, 8, 12], dtype=np.int32))
    lists = Lists.from_arrow(pa.chunked_array([pa.ListArray.from_arrays(offsets, values)]), 4)
    assert np.shares_memory(lists.labels, values.to_numpy()) and np.shares_memory(lists.offsets, offsets.to_numpy())


def test_parts_of_a_column_are_read_as_parts():
    whole = arrow([[0], [1, 2], [], [2]])
    pieces = pa.chunked_array([whole.slice(3).chunk(0), whole.slice(1, 2).chunk(0)])
    lists = Lists.from_arrow(pieces, 3)
    assert lists.offsets.tolist() == [0, 1, 3, 3] and lists.labels.tolist() == [2, 1, 2]
    assert Lists.from_arrow(whole.slice(1, 2), 3).labels.tolist() == [1, 2]


def test_columns_without_an_entry_and_of_wider_numbers_are_read():
    assert len(Lists.from_arrow(arrow([[], []], pa.list_(pa.null())), 2).labels) == 0
    assert Lists.from_arrow(arrow([[1], []], pa.large_list(pa.int64())), 2).labels.tolist() == [1]


@pytest.mark.parametrize(("label", "row"), [(3, 2), (-1, 2)])
def test_an_index_without_a_label_is_refused_with_its_row(label, row):
    with pytest.raises(LabelRangeError, match=f"row {row} holds label index {label}"):
        Lists.from_arrow(arrow([[0], [], [1, label]]), 3)


@pytest.mark.parametrize("lists", [[[0], None], [[0, None]]])
def test_missing_lists_are_refused(lists):
    with pytest.raises(ValueError, match="must not be null; a picture without labels has an empty list"):
        Lists.from_arrow(arrow(lists), 3)


@pytest.mark.parametrize("at", [(0, 0), (2, 3), (4, 1)])
def test_a_fingerprint_changes_with_any_code(rng, at):
    codes = rng.choice([U, N, P], size=(5, 4))
    before = sparse(codes).fingerprint
    assert sparse(codes.copy()).fingerprint == before
    codes[at] = (codes[at] + 1) % 3
    assert sparse(codes).fingerprint != before


def test_fingerprints_depend_on_what_absence_means_and_where_a_list_ends():
    same = [sparse([[P, U], [U, P]]), sparse([[P, N], [N, P]], absent=N), sparse([[P, P], [U, U]])]
    assert len({t.fingerprint for t in same}) == 3


def test_blocks_of_wide_tables_are_small(monkeypatch, rng):
    monkeypatch.setattr(module, "BLOCK", 20)
    codes = rng.choice([U, N, P], size=(10, 6))
    blocks = list(sparse(codes).blocks())
    assert [len(b) for b in blocks] == [3, 3, 3, 1] and torch.cat(blocks).tolist() == codes.tolist()


def big(pictures, labels, each):
    """Lists of ``each`` labels a picture as Arrow holds them: no list twice the same, all sorted."""
    rng = np.random.default_rng(0)
    width = labels // max(1, each)
    values = rng.integers(width, size=(pictures, each), dtype=np.int32) + width * np.arange(each, dtype=np.int32)
    return pa.chunked_array(
        [pa.ListArray.from_arrays(pa.array(np.arange(pictures + 1, dtype=np.int32) * each), values.ravel())]
    )


def test_a_hundred_thousand_pictures_of_twenty_thousand_labels_take_less_than_16_megabytes():
    positives, none = (Lists.from_arrow(big(100_000, 20_000, each), 20_000) for each in (10, 0))
    found = SparseTruth(positives, none, np.full(20_000, N, dtype=np.int8))
    assert found.nbytes < 16_000_000
    assert found.counts()[P].sum() == 1_000_000 and (found.rows(range(32)) == P).sum(1).tolist() == [10] * 32
