"""An image is decoded for one audit only: what was seen is remembered by content."""

import os
import shutil

import numpy as np
import pytest

from competition.audit import audit, overlap
from competition.audit.scan import scan
from competition.data.survey import file_stats, survey
from tests.audit.planted import clean, spoil, write


@pytest.fixture
def files(tmp_path):
    dataset = write(tmp_path / "data", clean(20, 1)[0], [])
    return dataset.train["path"].tolist()


def looked(paths, folder, pixels=True):
    digests = survey(folder, file_stats(paths), "images", 2).digests
    return scan(paths, digests, folder, pixels, "images", 2)


def test_a_second_scan_reads_no_file(files, tmp_path):
    first = looked(files, tmp_path / "cache")
    digests = survey(tmp_path / "cache", file_stats(files), "images", 2).digests
    shutil.rmtree(tmp_path / "data")
    again = scan(files, digests, tmp_path / "cache", True, "images", 2)
    assert again.facts.equals(first.facts) and first.facts["fault"].isna().all()
    np.testing.assert_array_equal(again.hashes, first.hashes)
    np.testing.assert_array_equal(again.thumbnails, first.thumbnails)
    assert first.thumbnails.shape == (20, 32, 32) and first.thumbnails.any(axis=(1, 2)).all()


def test_headers_alone_give_the_same_facts_but_no_pictures(files, tmp_path):
    headers, whole = looked(files, tmp_path / "cache", pixels=False), looked(files, tmp_path / "cache")
    assert headers.hashes is None
    assert headers.facts.drop(columns="greyscale").equals(whole.facts.drop(columns="greyscale"))
    assert not whole.facts["greyscale"].any()


def test_a_changed_file_is_looked_at_again(files, tmp_path):
    looked(files, tmp_path / "cache")
    with open(files[3], "r+b") as file:
        file.truncate(os.path.getsize(files[3]) // 2)
    assert looked(files, tmp_path / "cache").facts["fault"].dropna().to_dict() == {3: "it is truncated"}


def test_the_same_data_give_the_same_audit(tmp_path):
    dataset = write(tmp_path / "data", *clean(80, 40))
    one, two = (audit(dataset, tmp_path / "cache", "full", seed=4) for _ in range(2))
    assert (one.features, one.metadata, one.domain) == (two.features, two.metadata, two.domain)
    assert [finding.what for finding in one.findings] == [finding.what for finding in two.findings]


def test_overlap_finds_exact_and_near_copies_of_another_list(tmp_path):
    train, test = clean(20, 6)
    train, _ = spoil(train, lambda row, _: row == 2, scene=test[1].scene, quality=test[1].quality)
    train, _ = spoil(train, lambda row, _: row == 5, scene=test[4].scene, quality=40)
    test, _ = spoil(test, lambda row, _: row == 5, raw=b"broken")
    dataset = write(tmp_path / "data", train, test)
    paths, others = dataset.train["path"].tolist(), dataset.test["path"].tolist()
    found = overlap(paths, others, tmp_path / "cache").sort_values("kind")
    assert found.to_numpy().tolist() == [[paths[2], others[1], "exact"], [paths[5], others[4], "near"]]
    assert overlap(paths[:2], others, tmp_path / "cache").empty
    assert overlap(paths, [], tmp_path / "cache").empty
