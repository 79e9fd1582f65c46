"""What the page answers, without the page: every file gets a verdict or a sentence, and nothing in it is acted upon."""

import dataclasses
import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.app.answer import MAX_PIXELS
from competition.app.answer import answer as answer_with
from competition.app.cards import about, agreement, card, nearness, text
from competition.app.evidence import ensemble_heat, heat_picture
from competition.core.settings import Recipe
from competition.data.images.decode import decode
from competition.inference.classify import Classifier, Verdict
from competition.inference.torch_member import open_classifier
from tests.app.hostile import JUDGED, REFUSED, bomb, encoded, picture
from tests.data.images.signing import made, signatory, signed
from tests.runs import make_run

NET = {"backbone": "small_cnn", "backbone_args": {"widths": [4, 8]}}
MEMBERS = {
    "whole": Recipe(**NET, image_size=32),
    "centre": Recipe(**NET, image_size=32, fit="crop", view="residual"),
    "spectrum": Recipe(**NET, image_size=32, view="fourier"),
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return _classifier(tmp_path_factory.mktemp("answers"), MEMBERS)


def _classifier(home, members):
    name = make_run(home, members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(home))
        classifier = open_classifier(name, "cpu")
        assert all(member.models for member in classifier.members.values())
    return classifier


def answer(classifier, raw, name, **limits):
    return answer_with(classifier, raw, name, evidence=partial(heat_picture, classifier), **limits)


def _card(classifier, found):
    return card(found, classifier.record, classifier.networks)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_whole_image_gets_a_sentence_that_says_why(classifier, name):
    raw, reason = REFUSED[name]
    found = answer(classifier, raw, name)
    assert found.verdict is None and reason in found.refusal and found.refusal.endswith(".")
    assert "No verdict" in _card(classifier, found) and reason in _card(classifier, found)


@pytest.mark.parametrize("name", JUDGED)
def test_an_unusual_image_gets_the_verdict_that_predict_gives_it(classifier, name):
    found = answer(classifier, JUDGED[name], name)
    assert found.verdict == classifier.classify([decode(JUDGED[name], name)])[0]
    assert len(found.pictures) == 3 and all(one.uri.startswith("data:image/png;base64,") for one in found.pictures)
    assert ("AI-made" if found.verdict.positive else "human-made") in _card(classifier, found)


@pytest.mark.parametrize("shape", [(8, 8), (9, 300), (1500, 40), (700, 900)])
def test_an_image_of_any_shape_gets_pictures(classifier, shape):
    found = answer(classifier, encoded(picture(*shape), "PNG"), "shape.png")
    assert found.refusal == "" and len(found.pictures) == 3


def test_a_file_or_an_image_beyond_the_limits_is_refused_before_it_is_decoded(classifier):
    large = answer(classifier, bytes(3 * 2**20), "large.png", max_mb=2)
    assert "3.0 MB" in large.refusal and "2 MB" in large.refusal
    side = int(MAX_PIXELS**0.5) + 1
    assert "50 million" in answer(classifier, bomb(side), "wide.png").refusal
    assert "1 x 1" in answer(classifier, encoded(picture(1, 1), "PNG"), "dot.png").refusal


def test_the_heat_covers_all_of_a_resized_image_and_the_window_of_a_cropped_one(classifier, tmp_path):
    image = np.asarray(picture(128, 256))
    places, part = ensemble_heat(classifier, image, 1)
    assert part == (0, 0, 1, 1) and places.shape == (128, 256)
    assert 0 <= places.min() and places.max() == pytest.approx(1)
    cropping = _classifier(tmp_path / "crop", {"centre": MEMBERS["centre"]})
    places, part = ensemble_heat(cropping, image, 1)
    assert part == (48 / 128, 112 / 256, 32 / 128, 32 / 256) and places.shape == (32, 32)
    caption = answer(cropping, encoded(picture(128, 256), "PNG"), "wide.png").pictures[0].caption
    assert "dimmed" in caption and "3.1 % of the image" in caption


def test_a_run_of_spectrum_members_shows_the_image_without_a_heat(tmp_path):
    classifier = _classifier(tmp_path, {"spectrum": MEMBERS["spectrum"]})
    assert ensemble_heat(classifier, np.asarray(picture()), 1) is None
    assert "no place" in answer(classifier, encoded(picture(), "PNG"), "a.png").pictures[0].caption


@pytest.mark.parametrize(
    ("classes", "words", "sides"),
    [
        (("real", "fake"), ("human-made", "AI-made"), ("human", "ai")),
        (("ai", "nature"), ("AI-made", "human-made"), ("ai", "human")),
        (("<cats>", "dogs"), ("&lt;cats&gt;", "dogs"), ("human", "ai")),
    ],
)
def test_what_a_verdict_is_called_follows_from_which_class_is_ai(classifier, classes, words, sides):
    named = Classifier(dataclasses.replace(classifier.record, classes=classes), classifier.members)
    found = answer(named, encoded(picture(), "PNG"), "a.png")
    for positive in (False, True):
        verdict = dataclasses.replace(found.verdict, positive=positive)
        shown = _card(named, dataclasses.replace(found, verdict=verdict))
        assert f'tt-verdict">{words[positive]}</h2>' in shown and f"tt-card tt-{sides[positive]}" in shown
        assert f"probability of “{words[1]}”" in shown
        assert f"<span>{words[0]}</span>" in shown and f"<span>{words[1]}</span>" in shown
    assert f"“{named.words[found.verdict.positive]}”" in found.pictures[0].caption
    assert f"counts as “{words[1]}”" in about(named.record, named.networks)


def test_no_name_of_a_file_reaches_the_page_as_markup(classifier):
    name = "<img src=x onerror=alert(1)> ${1+1} {{7*7}} `x` \"'.png"
    for raw in (encoded(picture(), "PNG"), b"no image"):
        shown = _card(classifier, answer(classifier, raw, name))
        assert "<img src=x" not in shown and not re.search(r"\$\{|\{\{|`", shown)


def test_what_signed_credentials_prove_stands_above_the_verdict_and_a_tampered_file_is_called_that(classifier):
    pytest.importorskip("c2pa", reason="c2pa-python, which verifies Content Credentials, is not installed")
    raw = signed(encoded(picture(), "PNG"), made("trainedAlgorithmicMedia"), kind="PNG", program="<b>Draw</b>")
    unknown, trusted = answer(classifier, raw, "a.png"), answer(classifier, raw, "a.png", trust=signatory().root)
    before, _, after = _card(classifier, unknown).partition("tt-verdict")
    assert "Signed by Acme (valid, unknown signer): made by AI with &lt;b&gt;Draw&lt;/b&gt;." in before
    assert "Anyone can sign under any name" in before and "Signed by Acme" in after  # with the file's other facts
    assert "Anyone can sign" not in _card(classifier, trusted) and "(valid, trusted)" in _card(classifier, trusted)
    found = answer(classifier, raw.replace(b"Draw", b"Drew"), "a.png")
    assert "Tampered with" in _card(classifier, found).partition("tt-verdict")[0]
    assert "tt-signed" not in _card(classifier, answer(classifier, encoded(picture(), "PNG"), "a.png"))


@given(st.text())
def test_escaped_text_holds_no_sign_that_a_browser_or_a_template_acts_upon(words):
    assert not set("<>\"'{}$`") & set(text(words))


@given(st.floats(0, 1), st.floats(0, 1))
def test_every_distance_from_the_threshold_has_words(prob, threshold):
    assert nearness(prob, threshold).endswith(".")


def test_words_for_the_distance_go_from_the_threshold_outwards():
    assert "other way" in nearness(0.5, 0.48) and "other way" in nearness(0.45, 0.48)
    assert "weak" in nearness(0.62, 0.5) and nearness(0.99, 0.5) == nearness(0.01, 0.5) == "Far from the threshold."


def test_members_are_counted_on_the_side_of_the_verdict():
    verdict = Verdict(0.3, False, {"a": 0.1, "b": 0.2, "c": 0.6}, {})
    assert agreement(verdict, 0.5) == "2 of 3 members are on this side."
    assert agreement(Verdict(0.9, True, {"a": 0.8, "b": 1.0}, {}), 0.5) == "Both members are on this side."


def test_the_page_says_what_the_run_was_trained_on_and_what_it_is_worth(classifier):
    shown = about(classifier.record, classifier.networks)
    for words in (
        "<b>data</b>: 80 images in 40 groups",
        "real (human-made) and fake (AI-made)",
        "<b>0.800</b>",
        "0.700 to 0.900",
        "cross-fitted",
        "0.450",
        "not proof",
        *MEMBERS,
    ):
        assert words in shown
