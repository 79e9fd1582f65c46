"""An image is decoded for one audit only: what was seen is remembered by content."""

import os
import shutil

import numpy as np
import pytest

from competition.audit.examine import audit
from competition.audit.scan import scan
from competition.data.images.file_contents import file_stats, survey
from tests.audit.planted import clean, write


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
