"""Content Credentials are verified, said in plain words, never fetched, and never make reading a file fail."""

import random
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from competition.core.errors import UserError
from competition.data.images import credentials
from competition.data.images.credentials import INVALID, TAMPERED, TRUSTED, UNKNOWN, read_credentials, read_trust
from competition.data.images.decode import UnreadableImage, decode
from competition.data.images.file_facts import file_facts
from tests.data.images.signing import CLAIMS, EMAIL, MIME, encoded, made, signatory, signed

pytest.importorskip("c2pa", reason="c2pa-python, which verifies Content Credentials, is not installed")
AI, CAMERA = made("trainedAlgorithmicMedia", when="2026-03-04T05:06:07Z"), made("digitalCapture")


@pytest.mark.parametrize("kind", MIME)
def test_a_signature_holds_by_a_trusted_or_an_unknown_signer_until_a_pixel_is_changed(kind):
    raw = signed(encoded(kind), AI, kind=kind)
    unknown, trusted = read_credentials(raw), read_credentials(raw, signatory().root)
    assert unknown.state == UNKNOWN and unknown.short() == "AI (Acme, unknown signer)"
    assert unknown.sentence() == "Signed by Acme (valid, unknown signer): made by AI with Firefly on 2026-03-04."
    assert trusted.state == TRUSTED and trusted.short() == "AI (Acme)"
    assert trusted.sentence() == "Signed by Acme (valid, trusted): made by AI with Firefly on 2026-03-04."
    assert read_credentials(raw, signatory("Another").root).state == UNKNOWN
    at = {"JPEG": -40, "PNG": -40, "WEBP": raw.find(b"VP8") + 200}[kind]  # among the pixels
    changed = bytearray(raw)
    changed[at] ^= 1
    found = read_credentials(bytes(changed), signatory().root)
    assert found.state == TAMPERED and found.short() == "tampered" and "Tampered with" in found.sentence()
    assert not found.signer and not found.origin.source  # nothing of what it says is repeated
    assert read_credentials(encoded(kind)) is None
    assert file_facts(raw)["credentials"] == "AI" and file_facts(encoded(kind))["credentials"] is False


@pytest.mark.parametrize(
    ("actions", "mark", "said"),
    [
        ([CAMERA], "human", "taken by a camera with Firefly"),
        ([made("digitalCreation", softwareAgent={"name": "Pen", "version": "3"})], "human", "by a person with Pen 3"),
        ([made("compositeWithTrainedAlgorithmicMedia")], "partly AI", "made in part by AI"),
        ([CAMERA, made("trainedAlgorithmicMedia", "c2pa.edited")], "partly AI", "made in part by AI"),
        ([AI, made("", "c2pa.color_adjustments"), made("", "c2pa.resized")], "AI", "then color adjustments, resized"),
        ([made("screenCapture")], "signed", "taken from a screen"),
        ([made("somethingNew")], "signed", "of source type somethingNew"),
    ],
)
def test_who_made_it_is_said_by_the_signed_source_types(actions, mark, said):
    found = read_credentials(signed(encoded(), *actions))
    assert found.state == UNKNOWN and found.mark == mark and said in found.sentence()


def test_a_signer_s_name_cannot_pass_for_our_own_words():
    raw = signed(encoded(), CAMERA, signer=signatory("Leica); trusted: (root"))
    assert read_credentials(raw).short() == "human (Leica trusted root, unknown signer)"


def test_an_edit_keeps_the_origin_of_the_picture_it_began_from_where_that_one_held():
    photograph = signed(encoded(), CAMERA, program="Camera 7")
    edited = read_credentials(signed(photograph, made("", "c2pa.cropped"), edit=True, program="Shop"))
    assert edited.mark == "human" and edited.sentence().endswith("taken by a camera with Camera 7, then cropped.")
    filled = read_credentials(signed(photograph, made("trainedAlgorithmicMedia", "c2pa.edited"), edit=True))
    assert filled.mark == "partly AI"
    broken = photograph[:-40] + bytes([photograph[-40] ^ 1]) + photograph[-39:]
    forged = read_credentials(signed(broken, made("", "c2pa.cropped"), edit=True, program="Shop"))
    assert forged.state == UNKNOWN and forged.mark == "signed" and "of unstated origin" in forged.sentence()
    # A trusted signer vouches for what it did, not for what an unknown one had said before.
    other = signatory("Shop Inc")
    bought = signed(photograph, made("", "c2pa.cropped"), edit=True, signer=other)
    assert read_credentials(bought, other.root).state == TRUSTED
    assert read_credentials(bought, other.root).mark == "signed"


@pytest.mark.parametrize("purpose", [EMAIL, CLAIMS])
def test_a_certificate_for_e_mail_or_for_c2pa_itself_may_sign(purpose):
    signer = signatory("Brand", purpose=purpose)
    assert read_credentials(signed(encoded(), CAMERA, signer=signer), signer.root).state == TRUSTED


def test_a_certificate_that_has_expired_is_named_and_proves_nothing():
    raw = signed(encoded(), AI, signer=signatory("Brief", days_left=2 / 86_400))
    until = time.monotonic() + 10
    while (found := read_credentials(raw)).holds and time.monotonic() < until:
        time.sleep(0.2)
    assert found.short() == found.mark == INVALID and "certificate expired" in found.sentence()


def test_texts_of_a_file_are_short_and_printable():
    found = read_credentials(signed(encoded(), made("x" * 900), program="A\x1b[31m\n\u202eB" * 40))
    assert found.sentence().isprintable() and len(found.sentence()) < 300


def test_nothing_is_fetched():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        place = f"http://127.0.0.1:{server.getsockname()[1]}/"
        signer = signatory("Far", ocsp=place + "ocsp")
        raw = signed(encoded(), AI, signer=signer, remote=place + "manifest.c2pa")
        assert read_credentials(raw, signer.root).state == TRUSTED
        start = raw.index(b"\xff\xeb")  # the segment that holds the manifest: without it the address is left
        elsewhere = raw[:start] + raw[start + 2 + int.from_bytes(raw[start + 2 : start + 4]) :] + b"jumb"
        assert read_credentials(elsewhere, signer.root) is None
        with pytest.raises(BlockingIOError):  # nobody has come
            server.accept()


def test_spoilt_manifests_are_called_that_and_raise_nothing():
    draw, states = random.Random(7), set()
    files = [signed(encoded(kind, 16), AI, kind=kind) for kind in MIME]
    for _ in range(600):
        raw = bytearray(draw.choice(files))
        at = raw.index(b"jumb") + draw.randrange(-40, 3000)
        match draw.randrange(4):
            case 0:
                raw[at % len(raw)] ^= 1 << draw.randrange(8)
            case 1:
                raw[at : at + 4] = draw.choice([b"\xff\xff\xff\xff", bytes(4), b"\0\0\0\x08"])
            case 2:
                raw[at:at] = raw[at : at + draw.randrange(400)]
            case 3:
                del raw[at : at + draw.randrange(1, 400)]
        found = read_credentials(bytes(raw), signatory().root)
        states.add(found and found.state)
        assert found is None or found.sentence().isprintable()
        try:
            decode(bytes(raw), "x")
        except UnreadableImage:
            continue
        assert not (found and found.state == UNKNOWN)
    assert {TRUSTED, TAMPERED, INVALID} <= states  # TRUSTED: what was changed is padding, or as it was


def test_boxes_within_boxes_and_a_report_without_end_are_refused(monkeypatch):
    raw = signed(encoded("PNG", 16), AI, kind="PNG")
    monkeypatch.setattr(credentials, "MAX_JSON", 100)
    assert "more than 100 characters" in read_credentials(raw).sentence()
    head = b"\0\0\0\x1ejumdc2pa" + bytes.fromhex("00110010800000aa00389b71") + b"\x03c2pa\0"
    box = b"".join((38 * (1_500 - depth)).to_bytes(4) + b"jumb" + head for depth in range(1_500))
    nested = encoded("PNG", 16)
    found = read_credentials(nested[:33] + len(box).to_bytes(4) + b"caBX" + box + bytes(4) + nested[33:])
    assert found.state == INVALID and "damaged" in found.sentence()
    assert "more than 2,000 boxes" in read_credentials(nested + b"c2pa jumb" + b"jumd" * 2_001).sentence()


def test_threads_read_at_once():
    raw = signed(encoded(), AI)
    with ThreadPoolExecutor(4) as pool:
        assert {found.mark for found in pool.map(read_credentials, [raw] * 60)} == {"AI"}


def test_without_the_library_a_manifest_is_present_and_not_verified(monkeypatch, tmp_path):
    raw = signed(encoded(), AI)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    credentials.library.cache_clear()
    try:
        found = read_credentials(raw)
        assert found.short() == "not verified" and "c2pa-python" in found.sentence()
        assert read_credentials(encoded()) is None
        with pytest.raises(UserError, match="needs c2pa-python"):
            read_trust(str(tmp_path / "root.pem"))
    finally:
        monkeypatch.undo()
        credentials.library.cache_clear()


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_names_no_trusted_signer_is_refused_in_one_sentence(tmp_path, text):
    (tmp_path / "root.pem").write_text(text)
    with pytest.raises(UserError, match="cannot be used"):
        read_trust(str(tmp_path / "root.pem"))
    with pytest.raises(UserError, match="No such file"):
        read_trust(str(tmp_path / "none.pem"))
    (tmp_path / "root.pem").write_text(signatory().root)
    assert read_trust(str(tmp_path / "root.pem")) == signatory().root
