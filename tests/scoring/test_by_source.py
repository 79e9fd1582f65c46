"""A source's figures are those of its own rows, and the worst source comes first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from competition.scoring.by_source import MIN_ROWS, score_sources


def rows(seed, n=300):
    """Photographs of two cameras, images of two generators, and a site of both."""
    rng = np.random.default_rng(seed)
    source = rng.choice(["camera a", "camera b", "generator a", "generator b", "site"], n)
    label = np.where(source == "site", rng.random(n) < 0.5, np.char.startswith(source, "generator")).astype(int)
    prob = np.clip(rng.normal(0.4 + 0.2 * label, 0.2), 0, 1)
    return label, prob, (prob >= 0.5).astype(int), source


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_each_figure_is_that_of_the_sources_own_rows(seed):
    label, prob, decision, source = rows(seed)
    found = score_sources(label, prob, decision, source)
    assert {score.source for score in found} == set(source)
    assert [score.accuracy for score in found] == sorted(score.accuracy for score in found)
    for score in found:
        own = source == score.source
        assert (score.rows, score.positives) == (own.sum(), label[own].sum())
        assert score.accuracy == pytest.approx((label == decision)[own].mean())
        if score.source == "site":
            assert score.f1 == pytest.approx(f1_score(label[own], decision[own]))
            assert score.recall == pytest.approx(recall_score(label[own], decision[own]))
            assert score.auc == pytest.approx(roc_auc_score(label[own], prob[own]))
        else:
            other = label != label[own][0]
            assert score.f1 is None
            assert score.auc == pytest.approx(roc_auc_score(label[own | other], prob[own | other]))
            share = decision[own].mean()
            wanted = (share, None) if label[own][0] else (None, share)
            assert (score.recall, score.false_positive_rate) == pytest.approx(wanted)


def test_a_source_of_few_rows_is_not_the_worst_while_there_are_larger_ones():
    label = np.repeat([0, 1, 0], [MIN_ROWS, MIN_ROWS, MIN_ROWS - 1])
    decision = np.repeat([0, 1, 1], [MIN_ROWS, MIN_ROWS, MIN_ROWS - 1])
    decision[0] = 1
    found = score_sources(
        label, decision * 0.9, decision, np.repeat(["a", "b", "few"], [MIN_ROWS, MIN_ROWS, MIN_ROWS - 1])
    )
    assert [score.source for score in found] == ["a", "b", "few"]


def test_rows_of_one_class_alone_have_no_auc():
    (only,) = score_sources([1, 1], [0.2, 0.7], [0, 1], ["x", "x"])
    assert (only.auc, only.recall, only.false_positive_rate, only.f1) == (None, 0.5, None, None)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="lengths differ"):
        score_sources([0, 1], [0.1, 0.2], [0, 1], ["a"])
