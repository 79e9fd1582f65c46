"""What comes of a drawn world: the product's own functions see what a run would, and the test labels judge them."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from tqdm import tqdm

from competition.scoring.best_threshold import best_threshold
from competition.scoring.leaderboard_metric import LabelMetric, find_metric, of_labels
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import score_predictions
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME, judge_shift
from competition.scoring.threshold.auto import submission_threshold
from tests.benchmarks.scenarios import Draw, World, draw

RULES = ("argmax", "bootstrap", "calibrated", "em", "prior")  # prior: with the test's true rate declared
JUDGED = (*RULES, "auto")
VERDICTS = (SAME, LABEL_SHIFT, DOMAIN_SHIFT)
MANY_ROWS = 200_000


@dataclass(frozen=True)
class Outcome:
    """One draw: each rule's ``regret`` (of the metric, against the test's own best cut), and what became of ``auto``.

    ``regret`` holds, beside the rules, what is lost by calling ``all`` rows positive.

    ``bias`` is the reported score less the leaderboard's. Where both sets are of one world, the same difference at a
    cut that looks at neither is taken off: its mean is 0, and it is most of the luck that would drown the bias.
    """

    regret: dict[str, float]
    bias: float
    inside: bool
    verdict: str
    rule: str


def judge(world: World, metric: str, seed: int) -> Outcome:
    """Let the product see one draw, then judge by the metric what it said."""
    found, by = draw(world, seed), of_labels(find_metric(metric))
    rows = OofRows(found.label, found.prob, found.fold, found.group).scored_by(by)
    test = TestRows(found.test_prob, found.parts)
    shift = judge_shift(rows, found.parts, {"model": found.features}, seed=seed)
    score = score_predictions(rows, test, "auto", seed, shift=shift)
    threshold = {"auto": score.threshold, "all": 0.0}
    for rule in RULES:
        named = f"prior:{found.test_label.mean()}" if rule == "prior" else rule
        threshold[rule] = submission_threshold(named, rows, test, seed)
    _, best = best_threshold(found.test_label, found.test_prob, by)
    reached = {rule: _reached(by, found.test_label, found.test_prob, cut) for rule, cut in threshold.items()}
    low, high = score.leaderboard
    return Outcome(
        regret={rule: best - value for rule, value in reached.items()},
        bias=score.value - reached["auto"] - (_luck(world, metric, found) if world.exact else 0.0),
        inside=low <= reached["auto"] <= high,
        verdict=shift.verdict,
        rule=score.rule,
    )


def _reached(metric: LabelMetric, label: np.ndarray, prob: np.ndarray, cut: float) -> float:
    return metric.value(label, prob, (prob >= cut).astype(int))


def _luck(world: World, metric: str, found: Draw) -> float:
    cut, by = _own_cut(world, metric), of_labels(find_metric(metric))
    return _reached(by, found.label, found.prob, cut) - _reached(by, found.test_label, found.test_prob, cut)


@lru_cache
def _own_cut(world: World, metric: str) -> float:
    """Return the world's best cut, from rows enough to know it."""
    many = draw(replace(world, test_rows=MANY_ROWS), seed=0)
    return best_threshold(many.test_label, many.test_prob, of_labels(find_metric(metric)))[0]


@dataclass(frozen=True)
class Finding:
    """A world's outcomes in figures; means come as (mean, standard error), ``worse`` is auto's regret less argmax's."""

    world: World
    draws: int
    regret: dict[str, tuple[float, float]]
    worse: tuple[float, float]
    bias: tuple[float, float]
    coverage: float
    verdicts: dict[str, float]
    rules: dict[str, int]


def summarise(world: World, outcomes: Sequence[Outcome]) -> Finding:
    """Return the figures of one world's outcomes."""
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    return Finding(
        world=world,
        draws=len(outcomes),
        regret={rule: _mean([outcome.regret[rule] for outcome in outcomes]) for rule in outcomes[0].regret},
        worse=_mean([outcome.regret["auto"] - outcome.regret["argmax"] for outcome in outcomes]),
        bias=_mean([outcome.bias for outcome in outcomes]),
        coverage=float(np.mean([outcome.inside for outcome in outcomes])),
        verdicts={verdict: verdicts[verdict] / len(outcomes) for verdict in VERDICTS},
        rules=dict(Counter(outcome.rule for outcome in outcomes).most_common()),
    )


def _mean(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


@dataclass(frozen=True)
class Promise:
    """What was promised, what was found, and whether that keeps it."""

    text: str
    found: str
    kept: bool


def measure(
    worlds: Sequence[World], repeats: int, processes: int, first: int = 0, metric: str = "f1"
) -> Iterator[Finding]:
    """Yield each world's figures over ``repeats`` seeds from ``first`` on, by that many processes (1: this one)."""
    seeds = range(first, first + repeats)
    if processes == 1:
        for world in worlds:
            yield summarise(world, [judge(world, metric, seed) for seed in seeds])
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes whose threads fight over two cores take far longer
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        bar = tqdm(total=len(worlds) * repeats, unit="draw", disable=None, leave=False)
        for world in worlds:
            outcomes = []
            for outcome in pool.imap(partial(judge, world, metric), seeds, chunksize=2):
                outcomes.append(outcome)
                bar.update()
            bar.clear()
            yield summarise(world, outcomes)
        bar.close()
