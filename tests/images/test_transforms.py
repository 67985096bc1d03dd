import pickle
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ctran.images.reading import as_image, as_pixels
from ctran.images.transforms import Augmentation, Fit, Preprocessing, Resample, augmentation, cutout


def photograph(width: int = 61, height: int = 45, seed: int = 0) -> Image.Image:
    """Smooth light, a few edges, a little noise: what resizing meets outside of tests."""
    y, x = np.mgrid[0:height, 0:width] / height
    light = 120 + 90 * np.sin(4 * x + 2 * y) + 30 * (x > 0.5)
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    return Image.fromarray((light[..., None] * (1, 0.8, 0.6) + noise).clip(0, 255).astype(np.uint8))


def test_pad_keeps_the_shape_on_white():
    square = Preprocessing(8, "pad").square(Image.new("RGB", (8, 4), "black"))
    assert square.getpixel((0, 0)) == (255, 255, 255) and square.getpixel((0, 4)) == (0, 0, 0)


def test_values_are_normalised_channel_by_channel():
    transform = Preprocessing(2, "squash", mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    tensor = transform(Image.new("RGB", (5, 3), "white"))
    assert torch.allclose(tensor[:, 0, 0], torch.tensor([1.0, 3.0, 1.0]))


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_every_augmentation_gives_a_square_of_the_right_size(name):
    out = augmentation(name, Preprocessing(64))(Image.new("RGB", (50, 80), "blue"))
    assert out.size == (64, 64)


def test_the_papers_test_transform_cuts_the_middle_of_the_squashed_picture():
    noise = Image.effect_noise((100, 60), 90).convert("RGB")
    square = Preprocessing(576, "squash", centre=0.9).square(noise)
    whole = noise.resize((640, 640), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(square), np.asarray(whole)[32:608, 32:608])


def test_cut_takes_the_middle_as_it_is_and_black_beyond_the_edge():
    noise = Image.effect_noise((20, 6), 90).convert("RGB")
    square = np.asarray(Preprocessing(10, "cut").square(noise))
    assert np.array_equal(square[2:8], np.asarray(noise)[:, 5:15]) and not square[[0, 1, 8, 9]].any()


def test_cutout_covers_up_to_a_quarter_of_every_picture_with_one_colour():
    picture = Image.new("RGB", (40, 40), (1, 2, 3))
    shares = []
    for _ in range(200):
        changed = np.asarray(cutout(picture))
        covered = (changed != (1, 2, 3)).any(2)
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        assert covered[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert len(np.unique(changed[covered], axis=0)) == 1
        shares.append(covered.mean())
    assert max(shares) == 0.25 and 0.06 <= min(shares) < 0.2
    assert (np.asarray(picture) == (1, 2, 3)).all()


def test_training_and_testing_resize_alike():
    noise = Image.effect_noise((50, 80), 90).convert("RGB")
    found = {}
    for resample in ("bilinear", "bicubic"):
        prepared = Preprocessing(64, "squash", resample=resample)
        trained, tested = (
            augmentation("ctran576", prepared).transforms[0](noise),
            Preprocessing(71, "squash", resample=resample),
        )
        assert np.array_equal(np.asarray(trained), np.asarray(tested.square(noise)))
        found[resample] = np.asarray(trained)
    assert not np.array_equal(found["bilinear"], found["bicubic"])


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("shape", [(61, 45), (45, 61), (50, 50), (200, 7), (9, 120), (33, 90)])
def test_every_fit_is_pillows_own(fit, shape):
    picture = photograph(*shape)
    for size, resample in ((32, "bicubic"), (64, "bilinear"), (57, "bicubic")):
        method = Image.Resampling.BICUBIC if resample == "bicubic" else Image.Resampling.BILINEAR
        left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
        expected = {
            "pad": lambda: ImageOps.pad(picture, (size, size), method, color="white"),  # noqa: B023
            "squash": lambda: picture.resize((size, size), method),  # noqa: B023
            "crop": lambda: ImageOps.fit(picture, (size, size), method),  # noqa: B023
            "cut": lambda: picture.crop((left, top, left + size, top + size)),  # noqa: B023
        }[fit]()
        assert np.array_equal(Preprocessing(size, fit, resample=resample).square(picture), expected)


def test_a_thread_of_a_picture_is_still_seen_when_it_is_padded():
    square = np.asarray(Preprocessing(8, "pad").square(Image.new("RGB", (1, 400), "black")))
    assert (square == 0).all(2).sum(1).tolist() == [1] * 8


@pytest.mark.parametrize("resample", get_args(Resample))
@pytest.mark.parametrize("fit", get_args(Fit))
def test_both_resizers_agree_within_one_step(fit, resample):
    for n, (width, height, size) in enumerate([(160, 120, 56), (120, 161, 56), (161, 121, 144), (64, 48, 64), (44, 44, 90)]):
        pixels = as_pixels(photograph(width, height, n))
        if fit == "crop" and (width - height) % 2:  # the middle lies between two pixels
            pixels = pixels[:-1].contiguous()
        ours, pillows = (
            Preprocessing(size, fit, centre=0.9, resample=resample, resizer=resizer).pixels(pixels).int()
            for resizer in ("torch", "pillow")
        )
        inside = slice(1, -1) if fit == "crop" else slice(None)  # Pillow's box also looks beyond its edge
        gap = (ours - pillows).abs()[inside, inside]
        assert gap.max() <= 1 and gap.float().mean() < 0.05


def test_normalising_a_batch_is_the_formula_channels_last():
    prepared = Preprocessing(5, mean=(0.5, 0.25, 0.1), std=(0.5, 0.2, 1.0))
    pixels = torch.randint(0, 256, (4, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = prepared.normalise(pixels)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (prepared.mean, prepared.std))
    assert torch.equal(found, (pixels.permute(0, 3, 1, 2) * (1 / 255) - mean) / std)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[2], prepared.normalise(pixels[2])) and torch.equal(found[2], prepared.normalise(pixels)[2])


@pytest.mark.parametrize("resizer", ["pillow", "torch"])
def test_resizing_keeps_channels_last_so_that_nothing_is_transposed(resizer):
    assert Preprocessing(32, "squash", resizer=resizer).pixels(as_pixels(photograph())).is_contiguous()


@pytest.mark.parametrize("resizer", ["pillow", "torch"])
def test_a_picture_and_its_numbers_give_the_same_tensor(resizer):
    prepared, picture = Preprocessing(32, "squash", centre=0.9, resizer=resizer), photograph()
    found = prepared(as_pixels(picture))
    assert torch.equal(prepared(picture), found) and torch.equal(prepared.tensor(prepared.square(picture)), found)


@pytest.mark.parametrize("name", ["ctran576", "asl448"])
def test_training_resizes_with_the_chosen_resizer(name):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8))
    prepared = Preprocessing(30, "squash", resizer="torch")
    side = 33 if name == "ctran576" else 30
    first = augmentation(name, prepared).transforms[0](picture)
    assert np.array_equal(first, as_image(prepared.resized(as_pixels(picture), side, side)))
    assert not np.array_equal(first, picture.resize((side, side), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_every_augmentation_can_be_sent_to_a_worker(name):
    sent = pickle.loads(pickle.dumps(augmentation(name, Preprocessing(64))))
    views = []
    for transform in (augmentation(name, Preprocessing(64)), sent):
        torch.manual_seed(0)
        views.append(np.asarray(transform(photograph())))
    assert np.array_equal(*views)
