"""What files say of themselves is read from their bytes alone."""

import io

import pytest
from PIL import Image, PngImagePlugin

from competition.data.images.decode import decode
from competition.data.images.file_facts import KINDS, NUMBERS, file_facts
from tests.audit.planted import draw, exif


def saved(image=None, mode="RGB", **options):
    buffer = io.BytesIO()
    (image or Image.fromarray(draw(0, 48)).convert(mode)).save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 99, 100])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality):
    assert file_facts(saved(format="JPEG", quality=quality))["jpeg_quality"] == quality


def test_how_a_jpeg_was_coded_is_told():
    facts = file_facts(saved(format="JPEG", quality=80, subsampling=0, progressive=True))
    assert (facts["container"], facts["subsampling"], facts["progressive"]) == ("JPEG", "4:4:4", True)
    assert file_facts(saved(format="JPEG", subsampling=2))["subsampling"] == "4:2:0"
    raw = saved(format="JPEG", quality=80, icc_profile=b"profile", comment=b"made by hand")
    facts = file_facts(raw)
    assert facts["icc"] and facts["text"] == "comment=made by hand" and facts["exif"] is False
    assert (facts["width"], facts["height"], facts["aspect"], facts["bytes"]) == (48, 48, 1, len(raw))
    assert facts["bits_per_pixel"] == pytest.approx(8 * len(raw) / 48**2, abs=1e-4)


def test_of_a_file_that_the_decoder_alone_reads_the_size_is_told():
    raw = saved(format="PNG", icc_profile=b"profile")
    at = raw.index(b"iCCP") + 6
    raw = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]  # PIL refuses the file for its profile
    facts = file_facts(raw)
    assert decode(raw, "x").shape == (48, 48, 3)
    assert (facts["width"], facts["height"], facts["container"]) == (48, 48, None)


def test_exif_and_prompts_are_read_without_decoding():
    facts = file_facts(saved(format="JPEG", **exif(software="Painter", make="Maker", description="a cat")))
    assert (facts["exif"], facts["software"], facts["camera"], facts["exif_text"]) == (
        True,
        "Painter",
        "Maker",
        "a cat",
    )
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a castle, 30 steps")
    facts = file_facts(saved(format="PNG", pnginfo=texts, **exif(software="Painter")))
    assert (facts["text_keys"], facts["text"]) == ("parameters", "parameters=a castle, 30 steps")
    assert facts["software"] == "Painter"


def test_alpha_and_mode_are_told():
    assert file_facts(saved(mode="RGBA", format="PNG"))["alpha"] is True
    facts = file_facts(saved(mode="L", format="WEBP", lossless=True))
    assert facts["container"] == "WEBP" and facts["alpha"] is False


@pytest.mark.parametrize(
    "raw", [b"", b"no image", b"\xff\xd8\xff", saved(format="JPEG")[:200], saved(format="PNG")[:30]]
)
def test_damaged_files_say_what_they_can(raw):
    facts = file_facts(raw)
    assert facts["bytes"] == len(raw) and set(facts) == {*NUMBERS, *KINDS}
