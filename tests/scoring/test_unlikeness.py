import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.scoring.unlikeness import CHUNK_ROWS, MIN_REFERENCES, KnownFeatures


def clouds(seed: int, rows: int, shift: float = 0.0) -> np.ndarray:
    """Return rows around one direction of 8 dimensions; with ``shift`` around another."""
    centre = np.array([3.0, *[0.0] * 6, shift])
    return centre + np.random.default_rng(seed).standard_normal((rows, 8))


@given(st.integers(0, 1000))
def test_images_of_the_same_kind_are_spread_over_all_percentiles(seed):
    percent = KnownFeatures(clouds(seed, 600)).percentile(clouds(seed + 5000, 600))
    assert percent.min() >= 0 and percent.max() <= 100
    assert abs(np.mean(percent) - 50) < 8 and np.mean(percent >= 99) < 0.05


def test_images_of_another_kind_are_more_unlike_than_nearly_all():
    known = KnownFeatures(clouds(1, 500))
    assert np.median(known.percentile(-clouds(2, 100))) == 100
    assert np.median(known.percentile(clouds(3, 100, shift=6.0))) > np.median(known.percentile(clouds(3, 100))) + 20


def test_a_reference_itself_is_not_unlike_and_length_plays_no_part():
    reference = clouds(4, 300)
    known = KnownFeatures(reference)
    assert np.allclose(known.percentile(reference), known.percentile(7 * reference), atol=1)
    assert np.mean(known.percentile(reference)) < 51


def test_many_rows_give_what_each_gives_alone():
    known, rows = KnownFeatures(clouds(5, 200)), clouds(6, CHUNK_ROWS + 3)
    assert np.allclose(known.percentile(rows)[-3:], known.percentile(rows[-3:]), atol=0.51)
    assert known.percentile(np.zeros((0, 8))).shape == (0,)


def test_rows_that_are_no_numbers_have_no_percentile():
    rows = clouds(7, 3)
    rows[1, 2] = np.inf
    assert np.isnan(KnownFeatures(clouds(8, 200)).percentile(rows)).tolist() == [False, True, False]


@pytest.mark.parametrize("reference", [np.zeros((MIN_REFERENCES - 1, 4)), np.zeros(500), np.full((200, 3), np.nan)])
def test_too_few_or_senseless_references_are_refused(reference):
    with pytest.raises(ValueError, match="reference must be"):
        KnownFeatures(reference)
