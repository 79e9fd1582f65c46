"""The evaluation says what scikit-learn says, None where that is undefined, and nothing that JSON cannot hold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from competition.scoring.evaluation import agreement, evaluate, reliability
from competition.scoring.metrics import summary

rows = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.integers(0, 1)), min_size=1, max_size=40
)


def columns(drawn):
    label, prob, decision = map(np.array, zip(*drawn, strict=True))
    return label, prob, decision


@given(rows)
def test_every_figure_equals_scikit_learns_where_it_is_defined(drawn):
    label, prob, decision = columns(drawn)
    found = evaluate(label, prob, decision)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        label, decision, labels=[0, 1], zero_division=np.nan
    )
    for index, name in enumerate("01"):
        expected = {"precision": precision[index], "recall": recall[index], "f1": f1[index]}
        for key, value in expected.items():
            assert found[name][key] == (None if np.isnan(value) else pytest.approx(value)), (name, key)
        assert found[name]["support"] == support[index]
    assert found["accuracy"] == pytest.approx(np.mean(label == decision))
    assert found["brier"] == pytest.approx(np.mean((prob - label) ** 2))
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(label, prob, labels=[0, 1]))
    if 0 < label.sum() < len(label):
        assert found["roc_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, prob))
        assert found["pr_auc"] == pytest.approx(sklearn_metrics.average_precision_score(label, prob))
        if 0 < decision.sum() < len(label):
            assert found["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(label, decision))


@given(rows)
def test_counts_add_up_and_json_holds_it_all(drawn):
    label, prob, decision = columns(drawn)
    found = evaluate(label, prob, decision)
    assert found["tn"] + found["fp"] + found["fn"] + found["tp"] == found["n"] == len(label)
    assert found["wrong"] == found["fp"] + found["fn"] == np.count_nonzero(label != decision)
    assert found["positives"] == found["1"]["support"] == label.sum()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@given(rows)
def test_it_agrees_with_the_summary_that_runs_are_compared_by(drawn):
    found, compared = evaluate(*columns(drawn)), summary(*columns(drawn))
    assert (found["1"]["f1"] or 0.0) == pytest.approx(compared["f1"])
    for key in ("accuracy", "log_loss", "predicted_positive_rate"):
        assert found[key] == pytest.approx(compared[key])


def test_what_one_class_leaves_undefined_is_none_and_the_rest_is_not():
    found = evaluate([1, 1, 1], [0.2, 0.9, 0.8], [0, 1, 1])
    assert [found[key] for key in ("roc_auc", "pr_auc", "mcc")] == [None] * 3
    assert found["0"] == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert found["macro"] == {"precision": 0.5, "recall": None, "f1": pytest.approx(0.4)}
    assert found["1"]["recall"] == pytest.approx(2 / 3) and found["brier"] == pytest.approx(0.23)
    never = evaluate([0, 1], [0.2, 0.3], [0, 0])
    assert never["1"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 1} and never["mcc"] is None


def test_the_calibration_error_is_that_of_known_cases():
    label = np.arange(1000) % 2
    assert evaluate(label, label.astype(float), label)["ece"] == 0
    assert evaluate(label, 1.0 - label, label)["ece"] == 1
    assert evaluate(label, np.full(1000, 0.5), label)["ece"] == 0
    assert evaluate(label, np.full(1000, 0.8), label)["ece"] == pytest.approx(0.3)


def test_calibrated_probabilities_err_far_less_than_sharpened_ones():
    rng = np.random.default_rng(0)
    prob = rng.random(20_000)
    label = (rng.random(20_000) < prob).astype(int)
    sharp = prob**3 / (prob**3 + (1 - prob) ** 3)
    assert evaluate(label, prob, label)["ece"] < 0.02 < 0.1 < evaluate(label, sharp, label)["ece"]


@given(rows, st.integers(1, 12), st.randoms(use_true_random=False))
def test_bins_hold_every_row_once_in_rising_order_whatever_the_order_of_the_rows(drawn, bins, random):
    label, prob, _ = columns(drawn)
    mean_prob, share, count = reliability(label, prob, bins)
    assert count.sum() == len(label) and len(count) <= bins and (np.diff(mean_prob) > 0).all()
    assert (mean_prob * count).sum() == pytest.approx(prob.sum())
    assert (share * count).sum() == pytest.approx(label.sum())
    order = random.sample(range(len(label)), len(label))
    for one, other in zip(reliability(label[order], prob[order], bins), (mean_prob, share, count), strict=True):
        assert one == pytest.approx(other)


def test_bins_of_distinct_probabilities_are_of_equal_size():
    assert reliability(np.arange(95) % 2, np.linspace(0, 1, 95))[2].tolist() in ([10, 9] * 5, [10] * 5 + [9] * 5)


def test_agreement_of_a_case_done_by_hand():
    label = [0, 0, 1, 1, 1, 0]
    found = agreement({"a": [0, 0, 1, 1, 0, 1], "b": [0, 1, 1, 1, 0, 1], "c": [0, 0, 1, 1, 1, 1]}, label)
    assert (found["all_right"], found["all_wrong"], found["split"]) == (3, 1, 2)
    assert found["oracle_accuracy"] == pytest.approx(5 / 6)
    assert found["wrong"] == pytest.approx({"a": 2 / 6, "b": 3 / 6, "c": 1 / 6})
    assert [pair["members"] for pair in found["pairs"]] == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert found["pairs"][0]["equal"] == pytest.approx(5 / 6)
    assert found["pairs"][0]["kappa"] == pytest.approx(
        sklearn_metrics.cohen_kappa_score([0, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 1])
    )
    assert found["pairs"][0]["error_correlation"] == pytest.approx(
        np.corrcoef([0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1])[0, 1]
    )


@given(rows)
def test_rows_are_all_right_all_wrong_or_split_and_the_oracle_is_no_worse_than_anyone(drawn):
    label, one, other = columns(drawn)
    found = agreement({"one": (one > 0.4).astype(int), "other": other}, label)
    assert found["all_right"] + found["all_wrong"] + found["split"] == len(label)
    assert found["oracle_accuracy"] >= 1 - min(found["wrong"].values()) - 1e-12
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_agreement_that_is_undefined_is_none():
    (pair,) = agreement({"a": [1, 1], "b": [1, 1]}, [1, 1])["pairs"]
    assert pair == {"members": ["a", "b"], "equal": 1.0, "kappa": None, "error_correlation": None}


@pytest.mark.parametrize(
    ("label", "prob", "decision", "complaint"),
    [
        ([0, 2], [0, 1], [0, 1], "holds 2"),
        ([0, 1], [0, 1.5], [0, 1], "1.5"),
        ([0, 1], [0, 1], [0], "lengths differ"),
        ([0, 1], [0, np.nan], [0, 1], "nan"),
        ([], [], [], r"\(0,\)"),
    ],
)
def test_bad_rows_are_refused_with_the_value(label, prob, decision, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate(label, prob, decision)
