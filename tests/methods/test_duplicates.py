"""Folds that keep near duplicates together."""

import torch

from ctran.methods._duplicates import LARGEST, folds_of, near_duplicates


def drawn(pictures, seed=0):
    return torch.randn(pictures, 20, generator=torch.Generator().manual_seed(seed))


def test_copies_with_slight_changes_are_a_group_and_others_stay_apart():
    scenes = drawn(50)
    pictures = torch.cat([scenes, scenes[:10] + 0.05 * drawn(10, 1), scenes[:10] + 0.05 * drawn(10, 2)])
    groups = near_duplicates(pictures)
    for at in range(10):
        assert groups[at] == groups[50 + at] == groups[60 + at]
    assert len(groups.unique()) == 50


def test_a_chain_of_pictures_is_one_group_whatever_their_order():
    scenes, order = drawn(100), torch.randperm(104, generator=torch.Generator().manual_seed(3))
    steps = torch.arange(1, 5)[:, None] * 0.25 * torch.eye(20)[0]
    groups = near_duplicates(torch.cat([scenes, scenes[:1] + steps])[order])[order.argsort()]
    assert groups[0] == groups[100] == groups[103] and (groups == groups[0]).sum() == 5


def test_no_group_takes_much_of_the_pictures():
    walk = 0.1 * drawn(400).cumsum(dim=0)  # each is near the one before
    sizes = near_duplicates(walk).bincount()
    assert sizes.max() <= LARGEST * 400


def test_pictures_that_all_look_alike_are_no_duplicates():
    assert near_duplicates(torch.ones(6, 4)).tolist() == list(range(6)) and near_duplicates(torch.ones(1, 4)).tolist() == [0]


def test_folds_are_even_and_split_no_group():
    groups = torch.tensor([0, 0, 0, 0, 1, 1, *range(2, 20)])
    folds = folds_of(groups, 0, 4)
    assert folds.bincount().tolist() == [6, 6, 6, 6]
    assert all(len(folds[groups == group].unique()) == 1 for group in range(20))
