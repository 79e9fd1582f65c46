import numpy as np
import pandas as pd
import pytest

from competition.errors import UserError
from competition.inference.collect import Predictions, blend, collect_member
from competition.scoring.metrics import sigmoid

TRAIN, TEST = ["c", "007", "nan", "a,b"], ["x", "y"]


def table(path, ids, logits):
    pd.DataFrame({"id": ids, "logit": logits, "prob": sigmoid(logits)}).to_csv(path, index=False)
    return path


@pytest.fixture
def files(tmp_path):
    oof = [[table(tmp_path / "o0.csv", ["nan", "c"], [1.0, -1.0])],
           [table(tmp_path / "o1.csv", ["a,b", "007"], [2.0, 3.0]),
            table(tmp_path / "o1s.csv", ["007", "a,b"], [5.0, 0.0])]]  # fmt: skip
    test = [
        table(tmp_path / "t0.csv", ["y", "x"], [1.0, np.nan]),
        table(tmp_path / "t1.csv", ["x", "y"], [np.nan, 3.0]),
    ]
    return oof, test


def test_files_are_joined_by_id_in_any_order_and_models_averaged_as_logits(files):
    found = collect_member(*files, TRAIN, TEST)
    assert np.allclose(found.oof, sigmoid([-1, 4, 1, 1]))
    assert np.isnan(found.test[0]) and found.test[1] == pytest.approx(sigmoid(2.0))


def test_a_fold_that_is_not_there_yet_leaves_its_rows_open(files):
    found = collect_member(files[0][:1], files[1], TRAIN, TEST)
    assert np.isnan(found.oof).tolist() == [False, True, False, True]


@pytest.mark.parametrize("ids", [["nan", "z"], ["nan"], ["nan", "nan"], ["007", "nan"]])
def test_ids_that_do_not_fit_one_to_one_are_refused_by_file(files, tmp_path, ids):
    oof, test = files
    bad = table(tmp_path / "bad.csv", ids, [1.0] * len(ids))
    parts = [[oof[0][0], bad], oof[1]] if ids != ["007", "nan"] else [oof[1][:1], [bad]]
    with pytest.raises(UserError, match=r"bad\.csv"):
        collect_member(parts, test, TRAIN, TEST)
    with pytest.raises(UserError, match=r"bad\.csv"):
        collect_member(oof, [*test, bad], TRAIN, TEST)


def test_members_are_averaged_as_probabilities_and_what_one_cannot_see_none_can():
    one = Predictions(np.array([0.2, np.nan]), np.array([0.4, np.nan]))
    other = Predictions(np.array([0.6, np.nan]), np.array([0.8, np.nan]))
    both = blend([one, other])
    assert both.oof[0] == pytest.approx(0.4) and both.test[0] == pytest.approx(0.6)
    assert np.isnan(both.oof[1]) and np.isnan(both.test[1])
