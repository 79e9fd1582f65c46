"""Near hashes are found without comparing all with all, and only pictures that show the same are called copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.data.duplicates.perceptual_hash import copies, near_pairs, perceptual_hashes, structure, thumbnail
from tests.audit.planted import draw

WORDS = st.integers(0, 2**64 - 1)


@given(
    st.lists(WORDS, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=6)), max_size=12),
    st.integers(0, 6),
)
def test_all_near_pairs_are_found_each_once_and_no_other(values, planted, distance):
    values += [values[at % len(values)] ^ sum(1 << bit for bit in bits) for at, bits in planted if values]
    found = list(map(tuple, near_pairs(np.array(values, np.uint64), distance).tolist()))
    expected = [
        (a, b)
        for a in range(len(values))
        for b in range(a + 1, len(values))
        if (values[a] ^ values[b]).bit_count() <= distance
    ]
    assert found == expected


def test_planted_pairs_are_found_among_many_hashes():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 20_000, dtype=np.uint64)
    for row in range(200):
        bits = rng.choice(64, rng.integers(0, 5), replace=False)
        hashes[19_999 - row] = hashes[row] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    assert near_pairs(hashes).tolist() == [[row, 19_999 - row] for row in range(200)]


def gradient(slope):
    return (
        np.clip(np.add.outer(np.arange(64) * slope, np.arange(64.0)), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    )


def test_flat_pictures_and_gradients_are_no_copies_of_each_other():
    flat = [np.full((64, 64, 3), value, np.uint8) for value in (0, 0, 128)] + [gradient(1), gradient(1.02)]
    noise = np.random.default_rng(0).integers(-2, 3, (64, 64, 1))
    flat += [np.clip(gradient(1) + noise, 0, 255).astype(np.uint8)]
    pictures = np.stack([thumbnail(image) for image in [*flat, draw(1), draw(1), draw(2)]])
    assert copies(perceptual_hashes(pictures), pictures).tolist() == [[6, 7]]
    assert copies(perceptual_hashes(pictures[:0]), pictures[:0]).shape == (0, 2)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.5, 1.0), st.floats(0, 60))
def test_structure_ignores_brightness_and_contrast(seed, gain, offset):
    picture = thumbnail(draw(seed))[None]
    assert (structure(picture) * structure(picture * gain + offset)).sum() == pytest.approx(1, abs=1e-4)
