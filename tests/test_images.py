import io
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from ctran import images
from ctran.images import Augmentation, BrokenImageError, Preprocessing, augmentation, cutout, open_image


def png(picture: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


def test_transparency_is_laid_on_white():
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    picture.putpixel((0, 0), (0, 0, 255, 255))
    opened = open_image(png(picture))
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 255), (255, 255, 255)]


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([10, 20, 30])
    assert open_image(png(picture, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_exif_rotation_is_applied():
    picture = Image.new("RGB", (4, 2), "white")
    picture.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right
    turned = open_image(png(picture, exif=exif))
    assert turned.size == (2, 4) and turned.getpixel((1, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a picture"), (b"no picture at all", "not a picture"), (png(Image.new("RGB", (64, 64)))[:60], "broken|not a")],
)
def test_bytes_that_are_no_picture_are_refused_by_name(content, message):
    with pytest.raises(BrokenImageError, match=f"cat.png: .*({message})"):
        open_image(content, name="cat.png")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BrokenImageError, match=r"gone.png: no such file"):
        open_image(tmp_path / "gone.png")


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 10)
    with pytest.raises(BrokenImageError, match="4 x 4 pixels, at most 10"):
        open_image(png(Image.new("RGB", (4, 4))))


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


def test_grey_of_sixteen_bits_and_of_real_numbers_keeps_its_values(tmp_path):
    ramp = np.linspace(0, 1, 16).reshape(4, 4)
    expected = (255 * ramp).round()
    Image.fromarray((65535 * ramp).astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "real.tif")
    for name in ("deep.png", "real.tif"):
        seen = np.asarray(open_image(tmp_path / name))
        assert abs(seen - expected[..., None]).max() <= 1, name


def test_grey_out_of_range_is_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 300.0, dtype=np.float32)).save(tmp_path / "hot.tif")
    with pytest.raises(BrokenImageError, match="grey values from 300 to 300, expected 0 to 1"):
        open_image(tmp_path / "hot.tif")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(BrokenImageError, match="is a folder"):
        open_image(tmp_path)


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
