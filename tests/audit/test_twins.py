"""Twins are claimed by their pictures, wherever the labels alternate; and whoever would part them is told."""

import numpy as np
import pandas as pd
import pytest

from competition.audit.examine import audit
from competition.audit.run import merged_groups
from competition.data.demo.draw import DemoPlan, draw_demo
from competition.data.layouts.dataset import LayoutSettings
from competition.data.layouts.read import read_dataset
from tests.audit.planted import audited, clean


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "data"
    draw_demo(root, DemoPlan(3, (60, 20)))
    return root


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_the_demos_twins_are_claimed_and_their_parting_is_told(demo, tmp_path, depth):
    dataset = read_dataset(demo)
    found = audit(dataset, tmp_path, depth)
    assert found.get("twins").figures["pairs"] == 60
    split = found.get("twins-split")
    assert split.level == "warning" and set(split.rows["id"]) == set(dataset.train["id"])
    assert (
        found.get("near-duplicates") is None and found.get("conflicting-labels") is None
    )  # they are twins, not copies
    groups = merged_groups(dataset, found.links).to_numpy()
    assert (groups[::2] == groups[1::2]).all() and len(set(groups)) == 60


def test_only_the_twins_that_the_folds_part_are_listed(demo, tmp_path):
    dataset = read_dataset(demo, LayoutSettings(group="pairs"))
    fold = np.arange(120) // 2 % 5
    fold[[7, 40]] = (fold[[7, 40]] + 1) % 5
    folds = pd.DataFrame({"id": dataset.train["id"], "fold": fold})
    found = audit(dataset, tmp_path, "quick", folds)
    split = found.get("twins-split")
    assert split.level == "alarm" and not found.honest
    assert set(split.rows["id"]) == set(dataset.train["id"].iloc[[6, 7, 40, 41]])
    assert audit(dataset, tmp_path, "quick").get("twins-split") is None


def test_alternating_labels_alone_claim_no_twins(tmp_path):
    train, test = clean()
    zeros, ones = ([one for one in train if one.label == label] for label in (0, 1))
    alternating = [one for pair in zip(zeros, ones, strict=False) for one in pair]
    found = audited(tmp_path, alternating, test)
    assert found.get("twins") is None and found.get("twins-split") is None
    assert "no twins" in found.get("possible-pairs").what
    assert found.get("row-parity").level == "warning"


def test_twins_that_are_no_neighbours_are_near_copies_of_the_other_class(demo, tmp_path):
    dataset = read_dataset(demo)
    order = np.random.default_rng(0).permutation(120)
    (tmp_path / "train.csv").write_text(
        "file_name,label\n" + "".join(f"{dataset.train['id'][row]},{dataset.train['label'][row]}\n" for row in order)
    )
    (tmp_path / "train_data").symlink_to(demo / "train_data")
    found = audit(read_dataset(tmp_path), tmp_path / "cache", "full")
    assert found.get("twins") is None
    scene = dict(zip(dataset.train["id"], np.arange(120) // 2, strict=True))
    table = found.get("conflicting-labels").rows
    assert len(table) > 90
    assert (table["id"].map(scene).groupby(table["cluster"]).nunique() == 1).all()
