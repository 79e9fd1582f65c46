"""The verdict is right where the truth is known: the same world, another balance, another generator, another format."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit

from competition.scoring.rows import OofRows
from competition.scoring.shift.domain_auc import Domain, domain_auc
from competition.scoring.shift.statistics import FoldFeatures
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME, judge_shift

LATENT = 12
FOLDS = 5


def latent(rng, label, apart, moved=None, recall_lost=0.0, nuisance=0.0):
    """What there is to see of each picture; the first axis tells the classes, the others are none of their business."""
    seen = rng.normal(size=(label.size, LATENT))
    seen[:, 0] += apart * (label - 0.5)
    if moved is not None:
        seen[moved, 0] -= recall_lost
        seen[moved, 4:7] += nuisance
    return seen


def world(seed, rows=1500, test_rows=1500, rate=0.5, test_rate=0.5, apart=2.8, change=None, pairs=False, **moves):
    """The inputs of ``judge_shift``: noisy single models, each with a feature space of its own.

    ``change`` says whose pictures are ``moved``: those of the test's ``fakes``, or ``all``.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 2 if pairs else (rng.random(rows) < rate).astype(int)
    group = np.arange(rows) // 2 if pairs else None
    test_label = (rng.random(test_rows) < test_rate).astype(int)
    seen = latent(rng, label, apart)
    if pairs:
        seen[1::2, 3:] = seen[::2, 3:]
    moved = {None: None, "fakes": test_label == 1, "all": test_label >= 0}[change]
    test_seen = latent(rng, test_label, apart, moved, **moves)
    fold = np.arange(rows) // 2 % FOLDS
    bias = 0.2 * rng.normal(size=FOLDS)
    prob = expit(apart * (seen[:, 0] + bias[fold] + 0.4 * rng.normal(size=rows)))
    parts = expit(apart * (test_seen[:, 0] + bias[:, None] + 0.4 * rng.normal(size=(FOLDS, test_rows))))
    features = []
    for k in range(FOLDS):
        space, inside = rng.normal(size=(LATENT, 48)), fold == k
        own = None if group is None else group[inside]
        features.append(
            FoldFeatures(np.maximum(seen[inside] @ space, 0), label[inside], own, np.maximum(test_seen @ space, 0))
        )
    return {"rows": OofRows(label, prob, fold, group), "test_parts": parts, "features": {"convnext": features}}


def alarms(shift):
    """The names of the evidence that is alarming."""
    return {item.name for item in shift.evidence if item.alarming}


def figures(shift, name):
    """The figures of one piece of evidence."""
    return next(item.value for item in shift.evidence if item.name == name)


def without(inputs, *names):
    return {key: value for key, value in inputs.items() if key not in names}


ANOTHER_GENERATOR = {"apart": 5.2, "change": "fakes", "recall_lost": 3.9, "nuisance": 1.0}
MILDER_GENERATOR = {"change": "fakes", "recall_lost": 1.2, "nuisance": 1.0}
ANOTHER_FORMAT = {"change": "all", "recall_lost": 0.4, "nuisance": 0.8}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("seen", ["features", "scores alone"])
@pytest.mark.parametrize(
    "true, made",
    [
        (SAME, {}),
        (SAME, {"pairs": True}),
        (SAME, {"rate": 0.1, "test_rate": 0.1}),
        (SAME, {"rows": 400, "test_rows": 400}),
        (LABEL_SHIFT, {"test_rate": 0.4}),
        (LABEL_SHIFT, {"test_rate": 0.75, "pairs": True}),
        (LABEL_SHIFT, {"rate": 0.1, "test_rate": 0.25}),
        (DOMAIN_SHIFT, ANOTHER_GENERATOR),
        (DOMAIN_SHIFT, MILDER_GENERATOR),
        (DOMAIN_SHIFT, {**ANOTHER_GENERATOR, "rows": 500, "test_rows": 500}),
    ],
)
def test_the_verdict_is_the_truth(true, made, seen, seed):
    inputs = world(seed, **made)
    inputs = inputs if seen == "features" else without(inputs, "features")
    shift = judge_shift(**inputs, seed=seed)
    assert shift.verdict == true, shift.evidence


@pytest.mark.parametrize("seed", range(3))
def test_another_format_of_both_classes_is_seen_in_the_features(seed):
    shift = judge_shift(**world(seed, **ANOTHER_FORMAT))
    assert shift.verdict == DOMAIN_SHIFT and "features of convnext" in alarms(shift)


def test_false_alarms_are_rare():
    verdicts = [judge_shift(**without(world(seed, 500, 500), "features"), seed=seed).verdict for seed in range(30)]
    assert verdicts.count(SAME) >= 28


def test_a_collapse_of_the_rate_is_label_shift_only_where_features_agree():
    inputs = world(0, test_rate=0.04, apart=4.0)
    agreed, alone = judge_shift(**inputs), judge_shift(**without(inputs, "features"))
    assert agreed.verdict == LABEL_SHIFT and agreed.features_agree is True
    assert alone.verdict == DOMAIN_SHIFT and alarms(alone) - {"class balance", "score distance"} == {"positive rate"}
    assert alone.features_agree is None


def test_fakes_that_no_longer_look_fake_are_no_label_shift_where_features_moved():
    inputs = world(1, change="fakes", recall_lost=2.8, nuisance=1.5)
    assert judge_shift(**inputs).verdict == DOMAIN_SHIFT


def test_one_member_that_sees_the_change_is_enough_and_none_that_does_not_can_outvote_it():
    inputs = world(2, change="fakes", recall_lost=2.8, nuisance=1.5)
    blind = [
        FoldFeatures(part.validation[:, :1] * 0, part.label, None, part.test[:, :1] * 0)
        for part in inputs["features"]["convnext"]
    ]
    both = judge_shift(**{**inputs, "features": {"blind": blind, **inputs["features"]}})
    assert both.verdict == DOMAIN_SHIFT and figures(both, "features of blind")["auc"] == 0.5
    assert alarms(both) >= {"features of convnext"} and "features of blind" not in alarms(both)


def test_each_fold_model_is_asked_in_its_own_feature_space():
    inputs = world(3)
    parts = inputs["features"]["convnext"]
    pooled = domain_auc(np.concatenate([part.validation for part in parts]), parts[0].test)
    assert pooled.auc > 0.8
    assert figures(judge_shift(**inputs), "features of convnext")["auc"] < 0.55


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_models_that_have_learnt_nothing_raise_no_alarm(spread):
    rng = np.random.default_rng(0)
    prob, parts = (expit(spread * rng.normal(size=shape)) for shape in (600, (3, 200)))
    shift = judge_shift(OofRows(rng.integers(0, 2, 600), prob, np.arange(600) % 3), parts)
    assert shift.verdict == SAME


def test_a_single_fold_is_judged_too():
    inputs = world(4, test_rate=0.25)
    rows = inputs["rows"]
    shift = judge_shift(rows.subset(rows.fold == 2), inputs["test_parts"][2:3])
    assert shift.verdict == LABEL_SHIFT
    assert shift.prior.low < 0.25 < shift.prior.high


def test_the_sentences_say_what_happened_and_the_remedy_what_to_do():
    inputs = world(5, 4000, 4000, test_rate=0.25)
    shift = judge_shift(**inputs)
    sentences = {item.name: item.sentence for item in shift.evidence}
    prior = shift.prior
    assert sentences["class balance"].startswith(f"test rows look like {100 * prior.value:.0f} % positive (")
    assert sentences["class balance"].endswith(f"the training rows were {100 * prior.train:.0f} %")
    assert "threshold=auto" in shift.remedy and "threshold=prior:P" in shift.remedy
    other = judge_shift(**world(5, **ANOTHER_GENERATOR))
    assert other.remedy.startswith("Do not believe the CV score") and "threshold=prior:P" in other.remedy
    assert {"score mixture", "features of convnext"} & alarms(other)
    assert judge_shift(**world(5)).remedy.startswith("Nothing to do")


def test_every_figure_is_a_json_value_and_every_evidence_is_there():
    inputs = world(6)
    prob, parts = inputs["rows"].prob, inputs["test_parts"]
    members = {"a": (prob, parts), "b": (prob**2, parts**2)}
    shift = judge_shift(**inputs, metadata=Domain(0.5, 0.45, 0.55, 0.53, 100, 100), members=members)
    assert json.loads(json.dumps(asdict(shift), allow_nan=False)) == asdict(shift)
    names = [item.name for item in shift.evidence]
    assert {"features of convnext", "metadata", "disagreement", "class balance"} < set(names)
    assert all(type(item.alarming) is bool for item in shift.evidence)


def test_metadata_that_tell_count_unless_features_agree():
    tells = Domain(auc=0.97, low=0.95, high=0.98, null=0.53, n_validation=500, n_test=500)
    inputs = world(7)
    assert judge_shift(**inputs, metadata=tells).verdict == SAME
    alone = judge_shift(**without(inputs, "features"), metadata=tells)
    assert alone.verdict == DOMAIN_SHIFT and alarms(alone) == {"metadata"}


def test_the_same_seed_gives_the_same_judgement():
    inputs = world(8, 400, 400)
    assert judge_shift(**inputs, seed=3) == judge_shift(**inputs, seed=3)
    assert judge_shift(**inputs, seed=3) != judge_shift(**inputs, seed=4)


def test_eighty_thousand_rows_do_not_turn_a_ripple_into_an_alarm():
    inputs = world(9, 80_000, 20_000, test_rate=0.52, change="all", recall_lost=0.03)
    shift = judge_shift(**without(inputs, "features"))
    assert shift.verdict == SAME
    assert figures(shift, "class balance")["low"] > 0.5
