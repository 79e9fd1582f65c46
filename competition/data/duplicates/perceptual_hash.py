"""A 64-bit fingerprint of what a picture shows: a re-encoded or rescaled copy differs in a few bits, others in 29.

The hash is the signs of the lowest frequencies of a 32 x 32 grey thumbnail. It sees no traces of an image's making, and
says little about pictures without structure: all flat ones have the same hash.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from competition.data.images.decode import fit_store

SIDE, FREQUENCIES = 32, 8
# Measured on 1,500 aligned 256 px faces: re-encoding at JPEG quality 50, halving and enlarging by half all stay within
# 4 bits, and so does 1 of the 1.1 million pairs of files. On 800 of CIFAKE's 32 px images: 99.6 %, and no pair.
MAX_BITS = 4
# Correlation of thumbnails from which two near hashes are one picture. Measured: in 99 of 100 pictures JPEG quality
# 50 keeps .978 at 64 px and .951 at CIFAKE's 32 px; of 1.3 million pairs of aligned 256 px faces one reaches .99, the
# next .947, and none of these is near by its hash.
MIN_CORRELATION = 0.95
MIN_CONTRAST = 3.0  # grey levels, standard deviation: less structure than that is noise or a gradient
MAX_CROWD = 256  # most hashes with common bits that are all compared with each other

# Rows 0..7 of the DCT-II of length 32, unscaled: a common factor changes no comparison with the median.
_BASIS = np.cos(np.pi / (2 * SIDE) * np.arange(FREQUENCIES)[:, None] * (2 * np.arange(SIDE)[None] + 1))
_BITS = np.uint64(1) << np.arange(FREQUENCIES * FREQUENCIES - 1, -1, -1, dtype=np.uint64)


def perceptual_hash(image: np.ndarray) -> int:
    """Return the 64-bit hash of one image, uint8 (H, W, 3) RGB of any size."""
    return int(perceptual_hashes([thumbnail(image)])[0])


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the grey picture that is hashed, float32 (32, 32), of an image uint8 (H, W, 3) RGB; aspect is not kept."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    # Large images shrink as bytes first, which takes a quarter of the memory; 256 px are fine enough that rounding to
    # whole grey levels averages out in the second step.
    small = fit_store(grey, 0, cap=8 * SIDE).astype(np.float32)
    return fit_store(small, SIDE)[..., 0]


def perceptual_hashes(thumbnails: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return the hashes, uint64 (n,), of thumbnails (n, 32, 32): 80,000 in 3 s, with 16 KB of memory for each.

    Bit 63 - (8 v + u) tells whether the DCT coefficient of vertical frequency v and horizontal frequency u, 0..7, lies
    above the median of all but the mean (v = u = 0), whose own bit is 0. After Zauner, "Implementation and Benchmarking
    of Perceptual Image Hash Functions" (2010), "DCT based hash", whose frequencies are 1..8.
    """
    # Rounding, twice, makes the zeros of flat and symmetric pictures exact: else they are noise of either sign.
    pictures = np.round(np.asarray(thumbnails, np.float64), 2).reshape(-1, SIDE, SIDE)
    waves = np.round(_BASIS @ pictures @ _BASIS.T, 6).reshape(-1, FREQUENCIES * FREQUENCIES)
    above = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    above[:, 0] = False
    return (above * _BITS).sum(axis=1, dtype=np.uint64)


def near(hashes: np.ndarray, value: int, distance: int = MAX_BITS) -> np.ndarray:
    """Return the indices (k,) of those ``hashes``, uint64 (n,), that differ from ``value`` in at most that many bits,
    the nearest first and of equally near ones the first."""
    bits = np.bitwise_count(np.asarray(hashes, np.uint64) ^ np.uint64(value))
    found = np.flatnonzero(bits <= distance)
    return found[np.argsort(bits[found], kind="stable")]


def near_pairs(hashes: np.ndarray, distance: int = MAX_BITS) -> np.ndarray:
    """Return the pairs (m, 2) int64, lower index first and sorted, of ``hashes``, uint64 (n,), that differ in at most
    ``distance`` bits: 80,000 random ones in about a second, for it never compares all with all.

    Multi-index hashing (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012), in
    two steps: of ``distance + 1`` bands of bits two near hashes agree in one, and so again in the bits beside that
    band. So only hashes that agree in some 23 of 64 bits are compared, and of more than ``MAX_CROWD`` such the ones
    next to each other in order: complete, unless over ``MAX_CROWD`` pictures are all but the same.
    """
    hashes = np.asarray(hashes, np.uint64)
    found, masks = [], _masks(distance)
    for number, mask in enumerate(masks):
        masked = hashes & mask
        order = np.lexsort((hashes, masked))
        keys, at = masked[order], np.arange(len(order))
        for step in range(1, MAX_CROWD):
            at = at[at + step < len(order)]
            at = at[keys[at] == keys[at + step]]  # where these differ, all further apart do
            if not len(at):
                break
            pairs = np.stack([order[at], order[at + step]], axis=1)
            apart = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
            fresh = np.bitwise_count(apart) <= distance
            for earlier in masks[:number]:
                fresh &= (apart & earlier) != 0  # else found there already
            found.append(np.sort(pairs[fresh], axis=1))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _masks(distance: int) -> list[np.uint64]:
    """Return the bits in which two hashes are compared for equality, one set after the other."""
    # Taken from all over the hash: the bits of the lowest frequencies are much alike in aligned pictures.
    parts, masks = distance + 1, []
    for band in range(parts):
        inside = range(band, 64, parts)
        beside = [bit for bit in range(64) if bit % parts != band]
        masks += [np.uint64(sum(1 << bit for bit in (*inside, *beside[part::parts]))) for part in range(parts)]
    return masks


def structure(thumbnails: np.ndarray) -> np.ndarray:
    """Return what thumbnails (n, 32, 32) show, float32 (n, 1024), so that a product of two rows is their correlation.

    Mean and slope of the brightness are taken away, so that two skies are not alike; a picture with less than
    ``MIN_CONTRAST`` grey levels (standard deviation) left shows nothing and is all zeros, like nothing.
    """
    pictures = np.asarray(thumbnails, np.float32).reshape(-1, SIDE * SIDE)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    plane = np.stack([np.ones((SIDE, SIDE), np.float32), *np.meshgrid(ramp, ramp)]).reshape(3, -1)
    plane /= np.linalg.norm(plane, axis=1, keepdims=True)
    left = pictures - (pictures @ plane.T) @ plane
    norm = np.linalg.norm(left, axis=1, keepdims=True)
    return np.where(norm >= MIN_CONTRAST * SIDE, left / np.maximum(norm, 1), 0).astype(np.float32)


def correlation(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the correlation, float32 (m,), of what two thumbnails each show, for ``pairs`` (m, 2) of their indices."""
    parts = [pairs[start : start + 4096] for start in range(0, len(pairs), 4096)]
    values = [(structure(thumbnails[part[:, 0]]) * structure(thumbnails[part[:, 1]])).sum(axis=1) for part in parts]
    return np.concatenate(values) if values else np.empty(0, np.float32)


def copies(hashes: np.ndarray, thumbnails: np.ndarray) -> np.ndarray:
    """Return the pairs (m, 2) that are near by their hash and whose thumbnails (n, 32, 32) confirm it.

    Flat pictures, and gradients, are in no pair.
    """
    parts = [thumbnails[start : start + 4096] for start in range(0, len(thumbnails), 4096)]
    shows = np.flatnonzero(np.concatenate([np.empty(0, bool), *(structure(part).any(axis=1) for part in parts)]))
    pairs = shows[near_pairs(np.asarray(hashes)[shows])]
    return pairs[correlation(thumbnails, pairs) >= MIN_CORRELATION]
