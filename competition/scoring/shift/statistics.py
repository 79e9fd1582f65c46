"""What differs between training and test rows: each statistic with its figures and a sentence in plain words.

A statistic is alarming only when it is both significant and large: 80,000 rows do not turn a ripple into an alarm, nor
do 200 rows raise one by luck. What alarms add up to is for ``verdict.judge_shift`` to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from competition.scoring.arrays import Bools, Floats, check_binary, check_group, check_prob
from competition.scoring.best_threshold import best_threshold
from competition.scoring.groups import grouped_variance
from competition.scoring.rows import OofRows
from competition.scoring.shift.bootstrap import ScoreDraws
from competition.scoring.shift.class_prior import Prior, prior_of
from competition.scoring.shift.domain_auc import MIN_ROWS, domain_auc

SIGMAS = 2.8  # by chance in one world of 200, for each of a handful of statistics
MAX_P_VALUE = 0.01
MIN_BALANCE_CHANGE = 0.04  # a smaller change of the class balance costs next to no F1 ...
MIN_BALANCE_ODDS_RATIO = 2.0  # ... unless one class is rare
MAX_RATE_ODDS_RATIO = 5.0  # odds ratio of the positive rates beyond which label shift is the less likely story
MIN_GAP = 0.05  # greatest gap between the test's scores and the best mix of the two classes'
MIN_DISTANCE = 0.10  # Kolmogorov-Smirnov distance of the scores
MIN_FEATURES_AUC = 0.57  # domain AUC from which features count as changed; below it the images are the same
MIN_METADATA_AUC = 0.75  # differences in size or format that a model need not see
FEATURES = "features of "  # a member: the start of the name of its statistic
AUC_KEYS = ("auc", "low", "high", "null")
MIN_DISAGREEMENT = 0.05  # share of rows on which members newly disagree, and at least half as many again


class AucInterval(NamedTuple):
    """How well two kinds of rows can be told apart: the AUC, and the ends of its 95 % group-bootstrap interval."""

    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class FoldFeatures:
    """What one fold's model makes of the rows it did not train on: penultimate features in its own feature space.

    ``validation`` (n_j, d) with ``label`` and ``group`` (n_j,), and ``test`` (m, d); any subsets of the rows will do.
    """

    validation: NDArray[Any]
    label: NDArray[Any]
    group: NDArray[Any] | None
    test: NDArray[Any]


@dataclass(frozen=True)
class Statistic:
    """What one comparison of training and test rows gave: its name, its figures (JSON values), a sentence in plain
    words, and whether it is alarming."""

    name: str
    value: dict[str, Any]
    sentence: str
    alarming: bool


def class_balance(scores: ScoreDraws) -> tuple[Statistic, Prior]:
    """Return whether the class balance moved, with the estimate: by enough points, and by more than chance moves it."""
    prior, values, train = prior_of(scores)
    change = prior.value - prior.train
    spread = float(np.std(values - train))
    odds = abs(special.logit(prior.value) - special.logit(prior.train))
    large = abs(change) >= MIN_BALANCE_CHANGE or odds >= np.log(MIN_BALANCE_ODDS_RATIO)
    rare = _luck(prior.value, scores.rows, prior.train) <= MAX_P_VALUE / 2
    alarming = large and rare and abs(change) > SIGMAS * spread
    sentence = (
        f"test rows look like {_percent(prior.value)} positive ({_percents(prior.low, prior.high)}), "
        f"the training rows were {_percent(prior.train)}"
    )
    value = {"test": prior.value, "low": prior.low, "high": prior.high, "train": prior.train, "spread": spread}
    return Statistic("class balance", value, sentence, bool(alarming)), prior


def positive_rate(scores: ScoreDraws, threshold: float) -> Statistic:
    """Return whether the odds of being called positive, score >= ``threshold``, collapsed or soared.

    ``threshold`` is the one that ``draw_scores`` was given.
    """
    called = np.arange(scores.logit.size) > np.searchsorted(scores.edges, threshold)
    oof_counts = scores.positive + scores.negative
    rows = oof_counts.sum(1)
    oof, test = oof_counts[:, called].sum(1) / rows, scores.test[:, called].sum(1)
    least = 0.5 / min(rows[0], scores.rows)  # so that a rate of 0 has odds, and the same on both sides
    oof_logit, test_logit = (special.logit(np.clip(rate, least, 1 - least)) for rate in (oof, test))
    change = test_logit - oof_logit
    rare = _luck(test[0], scores.rows, oof[0]) <= MAX_P_VALUE / 2
    alarming = rare and abs(change[0]) > max(SIGMAS * np.std(change[1:]), np.log(MAX_RATE_ODDS_RATIO))
    sentence = f"{_percent(test[0])} of the test rows are called positive, {_percent(oof[0])} of the out-of-fold rows"
    value = {"test": float(test[0]), "oof": float(oof[0]), "odds_ratio": float(np.exp(change[0]))}
    return Statistic("positive rate", value, sentence, bool(alarming))


def score_mixture(scores: ScoreDraws) -> Statistic:
    """Return whether some mix of the two classes' out-of-fold scores gives the test's, as under pure label shift.

    The mix is that of least squared distance between distribution functions, which needs no calibration; the gap is the
    greatest distance left (Kolmogorov-Smirnov). What chance does is seen in the resamples' deviations from what was
    observed; that counts the noise of the out-of-fold rows and of the mix as well.
    """
    positive, negative, test = (_distribution(counts) for counts in (scores.positive, scores.negative, scores.test))
    apart = positive - negative
    share = ((test - negative) * apart).sum(1) / np.maximum((apart**2).sum(1), 1e-12)
    share = np.clip(share, 0, 1)[:, None]
    left = test - negative - share * apart
    gap, by_chance = float(np.abs(left[0]).max()), np.abs(left[1:] - left[0]).max(1)
    p_value = float((1 + np.count_nonzero(by_chance >= gap)) / (1 + by_chance.size))
    alarming = gap >= MIN_GAP and p_value <= MAX_P_VALUE
    limit = float(np.quantile(by_chance, 0.95))
    sentence = (
        f"{'no' if alarming else 'a'} mix of the two classes' scores gives the test scores "
        f"(gap {gap:.3f}, by chance up to {limit:.3f})"
    )
    value = {"gap": gap, "chance": limit, "p": p_value, "share": float(share[0, 0])}
    return Statistic("score mixture", value, sentence, alarming)


def score_distance(scores: ScoreDraws) -> Statistic:
    """Return how far the test scores are from the out-of-fold scores, for whatever reason.

    ``ks``: Kolmogorov-Smirnov; ``wasserstein``: of the logits, in standard deviations of the out-of-fold ones.
    """
    oof_counts = scores.positive + scores.negative
    gap = _distribution(scores.test) - _distribution(oof_counts)
    distance = float(np.abs(gap[0]).max())
    limit = float(np.quantile(np.abs(gap[1:] - gap[0]).max(1), 1 - MAX_P_VALUE))
    logit, order = scores.logit, np.argsort(scores.logit)
    spread = np.sqrt(np.cov(logit, aweights=oof_counts[0], ddof=0))
    moved = np.cumsum((scores.test[0] / scores.test[0].sum() - oof_counts[0] / oof_counts[0].sum())[order])
    wasserstein = float(np.abs(moved[:-1]) @ np.diff(logit[order]) / max(spread, 1e-12))
    sentence = f"test scores lie {distance:.3f} from the out-of-fold scores (by chance up to {limit:.3f})"
    value = {"ks": distance, "chance": limit, "wasserstein": wasserstein}
    return Statistic("score distance", value, sentence, distance >= MIN_DISTANCE and distance > limit)


def member_features(member: str, parts: Sequence[FoldFeatures], prior: Prior, seed: int = 0) -> Statistic:
    """Return whether a member's features tell test rows from validation rows weighted to the test's class balance.

    Each fold's model is examined in its own feature space, and the median AUC counts: several models' features put
    together would differ by construction. Folds with one class or fewer than ten rows or groups are left out; where
    none is left ``auc`` is None.
    """
    domains = []
    for part in parts:
        label, group = check_binary("label", part.label), check_group(part.group, len(part.label))
        if 0 < label.mean() < 1 and min(group.max() + 1, len(part.test)) >= MIN_ROWS:
            domains.append(domain_auc(part.validation, part.test, _to_balance(label, prior), part.group, seed))
    name = f"{FEATURES}{member}"
    if not domains:
        value: dict[str, Any] = {**dict.fromkeys(AUC_KEYS), "folds": []}
        return Statistic(name, value, f"too few rows to compare the {name}", False)
    auc, low, high, null = (float(np.median([getattr(domain, key) for domain in domains])) for key in AUC_KEYS)
    alarming = auc >= MIN_FEATURES_AUC and low > 0.5 and auc > null
    sentence = (
        f"{name} {'tell' if alarming else 'do not tell'} test rows from training rows of the same class balance "
        f"(AUC {auc:.2f}, {low:.2f}-{high:.2f}; by chance up to {null:.2f})"
    )
    value = {"auc": auc, "low": low, "high": high, "null": null, "folds": [domain.auc for domain in domains]}
    return Statistic(name, value, sentence, alarming)


def metadata(domain: AucInterval) -> Statistic:
    """Return whether what is known of the files without a model distinguishes test files from training files."""
    alarming = domain.auc >= MIN_METADATA_AUC and domain.low > 0.5
    sentence = (
        f"metadata {'tell' if alarming else 'do not tell'} test files from training files "
        f"(AUC {domain.auc:.2f}, {domain.low:.2f}-{domain.high:.2f})"
    )
    value = {key: float(getattr(domain, key)) for key in AucInterval._fields}
    return Statistic("metadata", value, sentence, bool(alarming))


def disagreement(rows: OofRows, members: Mapping[str, tuple[ArrayLike, ArrayLike]], prior: Prior) -> Statistic:
    """Return whether members decide apart on more test rows than on out-of-fold rows of the test's class balance.

    ``members`` maps two members or more to their ``prob`` (n,) of the ``rows`` and ``test_parts`` (k, m); each decides
    at its own best out-of-fold threshold, and fold models are compared fold by fold. The test rows, whose groups are
    unknown, are taken to be grouped like ``rows``. Raises ``ValueError`` for unequal shapes.
    """
    oof, test = [], []
    for name, (prob, parts) in members.items():
        prob, parts = check_prob(f"prob of {name}", prob), check_prob(f"test_parts of {name}", parts)
        threshold, _ = best_threshold(rows.label, prob)
        oof.append(prob >= threshold)
        test.append(np.atleast_2d(parts) >= threshold)
    oof = np.mean([one != other for one, other in combinations(oof, 2)], axis=0)
    test = np.mean([(one != other).mean(axis=0) for one, other in combinations(test, 2)], axis=0)
    weight = _to_balance(rows.label, prior)
    expected, found = float(np.average(oof, weights=weight)), float(test.mean())
    influence = weight * (oof - expected)
    alone, together = np.sum(influence**2), grouped_variance(influence, rows.group)
    grouped = max(together / alone, 1.0) if alone > 0 else 1.0
    variance = grouped * (alone / weight.sum() ** 2 + test.var() / test.size)
    new = found - expected
    alarming = new >= MIN_DISAGREEMENT and found >= 1.5 * expected and new > SIGMAS * np.sqrt(variance)
    sentence = f"members disagree on {_percent(found)} of the test rows, where {_percent(expected)} were to be expected"
    return Statistic("disagreement", {"test": found, "expected": expected}, sentence, bool(alarming))


def _luck(share: float, rows: int, rate: float) -> float:
    """Return the probability that ``rows`` rows of a world of that ``rate`` show a share as far to its side.

    A test set without any positive resamples to itself, so resamples alone would be too sure of it.
    """
    if share < rate:
        return float(stats.binom.cdf(np.ceil(share * rows), rows, rate))
    return float(stats.binom.sf(np.floor(share * rows) - 1, rows, rate))


def _to_balance(label: Bools, prior: Prior) -> Floats:
    """Return the weights that give labelled rows of both classes the test's class balance."""
    rate = label.mean()
    return np.asarray(np.where(label, prior.value / rate, (1 - prior.value) / (1 - rate)))


def _distribution(counts: Floats) -> Floats:
    return np.asarray(np.cumsum(counts, axis=1) / counts.sum(1, keepdims=True))


def _percent(share: float) -> str:
    return f"{100 * share:.{_decimals(share)}f} %"


def _percents(low: float, high: float) -> str:
    decimals = max(_decimals(low), _decimals(high)) if high < 0.1 else 0
    return f"{100 * low:.{decimals}f}-{100 * high:.{decimals}f} %"


def _decimals(share: float) -> int:
    return 1 if 0 < share < 0.1 else 0
