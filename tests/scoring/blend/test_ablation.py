"""A table of what is left out says what the ensemble is worth without it, on the same terms as the whole."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from competition.scoring.arrays import sigmoid
from competition.scoring.blend.ablation import leave_one_out, view_ablation
from competition.scoring.blend.average import mean_prob
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.threshold.rules import choose_threshold, cross_fit
from tests.scoring.blend.test_select import FOLD, GROUP, ROWS, named, rows_of
from tests.scoring.blend.test_weights import members


def test_a_row_is_the_equal_blend_of_the_others_cross_fitted():
    probs, label = members(0, ROWS, [2, 1, 1.5])
    row = leave_one_out(rows_of(named(probs), label, FOLD, GROUP), seed=3)[1]
    rest = mean_prob(probs[[0, 2]])
    rows = OofRows(label, rest, FOLD, GROUP)
    value, whole = (f1(label, cross_fit(one, seed=3)[0]) for one in (rows, rows.with_prob(mean_prob(probs))))
    assert row["member"] == "m1"
    assert row["value"] == pytest.approx(value) and row["difference"] == pytest.approx(value - whole)
    assert row["auc"] == pytest.approx(roc_auc_score(label, rest))
    assert row["log_loss"] == pytest.approx(log_loss(label, rest))
    assert row["se"] > 0


def test_a_strong_member_is_missed_and_a_useless_one_is_not():
    probs, label = members(1, ROWS, [2.5, 2, 2])
    probs[1] = np.random.default_rng(0).permutation(probs[1])
    strong, useless, _ = leave_one_out(rows_of(named(probs), label, FOLD, GROUP), rule="argmax")
    assert strong["difference"] < -strong["se"] < 0
    assert useless["difference"] > useless["se"] > 0


def test_fitted_weights_prune_a_useless_member_before_it_is_left_out():
    probs, label = members(2, ROWS, [2, 2, 2])
    probs[1] = np.random.default_rng(0).permutation(probs[1])
    by_equal, by_fit = (
        leave_one_out(rows_of(named(probs), label, FOLD, GROUP), [how], "argmax")[1] for how in ("equal", "stacking")
    )
    assert abs(by_fit["difference"]) < by_equal["difference"] / 2


def test_the_order_of_the_members_is_kept_and_says_nothing():
    probs, label = members(3, ROWS, [2, 1, 1.5])
    given = named(probs)
    moved = {name: given[name] for name in ("m2", "m0", "m1")}
    first = leave_one_out(rows_of(given, label, FOLD, GROUP), ["caruana"], "argmax")
    assert leave_one_out(rows_of(moved, label, FOLD, GROUP), ["caruana"], "argmax") == [first[2], first[0], first[1]]


def test_a_single_fold_is_judged_at_one_half():
    probs, label = members(4, 100, [2, 1])
    row = leave_one_out(rows_of(named(probs), label), ["stacking"])[0]
    assert row["value"] == pytest.approx(f1(label, (probs[1] >= 0.5).astype(int)))


def test_what_is_undefined_is_none_and_the_table_is_json():
    rows = leave_one_out(rows_of({"a": [0.1, 0.9], "b": [0.2, 0.6]}, [1, 1], [0, 1], [0, 0]), rule="0.5")
    assert rows[0]["auc"] is None and rows[0]["se"] is None
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_a_lone_member_cannot_be_left_out():
    with pytest.raises(ValueError, match="two or more; there is a"):
        leave_one_out(rows_of({"a": [0.1, 0.9]}, [0, 1], [0, 1]))


def logits_by_view(seed, names=("m0", "m1"), good=(2, 2, 0), views=("identity", "hflip", "noise")):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, ROWS)
    gaps = np.reshape(good, (-1, 1)) * (2.0 * label - 1)
    logits = {name: gaps + 2 * rng.normal(size=gaps.shape) for name in names}
    by_view = {name: dict(zip(views, found, strict=True)) for name, found in logits.items()}
    return by_view, OofRows(label, np.zeros(ROWS), FOLD, GROUP)


def test_views_are_judged_together_alone_and_one_left_out():
    logits, rows = logits_by_view(0)
    table = view_ablation(logits, rows, rule="argmax")
    alone = ["identity", "hflip", "noise"]
    assert [row["views"] for row in table] == ["all", *alone, *(f"all but {view}" for view in alone)]
    by = {row["views"]: row for row in table}
    expected = mean_prob([sigmoid((found["identity"] + found["hflip"]) / 2) for found in logits.values()])
    assert by["all but noise"]["auc"] == pytest.approx(roc_auc_score(rows.label, expected))
    assert by["all but noise"]["log_loss"] == pytest.approx(log_loss(rows.label, expected))
    assert by["all but noise"]["value"] == pytest.approx(
        f1(rows.label, cross_fit(rows.with_prob(expected), "argmax")[0])
    )
    assert by["all"]["difference"] == by["all"]["se"] == 0
    assert by["noise"]["difference"] < -3 * by["noise"]["se"]
    assert by["all but noise"]["difference"] > 0


def test_views_are_blended_by_the_weights_given_one_for_all_or_one_for_each_fold():
    logits, rows = logits_by_view(1)
    only_first = view_ablation({"m0": logits["m0"]}, rows, rule="argmax")
    assert view_ablation(logits, rows, [1, 0], "argmax") == only_first
    assert view_ablation(logits, rows, [[1, 0]] * 3, "argmax") == only_first
    assert view_ablation(logits, rows, [[1, 0], [0, 1], [1, 0]], "argmax") != only_first


@pytest.mark.parametrize("count, expected", [(1, ["all"]), (2, ["all", "v0", "v1"])])
def test_few_views_are_not_said_twice(count, expected):
    logits, rows = logits_by_view(2, good=(1,) * count, views=[f"v{at}" for at in range(count)])
    assert [row["views"] for row in view_ablation(logits, rows, rule="0.5")] == expected


def test_members_under_other_views_are_refused():
    logits, rows = logits_by_view(3)
    del logits["m1"]["noise"]
    with pytest.raises(ValueError, match=r"logits of m1 .* identity, hflip, noise; they are identity, hflip$"):
        view_ablation(logits, rows)


def test_of_a_hold_out_only_the_judged_part_is_scored_at_what_the_tuned_part_chose():
    probs, label = members(5, ROWS, [2, 1.5])
    tuned = GROUP % 3 > 0
    how = {"methods": ["stacking"], "rule": "bootstrap", "seed": 1}
    rows = leave_one_out(rows_of(named(probs), label, group=GROUP, held_out=~tuned), **how)
    lied = np.where(tuned, label, 1 - label)  # a judged row's label changes its score and nothing else
    cut = choose_threshold("bootstrap", OofRows(label[tuned], probs[1][tuned], group=GROUP[tuned]), 1)
    for truth in (label, lied):
        row = leave_one_out(rows_of(named(probs), truth, group=GROUP, held_out=~tuned), **how)[0]
        assert row["value"] == pytest.approx(f1(truth[~tuned], probs[1][~tuned] >= cut))
    assert {row["member"] for row in rows} == {"m0", "m1"}
