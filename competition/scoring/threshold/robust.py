"""The threshold for a test set of another world: the best expected metric under what may still be believed of it.

There, neither the class balance nor the scores' power can be known. Both are believed broadly instead, and the test
scores themselves, without a label, say how likely each combination is. Where they tell nothing, nearly every row is
called positive, which is what F1 wants of scores without power: 2p / (1 + p) (Lipton et al. 2014, arXiv 1402.1892).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Floats, check_positives, check_prob, check_score, logit
from competition.scoring.leaderboard_metric import Counts, of_labels
from competition.scoring.rows import OofRows

EDGE = 1e-6  # probabilities are kept this far from 0 and 1, so that logits stay finite
BINS = 100  # of about equally many test scores; cuts lie between them
SHARES = np.linspace(0.04, 0.96, 13)  # of class 1 among the test rows
SHARE_ODDS = 1.2  # standard deviation of the log-odds that the share is believed to differ by from the training rows'
POWERS = np.linspace(0, 1, 7)  # of the distance between the classes, how much is left
MOVES = np.linspace(-1, 1, 9)  # how far all scores move, in distances between the classes
SPREADS = (0.6, 1.0, 1.5)  # of the scores within a class, in place of 1
UNLIKE = (0.0, 0.25, 0.9)  # share of class 1 that looks like class 0; at .9 few stand out, as if there were few
EVIDENCE_ROWS = 200  # the test scores count as no more rows than these: no story told here is quite the true one
UNFORESEEN = 0.02  # share of either class that may lie anywhere
RANGE_EVIDENCE = 0.1  # of the evidence counts for the range: the best story must not pass for the only one
ENDS = (0.025, 0.975)  # of that range


@dataclass(frozen=True)
class Expected:
    """What a threshold can be expected to reach, and the ends of the range in which most of the belief lies."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}, in all likelihood {self.low:.2f}-{self.high:.2f}"


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of a test set: stories of it, each with a weight and the metric that each cut then reaches.

    ``cuts`` (B,) are probabilities, ascending, the first 0; ``weight`` (S, T) sums to 1 over S shares of class 1 and T
    ways in which scores may have changed; ``value`` (S, T, B).
    """

    cuts: Floats
    weight: Floats
    value: Floats

    @property
    def threshold(self) -> float:
        """The cut that is expected to reach most."""
        return float(self.cuts[np.argmax(np.tensordot(self.weight, self.value, axes=2))])

    def expected(self, threshold: float) -> Expected:
        """Return what to expect of a threshold: of the nearest cut that calls no more rows positive."""
        cut = min(int(np.searchsorted(self.cuts, threshold)), self.cuts.size - 1)
        values = self.value[..., cut].ravel()
        order = np.argsort(values)
        reached = np.cumsum(self.weight.ravel()[order] ** RANGE_EVIDENCE)
        low, high = (values[order][np.searchsorted(reached, end * reached[-1])] for end in ENDS)
        return Expected(float(self.weight.ravel() @ values), float(low), float(high))


def believe(rows: OofRows, target: ArrayLike, share: float | None = None) -> Belief:
    """Return what may be believed of the (m,) ``target`` probabilities, those of rows from another world.

    In every story both classes have the shapes that the out-of-fold ``rows`` give them on the logit's scale, but their
    distance shrinks, all of them move, they spread more or less, and some rows of class 1 look like class 0. A story's
    weight is how likely it makes the target scores, as if there were ``EVIDENCE_ROWS`` of them at most, times the
    belief in its share of class 1: the training rows' own, give or take ``SHARE_ODDS`` in its log-odds, or the
    ``share`` that was declared. All figures were chosen by ``tests/benchmarks/bench_honest.py``'s worlds. Raises
    ``ValueError`` for rows of one class, probabilities outside [0, 1] and no target rows.
    """
    check_positives(rows.label)
    if rows.label.all():
        raise ValueError(f"a belief about another world needs rows of both classes; all {rows.label.size} are 1")
    prob = check_score("target", check_prob("target", target))
    cuts = np.unique(np.quantile(prob, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    seen = np.bincount(np.searchsorted(cuts, prob, side="right"), minlength=cuts.size + 1) / prob.size
    stories = list(_stories(rows, logit(cuts, EDGE)))
    zero, one = (np.stack(side) for side in zip(*stories, strict=True))
    shares = SHARES if share is None else np.array([share])
    of_one = shares[:, None, None] * one
    mixed = of_one + (1 - shares)[:, None, None] * zero
    likely = min(prob.size, EVIDENCE_ROWS) * (np.log(mixed) @ seen) + _share_belief(shares, rows.label.mean())[:, None]
    weight = np.exp(likely - likely.max())
    found = np.cumsum((of_one / mixed * seen)[..., ::-1], axis=-1)[..., ::-1]  # positives from each cut up
    called = np.cumsum(seen[::-1])[::-1]
    value = of_labels(rows.metric).of_counts(Counts(found, called, found[..., :1], 1.0))
    return Belief(np.append(0.0, cuts), weight / weight.sum(), value)


def _share_belief(shares: Floats, train: float) -> Floats:
    """Return the log of how much each share is believed in: normal in its log-odds around the training rows'."""
    distance = (logit(shares, EDGE) - logit(np.array(train), EDGE)) / SHARE_ODDS
    return np.asarray(-(distance**2) / 2 - np.log(shares * (1 - shares)))


def _stories(rows: OofRows, edges: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield the shares of class 0 and of class 1, (B,) each, between the ascending ``edges``, logits (B - 1,)."""
    scores = logit(rows.prob, EDGE)
    zero, one = np.sort(scores[~rows.label]), np.sort(scores[rows.label])
    middle_zero, middle_one = np.median(zero), np.median(one)
    half = max(middle_one - middle_zero, EDGE) / 2
    centre = (middle_zero + middle_one) / 2
    for spread in SPREADS:
        for move in MOVES:
            for power in POWERS:
                at, apart = centre + 2 * move * half, spread * power * half
                of_zero = _shares(zero - middle_zero, (edges - at + apart) / spread)
                of_one = _shares(one - middle_one, (edges - at - apart) / spread)
                for unlike in UNLIKE:
                    yield of_zero, (1 - unlike) * of_one + unlike * of_zero


def _shares(ordered: Floats, edges: Floats) -> Floats:
    """Return the shares of the (n,) ordered values that lie between the edges."""
    below = np.interp(edges, ordered, (np.arange(ordered.size) + 0.5) / ordered.size)
    bins = np.diff(below, prepend=0.0, append=1.0)
    return np.asarray((1 - UNFORESEEN) * bins + UNFORESEEN / bins.size)
