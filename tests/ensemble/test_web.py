"""threshold_on=web: the cut is tuned on sampled rows as they are and degraded, by folds, and judged on clean rows."""

from types import SimpleNamespace

import numpy as np
import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.ensemble.analysis import Predicted
from competition.ensemble.score import check_decisions
from competition.ensemble.web import tuned_on_web
from competition.inference.diagnostics import Diagnostics, write_diagnostics
from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold
from competition.scoring.rows import OofRows
from competition.scoring.threshold.rules import cross_fit

ROWS, FOLDS, CONDITIONS = 120, 3, ("clean", "jpeg75", "half")
IDS = [f"{row:03}" for row in range(ROWS)]
FOLD = np.arange(ROWS) // 2 % FOLDS
LABEL = np.arange(ROWS) % 2


def made(folder, conditions=CONDITIONS, swept=slice(None), folds=FOLDS):
    """A member's rows and, in ``folder``, the evidence of each fold: every condition moves the logit down."""
    logit = 2.0 * LABEL - 1 + np.random.default_rng(0).normal(size=ROWS)
    by_fold = []
    for number in range(FOLDS):
        ids = np.array(IDS)[number == FOLD]
        kept = ids[swept] if number < folds and conditions else ids[:0]
        steps = [logit[np.array(kept, int)] - 3 * step for step in range(len(conditions))]
        sweep = np.array(steps, np.float32).reshape(len(conditions), kept.size)
        nothing = np.zeros((0, 0), np.float16)
        whole = logit[None, np.array(ids, int)].astype(np.float32)
        (folder / str(number)).mkdir()
        none = ids[:0]
        write_diagnostics(
            folder / str(number),
            Diagnostics(("whole",), ids, whole, none, nothing, none, nothing, conditions, kept, sweep),
        )
        by_fold.append([folder / str(number)])
    found = Predicted(IDS, {}, {"one": OofRows(LABEL, sigmoid(logit), FOLD)}, None)
    return found, {"one": SimpleNamespace(by_fold=by_fold)}


def test_clean_and_degraded_rows_weigh_half_each_and_keep_their_fold(tmp_path):
    found, members = made(tmp_path, swept=slice(0, 30))
    rows = tuned_on_web(found, members, seed=0).rows
    web, half = rows.web, rows.web.label.size // 2
    clean = [tuple(row) for row in np.stack([web.prob[:half], web.fold[:half]], axis=1)]
    known = {(prob, fold) for prob, fold in zip(rows.prob, rows.fold, strict=True)}
    assert set(clean) <= known and len(set(clean)) == 90
    assert (web.prob[half:] < web.prob[:half]).all() and np.array_equal(web.label[half:], web.label[:half])
    assert np.array_equal(rows.prob, found.rows.prob)


def test_the_other_folds_degraded_rows_choose_the_threshold_and_clean_rows_are_judged_by_it(tmp_path):
    found, members = made(tmp_path)
    rows = tuned_on_web(found, members, seed=0).rows
    decision, used = cross_fit(rows, "argmax")
    for number in range(FOLDS):
        outside = rows.web.fold != number
        assert set(used[number == FOLD]) == {best_threshold(rows.web.label[outside], rows.web.prob[outside])[0]}
    assert np.array_equal(decision, rows.prob >= used)
    assert used.max() < cross_fit(found.rows, "argmax")[1].min()
    assert np.array_equal(cross_fit(rows, "prior:0.5")[1], cross_fit(found.rows, "prior:0.5")[1])


def test_without_degraded_rows_it_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"jobs left none.*raise evidence_rows"):
        tuned_on_web(*made(tmp_path / "a", conditions=()), seed=0)
    with pytest.raises(UserError, match="none of some fold"):
        tuned_on_web(*made(tmp_path / "b", folds=2), seed=0)
    config = load_config(["preset=demo", "threshold_on=web", "evidence_rows=0"])
    with pytest.raises(UserError, match="evidence_rows=0 keeps none: set evidence_rows=1000"):
        check_decisions(config, 10)
