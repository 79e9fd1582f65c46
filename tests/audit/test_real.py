"""On data of others: what is known of them is found, and nothing that is not there."""

import numpy as np
import pytest

from competition.audit.examine import audit
from competition.data.layouts.read import read_dataset
from tests.audit.planted import flagged
from tests.running import SHARED


def shared(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not there")
    return read_dataset(SHARED / name)


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_faces_show_their_parity_but_no_twins_and_no_shortcut(tmp_path, depth):
    found = audit(shared("faces"), tmp_path, depth)
    assert flagged(found) == {"row-parity"} | ({"composition"} if depth == "full" else set())
    assert found.get("row-parity").figures["auc"] == 1
    assert found.get("twins") is None and "no twins" in found.get("possible-pairs").what
    assert found.metadata.auc < 0.6 and found.domain.auc < 0.6 and found.honest


@pytest.mark.parametrize("depth", ["tables", "quick", "full"])
def test_wai2025_without_images_shows_pairs_and_parity_and_says_what_is_unchecked(tmp_path, depth):
    found = audit(shared("wai2025"), tmp_path, depth)
    assert {finding.name for finding in found.findings} == {"row-parity", "possible-pairs", "unchecked"}
    assert found.get("possible-pairs").figures["pairs"] == 2500
    assert {"metadata shortcuts", "duplicates", "twins", "broken files"} <= set(found.get("unchecked").figures)
    assert found.metadata is None and found.domain is None


def test_cifakes_equal_names_in_both_classes_are_no_twins(tmp_path):
    found = audit(shared("cifake"), tmp_path, "full")
    assert flagged(found) == {"composition"} and found.get("twins") is None
    assert "folder" not in found.features


def test_pixel_csvs_are_checked_for_copies_and_the_rest_is_said(tmp_path):
    dataset = shared("bitgrit")
    found = audit(dataset, tmp_path, "full")
    assert flagged(found) == {"composition"} and "broken files" in found.get("unchecked").figures
    train, test = dataset.pixels
    other = np.flatnonzero(dataset.train["label"] != dataset.train["label"][2])[0]
    train[[5, other]], test[3] = train[2], train[2]
    found = audit(dataset, tmp_path, "tables")
    copied = set(dataset.train["id"][[2, 5, other]])
    assert set(found.get("exact-duplicates").rows["id"]) == set(found.get("conflicting-labels").rows["id"]) == copied
    assert set(found.get("duplicates-in-test").rows["id"]) == copied | {dataset.test["id"][3]}
