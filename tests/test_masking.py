import numpy as np
import pytest
import torch

from ctran.labels import LabelState
from ctran.masking import counted, known_labels, label_mask_training, tell

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


def test_what_is_told_is_the_truth(generator):
    states = label_mask_training(TRUTH, generator=generator)
    told = states != LabelState.UNKNOWN
    assert told.any() and (states[told] == TRUTH[told]).all()


def test_labels_nobody_looked_at_are_never_told(generator):
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


IDS = [f"picture {i}" for i in range(300)]


def test_known_labels_have_the_authors_count():
    for share in (0.0, 0.25, 0.5, 0.75, 0.99, 1.0):
        assert (known_labels(IDS, 13, share).sum(1) == int(share * 13)).all()


def test_known_labels_are_nested_as_the_share_grows():
    few, more = known_labels(IDS, 13, 0.25), known_labels(IDS, 13, 0.75)
    assert (more | ~few).all()


def test_known_labels_depend_on_id_and_seed_alone():
    whole = known_labels(IDS, 13, 0.5)
    assert (known_labels(IDS[::-1], 13, 0.5)[::-1] == whole).all()
    assert (known_labels(IDS, 13, 0.5, seed=1) != whole).any()


def test_known_labels_are_spread_evenly():
    assert np.allclose(known_labels(IDS, 10, 0.5).mean(0), 0.5, atol=0.13)


def test_a_share_beyond_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 50\.0"):
        known_labels(IDS, 13, 50.0)


def test_told_and_unlooked_entries_do_not_count():
    truth = torch.tensor([[0, 1, 2, 2]])
    states = tell(truth, torch.tensor([[True, False, False, True]]))
    assert states.tolist() == [[0, 0, 0, 2]]
    assert counted(truth, states).tolist() == [[False, True, True, False]]


def test_rounding_loses_no_known_label():
    assert known_labels(["a"], 100, 0.29).sum() == 29 and known_labels(["a"], 100, 0.57).sum() == 57
    assert known_labels(["a"], 80, 0.74).sum() == int(0.74 * 80)
