"""Rules are known by name before there is a score, and a cross-fitted threshold never saw the row it judges."""

import numpy as np
import pytest

from competition.core.errors import UserError
from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold, bootstrap_threshold, rate_threshold
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.threshold.expected_value import calibrated_threshold
from competition.scoring.threshold.rules import choose_threshold, cross_fit, find_rule


def binormal(rng, rows, gap=1.5):
    label = rng.integers(0, 2, rows)
    return label, rng.normal(size=rows) + gap * label


def probable(rng, rows, share=0.5, gap=2.0):
    """Labels, a share of them 1, and the probabilities that are right where half of them are."""
    label = (rng.random(rows) < share).astype(int)
    return label, sigmoid(gap * (rng.normal(size=rows) + gap * label - gap / 2))


@pytest.mark.parametrize("text, value", [("0.5", 0.5), (".42", 0.42), ("-1.5", -1.5), ("1", 1.0)])
def test_a_number_in_text_is_the_threshold_whatever_the_rows(text, value):
    assert choose_threshold(text, OofRows([0, 0], [0.1, 0.2])) == value


def test_rules_are_found_by_name():
    label, score = binormal(np.random.default_rng(1), 100)
    rows = OofRows(label, score)
    assert choose_threshold("argmax", rows) == best_threshold(label, score)[0]
    assert choose_threshold("bootstrap", rows, seed=4) == bootstrap_threshold(rows, seed=4)
    label, prob = probable(np.random.default_rng(2), 300)
    rows, target = OofRows(label, prob), prob[label == 0]
    assert choose_threshold("calibrated", rows, target=target) == calibrated_threshold(rows)
    assert choose_threshold("em", rows) == calibrated_threshold(rows)
    assert choose_threshold("em", rows, target=target) == calibrated_threshold(rows, 0, target)
    assert choose_threshold("prior:0.3", rows, target=target) == rate_threshold(target, 0.3)


def test_a_function_may_stand_where_a_rule_name_may():
    assert choose_threshold(lambda rows, seed, target: max(rows.prob), OofRows([0, 1], [0.1, 0.2])) == 0.2


def test_a_misspelt_rule_is_answered_with_the_nearest_one():
    with pytest.raises(UserError, match=r"'bootstrp'.*did you mean 'bootstrap'"):
        find_rule("bootstrp")


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "", "0,5"])
def test_what_is_neither_a_number_nor_a_rule_is_refused(text):
    with pytest.raises(UserError, match=f"'{text}'.*argmax, auto, bootstrap, calibrated, em, prior:P, robust"):
        find_rule(text)


@pytest.mark.parametrize("text", ["prior", "prior:", "prior:half", "prior:0", "prior:1", "prior:30", "prior:nan"])
def test_a_prior_that_is_no_rate_is_refused_with_what_is_wanted(text):
    with pytest.raises(UserError, match=f"'{text}' needs the test set's positive rate.*prior:0.3"):
        find_rule(text)


def test_a_misspelt_prior_is_answered_with_the_right_form():
    with pytest.raises(UserError, match=r"'piror:0\.3'.*did you mean 'prior:P'"):
        find_rule("piror:0.3")


def test_without_a_test_set_a_declared_prior_keeps_to_the_labels_own_rate():
    label, prob = probable(np.random.default_rng(3), 200, share=0.2)
    assert choose_threshold("prior:0.9", OofRows(label, prob)) == rate_threshold(prob, label.mean())


def test_auto_without_a_test_set_is_calibrated_where_calibration_holds():
    label, prob = probable(np.random.default_rng(4), 400)
    assert choose_threshold("auto", OofRows(label, prob)) == calibrated_threshold(OofRows(label, prob))


@pytest.mark.parametrize("rule", ["argmax", "bootstrap", "calibrated"])
def test_cross_fit_decides_no_row_by_its_own_fold(rule):
    rng = np.random.default_rng(2)
    label, score = probable(rng, 240)
    group = np.arange(240) // 2
    fold = group % 4
    _, used = cross_fit(OofRows(label, score, fold, group), rule)
    changed_label, changed_score = label.copy(), score.copy()
    inside = fold == 1
    changed_label[inside] = 1 - label[inside]
    changed_score[inside] = rng.random(inside.sum())
    _, used_after = cross_fit(OofRows(changed_label, changed_score, fold, group), rule)
    assert np.array_equal(used_after[inside], used[inside])
    assert not np.array_equal(used_after[~inside], used[~inside])


def test_cross_fit_uses_the_threshold_of_the_other_folds_and_decides_by_it():
    label, score = binormal(np.random.default_rng(4), 90)
    fold = np.repeat(["a", "b", "c"], 30)
    decision, used = cross_fit(OofRows(label, score, fold), "argmax")
    for name in "abc":
        threshold = best_threshold(label[fold != name], score[fold != name])[0]
        assert (used[fold == name] == threshold).all()
    assert np.array_equal(decision, score >= used) and set(decision.tolist()) <= {0, 1}
    assert decision.dtype.kind == "i"


def test_cross_fit_hands_the_rule_the_groups_and_the_seed():
    label, score = binormal(np.random.default_rng(6), 120)
    group, fold = np.arange(120) // 10, np.arange(120) // 10 % 3
    _, used = cross_fit(OofRows(label, score, fold, group), "bootstrap", seed=8)
    rest = fold != 2
    expected = bootstrap_threshold(OofRows(label[rest], score[rest], group=group[rest]), seed=8)
    assert (used[~rest] == expected).all()
    assert bootstrap_threshold(OofRows(label[rest], score[rest]), seed=8) != expected


def test_a_score_equal_to_the_threshold_is_called_positive():
    decision, used = cross_fit(OofRows([0, 1, 1], [0.4, 0.5, 0.6], [0, 1, 2]), "0.5")
    assert decision.tolist() == [0, 1, 1] and used.tolist() == [0.5, 0.5, 0.5]


def test_cross_fit_removes_the_optimism_of_a_threshold_tuned_on_the_rows_it_judges():
    rng = np.random.default_rng(5)
    bias_tuned, bias_crossed = [], []
    for _ in range(1000):
        label, score = binormal(rng, 120, gap=1.0)
        threshold, tuned = best_threshold(label, score)
        test_label, test_score = binormal(rng, 2000, gap=1.0)
        truth = f1(test_label, test_score >= threshold)
        decision, _ = cross_fit(OofRows(label, score, np.arange(120) % 5), "argmax")
        bias_tuned.append(tuned - truth)
        bias_crossed.append(f1(label, decision) - truth)
    # The standard error of either mean is .0016.
    assert np.mean(bias_tuned) > 0.025
    assert abs(np.mean(bias_crossed)) < 0.008


def test_cross_fit_refuses_a_single_fold():
    with pytest.raises(ValueError, match="two folds; all 2 rows are in one"):
        cross_fit(OofRows([0, 1], [0.1, 0.9], [3, 3]), "argmax")


@pytest.mark.parametrize("rule", ["em", "prior:0.9"])
def test_rules_that_look_at_the_rows_to_be_decided_see_their_scores_and_not_their_labels(rule):
    rng = np.random.default_rng(7)
    label, prob = probable(rng, 400)
    fold = np.arange(400) % 4
    inside = fold == 2
    _, used = cross_fit(OofRows(label, prob, fold), rule)
    changed = np.where(inside, 1 - label, label)
    assert np.array_equal(cross_fit(OofRows(changed, prob, fold), rule)[1][inside], used[inside])
    lower = np.where(inside, prob / 2, prob)
    assert (cross_fit(OofRows(label, lower, fold), rule)[1][inside] != used[inside]).all()


def test_a_declared_prior_is_judged_by_the_other_folds_rate():
    label, prob = probable(np.random.default_rng(8), 400, share=0.3)
    fold = np.arange(400) % 4
    decision, _ = cross_fit(OofRows(label, prob, fold), "prior:0.9")
    for k in range(4):
        assert decision[fold == k].sum() == round(100 * label[fold != k].mean())


def test_with_target_rows_each_fold_is_decided_by_the_threshold_for_those():
    label, prob = probable(np.random.default_rng(9), 300)
    fold, target = np.arange(300) % 3, prob[label == 0]
    _, used = cross_fit(OofRows(label, prob, fold), "prior:0.2", target=target)
    assert (used == rate_threshold(target, 0.2)).all()


def test_with_a_row_of_scores_for_each_fold_each_is_chosen_and_judged_on_its_own():
    rng = np.random.default_rng(10)
    label, prob = probable(rng, 300)
    fold = np.repeat(["a", "b", "c"], 100)
    table = np.stack([prob, prob**2, np.sqrt(prob)])
    decision, used = cross_fit(OofRows(label, prob, fold, crossed=table), "argmax")
    for row, name in zip(table, "abc", strict=True):
        inside = fold == name
        threshold = best_threshold(label[~inside], row[~inside])[0]
        assert (used[inside] == threshold).all()
        assert np.array_equal(decision[inside], row[inside] >= threshold)


def test_the_same_scores_for_every_fold_are_one_row_of_scores():
    label, prob = probable(np.random.default_rng(11), 200)
    fold = np.arange(200) % 4
    one, four = (
        cross_fit(OofRows(label, prob, fold, crossed=table), "bootstrap") for table in (None, np.stack([prob] * 4))
    )
    assert np.array_equal(one[0], four[0]) and np.array_equal(one[1], four[1])


def test_a_table_of_scores_with_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4\).*its shape is \(3, 4\)"):
        OofRows([0, 1, 0, 1], np.zeros(4), [0, 0, 1, 1], crossed=np.zeros((3, 4)))
