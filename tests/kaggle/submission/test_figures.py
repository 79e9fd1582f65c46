"""What a card knows comes to the ledger and back whole, from old cards and from those with little in them."""

import json
from dataclasses import asdict, replace

import pytest

from competition.kaggle.submission.cards import analysis_of
from competition.kaggle.submission.figures import Figures, cells_of, figures_in, figures_of
from competition.kaggle.submission.ledger import new_row
from tests.report.runs import analysis

CARD = {
    "name": "mine",
    "cv": {"convnext": {"f1": 0.91}, "ensemble": {"f1": 0.923456}},
    "cv_interval": [0.9, 0.94],
    "leaderboard_range": [0.85, 0.95],
    "public_fraction": 0.25,
    "threshold": {"value": 0.4747},
    "world": {"verdict": "label shift"},
    "predicted_positive_rate": {"oof": 0.5, "test": 0.31},
    "rows": {"train": 8, "test": 1000},
    "git_commit": "914df0b8d428048f580bd317b166d93f47a2dcf3",
}


def test_figures_come_back_from_the_ledger_as_the_card_holds_them():
    figures = figures_of(CARD)
    assert (figures.cv, figures.interval, figures.leaderboard) == (0.923456, (0.9, 0.94), (0.85, 0.95))
    assert (figures.public_rows, figures.world, figures.commit) == (250, "label shift", "914df0b")
    row = new_row(figures, "cats", "x.csv", "0123abcd")
    assert figures_in(row) == replace(figures, key="0123abcd")
    assert figures_in(row | {"public": "0.88000"}).public == 0.88


@pytest.mark.parametrize("lacking", CARD)
def test_a_card_that_lacks_an_entry_lacks_its_figures_alone(lacking):
    found = asdict(figures_of({key: value for key, value in CARD.items() if key != lacking}))
    whole = asdict(figures_of(CARD))
    if lacking == "public_fraction":
        assert found == whole | {"public_rows": 1000}
    else:
        assert all(found[name] in (value, None, "") for name, value in whole.items()) and found != whole


def test_of_an_empty_card_nothing_is_known():
    assert figures_of({}) == Figures()
    assert set(cells_of(Figures()).values()) == {""}


@pytest.mark.parametrize("verdict", ["same world", "label shift", "another world"])
def test_the_verdict_and_the_audit_are_read_from_a_card_as_they_were_written(verdict):
    known = analysis(verdict=verdict)
    card = json.loads(json.dumps({"world": asdict(known.shift), "audit": asdict(known.audit)}))
    assert analysis_of(card).shift == known.shift and analysis_of(card).audit == known.audit
    assert analysis_of({"world": None, "audit": None}) == analysis_of({})
