"""The closing table is whole at any width, and few lines below it say whether to believe it."""

import numpy as np
import pytest
from rich.console import Console

from competition.report.table import closing_tables, honest_lines
from competition.scoring.metrics import sigmoid
from competition.scoring.scorecard import score_predictions
from tests.report.runs import REMEDIES, honest


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    label = np.arange(90) % 2
    names = ("convnext-residual", "ensemble")
    return {name: score_predictions(label, sigmoid(rng.normal(size=90) + label), np.arange(90) % 3, np.arange(90),
                                    rng.random(40),
                                    rng.random((3, 40)), "argmax") for name in names}  # fmt: skip


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


def told(verdict="same world", value=0.49, **changes):
    """What a run knows, with the figures that its lines show."""
    found = honest(verdict=verdict, **changes)
    found["shift"]["prior"] = {"value": value, "low": value - 0.04, "high": value + 0.04, "train": 0.5}
    found["threshold"]["rules"]["bootstrap"]["threshold"] = 0.48127
    return found


def test_below_the_table_stand_the_verdict_and_how_the_numbers_were_chosen():
    lines = honest_lines(told())
    assert lines == [
        ("World       same world: test rows look like 49 % positive (45-53 %), the training rows were 50 %", None),
        ("Threshold   bootstrap (.4813): the median over 200 resamples of groups varies least, "
         "and nothing speaks for another rule.", None),
        ("Blend       equal weights: stacking gains 0.0011, less than one standard error (0.0042).", None),
        ("Robustness  F1 .943 clean, .940 jpeg95, .921 jpeg85, .880 jpeg75, .700 blur, .660 half", None),
        ("Audit       row parity: odd rows are of class 1: AUC 0.998. "
         "Nothing to do where no model sees the row's number.", "red"),
        ("Audit       exact copies: 4 training rows are in the test set too. Leave them out with copies=drop.",
         "yellow"),
    ]  # fmt: skip
    assert max(len(text) for text, _ in lines) <= 200


def test_label_shift_is_yellow_and_says_what_to_do():
    text, style = honest_lines(told("label shift", 0.25))[0]
    assert text.startswith("World       label shift: test rows look like 25 % positive (21-29 %), the training rows")
    assert text.endswith(REMEDIES["label shift"]) and style == "yellow"


def test_another_world_is_bold_red_and_gives_its_reason_once():
    found = told("another world")
    text, style = honest_lines(found)[0]
    reasons = [item["sentence"] for item in found["shift"]["evidence"] if item["alarming"]]
    assert text == f"ANOTHER WORLD: {'; '.join(reasons)}. {REMEDIES['another world']}" and style == "bold red"
    found["shift"]["remedy"] = f"Do not believe the CV score here: {reasons[1]}."
    assert honest_lines(found)[0][0] == f"ANOTHER WORLD: Do not believe the CV score here: {reasons[1]}."


def test_rare_classes_keep_a_decimal():
    found = told()
    found["shift"]["prior"] = {"value": 0.012, "low": 0.008, "high": 0.0171, "train": 0.02}
    assert "look like 1.2 % positive (0.8-1.7 %), the training rows were 2.0 %" in honest_lines(found)[0][0]


def findings(*levels):
    return [{"name": f"finding {at}", "level": level, "what": f"What {at}.", "remedy": f"Do {at}."}
            for at, level in enumerate(levels)]  # fmt: skip


@pytest.mark.parametrize("is_honest", [True, False])
def test_however_much_the_audit_found_there_are_eight_lines_at_most_and_alarms_come_first(is_honest):
    found = {"honest": is_honest, "findings": findings(*["note", "warning", "alarm", "warning", "alarm"] * 3)}
    lines = honest_lines(told(audit=found))
    assert len(lines) == 8
    audit = [(text, style) for text, style in lines if text.startswith("Audit")]
    at = 0 if is_honest else 1
    assert audit[at] == ("Audit       finding 2: What 2. Do 2.", "red")
    assert audit[-1][0].startswith(f"Audit       {12 - len(audit) + 1 + at} more: ")
    assert is_honest or audit[0] == ("Audit       this CV score is not honest, for what follows", "bold red")


def test_notes_are_left_to_the_page():
    assert honest_lines({"audit": {"honest": True, "findings": findings("note", "note")}}) == []


def test_what_is_not_known_has_no_line():
    assert honest_lines({}) == []
    assert honest_lines(dict.fromkeys(("shift", "threshold", "blend", "robustness", "audit"))) == []
    assert honest_lines({"threshold": {"rule": "prior:0.3"}}) == [("Threshold   prior:0.3", None)]
    assert honest_lines({"robustness": [{"condition": "blur", "f1": None}]}) == []
