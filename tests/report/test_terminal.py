"""The closing table is whole at any width, and few lines below it say whether to believe it."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from competition.audit.findings import AuditSummary, FindingSummary
from competition.report.terminal import analysis_lines, closing_tables
from competition.report.trust import Analysis, ThresholdChoice
from competition.scoring.arrays import sigmoid
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import score_predictions
from competition.scoring.shift.class_prior import Prior
from tests.report.runs import REMEDIES, analysis


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    label = np.arange(90) % 2
    names = ("convnext-residual", "ensemble")
    return {
        name: score_predictions(
            OofRows(label, sigmoid(rng.normal(size=90) + label), np.arange(90) % 3),
            TestRows(rng.random(40), rng.random((3, 40))),
            "argmax",
        )
        for name in names
    }


@pytest.mark.parametrize("width", [80, 132, 200])
def test_every_figure_is_whole_at_any_usual_width(scores, width):
    out = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)
    for table in closing_tables(scores, {name: 3700.0 for name in scores}, "mine", width):
        out.print(table)
    text = out.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for name, score in scores.items():
        for key in ("f1", "precision", "recall", "auc", "log_loss"):
            assert f"{score.figures[key]:.4f}" in text
        assert name in text and f"{score.threshold:.4f}" in text and f"{score.test_rate:.1%}" in text
        assert f"{score.leaderboard[0]:.3f}-{score.leaderboard[1]:.3f}" in text and "1:01:40" in text


def known(verdict="same world", value=0.49, **changes):
    """What a run knows, with the figures that its lines show."""
    found = analysis(verdict=verdict)
    prior = Prior(value, value - 0.04, value + 0.04, 0.5)
    shift, threshold = replace(found.shift, prior=prior), replace(found.threshold, value=0.48127)
    return replace(found, **{"shift": shift, "threshold": threshold, **changes})


def test_below_the_table_stand_the_verdict_and_how_the_numbers_were_chosen():
    lines = analysis_lines(known())
    assert lines == [
        ("World       same world: test rows look like 49 % positive (45-53 %), the training rows were 50 %", None),
        (
            "Threshold   bootstrap (.4813): the median over 200 resamples of groups varies least, "
            "and nothing speaks for another rule.",
            None,
        ),
        ("Blend       equal weights: stacking gains 0.0011, less than one standard error (0.0042).", None),
        ("Robustness  F1 .943 clean, .820 on average over 5 conditions, .660 at worst (half)", None),
        ("            false positives 5.7% clean, 34.0% at worst (half)", None),
        ("            F1 .940 jpeg95, .921 jpeg85, .880 jpeg75, .700 blur, .660 half", None),
        (
            "Sources     worst of 3 at the submission's cut: midjourney (recall .849), "
            "camera (false-positive rate .214), web (F1 .052)",
            None,
        ),
        (
            "Audit       ALARM row parity: odd rows are of class 1: AUC 0.998. "
            "Nothing to do where no model sees the row's number.",
            "red",
        ),
        ("Audit       warned of exact copies", "yellow"),
    ]
    assert max(len(text) for text, _ in lines) <= 200


def test_label_shift_is_yellow_and_says_what_to_do():
    (text, style), (remedy, same) = analysis_lines(known("label shift", 0.25))[:2]
    assert text.startswith("World       label shift: test rows look like 25 % positive (21-29 %), the training rows")
    assert remedy.strip() == REMEDIES["label shift"] and style == same == "yellow"


def test_another_world_is_bold_red_with_what_to_do_first_and_each_reason_below():
    found = known("another world")
    reasons = [item.sentence for item in found.shift.evidence if item.alarming]
    lines = analysis_lines(found)[: 1 + len(reasons)]
    assert lines[0][0] == f"ANOTHER WORLD: {REMEDIES['another world']}" and reasons
    assert [text.strip() for text, _ in lines[1:]] == [f"- {reason}" for reason in reasons]
    assert {style for _, style in lines} == {"bold red"}


def test_fitted_weights_are_shown_and_equal_ones_need_not_be():
    blend = replace(known().blend, method="caruana", weights={"convnext": 0.25, "swin": 0.75})
    assert analysis_lines(known(blend=blend))[2][0].startswith(
        "Blend       Caruana selection (convnext .25, swin .75): stacking gains"
    )


def test_rare_classes_keep_a_decimal():
    shift = replace(known().shift, prior=Prior(0.012, 0.008, 0.0171, 0.02))
    line, _ = analysis_lines(known(shift=shift))[0]
    assert "look like 1.2 % positive (0.8-1.7 %), the training rows were 2.0 %" in line


def findings(*levels):
    return [FindingSummary(f"finding {at}", level, f"What {at}.", f"Do {at}.") for at, level in enumerate(levels)]


def test_an_alarm_of_the_audit_has_a_line_of_its_own_and_warnings_are_named():
    found = AuditSummary(False, findings("alarm", "alarm", "warning", "warning", "note"))
    assert [line for line in analysis_lines(known(audit=found)) if line[0].startswith("Audit")] == [
        ("Audit       ALARM finding 0: What 0. Do 0.", "red"),
        ("Audit       ALARM finding 1: What 1. Do 1.", "red"),
        ("Audit       warned of finding 2, finding 3", "yellow"),
    ]


def test_notes_are_left_to_the_page():
    assert analysis_lines(Analysis(audit=AuditSummary(True, findings("note", "note")))) == []


def test_what_is_not_known_has_no_line():
    assert analysis_lines(Analysis()) == []
    threshold = ThresholdChoice("prior:0.3", "prior:0.3", "as set", 0.25, {})
    assert analysis_lines(Analysis(threshold=threshold)) == [("Threshold   prior:0.3 (.2500): as set", None)]


def test_a_test_set_that_is_not_judged_has_its_reason_and_a_vague_estimate_no_number():
    assert analysis_lines(Analysis(unjudged="20 test rows are too few to tell")) == [
        ("World       not judged: 20 test rows are too few to tell", None)
    ]
    shift = replace(known().shift, prior=Prior(0.0, 0.0, 1.0, 0.5))
    line, _ = analysis_lines(known(shift=shift))[0]
    assert line.endswith("as far as can be told, for these scores hardly tell the classes apart")
