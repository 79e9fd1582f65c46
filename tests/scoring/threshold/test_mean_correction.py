import numpy as np
import pytest

from competition.scoring.arrays import sigmoid
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.threshold.mean_correction import as_if_averaged


def world(rows, models, noise, rng):
    """Labels, and logits of several models: one signal, each model's own noise."""
    label = rng.integers(0, 2, rows)
    signal = rng.normal(size=rows) + 3.0 * label - 1.5
    return label, signal + rng.normal(scale=noise, size=(models, rows))


@pytest.mark.parametrize("noise", [0.5, 1.0, 1.5])
def test_it_foretells_what_the_mean_of_the_models_scores_on_rows_none_has_seen(noise):
    rng = np.random.default_rng(0)
    gains, foretold = [], []
    for _ in range(40):
        label, logits = world(1000, 1, noise, rng)
        test_label, test = world(1000, 5, noise, rng)
        one = f1(label, logits[0] >= 0)
        gains.append(f1(test_label, test.mean(axis=0) >= 0) - one)
        foretold.append(f1(label, as_if_averaged(OofRows(label, sigmoid(logits[0])), sigmoid(test)).prob >= 0.5) - one)
    assert np.mean(gains) > 0.01
    assert np.mean(foretold) == pytest.approx(np.mean(gains), abs=0.012)


def test_models_that_agree_change_nothing():
    label, logits = world(200, 1, 0.5, np.random.default_rng(1))
    same = np.repeat(sigmoid(logits), 4, axis=0)
    rows = OofRows(label, sigmoid(logits[0]))
    assert as_if_averaged(rows, same) is rows


@pytest.mark.parametrize("parts", [np.empty((0, 9)), np.full((1, 9), 0.5), np.empty((5, 0))])
def test_without_several_models_or_without_test_rows_nothing_is_known_and_nothing_changed(parts):
    rows = OofRows([0, 1, 1], [0.1, 0.8, 0.4])
    assert as_if_averaged(rows, parts) is rows


def test_order_within_a_class_is_kept_however_loud_the_noise():
    rng = np.random.default_rng(2)
    label, logits = world(300, 1, 1.0, rng)
    prob = sigmoid(logits[0])
    drawn = as_if_averaged(OofRows(label, prob), sigmoid(rng.normal(scale=30, size=(5, 100)))).prob
    for rows in (label == 0, label == 1):
        assert (np.argsort(drawn[rows]) == np.argsort(prob[rows])).all() and len(np.unique(drawn[rows])) == rows.sum()
