"""Each statistic alarms at what it is for and at nothing else, and needs rows as well as a difference."""

import numpy as np
import pytest
from scipy.special import expit

from competition.scoring.rows import OofRows
from competition.scoring.shift.bootstrap import draw_scores
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.domain_auc import Domain
from competition.scoring.shift.statistics import (
    FoldFeatures,
    class_balance,
    disagreement,
    member_features,
    metadata,
    positive_rate,
    score_distance,
    score_mixture,
)


def drawn(seed=0, rows=2000, test_rows=2000, test_rate=0.5, squeeze=1.0, threshold=None, rate=0.5, apart=3):
    """Histograms of two normal classes, with another balance and another sharpness in the test set."""
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < rate
    test_label = rng.random(test_rows) < test_rate
    prob = expit(3 * (rng.normal(size=rows) + apart * (label - 0.5)))
    score = squeeze * (rng.normal(size=(1, test_rows)) + apart * (test_label - 0.5))
    parts = np.repeat(expit(3 * score), 4, axis=0)
    return label, prob, parts, draw_scores(OofRows(label, prob, np.arange(rows) % 4), parts, threshold)


def test_the_rate_is_that_of_the_rows_at_or_above_the_cut():
    _, prob, parts, _ = drawn()
    cut = float(prob[17])
    found = positive_rate(drawn(threshold=cut)[3], cut)
    assert found.value["oof"] == pytest.approx((prob >= cut).mean(), abs=0.002)
    assert found.value["test"] == pytest.approx((parts >= cut).mean(), abs=1e-12)


def test_a_collapsed_rate_alarms_and_one_that_few_rows_explain_does_not():
    assert positive_rate(drawn(test_rate=0.02, threshold=0.5)[3], 0.5).alarming
    assert not positive_rate(drawn(test_rate=0.3, threshold=0.5)[3], 0.5).alarming
    # Where one row in twenty is positive, no positive at all is luck among 70 rows, and not among 400.
    few, many = (drawn(1, 10 * rows, rows, 0.0, threshold=0.5, rate=0.05, apart=8)[3] for rows in (70, 400))
    assert positive_rate(few, 0.5).value["odds_ratio"] < 1 / 5 and not positive_rate(few, 0.5).alarming
    assert not class_balance(few)[0].alarming
    assert positive_rate(many, 0.5).alarming and class_balance(many)[0].alarming


def test_another_balance_is_a_mix_of_the_two_classes_and_another_sharpness_is_not():
    balance, sharpness = drawn(test_rate=0.2)[3], drawn(squeeze=0.3)[3]
    assert class_balance(balance)[0].alarming and not score_mixture(balance).alarming
    assert score_mixture(balance).value["share"] == pytest.approx(0.2, abs=0.03)
    assert score_mixture(sharpness).alarming and score_mixture(sharpness).sentence.startswith("no mix")


def test_the_distance_of_scores_grows_with_either_change():
    same, balance, sharpness = (
        score_distance(drawn(**change)[3]) for change in ({}, {"test_rate": 0.2}, {"squeeze": 0.3})
    )
    assert not same.alarming and balance.alarming and sharpness.alarming
    assert same.value["ks"] < same.value["chance"]
    assert same.value["wasserstein"] < 0.1 < min(balance.value["wasserstein"], sharpness.value["wasserstein"])


def test_a_balance_moved_by_less_than_matters_or_by_no_more_than_chance_does_not_alarm():
    certain, _ = class_balance(drawn(rows=60_000, test_rows=60_000, test_rate=0.53)[3])
    assert not certain.alarming and abs(certain.value["test"] - certain.value["train"]) > 3 * certain.value["spread"]
    few, _ = class_balance(drawn(seed=3, rows=60, test_rows=40, test_rate=0.36)[3])
    assert not few.alarming and abs(few.value["test"] - few.value["train"]) > 0.04


def test_a_rare_class_that_became_three_times_rarer_alarms_though_it_moved_by_few_points():
    rare, _ = class_balance(drawn(rows=20_000, test_rows=20_000, rate=0.03, test_rate=0.01)[3])
    assert rare.alarming and rare.sentence.startswith("test rows look like 1.0 % positive (0.")


def test_a_class_of_two_rows_has_an_estimate_and_no_alarm():
    label = np.arange(200) >= 198
    prob = np.linspace(0, 1, 200)
    scores = draw_scores(OofRows(label, prob, np.arange(200) % 2), np.tile(prob, (2, 1)), threshold=0.99)
    found = [class_balance(scores)[0], positive_rate(scores, 0.99), score_mixture(scores), score_distance(scores)]
    assert not any(item.alarming for item in found)
    assert all(np.isfinite(value) for item in found for value in item.value.values())


def members(seed, rows, noise):
    """Rows and two members that see the same score with noise of their own, more of it on the test rows."""
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    score, test = rng.normal(size=rows) + 3 * (label - 0.5), rng.normal(size=rows) + 3 * (label - 0.5)
    judged = {
        name: (expit(score + 0.4 * rng.normal(size=rows)), expit(test + noise * rng.normal(size=(3, rows))))
        for name in ("a", "b")
    }
    return OofRows(label, judged["a"][0]), judged


def test_members_that_newly_disagree_alarm():
    prior = Prior(0.5, 0.48, 0.52, 0.5)
    usual, lost = (disagreement(*members(0, 1000, noise), prior=prior) for noise in (0.4, 2.5))
    assert not usual.alarming and usual.value["test"] == pytest.approx(usual.value["expected"], abs=0.02)
    assert lost.alarming and lost.value["test"] > 1.5 * lost.value["expected"]


def test_disagreement_is_expected_at_the_balance_of_the_test():
    label = np.repeat([0, 1], 100)
    steady = np.where(label, 0.9, 0.1)
    wavering = np.where(np.arange(200) % 5 == 0, 0.1, steady)  # misses a fifth of class 1, never errs on class 0
    judged = {"steady": (steady, [steady]), "wavering": (wavering, [wavering])}
    found = disagreement(OofRows(label, steady), judged, Prior(0.2, 0.1, 0.3, 0.5))
    assert found.value["expected"] == pytest.approx(0.2 * 0.2)


def test_metadata_alarm_from_three_quarters_on():
    assert metadata(Domain(0.8, 0.77, 0.83, 0.53, 500, 500)).alarming
    assert not metadata(Domain(0.7, 0.66, 0.74, 0.53, 500, 500)).alarming
    assert not metadata(Domain(0.8, 0.45, 1.0, 0.83, 12, 12)).alarming


def parts(count, moved, seeds=range(3)):
    for seed in seeds:
        rng = np.random.default_rng(seed)
        label = np.arange(count) % 2
        validation, test = rng.normal(size=(count, 6)), rng.normal(size=(300, 6))
        yield FoldFeatures(validation, label, None, test + moved)


def test_a_members_auc_is_the_median_of_its_folds():
    prior = Prior(0.5, 0.4, 0.6, 0.5)
    mixed = [*parts(200, 0.0), *parts(200, 2.0, [3])]
    found = member_features("swin", mixed, prior)
    assert len(found.value["folds"]) == 4 and max(found.value["folds"]) > 0.95
    assert found.value["auc"] == pytest.approx(np.median(found.value["folds"])) and not found.alarming
    assert member_features("swin", list(parts(200, 2.0)), prior).alarming


def test_folds_too_small_to_ask_are_left_out_and_none_left_says_so():
    prior = Prior(0.5, 0.4, 0.6, 0.5)
    tiny = list(parts(8, 2.0))
    nothing = member_features("swin", tiny, prior)
    assert nothing.value["auc"] is None and not nothing.alarming and nothing.sentence.startswith("too few rows")
    assert len(member_features("swin", [*tiny, *parts(100, 2.0)], prior).value["folds"]) == 3
