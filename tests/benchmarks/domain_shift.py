"""Test sets from elsewhere: what ``auto`` loses there, at five class balances and under ten kinds of shift.

The second table of `./run.sh bench honest`. The rule ``robust`` was chosen on draws with seeds below ``FRESH``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from competition.scoring.shift.verdict import DOMAIN_SHIFT
from tests.benchmarks.outcomes import Finding, Promise
from tests.benchmarks.scenarios import GENERATOR, World

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of AI images in the test set; half of the training images are
GAPS = {"AUC .92": 2.0, "AUC .99": 3.5}  # distance of the classes in the training rows' world
MOVED = 1.0  # features lie elsewhere in each of these worlds, as they do where pictures differ
KINDS: Mapping[str, Mapping[str, Any]] = {  # offset: in gaps
    "scores lower": {"offset": -0.5},
    "scores higher": {"offset": 0.5},
    "a third of the power lost": {"faded": 1 / 3},
    "no power: all as photographs": {"fakes_unlike": 1.0},
    "no power: all as AI images": {"photos_unlike": 1.0},
    "no power: all in between": {"faded": 1.0},
    "half of the AI images unlike": {"fakes_unlike": 0.5},
    "half of the photographs unlike": {"photos_unlike": 0.5},
    "resized: lower, half the power": {"offset": -0.25, "faded": 0.5},
    "resized: lower, squeezed": {"offset": -0.25, "squeezed": 0.5},
}
HALF, MUCH_WORSE, NEAR_ALL, FLAGGED = 0.5, 0.05, 0.03, 0.95


def _world(kind: str, model: str, share: float) -> World:
    gap, change = GAPS[model], dict(KINDS[kind])
    offset = gap * change.pop("offset", 0.0)
    name = f"{kind}, {model}, {share}"
    return World(name, GENERATOR, gap=gap, test_prior=share, moved_all=MOVED, offset=offset, **change)


CELLS = {(kind, model, share): _world(kind, model, share) for model in GAPS for kind in KINDS for share in SHARES}


def domain_promises(findings: Sequence[Finding]) -> list[Promise]:
    """Return what is promised of ``auto`` where the test set is of another world, and what was found."""
    auto, steady = (np.array([finding.regret[rule][0] for finding in findings]) for rule in ("auto", "calibrated"))
    worse = auto - steady
    worst, many = int(worse.argmax()), int((worse > MUCH_WORSE).sum())
    flagged = float(np.mean([finding.verdicts[DOMAIN_SHIFT] for finding in findings]))
    made = [
        Promise(
            "in other worlds auto loses on average at most half of what calibrated loses",
            f"{auto.mean():.3f} against {steady.mean():.3f}",
            auto.mean() <= HALF * steady.mean(),
        ),
        Promise(
            f"in no other world does auto lose more than {MUCH_WORSE} more than calibrated",
            f"{worse[worst]:+.3f} in '{findings[worst].world.name}', {many} of {len(findings)} beyond it",
            not many,
        ),
        Promise(
            f"other worlds are called that at least {FLAGGED:.0%} of the time", f"{flagged:.1%}", flagged >= FLAGGED
        ),
    ]
    powerless = [finding for finding in findings if finding.world.name.startswith("no power")]
    if powerless:
        gaps = [finding.regret["auto"][0] - finding.regret["all"][0] for finding in powerless]
        furthest = int(np.argmax(gaps))
        made.append(
            Promise(
                f"where scores tell nothing auto comes within {NEAR_ALL} of calling all positive",
                f"{gaps[furthest]:+.3f} in '{powerless[furthest].world.name}'",
                gaps[furthest] <= NEAR_ALL,
            )
        )
    return made


def domain_table(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a Markdown table: F1 lost against the test's best cut by ``calibrated`` and by ``auto``, by share."""
    found = {finding.world.name: finding for finding in findings}
    yield "| shift | out-of-fold | " + " | ".join(f"{share:.0%} AI" for share in SHARES) + " | range holds |"
    yield "|---|---|" + "--:|" * (len(SHARES) + 1)
    for model in GAPS:
        for kind in KINDS:
            row = [found[world.name] for (k, m, _), world in CELLS.items() if (k, m) == (kind, model)]
            lost = [f"{one.regret['calibrated'][0]:.3f} → {one.regret['auto'][0]:.3f}" for one in row]
            held = np.mean([one.coverage for one in row])
            yield f"| {kind} | {model} | " + " | ".join(lost) + f" | {held:.0%} |"
