"""How long a run takes: how many images its jobs see, times what an image was measured to take."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from competition.core.settings import Config, Recipe
from competition.core.splits import chosen_folds
from competition.data.run_data import RunData, gigabytes, store_spec
from competition.data.tta import TTA
from competition.inference.diagnostics import diagnostics_images
from competition.inference.features import feature_bytes
from competition.models.adapt import count_parameters
from competition.training.plan import Plan, probe_of, validate_every
from competition.training.speed import Speed, measure_speed

# Seconds beside those of images, measured with the demo on two cores: until the first job trains (jobs side by side are
# processes that import torch and timm), for each job (its network and its files), and from the last job to the end
# (scores, and the report with its pictures); and for a row in tables, folds, scores and report (of 100,000: 45 s).
OPENING, JOB, CLOSING, ROW = 6.0, 1.0, 3.0, 4.5e-4
BESIDE = 1.08  # times as long as alone a job takes beside others: 1.03 to 1.11 there, two networks, two jobs


@dataclass(frozen=True)
class RowCounts:
    """How many rows there are: ``train`` in folds, ``test``, ``extra`` that are trained on alone and ``pseudo`` that
    are test rows as well."""

    train: int
    test: int
    extra: int = 0
    pseudo: int = 0

    def held(self, config: Config) -> int:
        """Return how many training rows a job holds out."""
        return round(self.train * (1 / config.folds if config.shares is None else 1 - config.shares[0]))


class JobRows(NamedTuple):
    """How many rows one job learns from, holds out, and predicts of the test set."""

    learnt: int
    held: int
    tested: int


def job_images(config: Config, recipe: Recipe, rows: JobRows, floating: bool, views: int = 1) -> tuple[int, int]:
    """Return how many images a job of these rows sees in training, and how many in its predictions and its diagnostics,
    a predicted image once for each of the ``views``.

    A frozen member's features were computed before: it sees new pixels in its sweep alone.
    """
    featured, swept = diagnostics_images(config.evidence_rows, rows.held, rows.tested, floating)
    if recipe.frozen:
        return 0, swept
    batch = min(rows.learnt, recipe.batch_size * recipe.accumulate)
    return recipe.epochs * (rows.learnt // batch) * batch, (rows.held + rows.tested) * views + featured + swept


def run_seconds(config: Config, counts: RowCounts, floating: bool, speeds: Mapping[str, Speed], at_once: int) -> float:
    """Return the seconds that the requested folds take, from the line's start to its end, so many jobs ``at_once``."""
    rows = counts.train + counts.test + counts.extra
    alone, jobs = OPENING + closing_seconds(counts), list[float]()
    alone += rows * max(speed.decode for speed in speeds.values())
    chosen, full = chosen_folds(config)
    views = len(TTA[config.tta])
    for member, recipe in config.members.items():
        speed, held = speeds[member], counts.held(config)
        if recipe.frozen:
            alone += speed.predict * feature_images(config, recipe, counts)
        for part in [held] * len(chosen) + [0] * full:
            job = JobRows(counts.train - part + counts.extra + counts.pseudo, part, counts.test)
            trained, seen = job_images(config, recipe, job, floating, views)
            head = recipe.epochs * job.learnt * speed.train if recipe.frozen else 0.0
            looked = part * math.ceil(recipe.epochs / validate_every(config, recipe)) * (not recipe.frozen)
            jobs += [JOB + trained * speed.train + (seen + looked) * speed.predict + head] * config.seeds
    slower = BESIDE if min(at_once, len(jobs)) > 1 else 1.0
    return alone + slower * makespan(sorted(jobs, reverse=True), at_once)


def closing_seconds(counts: RowCounts) -> float:
    """Return how long a line takes after its last job."""
    return CLOSING + ROW * (counts.train + counts.test)


def makespan(jobs: Sequence[float], at_once: int) -> float:
    """Return when the last of these jobs ends, begun in this order, each by whichever of so many workers is free."""
    free = [0.0] * at_once
    for seconds in jobs:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def feature_images(config: Config, recipe: Recipe, counts: RowCounts) -> int:
    """Return how many images a frozen member's features are of: all of them once, for all folds and epochs."""
    once = (counts.train + counts.test) * len(TTA[config.tta]) + counts.extra
    return once + recipe.variants * (counts.train + counts.extra + counts.pseudo)


def print_estimate(config: Config, data: RunData, plans: Sequence[Plan], at_once: int, workers: int) -> None:
    """Print the hours and gigabytes of the run without ``limit``: training, predictions, cache and checkpoints.

    ``at_once``: how many jobs run side by side, each fed by so many ``workers``.
    """
    # Of all the added rows there would be, as many as are used here.
    added = {one.kind: round(len(one.tables[0]) / len(one) * one.full_size) for one in data.added}
    counts = RowCounts(*data.full_size, added.get("extra", 0), added.get("pseudo", 0))
    speeds, megabytes, features = {}, 0.0, 0.0
    for member, recipe in config.members.items():
        plan = next(plan for plan in plans if plan.job.member == member)
        speeds[member] = measure_speed(config, data, member, plan.placement, workers)
        model = probe_of(data, recipe)[0]()
        if recipe.frozen:
            features += feature_images(config, recipe, counts) * feature_bytes(model) / 1e9
        total, learnt = count_parameters(model)
        resumed = total * (1 + bool(recipe.ema)) + 2 * learnt  # weights, the moving average, AdamW's two moments
        models = config.parts * config.seeds
        megabytes += 4 * (total * models + at_once * (total if recipe.frozen else resumed)) / 1e6
    hours = run_seconds(config, counts, data.dataset.floating, speeds, at_once) / 3600
    beside = f"{features:.2f} GB of features, " if features else ""
    print(
        f"  Estimate for all {counts.train:,} + {counts.test:,} images: {hours:.1f} hours of training and prediction, "
        f"{_cache_gigabytes(config, data):.2f} GB of decoded pixels, {beside}{megabytes / 1000:.2f} GB of weights and "
        "resume points."
    )


def _cache_gigabytes(config: Config, data: RunData) -> float:
    """Scale the bytes that this dry run's images take to all of them."""
    if data.dataset.floating:
        return 0.0
    total = 0.0
    for spec in dict.fromkeys(store_spec(recipe) for recipe in config.members.values()):
        extra = [(one.stores[spec], one.full_size) for one in data.added if one.kind == "extra"]
        for store, rows in [*zip(data.stores[spec], data.full_size, strict=True), *extra]:
            total += gigabytes(store) / max(1, len(store) - len(store.bad)) * rows
    return total
