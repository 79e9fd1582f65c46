"""Whether paired rows are a photo and its AI twin: proved by their pictures, never by the order of labels.

The rule: pairs of which at least a quarter are more alike than 99 % of other pairs of opposite classes are twins, 25
times what chance would give. Measured on drawn twins: all of them; on aligned faces in alternating order: .6 %.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from competition.audit.findings import Finding
from competition.audit.inputs import AuditInputs
from competition.audit.row_order import MIN_PAIRS, Comparison, candidate_pairs
from competition.data.duplicates.perceptual_hash import correlation

TWIN_QUANTILE = 0.99
MAX_QUICK_PAIRS = 200
PARTNERS = 8  # other pairs made of each row, to compare with

Pictures = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def find_twins(
    inputs: AuditInputs, pictures: Pictures, seed: int
) -> tuple[np.ndarray, list[Finding], dict[str, Comparison]]:
    """Return the pairs (k, 2) that are twins, by position, the finding, and what was compared, by what pairs the rows.

    ``pictures(positions)`` returns thumbnails and which of them there are. A quick audit compares 200 pairs, and claims
    or dismisses them all by these.
    """
    train, compared = inputs.train_rows, {}
    for how, pairs in candidate_pairs(train).items():
        chosen = pairs
        if inputs.depth == "quick" and len(pairs) > MAX_QUICK_PAIRS:
            sample = np.random.default_rng([seed, 11]).choice(len(pairs), MAX_QUICK_PAIRS, replace=False)
            chosen = pairs[np.sort(sample)]
        thumbnails, there = pictures(chosen.ravel())
        whole = there.reshape(-1, 2).all(axis=1)
        chosen, thumbnails = chosen[whole], thumbnails.reshape(-1, 2, *thumbnails.shape[1:])[whole]
        if len(chosen) < MIN_PAIRS:
            continue
        similarity, bar = compare(thumbnails, train["label"].to_numpy()[chosen], seed)
        compared[how] = Comparison(chosen, similarity, bar)
        if compared[how].are_twins:
            return pairs, [_finding(inputs, how, pairs, compared[how])], compared
    return np.empty((0, 2), np.int64), [], compared


def compare(thumbnails: np.ndarray, label: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Return the similarity (k,) of each pair, and the one that 1 % of other pairs of opposite classes exceed.

    ``thumbnails`` (k, 2, 32, 32) and ``label`` (k, 2) of the pairs. The others join the class 0 of one pair and the
    class 1 of another.
    """
    k = len(thumbnails)
    flat = thumbnails.reshape(2 * k, *thumbnails.shape[2:])
    zero, one = 2 * np.arange(k) + label.argmin(axis=1), 2 * np.arange(k) + label.argmax(axis=1)
    # Shifts along a shuffled ring: no row meets its own partner.
    ring = np.random.default_rng([seed, 12]).permutation(k)
    shifts = range(1, 1 + min(PARTNERS, k - 1))
    others = np.concatenate([np.stack([zero[ring], one[np.roll(ring, shift)]], axis=1) for shift in shifts])
    bar = float(np.quantile(correlation(flat, others), TWIN_QUANTILE))
    return correlation(flat, np.stack([zero, one], axis=1)), bar


def _finding(inputs: AuditInputs, how: str, pairs: np.ndarray, compared: Comparison) -> Finding:
    known = pd.Series(compared.similarity.round(4), index=compared.pairs[:, 0])
    number = np.repeat(np.arange(1, len(pairs) + 1), 2)
    similarity = np.repeat(known.reindex(pairs[:, 0]).to_numpy(), 2)
    return Finding(
        "twins",
        "note",
        f"{len(pairs):,} pairs of {how} are a photo and its AI twin: {compared.share:.0%} of the "
        f"{len(compared.pairs):,} looked at are more alike than 99 % of other pairs.",
        "Keep twins in one fold: group=pairs where they are rows 2k and 2k+1, else group=auto.",
        {
            "pairs": len(pairs),
            "paired_by": how,
            "looked_at": len(compared.pairs),
            "share_alike": round(compared.share, 4),
            "median_similarity": round(float(np.median(compared.similarity)), 4),
            "bar": round(compared.bar, 4),
        },
        inputs.select(pairs.ravel(), pair=number, similarity=similarity),
    )


def split_finding(inputs: AuditInputs, twins: np.ndarray, fold: pd.Series | None) -> Iterator[Finding]:
    """Yield twins-split: twins in different folds (an alarm), or without folds in different groups (a warning)."""
    train = inputs.train_rows
    place = train["group"] if fold is None else train["id"].map(fold)
    place = place.to_numpy(object)
    split = twins[pd.notna(place[twins]).all(axis=1)]  # a row left out as broken has no fold
    split = split[place[split[:, 0]] != place[split[:, 1]]]
    if not len(split):
        return
    where = "different groups, so that folds may part them" if fold is None else "different folds"
    pair = np.repeat(np.arange(1, len(split) + 1), 2)
    yield Finding(
        "twins-split",
        "warning" if fold is None else "alarm",
        f"{len(split):,} of {len(twins):,} pairs of twins lie in {where}: a model is then judged on pictures whose "
        "twin it learned from.",
        "Keep twins together with group=auto (or group=pairs where they are rows 2k and 2k+1).",
        {"pairs": len(split), "of": len(twins)},
        inputs.select(split.ravel(), pair=pair, **{"group" if fold is None else "fold": place[split.ravel()]}),
    )
