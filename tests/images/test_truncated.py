"""Files that end early: refused, or what is there of them; nothing of it changes what other threads read."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from ctran.images.reading import BrokenImageError, open_image, open_pixels
from tests.images.test_transforms import photograph


def encoded(form: str, **options: object) -> bytes:
    out = io.BytesIO()
    photograph().resize((160, 120)).save(out, form, **options)
    return out.getvalue()


JPEGS = {
    "4:2:0": encoded("JPEG", quality=90, subsampling=2),
    "4:4:4": encoded("JPEG", quality=60, subsampling=0),
    "restarts": encoded("JPEG", quality=80, restart_marker_rows=1),
    "progressive": encoded("JPEG", quality=90, progressive=True),
}
OTHERS = {"PNG": encoded("PNG"), "GIF": encoded("GIF"), "BMP": encoded("BMP"), "TIFF": encoded("TIFF"), "PPM": encoded("PPM")}


@pytest.mark.parametrize("kind", JPEGS)
def test_what_is_there_of_a_jpeg_is_read_as_pillow_reads_truncated_files(kind, monkeypatch):
    content = JPEGS[kind]
    for share in (0.5, 0.7, 0.9, 0.99):
        part = content[: int(share * len(content))]
        with pytest.raises(BrokenImageError, match=r"cat.jpg: broken picture"):
            open_image(part, name="cat.jpg")
        found = np.asarray(open_image(part, truncated="read"))
        assert not ImageFile.LOAD_TRUNCATED_IMAGES, "a switch of the whole process"
        assert np.array_equal(open_pixels(part, truncated="read").numpy(), found)
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(part)).convert("RGB")), found)


@pytest.mark.parametrize("form", OTHERS)
def test_what_is_there_of_other_formats_is_read(form):
    content = OTHERS[form]
    whole = np.asarray(open_image(content))
    part = content[: int(0.6 * len(content))]
    with pytest.raises(BrokenImageError, match="cat: broken picture"):
        open_image(part, name="cat")
    found = np.asarray(open_image(part, truncated="read"))
    same = (found == whole).all(axis=(1, 2))
    assert found.shape == whole.shape and same.sum() > 40 and not same.all()


def test_what_holds_no_pixel_is_refused_also_when_truncated_files_are_read():
    for content in (JPEGS["4:2:0"][:100], OTHERS["PNG"][:45], OTHERS["TIFF"][:6], b"", b"\xff\xd8\xff"):
        with pytest.raises(BrokenImageError, match="cat: "):
            open_image(content, name="cat", truncated="read")


@pytest.mark.parametrize("kind", ["4:2:0", "4:4:4", "restarts"])
def test_a_jpeg_that_lacks_its_end_alone_is_whole(kind):
    content = JPEGS[kind]
    whole = np.asarray(open_image(content))
    assert content.endswith(b"\xff\xd9")
    for cut in (1, 2):
        assert np.array_equal(np.asarray(open_image(content[:-cut])), whole)
        assert np.array_equal(open_pixels(content[:-cut]).numpy(), whole)
    for cut in range(4, 40):
        with pytest.raises(BrokenImageError):
            open_image(content[:-cut])


def test_a_progressive_jpeg_that_ends_early_is_read_only_on_request():
    with pytest.raises(BrokenImageError, match="truncated"):
        open_image(JPEGS["progressive"][:-2])
    open_image(JPEGS["progressive"][:-2], truncated="read")
