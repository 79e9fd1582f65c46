"""What file names and folders say of themselves is read from names alone."""

import numpy as np

from competition.audit.file_names import name_facts


def test_names_are_taken_apart_and_digests_are_not():
    names = ["a/fake_0012.JPG", "a/0123456789abcdef0123456789abcdef.png", "b/cat.webp"]
    table = name_facts(names, folders=True)
    assert table["prefix"].tolist() == ["fake_", None, "cat"] and table["hex"].tolist() == [False, True, False]
    assert table["number"][0] == 12 and np.isnan(table["number"][1:]).all()
    assert table["extension"].tolist() == [".jpg", ".png", ".webp"] and table["folder"].tolist() == ["a", "a", "b"]
    assert name_facts(names, folders=False)["folder"].isna().all()
