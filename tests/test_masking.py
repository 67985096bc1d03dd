from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
import torch

from ctran.labels import Group, LabelSpace, LabelState
from ctran.masking import EvalSetting, known_labels, label_mask_training, reveal, scored_mask, whole_numbers

TRUTH = torch.randint(1, 3, (4000, 20), generator=torch.Generator().manual_seed(1))


def test_number_of_hidden_labels_is_uniform_between_a_quarter_and_all(generator):
    states = label_mask_training(TRUTH, generator=generator)
    hidden = (states == LabelState.UNKNOWN).sum(1)
    counts = torch.bincount(hidden, minlength=21)
    assert counts[:5].sum() == 0
    expected = len(TRUTH) / 16  # 5, 6, ..., 20
    assert ((counts[5:] - expected).abs() < 4.5 * expected**0.5).all()


def test_every_label_is_hidden_equally_often(generator):
    states = label_mask_training(TRUTH, generator=generator)
    share = (states == LabelState.UNKNOWN).double().mean(0)
    assert torch.allclose(share, torch.full_like(share, 12.5 / 20), atol=0.04)


def test_known_labels_are_the_truth(generator):
    states = label_mask_training(TRUTH, generator=generator)
    told = states != LabelState.UNKNOWN
    assert told.any() and (states[told] == TRUTH[told]).all()


def test_labels_without_annotation_never_become_known(generator):
    truth = TRUTH.clone()
    truth[:, 3] = LabelState.UNKNOWN
    assert (label_mask_training(truth, generator=generator)[:, 3] == LabelState.UNKNOWN).all()


def test_all_unknown_is_a_share_of_the_pictures(generator):
    states = label_mask_training(TRUTH, unknown_share=(0.25, 0.5), all_unknown=0.3, generator=generator)
    nothing = (states == LabelState.UNKNOWN).all(1).double().mean()
    assert abs(float(nothing) - 0.3) < 0.03


def test_unknown_share_one_is_training_without_masks(generator):
    assert not label_mask_training(TRUTH, unknown_share=(1.0, 1.0), generator=generator).any()


@pytest.mark.parametrize("share", [(0.5, 0.25), (-0.1, 1.0), (0.0, 1.5)])
def test_impossible_shares_are_refused(share, generator):
    with pytest.raises(ValueError, match="unknown_share must satisfy"):
        label_mask_training(TRUTH, unknown_share=share, generator=generator)


def test_a_share_between_two_whole_numbers_is_refused(generator):
    with pytest.raises(ValueError, match="admits no whole number"):
        label_mask_training(TRUTH, unknown_share=(0.51, 0.54), generator=generator)


def test_whole_per_cents_of_any_number_of_labels_are_counted_exactly():
    for count in range(1, 301):
        for low in range(101):
            exact = ceil(Fraction(low, 100) * count), floor(Fraction(low, 100) * count)
            assert whole_numbers(low / 100, 1.0, count) == (exact[0], count)
            assert whole_numbers(0.0, low / 100, count) == (0, exact[1])
            assert whole_numbers(low / 100, low / 100, count) == exact


@pytest.mark.parametrize("percent", [7, 14, 28, 55, 56])
def test_training_hides_exactly_the_share_that_was_asked_for(percent, generator):
    truth = torch.randint(1, 3, (4, 100), generator=generator)
    states = label_mask_training(truth, unknown_share=(percent / 100, percent / 100), generator=generator)
    assert ((states == LabelState.UNKNOWN).sum(1) == percent).all()
    assert (known(1 - percent / 100, ids=["a"], truth=truth[:1], labels=HUNDRED).sum(1) == 100 - percent).all()


HUNDRED = LabelSpace(tuple(map(str, range(100))))
IDS = [f"picture {i}" for i in range(300)]
NAMES = LabelSpace(tuple("abcdefghijklm"))
SOME = torch.randint(0, 3, (300, 13), generator=torch.Generator().manual_seed(2))


def known(share, *, ids=IDS, truth=SOME, labels=NAMES, reveal="random", **options):
    return known_labels(EvalSetting(share, reveal=reveal), truth, ids, labels, **options)


def test_known_labels_have_the_authors_count():
    for share in (0.0, 0.25, 0.5, 0.75, 0.99, 1.0):
        assert (known(share).sum(1) == int(share * 13)).all()


@pytest.mark.parametrize("reveal", ["random", "positives", "confident"])
def test_known_labels_are_nested_as_the_share_grows(reveal, generator):
    scores = torch.randn(300, 13, generator=generator)
    few, more = (known(share, reveal=reveal, scores=scores) for share in (0.25, 0.75))
    assert (more | ~few).all() and more.sum() > few.sum() > 0


def test_known_labels_depend_on_id_and_seed_alone():
    whole = known(0.5)
    assert (known(0.5, ids=IDS[::-1]).flip(0) == whole).all()
    assert (known(0.5, seed=1) != whole).any()


def test_known_labels_are_spread_evenly():
    assert np.allclose(known(0.5).double().mean(0), 6 / 13, atol=0.13)


def test_a_share_beyond_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 50\.0"):
        EvalSetting(50.0)


def test_rounding_loses_no_known_label():
    hundred = LabelSpace(tuple(map(str, range(100))))
    truth = torch.ones(1, 100, dtype=torch.long)
    for share in (0.29, 0.57):
        assert known(share, ids=["a"], truth=truth, labels=hundred).sum() == round(100 * share)


def test_positives_reveal_only_present_labels():
    told = known(0.5, reveal="positives")
    positive = SOME == LabelState.POSITIVE
    assert not (told & ~positive).any()
    assert (told.sum(1) == positive.sum(1) // 2).all()


def test_the_most_confident_present_labels_become_known_first(generator):
    scores = torch.randn(300, 13, generator=generator)
    told = known(0.5, reveal="confident", scores=scores)
    positive = SOME == LabelState.POSITIVE
    for row in range(300):
        chosen = set(scores[row].masked_fill(~positive[row], -9).topk(int(positive[row].sum()) // 2).indices.tolist())
        assert set(told[row].nonzero()[:, 0].tolist()) == chosen


GROUPED = NAMES.extended(
    ["colour", "size", "shape"],
    [Group("colour", ("a", "b", "c")), Group("size", ("e", "f")), Group("shape", ("k",)), Group("kind", ("l", "m"))],
)


def groups_known(count, **options):
    return known_labels(EvalSetting(groups=count), SOME, IDS, GROUPED, **options)


def test_extra_groups_become_known_as_a_whole_and_targets_never():
    for count in range(4):
        told = groups_known(count)
        whole = torch.stack([told[:, GROUPED.members(g)].double().mean(1) for g in GROUPED.groups], dim=1)
        assert set(whole.unique().tolist()) <= {0.0, 1.0}
        assert (whole[:, :3].sum(1) == count).all() and not told[:, GROUPED.targets].any()


def test_extra_groups_are_nested_drawn_an_image_and_evenly():
    one, two = groups_known(1), groups_known(2)
    assert (two | ~one).all()
    assert np.allclose(one[:, [0, 4, 10]].double().mean(0), 1 / 3, atol=0.1)
    assert (groups_known(1, seed=1) != one).any()


def test_more_groups_than_there_are_is_refused():
    with pytest.raises(ValueError, match="4 known groups asked for, the label space has 3 groups of extra labels"):
        groups_known(4)


def test_masking_by_group_hides_groups_whole_and_as_many_units_as_the_share_gives(generator):
    truth = torch.randint(1, 3, (2000, 13), generator=generator)
    states = label_mask_training(truth, units=GROUPED.units, generator=generator)
    hidden = (states == LabelState.UNKNOWN).double()
    units = torch.stack([hidden[:, GROUPED.units == u].mean(1) for u in range(9)], dim=1)
    assert set(units.unique().tolist()) == {0.0, 1.0}
    assert set(units.sum(1).long().unique().tolist()) == set(range(3, 10))  # a quarter of 9 units, up to all


def test_labels_outside_the_mask_are_always_hidden_and_the_rest_is_masked_as_ever(generator):
    truth = torch.randint(1, 3, (3000, 13), generator=generator)
    may = ~GROUPED.targets  # 6 labels in 3 groups
    states = label_mask_training(truth, maskable=may, generator=generator)
    assert (states[:, ~may] == LabelState.UNKNOWN).all()
    hidden = (states[:, may] == LabelState.UNKNOWN).sum(1)
    assert set(hidden.unique().tolist()) == {2, 3, 4, 5, 6}
    told = states != LabelState.UNKNOWN
    assert (states[told] == truth[told]).all()
    by_group = label_mask_training(truth, maskable=may, units=GROUPED.units, generator=generator)
    whole = torch.stack([(by_group[:, GROUPED.members(g)] != 0).double().mean(1) for g in GROUPED.groups[:3]], dim=1)
    assert set(whole.unique().tolist()) == {0.0, 1.0} and (by_group[:, ~may] == 0).all()


def test_an_extra_label_without_a_group_becomes_known_alone():
    labels = NAMES.extended(["c", "d", "pair"], [Group("pair", ("a", "b"))])
    told = known_labels(EvalSetting(groups=1), SOME, IDS, labels)
    sums = {tuple(row) for row in told[:, :4].long().tolist()}
    assert sums == {(1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)} and not told[:, 4:].any()


def test_groups_go_with_no_share_and_no_other_reveal():
    for options in ({"share": 0.5}, {"reveal": "positives"}):
        with pytest.raises(ValueError, match="become known as a whole, drawn at random"):
            EvalSetting(groups=1, **options)


@pytest.mark.parametrize(
    ("setting", "text", "drawn"),
    [
        (EvalSetting(), "0 %", False),
        (EvalSetting(0.25), "25 %", True),
        (EvalSetting(groups=10), "10 groups", True),
        (EvalSetting(groups=0), "0 groups", False),
        (EvalSetting(0.5, reveal="positives"), "50 % of positives", True),
        (EvalSetting(0.5, reveal="confident"), "50 % of positives, most confident first", False),
    ],
)
def test_evidence_has_a_legend(setting, text, drawn):
    assert str(setting) == text and setting.is_drawn is drawn


def test_known_and_unannotated_entries_do_not_count():
    truth = torch.tensor([[0, 1, 2, 2]])
    states = reveal(truth, torch.tensor([[True, False, False, True]]))
    assert states.tolist() == [[0, 0, 0, 2]]
    assert scored_mask(truth, states).tolist() == [[False, True, True, False]]
