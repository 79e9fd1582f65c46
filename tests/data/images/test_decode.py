"""Every kind of image becomes the same 8-bit RGB; everything that is not a whole image is refused by name."""

import io
import pickle
import resource
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from competition.data.images.decode import (
    LARGE_PIXELS,
    MAX_PIXELS,
    UnreadableImage,
    decode,
    fit_store,
    header_size,
    read_image,
    room_for,
    stored_size,
)
from tests.warm import ROOT


def _picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth, with red, green and blue telling apart, so that a swap of channels or axes shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 40)], -1).astype(np.uint8)


def _encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = _encoded(_picture(), "JPEG", quality=90)
PNG = _encoded(_picture(), "PNG")
RARER = [
    *(_encoded(_picture(), kind) for kind in ("WEBP", "BMP", "GIF")),
    *(_encoded(_picture(), "TIFF", compression=way) for way in ("raw", "tiff_lzw", "jpeg", "tiff_deflate")),
]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_pictures_come_back_exactly_as_rgb(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode(_encoded(_picture(), kind, **options), "x")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, _picture())


def test_jpeg_is_decoded_to_within_its_loss():
    assert np.abs(decode(JPEG, "x").astype(int) - _picture()).mean() < 3


def test_grey_palette_alpha_cmyk_and_one_bit_become_rgb():
    picture = Image.fromarray(_picture())
    grey = decode(_encoded(picture.convert("L"), "PNG"), "x")
    np.testing.assert_array_equal(grey, np.repeat(np.asarray(picture.convert("L"))[..., None], 3, -1))
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(decode(_encoded(palette, "PNG"), "x"), np.asarray(palette.convert("RGB")))
    cmyk = decode(_encoded(picture.convert("CMYK"), "JPEG", quality=95), "x")
    assert np.abs(cmyk.astype(int) - _picture()).mean() < 6
    assert decode(_encoded(picture.convert("1"), "PNG"), "x").shape == (40, 60, 3)


def test_alpha_is_dropped_not_blended():
    translucent = np.dstack([_picture(), np.full((40, 60), 7, np.uint8)])
    np.testing.assert_array_equal(decode(_encoded(translucent, "PNG"), "x"), _picture())


def test_sixteen_bits_become_eight():
    deep = _picture().astype(np.uint16) * 257
    raw = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    assert np.abs(decode(raw, "x").astype(int) - _picture()).max() <= 1


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by a quarter
    raw = _encoded(_picture(), "JPEG", quality=95, exif=exif)
    turned = decode(raw, "x")
    assert turned.shape == (60, 40, 3)
    assert np.abs(turned.astype(int) - np.rot90(_picture(), -1)).mean() < 3
    assert header_size(raw, "x") == (40, 60)


@pytest.mark.parametrize("end", [b"", bytes(300), b"appended by a phone" * 9], ids=["nothing", "zeros", "junk"])
@pytest.mark.parametrize("raw", [JPEG, PNG], ids=["jpeg", "png"])
def test_what_follows_the_end_mark_does_no_harm(raw, end):
    np.testing.assert_array_equal(decode(raw + end, "x"), decode(raw, "x"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_refused_without_a_word_on_stderr(kind, part, capfd):
    raw = _encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), kind)
    with pytest.raises(UnreadableImage):
        decode(raw[: int(len(raw) * part)], "half.jpg")
    assert capfd.readouterr().err == ""


def test_a_truncated_jpeg_is_refused_although_its_thumbnail_has_an_end_mark():
    thumbnail = _encoded(_picture(8, 8), "JPEG")
    raw = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail + JPEG[2:]
    assert decode(raw, "x").shape == (40, 60, 3)
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(raw[:-60], "x")


def test_a_jpeg_cut_and_padded_with_zeros_is_refused():
    with pytest.raises(UnreadableImage):
        decode(JPEG[: len(JPEG) // 2] + bytes(len(JPEG) // 2), "x")


def test_a_damaged_animation_is_refused_and_a_whole_one_gives_its_first_picture():
    later = [Image.fromarray(np.roll(_picture(), shift, 0)) for shift in (1, 2)]
    raw = _encoded(_picture(), "PNG", save_all=True, append_images=later)
    np.testing.assert_array_equal(decode(raw, "x"), _picture())
    at = raw.index(b"IDAT") + 30
    with pytest.raises(UnreadableImage, match="damaged"):  # left to itself, OpenCV shows what memory held before
        decode(raw[:at] + bytes(100) + raw[at + 100 :], "x")


def test_what_is_odd_in_a_file_is_not_announced_on_the_screen(tmp_path):
    several = _encoded(_picture(), "MPO", save_all=True, append_images=[Image.fromarray(_picture())])
    at = several.index(b"MPF") + 8  # the table of the pictures in the file
    animated = _encoded(_picture(), "GIF", save_all=True, append_images=[Image.fromarray(_picture(20, 20))])
    odd = [several[:at] + bytes(90) + several[at + 90 :], animated[: len(animated) // 2], animated[:-400]]
    paths = [tmp_path / str(number) for number in range(len(odd))]
    for path, raw in zip(paths, odd, strict=True):
        path.write_bytes(raw)
    reads = """
import sys
from competition.data.images.decode import UnreadableImage, read_image
for path in sys.argv[1:]:
    try:
        print(read_image(path).shape)
    except UnreadableImage as error:
        print(error.reason)
"""
    told = subprocess.run([sys.executable, "-c", reads, *paths], capture_output=True, text=True, cwd=ROOT)
    assert told.stderr == "" and len(told.stdout.splitlines()) == len(odd)


def test_no_image_is_refused_in_plain_words(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>Not found</html>")
    for name, reason in [
        ("empty.jpg", "empty"),
        ("page.jpg", "not a JPEG"),
        ("missing.jpg", "no such file"),
        (".", "folder"),
        ("page.jpg/x.jpg", "part of its path"),
    ]:
        with pytest.raises(UnreadableImage, match=reason) as refused:
            read_image(tmp_path / name)
        assert refused.value.path == str(tmp_path / name)
        assert str(tmp_path / name) in str(refused.value)


@pytest.mark.parametrize("kind", ["EPS", "AVIF", "DDS", "BLP", "QOI", "SPIDER", "PPM", "JPEG2000", "TGA", "ICO"])
def test_a_format_that_data_sets_do_not_hold_is_refused_unopened(kind, monkeypatch):
    raw = _encoded(
        Image.fromarray(_picture()).convert("P" if kind == "BLP" else "F" if kind == "SPIDER" else "RGB"), kind
    )
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *words: pytest.fail("Ghostscript was run"))
    with pytest.raises(UnreadableImage, match="not a JPEG"):
        decode(raw, "x.jpg")


def test_of_a_camera_s_two_pictures_in_one_file_the_first_is_read():
    raw = _encoded(_picture(), "MPO", save_all=True, append_images=[Image.fromarray(_picture()[::-1].copy())])
    assert np.abs(decode(raw, "x").astype(int) - _picture()).mean() < 6
    assert np.abs(decode(raw + b"junk", "x").astype(int) - _picture()).mean() < 6


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    side = 14_000
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    bomb += struct.pack(">I", 0) + b"IEND\xaeB`\x82"
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(UnreadableImage, match=f"{side} x {side} pixels.*{MAX_PIXELS:,}"):
        read_image(tmp_path / "bomb.png")


def test_a_jpeg_that_claims_too_many_pixels_is_refused_from_its_header():
    at = JPEG.index(b"\xff\xc0") + 5
    bomb = JPEG[:at] + struct.pack(">HH", 60_000, 60_000) + JPEG[at + 4 :]
    with pytest.raises(UnreadableImage, match="60000 x 60000"):
        decode(bomb, "x")


def _claiming(jpeg, height, width):
    """Return a JPEG whose start-of-frame segment states another size."""
    frame = next(jpeg.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in jpeg)
    return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]


@pytest.mark.parametrize(
    ("mode", "progressive", "refused"), [("CMYK", True, True), ("CMYK", False, False), ("RGB", True, False)]
)
def test_a_progressive_jpeg_whose_coefficients_fill_the_memory_is_refused(mode, progressive, refused):
    file = io.BytesIO()
    Image.new(mode, (32, 32)).save(file, "JPEG", progressive=progressive)
    raw = _claiming(file.getvalue(), 13_300, 13_300)
    if not refused:
        assert header_size(raw, "a") == (13_300, 13_300)
        return
    with pytest.raises(UnreadableImage, match="too many for a progressive JPEG"):
        header_size(raw, "a")


def test_a_png_whose_chunk_claims_gigabytes_is_refused_without_taking_them():
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG")
    raw = file.getvalue()
    at = raw.index(b"IDAT") - 4
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableImage, match="it is damaged"):
        decode(raw[:at] + struct.pack(">I", 0x7FFFFF00) + raw[at + 4 :], "a")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([JPEG, PNG, *RARER]), st.data())
def test_a_damaged_file_gives_pixels_or_unreadable_and_no_other_error(raw, data):
    at = data.draw(st.integers(0, min(len(raw), data.draw(st.sampled_from([40, 200, len(raw)]))) - 1))
    damaged = raw[:at] + data.draw(st.binary(max_size=8)) + raw[at + data.draw(st.integers(0, 8)) :]
    try:
        image = decode(damaged, "x")
    except UnreadableImage:
        return
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("options", [{}, {"progressive": True, "comment": b"c" * 70}])
def test_the_header_states_height_and_width(kind, options, tmp_path):
    raw = _encoded(_picture(31, 57), kind, **(options if kind == "JPEG" else {}))
    (tmp_path / "x").write_bytes(raw)
    assert header_size(raw, "x") == (31, 57)


def test_of_large_pictures_a_process_holds_one_at_a_time_and_of_others_as_many_as_it_has_threads():
    held, most = [], {}

    def hold(size):
        with room_for(size):
            held.append(size)
            most[size] = max(most.get(size, 0), held.count(size))
            time.sleep(0.05)
            held.remove(size)

    large, small = (LARGE_PIXELS, 2), (1, LARGE_PIXELS)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [large, small] * 4))
    assert most[large] == 1 and most[small] > 1


def test_an_unreadable_image_survives_the_way_out_of_a_worker():
    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "it is truncated")))
    assert (error.path, error.reason) == ("a.jpg", "it is truncated")


SIDES = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(0, 50), st.integers(0, 50))
def test_a_stored_image_has_the_size_that_was_announced(height, width, size, cap):
    fitted = fit_store(_picture(height, width), size, cap)
    assert fitted.dtype == np.uint8
    assert fitted.shape == (*stored_size(height, width, size, cap), 3)
    if size:
        assert fitted.shape == (size, size, 3)
    elif cap:
        assert max(fitted.shape) <= max(cap, 3)


@given(SIDES, SIDES)
def test_native_pixels_are_never_touched(height, width):
    image = _picture(height, width)
    assert fit_store(image, 0) is image
    assert fit_store(image, 0, max(height, width)) is image


def test_shrinking_averages_areas_and_keeps_the_aspect():
    checkers = (np.indices((64, 128)).sum(0) % 2 * 255).astype(np.uint8)
    shrunk = fit_store(np.repeat(checkers[..., None], 3, -1), 0, cap=32)
    assert shrunk.shape == (16, 32, 3)
    assert np.abs(shrunk.astype(int) - 127.5).max() <= 1  # nearest or bilinear sampling would alias to stripes


def test_float_images_of_any_channels_keep_type_and_axes():
    for channels in (1, 3, 4):
        assert fit_store(np.ones((8, 9, channels), np.float32), 5).shape == (5, 5, channels)
        assert fit_store(np.ones((8, 9, channels), np.float32), 20).dtype == np.float32
