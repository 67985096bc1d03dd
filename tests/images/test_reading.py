import io

import numpy as np
import pytest
from PIL import Image

from ctran.images import reading as decoding
from ctran.images.reading import BrokenImageError, open_image, open_pixels
from tests.images.test_transforms import photograph


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
    monkeypatch.setattr(decoding, "MAX_PIXELS", 10)
    with pytest.raises(BrokenImageError, match="4 x 4 pixels, at most 10"):
        open_image(png(Image.new("RGB", (4, 4))))


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


def test_a_folder_is_not_a_picture(tmp_path):
    with pytest.raises(BrokenImageError, match="is a folder"):
        open_image(tmp_path)


def encoded(picture: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    return exif


FILES = {
    "4:2:0": encoded(photograph(), quality=90, subsampling=2),
    "4:2:2": encoded(photograph(), quality=90, subsampling=1),
    "4:4:4": encoded(photograph(), quality=60, subsampling=0),
    "progressive": encoded(photograph(), quality=90, progressive=True),
    "turned": encoded(photograph(), exif=turned()),
    "grey": encoded(photograph().convert("L")),
    "cmyk": encoded(photograph().convert("CMYK")),
    "png": encoded(photograph(), "PNG"),
    "webp": encoded(photograph(), "WEBP"),
    "gif": encoded(photograph(), "GIF"),
    "transparent": encoded(photograph().convert("LA"), "PNG"),
}


@pytest.mark.parametrize("fast", [True, False], ids=["simplejpeg", "without simplejpeg"])
@pytest.mark.parametrize("name", FILES)
def test_numbers_are_the_pictures_own_to_the_bit(name, fast, monkeypatch, tmp_path):
    if fast:
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(decoding, "simplejpeg", None)
    (tmp_path / "picture").write_bytes(FILES[name])
    expected = np.asarray(open_image(FILES[name]))
    for source in (FILES[name], tmp_path / "picture", Image.open(io.BytesIO(FILES[name]))):
        assert np.array_equal(open_pixels(source), expected)


def outcome(read, content: bytes) -> object:
    try:
        return np.asarray(read(content, name="cat.jpg")).tobytes()
    except BrokenImageError as error:
        return str(error)


def test_damaged_jpegs_give_the_same_numbers_or_the_same_error():
    rng = np.random.default_rng(0)
    outcomes = set()
    for n in range(300):
        content = bytearray(FILES["4:2:0"])
        if n % 3 == 0:
            del content[int(rng.integers(20, len(content))) :]
        for at in rng.integers(600, len(content), n % 3) if n % 3 else ():
            content[at] = int(rng.integers(256))
        by_pillow, found = outcome(open_image, bytes(content)), outcome(open_pixels, bytes(content))
        assert found == by_pillow
        outcomes.add(type(found))
    assert outcomes == {bytes, str}


def test_too_large_a_jpeg_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 10)
    with pytest.raises(BrokenImageError, match=r"big.jpg: 61 x 45 pixels, at most 10"):
        open_pixels(FILES["4:2:0"], name="big.jpg")
