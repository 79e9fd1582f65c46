"""What is told about a file is true of that file, and nothing in a file makes telling it fail."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin, PngImagePlugin

from competition.app.facts import MAX_CHARACTERS, fact_lines
from competition.data.images.credentials import read_credentials
from competition.data.images.decode import UnreadableImage, decode
from competition.data.images.file_facts import jpeg_quality

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
QUALITIES = st.integers(50, 95)


def _encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def _facts(raw: bytes, name: str = "x") -> dict[str, str]:
    return dict(fact_lines(raw, name, read_credentials(raw)))


JPEG, PNG = _encoded(NOISE, "JPEG", quality=80), _encoded(NOISE, "PNG")


@settings(max_examples=46, deadline=None)
@given(QUALITIES)
def test_the_quality_that_opencv_wrote_is_found_exactly(quality):
    raw = cv2.imencode(".jpg", NOISE, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    assert _facts(raw)["JPEG quality"] == f"{quality} (the standard table)"


@settings(max_examples=46, deadline=None)
@given(QUALITIES, st.booleans())
def test_the_quality_that_pillow_wrote_is_found_exactly(quality, grey):
    image = Image.fromarray(NOISE).convert("L" if grey else "RGB")
    assert _facts(_encoded(image, "JPEG", quality=quality))["JPEG quality"] == f"{quality} (the standard table)"


def test_a_table_that_is_no_standard_one_is_called_that():
    flat = _encoded(NOISE, "JPEG", qtables=[[7] * 64, [9] * 64])
    assert _facts(flat)["JPEG quality"].startswith("not a standard table")


@given(st.integers(1, 100), st.integers(0, 63))
def test_one_step_off_moves_the_quality_little_and_shows_as_a_difference(quality, place):
    raw = io.BytesIO(_encoded(NOISE, "JPEG", quality=quality))
    table = JpegImagePlugin.JpegImageFile(raw).quantization[0]
    assert jpeg_quality(table) == (quality, 0)
    table[place] += 1
    found, difference = jpeg_quality(table)
    assert abs(found - quality) <= 1 and 0 <= difference <= 1 / 64


@pytest.mark.parametrize(("chroma", "told"), [(0, "4:4:4 (none)"), (1, "4:2:2"), (2, "4:2:0")])
@pytest.mark.parametrize("progressive", [True, False])
def test_chroma_and_scan_are_those_of_the_file(chroma, told, progressive):
    facts = _facts(_encoded(NOISE, "JPEG", subsampling=chroma, progressive=progressive))
    assert facts["chroma subsampling"] == told
    assert facts["scan"] == ("progressive" if progressive else "sequential")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_format_and_size_come_from_the_content_and_a_wrong_name_is_noted(kind):
    raw = _encoded(NOISE, kind)
    facts = _facts(raw, "holiday.png" if kind != "PNG" else "holiday.jpg")
    assert facts["format"] == kind and facts["size"] == "60 x 40 pixels"
    assert facts["bytes"] == f"{len(raw):,} ({8 * len(raw) / 2400:.2f} bits per pixel)"
    assert kind in facts["name"]
    right = "x." + {"JPEG": "JPG", "TIFF": "tif"}.get(kind, kind.lower())
    assert "name" not in _facts(raw, right) and "name" not in _facts(raw, "x") and "name" not in _facts(raw, "x.bin")


def test_the_mode_tells_palette_alpha_cmyk_grey_and_sixteen_bits():
    picture = Image.fromarray(NOISE)
    told = {
        "palette": _encoded(picture.convert("P"), "PNG"),
        "RGB with alpha": _encoded(picture.convert("RGBA"), "PNG"),
        "CMYK": _encoded(picture.convert("CMYK"), "JPEG"),
        "grey, 8 bit": _encoded(picture.convert("L"), "JPEG"),
        "RGB, 16 bit": cv2.imencode(".png", NOISE.astype(np.uint16) * 257)[1].tobytes(),
        "grey, 16 bit": cv2.imencode(".png", NOISE[..., 0].astype(np.uint16) * 257)[1].tobytes(),
    }
    assert {mode: _facts(raw)["mode"] for mode, raw in told.items()} == {mode: mode for mode in told}


def test_an_animation_tells_its_frames():
    frames = [Image.fromarray(np.roll(NOISE, shift, 0)) for shift in (0, 1, 2)]
    assert _facts(_encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))["frames"].startswith("3 ")
    assert "frames" not in _facts(PNG)


def test_pages_that_are_cut_off_are_not_told_of():
    pages = [Image.fromarray(np.roll(NOISE, shift, 0)) for shift in (0, 1, 2)]
    raw = _encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    half = raw[: len(raw) * 55 // 100]  # the first page is whole
    assert decode(half, "x").shape == (40, 60, 3)
    assert _facts(half)["size"] == "60 x 40 pixels" and "frames" not in _facts(half)


def test_exif_names_camera_and_software_and_keeps_the_place_to_itself():
    exif = Image.Exif()
    exif[271], exif[272], exif[305] = "Acme", "Model\x007\n", "Paint" * 99
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[2] = "N", (48.0, 51.0, 29.0)
    told = fact_lines(_encoded(NOISE, "JPEG", exif=exif), "x.jpg")
    facts = dict(told)
    assert facts["EXIF"].startswith("present") and facts["EXIF camera"] == "Acme"
    assert facts["EXIF model"].startswith("Model") and len(facts["EXIF software"]) <= MAX_CHARACTERS
    assert facts["EXIF place"].startswith("present") and not any("48" in text or "51" in text for _, text in told)
    assert _facts(PNG)["EXIF"] == "none"


def test_the_colour_profile_is_told():
    assert _facts(_encoded(NOISE, "PNG", icc_profile=bytes(300)))["ICC profile"] == "300 bytes"
    assert "ICC profile" not in _facts(PNG)


def test_what_generators_leave_in_text_chunks_is_told_even_behind_the_pixels():
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", "a cat, masterpiece\nSteps: 20, Sampler: Euler")
    chunks.add_itxt("prompt", '{"3": "KSampler"}', zip=True)
    facts = _facts(_encoded(NOISE, "PNG", pnginfo=chunks))
    assert facts["text 'parameters'"] == "a cat, masterpiece Steps: 20, Sampler: Euler"
    assert facts["text 'prompt'"] == '{"3": "KSampler"}'
    late = b"tEXtworkflow\0{}"
    late = struct.pack(">I", len(late) - 4) + late + struct.pack(">I", zlib.crc32(late))
    assert _facts(PNG[:-12] + late + PNG[-12:])["text 'workflow'"] == "{}"


def test_signed_provenance_and_a_declared_source_are_found_and_nowhere_else():
    packet = b"<rdf:li>http://cv.iptc.org/newscodes/digitalsourcetype/%s</rdf:li>"
    declared = _facts(_encoded(NOISE, "JPEG", xmp=packet % b"trainedAlgorithmicMedia"))
    assert declared["digital source type"].startswith("trainedAlgorithmicMedia")
    partly = _facts(_encoded(NOISE, "JPEG", xmp=packet % b"compositeWithTrainedAlgorithmicMedia"))
    assert partly["digital source type"].startswith("compositeWith")
    box = b"JP\x00\x01\x00\x00\x00\x01\x00\x00\x00\x30jumb\x00\x00\x00\x20jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa"
    signed = JPEG[:2] + b"\xff\xeb" + struct.pack(">H", len(box) + 2) + box + JPEG[2:]
    assert "manifest" in _facts(signed)["content credentials"]  # damaged, or not verified without the library
    assert not {"content credentials", "digital source type"} & (_facts(JPEG).keys() | _facts(PNG).keys())


EXIF_JPEG = _encoded(
    NOISE, "JPEG", exif=bytes.fromhex("45786966000049492a000800000001000f01020005000000ffffff7f00000000")
)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([JPEG, PNG, EXIF_JPEG]), st.data(), st.text(max_size=20))
def test_a_damaged_file_that_still_decodes_never_makes_it_raise(raw, data, name):
    at = data.draw(st.integers(2, min(700, len(raw) - 1)))
    raw = raw[:at] + data.draw(st.binary(max_size=8)) + raw[at + data.draw(st.integers(0, 8)) :]
    try:
        decode(raw, "x")
    except UnreadableImage:
        return
    for what, told in fact_lines(raw, name):
        assert what.isprintable() and told.isprintable() and len(told) <= 2 * MAX_CHARACTERS


def test_an_image_that_only_opencv_knows_still_has_facts():
    raw = cv2.imencode(".hdr", NOISE.astype(np.float32))[1].tobytes()
    facts = _facts(raw, "x.hdr")
    assert facts["bytes"].startswith(f"{len(raw):,}")
