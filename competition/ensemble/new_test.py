"""A finished run's answer to another test set: its verdict on it, and the threshold for it, as a run would end with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from competition.core.errors import UserError
from competition.core.settings import Config
from competition.data.layouts.dataset import table_of
from competition.data.run_data import FoldedRows
from competition.ensemble.finished_runs import Run
from competition.ensemble.score import answers, score
from competition.inference.diagnostics import FILE as EVIDENCE_FILE
from competition.inference.oof import blend, collect_member
from competition.inference.run_inputs import folds_path, run_folds
from competition.inference.run_record import Record
from competition.inference.test_set import TestPredictions
from competition.report.trust import Analysis
from competition.scoring.leaderboard_metric import find_metric


@dataclass(frozen=True)
class TestAnswer:
    """``answer`` (m,), what is submitted, and ``prob`` (m,) of class 1, NaN where no model could see the image, in the
    table's order. ``analysis`` holds the verdict on the test set and how its threshold was chosen; None where the run's
    own threshold was taken."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    answer: np.ndarray
    prob: np.ndarray
    analysis: Analysis | None


def answer_test_set(record: Record, config: Config, ids: Sequence[str], seen: TestPredictions) -> TestAnswer:
    """Return what is submitted for the test rows ``ids``, of which the run's models have ``seen`` the images.

    Where the run has kept of its validation rows what a verdict takes, and the rows are enough for one, the threshold
    is chosen for these rows, as the run's was for its own test set. Else, and on the test set that the run had, it is
    the run's.
    """
    calibrated = find_metric(config.metric).calibrated
    judged = None if seen.own and not calibrated else _judge(record, config, ids, seen)
    if judged and judged.analysis and (judged.analysis.shift or calibrated):
        return judged
    if calibrated:
        raise UserError(
            f"The run '{record.name}' kept too little of its validation rows to calibrate probabilities for "
            f"metric={config.metric}: train it again with the data at hand."
        )
    predictions = [collect_member([], own, [], ids) for own in seen.folders.values()]
    weights = [record.weights.get(member, 1.0) for member in seen.folders]  # a run of before had equal ones
    prob = (blend(predictions, weights) if len(predictions) > 1 else predictions[0]).test
    return TestAnswer(answers(config, prob, record.threshold, record.share), prob, None)


def _judge(record: Record, config: Config, ids: Sequence[str], seen: TestPredictions) -> TestAnswer | None:
    """Return what the run would have ended with on this test set; None where it kept too little to know."""
    if not folds_path(record.name, config).exists():
        return None
    folds = run_folds(record, config)
    run = Run(config, record, folds)
    members = {name: run.member(name, folders) for name, folders in seen.folders.items()}
    held_out = [folder for member in members.values() for one_fold in member.by_fold for folder in one_fold]
    kept = all((folder / name).exists() for folder in held_out for name in ("oof.csv", EVIDENCE_FILE))
    if not kept or any(len(member.by_fold) < config.parts for member in members.values()):
        return None
    rows = FoldedRows(folds.astype({"label": "int64", "fold": "int64"}), table_of(id=list(ids)))
    result = score(config, rows, members, range(config.parts), trained_on=record.trained_on_test)
    return TestAnswer(result.answers(config), result.scores[result.final].test_prob, result.analysis)
