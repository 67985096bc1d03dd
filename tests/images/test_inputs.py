"""A picture gives the same, whichever way it is given; what is not a picture is answered with what to do."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ctran.images.inputs import content_of, label_of
from ctran.images.reading import BrokenImageError, open_image, open_pixels
from tests.images.test_transforms import photograph

RGB = np.asarray(photograph())
ALPHA = np.dstack([RGB, np.linspace(0, 255, RGB.shape[0] * RGB.shape[1]).reshape(RGB.shape[:2]).astype(np.uint8)])


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("values", [RGB, ALPHA, RGB[..., 0]], ids=["RGB", "RGBA", "grey"])
def test_a_picture_gives_the_same_whichever_way_it_is_given(values, tmp_path):
    content, path = png(values), tmp_path / "picture.png"
    path.write_bytes(content)
    expected = np.asarray(open_image(content))
    written = io.BytesIO()
    written.write(content)  # its position is at the end
    channels_first = torch.from_numpy(np.atleast_3d(values).transpose(2, 0, 1).copy())
    with path.open("rb") as file, Image.open(path) as lazy, Image.open(path) as loaded:
        loaded.load()
        sources = [str(path), path, content, bytearray(content), memoryview(content), written, file, lazy, loaded, values]
        sources += [values[::1, ::1], torch.from_numpy(values.copy()), channels_first, np.asfortranarray(values)]
        for source in sources * 2:  # the second time of each file is as good as the first
            assert np.array_equal(np.asarray(open_image(source)), expected), type(source)
            assert np.array_equal(open_pixels(source).numpy(), expected), type(source)


def test_a_stream_that_cannot_go_back_is_read_once(tmp_path):
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.content = content

        def seekable(self) -> bool:
            return False

        def read(self, size: int = -1) -> bytes:
            content, self.content = self.content, b""
            return content

    assert np.array_equal(np.asarray(open_image(Pipe(png(RGB)))), RGB)


WRONG = {
    "https://example.org/cat.jpg": "is an address: download",
    "s3://bucket/cat.jpg": "is an address: download",
    "data:image/png;base64,AAAA": "is an address",
    "float": (RGB / 255.0, r"type uint8, from 0 to 255, got float64; values from 0 to 1: \(255"),
    "deep": (RGB.astype(np.uint16), "type uint8, from 0 to 255, got uint16"),
    "channels first": (RGB.transpose(2, 0, 1), "H x W x 3.*move the channels last"),
    "batch": (RGB[None], "several pictures go to predict_all"),
    "empty": (RGB[:0], "the array is empty: shape 0 x"),
    "tensor": (torch.rand(3, 4, 5), "type uint8, from 0 to 255, got float32"),
    "ambiguous": (torch.zeros(3, 4, 3, dtype=torch.uint8), "may be C x H x W or H x W x C"),
    "two channels": (RGB[..., :2], "H x W x 3, H x W x 4 or H x W"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_a_picture_is_refused_with_the_remedy(case):
    source, message = WRONG[case] if isinstance(WRONG[case], tuple) else (case, WRONG[case])
    with pytest.raises(BrokenImageError, match=message):
        open_image(source)


def test_folders_text_files_and_other_objects_are_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(BrokenImageError, match=r"is a folder; name the pictures in it"):
        open_image(tmp_path)
    with (tmp_path / "notes.txt").open() as text, pytest.raises(BrokenImageError, match='open it with mode "rb"'):
        open_image(text)
    with pytest.raises(ValueError, match="got list; several pictures go to predict_all"):
        content_of(["a.png"])
    with pytest.raises(ValueError, match=r"expected a path, .* got NoneType"):
        content_of(None)
    with pytest.raises(BrokenImageError, match=r"embedded null|no such file|cannot be read"):
        open_image("a\0b.png")
    with pytest.raises(BrokenImageError, match=r"notes.txt.*cannot be read \(Not a directory"):
        open_image(tmp_path / "notes.txt" / "a.png")


def test_a_picture_without_a_name_is_called_by_its_file_or_kind(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(RGB))
    with path.open("rb") as file, Image.open(path) as picture:
        assert label_of(file, None) == label_of(picture, None) == label_of(Path(path), None) == str(path)
    assert label_of(b"", None) == "<image>" and label_of(RGB, None) == "<ndarray>" and label_of(RGB, "cat") == "cat"
