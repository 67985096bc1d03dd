"""JPEG 2000 of more than 8 bits: files of OpenJPEG's own encoder, and files of 8 bits whose header states more."""

import base64
import io
import struct

import numpy as np
import pytest
from PIL import Image

from ctran.images.jpeg2000 import START, read_header
from ctran.images.reading import BrokenImageError, open_image, open_pixels
from ctran.images.samples import DimPictureWarning

FILES = {
    "colours of 12 bits": (
        "/0//UQAvAAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAADCwEBCwEBCwEB/1IADAAAAAEBBQQEAAH/XAATQGBoaHBoaHBoaHBoaHBo"
        "aHD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjL/kAAKAAAAAACiAAH/k8ACEAfP5AgEQM/kCAbugM/wBgAIJr/P8AYAAW4/"
        "gMfyDAABXZkMp9/H8g4ACBWtDW8uU4DP8BIAF9h1glXs5gE/z/AaABcsc4JgsErb0vS9L0uAz/AYACIaDxi+ZC1mAT//f8/wMAAhbg0YvnpISucB"
        "D3C52hxDABpjr7lr07uAz/AMADaeQeONr8fyDAA18j+qvh//2Q=="
    ),
    "colours of 16 bits, lossy, JP2": (
        "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAIAAAACAAAw8HAAAAAAAPY29scgEAAAAAABAAAAG6anAy"
        "Y/9P/1EALwAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAAAw8BAQ8BAQ8BAf9SAAwAAAABAQUEBAAA/1wAI0K3ILbwtvC2wK8ArwCu"
        "4KdQp1CnaJAFkAWQR5fTl9OXYv9kACUAAUNyZWF0ZWQgYnkgT3BlbkpQRUcgdmVyc2lvbiAyLjUuMv+QAAoAAAAAASMAAf+TwP9iwGAIerjD/xEB"
        "gAND58P7AYAFf8DB/0cAwASBf8P/EQGACcBQw/8RAYABllnA/UGACCNmCOCpw/IGAAFrLePxi8PyBwAMvIa1hV9dwPpFgBcq4Vv9LxmbbSI8w+8P"
        "ABfW42JSwF0bBvu8ZEuB2MPvDgAXLHN8RkeBo1DOruAGZ8H0kQAhbgef3QnOMwASwGEN4/6socfYKgAiGg7DQ3VliPACkAxiFL4h5uBKdazH2CQA"
        "IW4NGAOqclXKjZGRIwim/LOtwPlHgDXyP6mnRw4BcAKUEhEIscPsGwA2nkGrWgUNOhmJYgAwAKQDBxpfASdyPGaq4wzD7BkANfI/4tH20M9UHb9M"
        "gbFH8Vz8OAbIy007IP/Z"
    ),
    "colours and alpha of 16 bits, JP2": (
        "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAIAAAACAABA8HAAAAAAAPY29scgEAAAAAAAAAAAFPanAy"
        "Y/9P/1EAMgAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABA8BAQ8BAQ8BAQ8BAf9SAAwAAAABAAUEBAAB/1wAE0CAiIiQiIiQiIiQ"
        "iIiQiIiQ/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4y/5AACgAAAAAAxQAB/5PP/DAMBvGXwAAhB8/8MAwEQY/P/DAIAT/P"
        "/EgMAW6/gM/8SAwIJt+Ax/4YFAAIFa0Nby5TnOc/gMf+GAwAAV2ZDKffgM/8SEgXLHOCYLBK29L0vS9L0vS9L0uAz/xIJBfYdYJV7OYBP4DP/EiE"
        "IW4NGL56SErnAQ9wudocQwAaY6+5a9O8W+Gt8Nb4a3wvgM/8SDAiGg8YvmQtZgE//3+Ax/4YDAA18j+qvieAz/xIGDaeQeONr4D/2Q=="
    ),
    "grey of 9 bits, JP2": (
        "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAIAAAACAAAQgHAAAAAAAPY29scgEAAAAAABEAAADPanAy"
        "Y/9P/1EAKQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAAAQgBAf9SAAwAAAABAAUEBAAB/1wAE0BIUFBYUFBYUFBYUFBYUFBY/2QA"
        "JQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4y/5AACgAAAAAATgAB/5PPwAgG78/MCAF3x+AMAAgVrQ1vf8/MLBcsc4JgsErb0v9/"
        "z8xIIW4NGL56SErnAQ9wudocQwAXx+AKADXyP6q9/9k="
    ),
    "grey of 12 bits": (
        "/0//UQApAAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAABCwEB/1IADAAAAAEABQQEAAH/XAATQGBoaHBoaHBoaHBoaHBoaHD/ZAAl"
        "AAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjL/kAAKAAAAAABdAAH/k8/kDAbxf8/wBgABbj/H8g4ACBWtDW8uU8/wGgAXLHOCYLBK"
        "29L0vS9Lz/AwACFuDRi+ekhK5wEPcLnaHEMAGmOvuWvTu8fyDAA18j+qvh//2Q=="
    ),
    "YCbCr of 12 bits, JP2": (
        "AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAIAAAACAAAwsHAAAAAAAPY29scgEAAAAAABIAAAEranAy"
        "Y/9P/1EALwAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAAAwsBAQsBAQsBAf9SAAwAAAABAAUEBAAB/1wAE0BgaGhwaGhwaGhwaGhw"
        "aGhw/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4y/5AACgAAAAAApAAB/5PP5AwG8X/AAhAHz+QMBEF/z/AGAAFuP4DP8AYA"
        "CCa/x/IOAAgVrQ1vLlOAx/IMAAFdmQyn38/wGgAXLHOCYLBK29L0vS9LgM/wEgAX2HWCVezmAT/P8DAAIW4NGL56SErnAQ9wudocQwAaY6+5a9O7"
        "gM/wGAAiGg8YvmQtZgE//3/H8gwANfI/qr4fgM/wDAA2nkHjja//2Q=="
    ),
}
"""32 x 32 pixels, black on the left, white on the right; second component mid-grey, third reversed, fourth (alpha) opaque."""


def halves(left: tuple[int, ...], right: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.tile(np.uint8(each), (32, 16, 1)) for each in (left, right)], axis=1)


COLOURS = halves((0, 127, 255), (255, 127, 0))
GREY = halves((0, 0, 0), (255, 255, 255))


def near(content: bytes, expected: np.ndarray, within: int = 1, white: float | None = None) -> bool:
    """However the file is opened."""
    found = np.asarray(open_image(content, white=white)), open_pixels(content, white=white).numpy()
    return all(each.shape == expected.shape and abs(each.astype(int) - expected).max() <= within for each in found)


@pytest.mark.parametrize("name", [name for name in FILES if "YCbCr" not in name])
def test_black_and_white_of_deep_files_stay_apart(name: str):
    assert near(base64.b64decode(FILES[name]), GREY if "grey" in name else COLOURS, within=2 if "lossy" in name else 1)


@pytest.mark.parametrize("name", [name for name in FILES if "JP2" in name and "YCbCr" not in name])
def test_a_box_may_have_its_length_in_eight_more_bytes(name: str):
    content = base64.b64decode(FILES[name])
    at = content.index(b"jp2c")
    length = len(content) - at + 12
    longer = content[: at - 4] + struct.pack(">I4sQ", 1, b"jp2c", length) + content[at + 4 :]
    assert near(longer, GREY if "grey" in name else COLOURS, within=2 if "lossy" in name else 1)


def deeper(mode: str, bits: int, container: str) -> tuple[bytes, Image.Image]:
    """A lossy file of 8 bits whose header states more, and what it shows with 8: lossy samples scale with the stated depth.

    Edges overshoot, so that the greatest and the least values are reached.
    """
    ramp = np.zeros((16, 24), np.uint8)
    ramp[:, 12:], ramp[4:8] = 255, np.linspace(0, 255, 24)
    bands = [ramp, ramp[::-1], ramp[:, ::-1], 255 - ramp][: len(mode)]
    picture = Image.fromarray(np.dstack(bands) if len(mode) > 1 else ramp, mode)
    file = io.BytesIO()
    picture.save(file, "JPEG2000", no_jp2=container == "j2k", irreversible=True)
    content = bytearray(file.getvalue())
    start = content.find(START)
    for number in range(struct.unpack_from(">H", content, start + 40)[0]):
        content[start + 42 + 3 * number] = bits - 1
    if container == "jp2":
        content[content.find(b"ihdr") + 14] = bits - 1
    return bytes(content), Image.open(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize("container", ["j2k", "jp2"])
@pytest.mark.parametrize("bits", [9, 10, 12, 16])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_kind_of_samples_is_read_as_with_8_bits(mode: str, bits: int, container: str):
    content, shown = deeper(mode, bits, container)
    assert near(content, np.asarray(open_image(shown)).astype(int))


def test_the_depth_of_every_component_counts():
    content, shown = deeper("RGBA", 8, "j2k")
    changed, header = bytearray(content), read_header(content)
    assert header is not None
    changed[header.start + 42 + 9] = 15  # of alpha alone, whose opaque pixels Pillow makes clear
    assert near(bytes(changed), np.asarray(open_image(shown)).astype(int))


def test_ycbcr_which_is_converted_before_its_white_can_be_restored_is_refused():
    with pytest.raises(BrokenImageError, match="YCbCr of more than 8 bits may be read wrongly; convert it to PNG"):
        open_image(base64.b64decode(FILES["YCbCr of 12 bits, JP2"]))


def test_grey_deeper_than_its_16_bits_is_refused():
    content, _ = deeper("L", 17, "j2k")
    with pytest.raises(BrokenImageError, match="grey in JPEG 2000 of 17 bits is not read; convert it to PNG of 16 bits"):
        open_image(content)


@pytest.mark.parametrize("end", range(0, 70, 3))
def test_a_header_that_ends_early_is_none_or_whole(end: int):
    content = base64.b64decode(FILES["colours of 12 bits"])
    assert read_header(content[:end]) == (None if end < 51 else read_header(content))
    assert read_header(b"jp2c" + content) is not None and read_header(b"") is None


def test_a_white_is_in_the_file_s_own_range():
    grey, colours = base64.b64decode(FILES["grey of 12 bits"]), base64.b64decode(FILES["colours of 12 bits"])
    assert near(grey, GREY, white=4095) and near(colours, COLOURS, white=4095)
    assert near(grey, GREY // 2, white=8191)
    with pytest.raises(BrokenImageError, match=r"the white of colours in JPEG 2000 is 4,095, got 1,023"):
        open_image(colours, white=1023)


def test_dark_grey_of_12_bits_needs_no_warning_as_the_file_states_its_range(recwarn: pytest.WarningsRecorder):
    shown = deeper("L", 12, "j2k")[1]
    dark = Image.fromarray(np.asarray(shown) // 8, "L")
    file = io.BytesIO()
    dark.save(file, "JPEG2000", no_jp2=True, irreversible=True)
    changed = bytearray(file.getvalue())
    changed[changed.find(START) + 42] = 11
    assert near(bytes(changed), np.repeat(np.asarray(dark)[..., None], 3, axis=2).astype(int))
    assert not [warning for warning in recwarn if issubclass(warning.category, DimPictureWarning)]
