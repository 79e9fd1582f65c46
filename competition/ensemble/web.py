"""Rows to tune a threshold on that is to hold on the web: sampled out-of-fold rows as they are, and degraded.

What degraded images score stands in the jobs' evidence already; no model is needed.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from competition.core.errors import UserError
from competition.ensemble.analysis import Predicted
from competition.ensemble.member import Member
from competition.inference.diagnostics import CLEAN, collect_sweep
from competition.scoring.arrays import Codes, Floats, sigmoid
from competition.scoring.blend.average import mean_known
from competition.scoring.rows import OofRows

MAX_ROWS = 8000  # to tune on: more would only take time


def tuned_on_web(found: Predicted, members: Mapping[str, Member], seed: int) -> Predicted:
    """Return the same predictions with ``OofRows.web`` of every member and of the ensemble.

    Each row of the sample that all members saw degraded stands there once as it is and once under one of the
    conditions, dealt evenly and by ``seed``, or as many times under others as ``MAX_ROWS`` leaves room for: clean and
    degraded images weigh half each. Held-out rows take no part. Degraded images were seen without test-time views.
    Raises UserError where the jobs of a member, or of a fold, left no degraded rows.
    """
    sweeps = [collect_sweep(member.by_fold, found.ids) for member in members.values()]
    names = [name for name in sweeps[0] if name != CLEAN and all(name in sweep for sweep in sweeps)]
    rows = found.rows
    if not names:
        raise UserError(_missing("its jobs left none that all members share"))
    degraded = sigmoid(np.stack([[sweep[name] for name in names] for sweep in sweeps]))  # (members, C, n)
    known = ~np.isnan(degraded).any(axis=(0, 1))
    known &= True if rows.held_out is None else ~rows.held_out
    at = np.flatnonzero(known)
    if np.unique(rows.fold[at]).size < rows.folds or np.unique(rows.label[at]).size < 2:
        raise UserError(_missing("there are none of some fold or class"))
    dealt = _deal(at, len(names), seed)
    web = {name: _web(found.oof[name], degraded[number], dealt) for number, name in enumerate(members)}
    if found.blend is not None:
        own = list(found.blend.choice.weights.values())
        web[found.final] = _web(rows, mean_known(degraded, own), dealt)
        if rows.crossed is not None:
            crossed = [
                _both(prob, mean_known(degraded, weights), dealt)
                for prob, weights in zip(rows.crossed, found.weights, strict=True)
            ]
            web[found.final] = web[found.final].with_prob(web[found.final].prob, np.stack(crossed))
    oof = {name: known_rows.tuned_on(web[name]) for name, known_rows in found.oof.items()}
    return dataclasses.replace(found, oof=oof)


def _missing(why: str) -> str:
    return (
        f"threshold_on=web needs what held-out images score when they are degraded, and {why}: raise evidence_rows, or "
        "leave threshold_on=web out."
    )


def _deal(at: Codes, conditions: int, seed: int) -> tuple[Codes, Codes]:
    """Return rows, each several times, and the condition that each is dealt, (r,) both."""
    times = int(np.clip(MAX_ROWS // (2 * at.size), 1, conditions))
    turn = np.random.default_rng([seed, 4]).permutation(at.size)
    return np.repeat(at, times), (turn[:, None] * times + np.arange(times)).ravel() % conditions


def _both(prob: Floats, degraded: Floats, dealt: tuple[Codes, Codes]) -> Floats:
    """Return (2r,) probabilities: those of the rows as they are, then degraded as dealt."""
    rows, condition = dealt
    return np.concatenate([prob[rows], degraded[condition, rows]])


def _web(rows: OofRows, degraded: Floats, dealt: tuple[Codes, Codes]) -> OofRows:
    twice = np.tile(dealt[0], 2)
    return OofRows(rows.label[twice], _both(rows.prob, degraded, dealt), rows.fold[twice], rows.group[twice])
