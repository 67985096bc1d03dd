"""Exact values of every kind of sample: files written here, byte by byte, and what they must become."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ctran.images.reading import BrokenImageError, open_image, open_pixels
from ctran.images.samples import DimPictureWarning

RAMP = np.linspace(0, 1, 32).reshape(4, 8)
"""Grey from black to white."""
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
WHITE = 255


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(values: np.ndarray, bits: int, colours: int, *before: tuple[bytes, bytes]) -> bytes:
    """Whole numbers of shape H x W or H x W x C as a PNG file, chunks before its pixels."""
    height, width = values.shape[:2]
    rows = values.reshape(height, -1).astype(np.uint16)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(height, -1)
    else:
        each = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        packed = np.packbits(each.reshape(height, -1).astype(np.uint8), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in packed)
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    chunks = [(b"IHDR", head), *before, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def tiff(
    values: np.ndarray, photometric: int, order: str = "<", deflate: bool = False, planar: bool = False, **tags: int
) -> bytes:
    """An array of shape H x W or H x W x C as a TIFF file of one strip (planar: one a channel); tags as ``t338=2``."""
    values = values if values.ndim == 3 else values[..., None]
    height, width, channels = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    values = values.astype(values.dtype.newbyteorder(order))
    strips = [values[..., c].tobytes() for c in range(channels)] if planar else [values.tobytes()]
    strips = [zlib.compress(strip) if deflate else strip for strip in strips]
    bits = values.dtype.itemsize * 8
    extra = {int(k[1:]): v for k, v in tags.items()}
    starts = np.cumsum([2048, *map(len, strips[:-1])]).tolist()
    numbers = {256: [width], 257: [height], 258: [bits] * channels, 259: [8 if deflate else 1], 262: [photometric], 273: starts}
    numbers |= {
        277: [channels],
        278: [height],
        279: [len(s) for s in strips],
        284: [2 if planar else 1],
        339: [kind] * channels,
    }
    numbers |= {k: v if isinstance(v, list) else [v] for k, v in extra.items()}
    entries, behind = b"", b""
    where = 10 + 12 * len(numbers)
    for tag, held in sorted(numbers.items()):
        form, code = (4, "I") if tag in (256, 257, 273, 278, 279, 280, 281, 340, 341) else (3, "H")
        data = struct.pack(f"{order}{len(held)}{code}", *held)
        if len(data) > 4:
            behind += data
            data = struct.pack(f"{order}I", where + 4 + len(behind) - len(data))
        entries += struct.pack(f"{order}HHI", tag, form, len(held)) + data.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(numbers))
    return (head + entries + b"\0" * 4 + behind).ljust(2048, b"\0") + b"".join(strips)


def whole(shares: np.ndarray, bits: int) -> np.ndarray:
    """0 to 1 as whole numbers of so many bits."""
    top = (1 << bits) - 1
    return (shares * top).round().astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def check(content: bytes, expected: np.ndarray, within: float = 1, **options: object) -> None:
    """Values of 0 to 255, H x W or H x W x 3, however the file is opened."""
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    for seen in (np.asarray(open_image(content, **options)), open_pixels(content, **options).numpy()):
        assert seen.shape == expected.shape
        assert abs(seen.astype(float) - expected).max() <= within
    lazy = np.asarray(open_image(Image.open(io.BytesIO(content)), **options))
    assert np.array_equal(lazy, seen), "a Pillow image of the file differs"


# PNG ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_pngs_of_every_depth_with_and_without_a_transparent_level(bits):
    values = whole(RAMP, bits)
    expected = values * (255 / ((1 << bits) - 1))
    check(png(values, bits, 0), expected)
    for level in np.unique(values):
        clear = np.where(values == level, WHITE, expected)
        check(png(values, bits, 0, (b"tRNS", struct.pack(">H", level))), clear)


@pytest.mark.parametrize("bits", [8, 16])
def test_colour_pngs_with_and_without_a_transparent_colour_compared_in_all_bits(bits):
    values = whole(COLOURS, bits)
    expected = values * (255 / ((1 << bits) - 1))
    check(png(values, bits, 2), expected)
    values[0, 0], values[0, 1] = values[1, 1], values[1, 1]
    values[0, 1, 2] += 1  # nearly that colour, and not it
    expected = values * (255 / ((1 << bits) - 1))
    expected[0, 0] = expected[1, 1] = WHITE
    check(png(values, bits, 2, (b"tRNS", struct.pack(">HHH", *values[1, 1].tolist()))), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_pngs_with_alpha_are_laid_on_white(bits):
    alpha = RAMP.T.reshape(4, 8)
    grey = np.stack([whole(RAMP, bits), whole(alpha, bits)], axis=2)
    check(png(grey, bits, 4), 255 * (RAMP * alpha + 1 - alpha), 2)
    colour = np.concatenate([whole(COLOURS, bits), whole(alpha, bits)[..., None]], axis=2)
    check(png(colour, bits, 6), 255 * (COLOURS * alpha[..., None] + 1 - alpha[..., None]), 2)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_pngs_of_every_depth_with_transparent_entries(bits):
    count = min(1 << bits, 32)
    palette = np.random.default_rng(0).integers(0, 256, (count, 3))
    index = np.arange(32).reshape(4, 8) % count
    entries = (b"PLTE", palette.astype(np.uint8).tobytes())
    check(png(index, bits, 3, entries), palette[index], 0)
    for alphas in ([0], [255, 0], [0, 128]):
        share = np.array(alphas + [255] * count)[:count][index][..., None] / 255
        check(png(index, bits, 3, entries, (b"tRNS", bytes(alphas))), palette[index] * share + 255 * (1 - share))


def test_an_sbit_below_the_depth_defines_the_range_where_values_were_not_scaled():
    twelve = (b"sBIT", b"\x0c")
    check(png(whole(RAMP, 12), 16, 0, twelve), 255 * RAMP)
    check(png(whole(RAMP, 12) << 4, 16, 0, twelve), 255 * RAMP)  # scaled, as PNG wants it
    check(png(whole(RAMP, 12) << 4 | whole(RAMP, 12) >> 8, 16, 0, twelve), 255 * RAMP)
    check(png(whole(RAMP / 32, 12) << 4, 16, 0, twelve), 255 * RAMP / 32)  # a dark picture stays dark
    check(png(whole(COLOURS, 12), 16, 2, (b"sBIT", b"\x0c\x0c\x0c")), 255 * COLOURS)


def test_twelve_bits_in_sixteen_are_warned_of_and_read_when_white_is_given():
    for content, expected in ((png(whole(RAMP, 12), 16, 0), RAMP), (png(whole(COLOURS, 12), 16, 2), COLOURS)):
        with pytest.warns(DimPictureWarning, match=r"dim.png: no value above 4,095 of 65,535.*--data.white"):
            assert np.asarray(open_image(content, name="dim.png")).max() <= 16
        check(content, 255 * expected, white=4095)
    with pytest.raises(BrokenImageError, match="0 to 4,095, expected 0 to 1,023"):
        open_image(png(whole(RAMP, 12), 16, 0), white=1023)


# TIFF -----------------------------------------------------------------------------------------------------------------------

STORED = pytest.mark.parametrize(("order", "deflate"), [("<", False), (">", False), ("<", True), (">", True)])


def refused_or(content: bytes, expected: np.ndarray, within: float = 1) -> None:
    """Right, or refused by name: never other values."""
    try:
        open_image(content, name="x.tif")
    except BrokenImageError as error:
        assert "x.tif" in str(error), error
    else:
        check(content, expected, within)


@STORED
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_grey_tiffs_black_or_white_is_zero(order, deflate, bits):
    values = whole(RAMP, bits)
    refused_or(tiff(values, 1, order, deflate), 255 * RAMP)
    refused_or(tiff(values, 0, order, deflate), 255 * (1 - RAMP))
    if bits < 32 and order == "<":
        check(tiff(values, 1, order, deflate), 255 * RAMP)
        check(tiff(values, 0, order, deflate), 255 * (1 - RAMP))


@STORED
def test_grey_tiffs_of_real_numbers(order, deflate):
    values = RAMP.astype(np.float32)
    check(tiff(values, 1, order, deflate), 255 * RAMP)
    check(tiff(values, 0, order, deflate), 255 * (1 - RAMP))
    check(tiff(100 * values, 1, order, deflate), 255 * RAMP, white=100)
    for bad in (np.nan, np.inf):
        values[1, 1] = bad
        with pytest.raises(BrokenImageError, match="1 of 32 values are NaN or infinite"):
            open_image(tiff(values, 1, order, deflate))


@STORED
@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
def test_whole_numbers_with_a_sign_need_a_white(order, deflate, kind):
    top = np.iinfo(kind).max
    values = (RAMP * top).round().astype(kind)
    content = tiff(values, 1, order, deflate)
    with pytest.raises(BrokenImageError, match=r"with a sign, from 0 to .*--data.white"):
        open_image(content)
    check(content, 255 * (values / top), white=float(top))
    check(tiff(values, 1, order, deflate, t341=int(top)), 255 * (values / top))
    with pytest.raises(BrokenImageError, match=r"from -\d"):
        open_image(tiff(-values, 1, order, deflate), white=float(top))


def test_values_of_32_bits_are_named_as_they_are():
    values = np.array([[0, 4_000_000_000]], np.uint32)
    check(tiff(values, 1), np.array([[0, 255 * 4e9 / (2**32 - 1)]]))
    for dark in (65_535, 100_000):
        with pytest.raises(BrokenImageError, match=f"32 bits up to {dark:,}.*--data.white"):
            open_image(tiff(np.array([[0, dark]], np.uint32), 1))
        check(tiff(np.array([[0, dark]], np.uint32), 1), np.array([[0, 255]]), white=dark)


@pytest.mark.parametrize("tag", [281, 341])
def test_the_greatest_sample_value_that_a_tiff_states_is_white(tag):
    check(tiff(whole(RAMP, 12), 1, **{f"t{tag}": 4095}), 255 * RAMP)
    check(tiff(whole(RAMP, 12), 0, **{f"t{tag}": 4095}), 255 * (1 - RAMP))
    check(tiff(whole(COLOURS, 12), 2, **{f"t{tag}": 4095}), 255 * COLOURS)
    check(tiff(whole(COLOURS, 12), 2, deflate=True, **{f"t{tag}": 4095}), 255 * COLOURS)
    check(tiff(whole(RAMP / 16, 16), 1, **{f"t{tag}": 65535}), 255 * RAMP / 16)  # a dark picture, without a warning


def test_a_tiff_of_twelve_bits_is_read_in_its_own_range():
    values = whole(RAMP, 12).reshape(4, 4, 2).astype(np.uint16)
    first, second = values[..., 0], values[..., 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8)
    content = bytearray(tiff(packed.reshape(4, 12), 1, t258=12, t256=8, t279=48))
    check(bytes(content), 255 * RAMP)


@STORED
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [False, True])
def test_colour_tiffs_with_every_meaning_of_a_fourth_sample(order, deflate, bits, planar):
    alpha = RAMP.T.reshape(4, 8)[..., None]
    plain, laid = 255 * COLOURS, 255 * (COLOURS * alpha + 1 - alpha)
    more = {"order": order, "deflate": deflate, "planar": planar}
    refused_or(tiff(whole(COLOURS, bits), 2, **more), plain)
    rgba = whole(np.concatenate([COLOURS, alpha], axis=2), bits)
    multiplied = whole(np.concatenate([COLOURS * alpha, alpha], axis=2), bits)
    refused_or(tiff(rgba, 2, **more, t338=0), plain)
    refused_or(tiff(rgba, 2, **more, t338=2), laid, 2)
    refused_or(tiff(multiplied, 2, **more, t338=1), laid, 3)
    if not planar:
        check(tiff(whole(COLOURS, bits), 2, **more), plain)
        check(tiff(rgba, 2, **more, t338=2), laid, 2)


@STORED
def test_grey_tiffs_with_every_meaning_of_a_second_sample(order, deflate):
    alpha = RAMP.T.reshape(4, 8)
    two = whole(np.stack([RAMP, alpha], axis=2), 8)
    check(tiff(two, 1, order, deflate, t338=0), 255 * RAMP)
    check(tiff(two, 1, order, deflate, t338=2), 255 * (RAMP * alpha + 1 - alpha), 2)
    two = whole(np.stack([RAMP * alpha, alpha], axis=2), 8)
    check(tiff(two, 1, order, deflate, t338=1), 255 * (RAMP * alpha + 1 - alpha), 3)


@STORED
@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_tiffs(order, deflate, bits):
    black = RAMP.T.reshape(4, 8)[..., None] / 2
    inks = whole(np.concatenate([COLOURS, black], axis=2), bits)
    refused_or(tiff(inks, 5, order, deflate), 255 * (1 - COLOURS) * (1 - black), 2)


@STORED
def test_palette_tiffs(order, deflate):
    palette = np.random.default_rng(0).integers(0, 256, (256, 3))
    index = np.arange(32, dtype=np.uint8).reshape(4, 8)
    check(tiff(index, 3, order, deflate, t320=(palette.T.reshape(-1) * 257).tolist()), palette[index], 0)


@STORED
def test_ycbcr_tiffs(order, deflate):
    colours = Image.fromarray(whole(COLOURS, 8)).convert("YCbCr")
    content = tiff(np.asarray(colours), 6, order, deflate, t530=[1, 1])
    check(content, np.asarray(colours.convert("RGB")), 3)
    with pytest.raises(BrokenImageError, match="subsampling"):
        open_image(tiff(np.asarray(colours), 6, order, t530=[2, 2]))


def test_kinds_that_nothing_reads_are_named():
    cases = [
        (tiff(RAMP.astype(np.float64), 1), "64 bits, real numbers"),
        (tiff(COLOURS.astype(np.float32), 2), "32 [+] 32 [+] 32 bits, real numbers"),
        (tiff(whole(COLOURS, 32), 2), "32 [+] 32 [+] 32 bits, unsigned"),
        (tiff(whole(RAMP, 8), 1, t50706=1), "raw picture"),
    ]
    for content, message in cases:
        with pytest.raises(BrokenImageError, match=f"x.tif.*{message}"):
            open_image(content, name="x.tif")


# Others ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [1, 15, 255, 1023, 4095, 65535])
def test_netpbm_values_are_shares_of_their_greatest(top):
    form = ">u2" if top > 255 else "u1"
    for magic, shares in ((b"P5", RAMP), (b"P6", COLOURS)):
        values = (shares * top).round()
        content = magic + b" 8 4 %d\n" % top + values.astype(form).tobytes()
        check(content, 255 * values / top)


JPEG_2000 = (
    "/0//UQAvAAAAAAAEAAAABAAAAAAAAAAAAAAABAAAAAQAAAAAAAAAAAADCQEBCQEBCQEB/1IADAAAAAEBAAQEAAH/XAAEQFD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5K"
    "UEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAAA"
)
"""The start of a code stream of OpenJPEG: 4 x 4 pixels, three components of 10 bits."""
TEN_BITS = {
    (400, 512, 600): "tAAH/k8A+EQARUFO/w+0JFABScsTgGEg/w+0IEVBUiELhIS//2Q==",
    (1023, 512, 600): "yAAH/k8fgHBQAUVwIQYFo+xHNh+bDw+0JFABScsTgGEg/z8wQFABcr//Z",
}


@pytest.mark.parametrize("colour", TEN_BITS)
def test_deep_colours_of_jpeg_2000_are_right(colour):
    content = base64.b64decode(JPEG_2000 + TEN_BITS[colour])
    check(content, np.tile(np.array(colour) * 255 / 1023, (4, 4, 1)))


def modes() -> dict[str, tuple[Image.Image, np.ndarray]]:
    """A Pillow image of each mode, and its values."""
    rgb = Image.fromarray(whole(COLOURS, 8))
    alpha = Image.fromarray(whole(RAMP.T.reshape(4, 8), 8))
    rgba, la = rgb.copy(), Image.fromarray(whole(RAMP, 8)).convert("LA")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    share = np.asarray(alpha)[..., None] / 255.0
    laid = np.asarray(rgb) * share + 255 * (1 - share)
    grey = np.asarray(Image.fromarray(whole(RAMP, 8)))
    grey_laid = grey * share[..., 0] + 255 * (1 - share[..., 0])
    paletted = rgb.quantize(16)
    return {
        "1": (Image.fromarray(RAMP > 0.5), 255.0 * (RAMP > 0.5)),
        "L": (Image.fromarray(grey), grey),
        "P": (paletted, np.asarray(paletted.convert("RGB"))),
        "I;16": (Image.fromarray(whole(RAMP, 16)), 255 * RAMP),
        "I": (Image.fromarray(whole(RAMP, 16).astype(np.int32)), 255 * RAMP),
        "F": (Image.fromarray(RAMP.astype(np.float32)), 255 * RAMP),
        "RGB": (rgb, np.asarray(rgb)),
        "RGBX": (rgb.convert("RGBX"), np.asarray(rgb)),
        "RGBA": (rgba, laid),
        "RGBa": (rgba.convert("RGBa"), laid),
        "LA": (la, grey_laid),
        "La": (la.convert("La"), grey_laid),
        "CMYK": (rgb.convert("CMYK"), np.asarray(rgb)),
        "YCbCr": (rgb.convert("YCbCr"), np.asarray(rgb)),
        "HSV": (rgb.convert("HSV"), np.asarray(rgb)),
    }


@pytest.mark.parametrize("mode", modes())
def test_a_pillow_image_of_every_mode_keeps_its_values(mode):
    picture, expected = modes()[mode]
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    before = picture.tobytes()
    assert picture.mode == mode and abs(np.asarray(open_image(picture)).astype(float) - expected).max() <= (
        5 if mode in ("HSV", "YCbCr") else 3
    )
    assert picture.tobytes() == before, "the picture that was given is changed"


def test_a_palette_with_alpha_is_laid_on_white():
    picture = Image.new("P", (2, 1))
    picture.putdata([0, 1])
    picture.putpalette([10, 20, 30, 255, 10, 20, 30, 0], "RGBA")
    assert np.asarray(open_image(picture)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_what_the_first_frame_of_a_gif_leaves_out_is_white():
    frame = Image.new("P", (4, 4), 1)
    frame.putpalette([200, 0, 0, 0, 0, 200])
    out = io.BytesIO()
    frame.save(out, "GIF")
    content = bytearray(out.getvalue())
    content[6:10] = struct.pack("<HH", 8, 4)  # a wider canvas
    seen = np.asarray(open_image(bytes(content)))
    assert (seen[:, :4] == (0, 0, 200)).all() and (seen[:, 4:] == WHITE).all()


def test_forty_million_deep_pixels_take_little_more_than_their_values():
    import tracemalloc

    content = png(np.zeros((2000, 4000), np.uint16) + 40_000, 16, 0)
    tracemalloc.start()
    assert open_image(content).getpixel((0, 0)) == (156, 156, 156)
    assert tracemalloc.get_traced_memory()[1] < 8 * 8_000_000, "NumPy's and Python's memory, 8 bytes a pixel at most"
    tracemalloc.stop()
