import numpy as np
import pandas as pd
import pytest

from competition.core.errors import UserError
from competition.inference.oof import Predictions, blend, collect_member
from competition.scoring.arrays import sigmoid

TRAIN, TEST = ["c", "007", "nan", "a,b"], ["x", "y"]


def table(path, ids, logits):
    pd.DataFrame({"id": ids, "logit": logits, "prob": sigmoid(logits)}).to_csv(path, index=False)
    return path


@pytest.fixture
def folders(tmp_path):
    """Two folds, the second with two seeds; in the test set, x could not be read."""
    oof = {"f0": (["nan", "c"], [1.0, -1.0]), "f1": (["a,b", "007"], [2.0, 3.0]), "f1s": (["007", "a,b"], [5.0, 0.0])}
    test = {"f0": (["y", "x"], [1.0, np.nan]), "f1": (["x", "y"], [np.nan, 3.0]), "f1s": (["x", "y"], [np.nan, 5.0])}
    for name in oof:
        (tmp_path / name).mkdir()
        table(tmp_path / name / "oof.csv", *oof[name])
        table(tmp_path / name / "test.csv", *test[name])
    return [[tmp_path / "f0"], [tmp_path / "f1", tmp_path / "f1s"]]


def test_files_are_joined_by_id_in_any_order_and_models_averaged_as_logits(folders):
    found = collect_member(folders, [], TRAIN, TEST)
    assert np.allclose(found.oof, sigmoid([-1, 4, 1, 1]))
    assert np.isnan(found.test[0]) and found.test[1] == pytest.approx(sigmoid(3.0))
    assert np.isnan(found.parts[:, 0]).all() and np.allclose(found.parts[:, 1], sigmoid([1.0, 4.0]))


def test_a_model_on_all_rows_joins_the_test_average_alone(folders, tmp_path):
    (tmp_path / "full").mkdir()
    table(tmp_path / "full" / "test.csv", TEST, [np.nan, 7.0])
    found, without = (collect_member(folders, full, TRAIN, TEST) for full in ([tmp_path / "full"], []))
    assert found.test[1] == pytest.approx(sigmoid(4.0))
    assert np.array_equal(found.oof, without.oof) and np.array_equal(found.parts, without.parts, equal_nan=True)


def test_a_fold_that_is_not_there_yet_leaves_its_rows_open(folders):
    found = collect_member(folders[:1], [], TRAIN, TEST)
    assert np.isnan(found.oof).tolist() == [False, True, False, True] and found.parts.shape == (1, 2)


@pytest.mark.parametrize("ids", [["nan", "z"], ["nan"], ["nan", "nan"], ["007", "nan"]])
@pytest.mark.parametrize("name", ["oof.csv", "test.csv"])
def test_ids_that_do_not_fit_one_to_one_are_refused_by_file(folders, name, ids):
    spoilt = folders[1][1] / name
    table(spoilt, ids, [1.0] * len(ids))
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        collect_member(folders, [], TRAIN, TEST)


def test_members_are_averaged_as_probabilities_and_what_one_cannot_see_none_can():
    one = Predictions(np.array([0.2, np.nan]), np.array([0.4, np.nan]), np.array([[0.3, np.nan]]))
    other = Predictions(np.array([0.6, np.nan]), np.array([0.8, np.nan]), np.array([[0.7, np.nan]]))
    both = blend([one, other], [0.5, 0.5])
    assert both.oof[0] == pytest.approx(0.4) and both.test[0] == pytest.approx(0.6)
    assert blend([one, other], [3, 1]).test[0] == pytest.approx(0.5)
    assert np.isnan(both.oof[1]) and np.isnan(both.test[1])
    assert both.parts[0, 0] == pytest.approx(0.5) and both.parts.shape == (1, 2)
