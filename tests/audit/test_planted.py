"""Each trouble that is planted in clean data is found by its name, with exactly its rows; clean data raise no alarm."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from competition.audit.examine import audit
from tests.audit.planted import audited, clean, draw, exif, file_of, flagged, spoil, write
from tests.data.images.signing import made, signed


@pytest.mark.parametrize("seed", range(4))
def test_clean_data_raise_no_warning(tmp_path, seed):
    found = audited(tmp_path, *clean(seed=seed))
    assert flagged(found) == set()
    assert found.honest
    assert found.get("twins") is None and found.get("near-duplicates") is None


def is_fake(row, picture):
    return picture.label == 1


def told(finding, label):
    return set(finding.rows["id"][finding.rows["points_to"] == label])


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_a_class_saved_at_another_jpeg_quality_is_flagged(tmp_path, depth):
    train, test = clean()
    train, ids = spoil(train, is_fake, quality=60)
    found = audited(tmp_path, train, test, depth)
    assert {"jpeg-quality", "metadata-shortcut"} <= flagged(found)
    assert told(found.get("jpeg-quality"), 1) == ids
    assert set(found.get("jpeg-quality").rows["label"]) <= {0, 1}
    assert found.features["jpeg_quality"] == 1
    assert found.metadata.auc > 0.95 and not found.honest


def test_a_weak_jpeg_shortcut_lists_the_rows_that_have_it(tmp_path):
    train, test = clean()
    train, ids = spoil(train, lambda row, one: one.label == 1 and row % 5 < 3, quality=60)
    finding = audited(tmp_path, train, test).get("jpeg-quality")
    assert finding.level == "warning" and set(finding.rows["id"]) == ids


def test_a_label_in_exif_is_flagged(tmp_path):
    train, test = clean()
    train, ids = spoil(train, lambda row, one: one.label == 1 and row % 4, save=exif(software="Painter 3"))
    found = audited(tmp_path, train, test)
    finding = found.get("exif")
    assert finding.level == "warning" and "exif" in finding.what
    assert set(finding.rows["id"]) == ids and set(finding.rows["label"]) == {1}


def test_credentials_are_counted_by_class_and_kind_and_are_a_shortcut_of_their_own(tmp_path):
    pytest.importorskip("c2pa", reason="c2pa-python, which verifies Content Credentials, is not installed")

    def signed_as(source):
        return lambda one: signed(file_of(one), made(source))

    train, test = clean()
    assert audited(tmp_path / "clean", train, test, "quick").get("content-credentials") is None
    train, ids = spoil(train, lambda row, one: one.label == 1 and row % 4, raw=signed_as("trainedAlgorithmicMedia"))
    train, more = spoil(train, lambda row, one: one.label == 0 and row < 6, raw=signed_as("digitalCapture"))
    test, _ = spoil(
        test, lambda row, _: row == 3, raw=lambda one: signed_as("print")(one).replace(b"Firefly", b"Firefox")
    )
    found = audited(tmp_path / "signed", train, test, "quick")
    note = found.get("content-credentials")
    ones, zeros = len(ids), len(more)
    assert note.figures == {"class 1": {"AI": ones}, "class 0": {"human": zeros}, "test": {"tampered": 1}}
    of = sum(one.label for one in train)
    assert f"{ones} of {of} of class 1 (AI {ones}); {zeros} of {160 - of} of class 0 (human {zeros}); 1" in note.what
    assert set(note.rows["id"][note.rows["credentials"] == "AI"]) == ids and len(note.rows) == ones + zeros + 1
    assert found.get("credentials").level == "warning" and told(found.get("credentials"), 1) == ids


def test_exif_that_all_have_is_no_finding_but_a_telling_text_in_it_is(tmp_path):
    train, test = clean()
    train = [spoil([one], lambda *_: True, save=exif(description=f"class {one.label}"))[0][0] for one in train]
    finding = audited(tmp_path, train, test).get("exif")
    assert "exif_text alone" in finding.what
    assert told(finding, 0) == {f"train_data/{one.name}" for one in train if one.label == 0}


def test_a_class_of_png_among_jpegs_is_flagged(tmp_path):
    train, test = clean()
    train, ids = spoil(train, is_fake, format="PNG", name=lambda one: one.name.replace("jpg", "png"))
    finding = audited(tmp_path, train, test).get("container")
    assert told(finding, 1) == ids


def test_a_png_called_jpg_is_flagged_by_its_content(tmp_path):
    train, test = clean()
    train, ids = spoil(train, is_fake, format="PNG")
    found = audited(tmp_path, train, test)
    assert told(found.get("container"), 1) == ids
    assert found.features["extension_wrong"] == 1


@pytest.mark.parametrize("depth", ["tables", "quick"])
def test_a_file_name_that_gives_the_label_away_is_flagged_and_costs_no_honesty(tmp_path, depth):
    train, test = clean()
    train, ids = spoil(train, is_fake, name=lambda one: f"fake_{one.name}")
    found = audited(tmp_path, train, test, depth)
    finding = found.get("file-name-pattern")
    assert told(finding, 1) == ids and set(finding.rows["prefix"]) == {"fake_"}
    assert found.honest  # no model sees a name


def test_a_training_file_copied_into_the_test_set_is_flagged(tmp_path):
    train, test = clean()
    test, _ = spoil(test, lambda row, _: row == 7, raw=file_of(train[0]))
    for depth in ("quick", "full"):
        finding = audited(tmp_path / depth, train, test, depth).get("duplicates-in-test")
        assert finding.level == "warning"
        assert set(finding.rows["id"]) == {f"train_data/{train[0].name}", f"test_data/{test[7].name}"}
        assert sorted(finding.rows["set"]) == ["test", "train"] and finding.rows["cluster"].nunique() == 1


def test_copies_and_those_of_the_other_class_are_flagged_apart(tmp_path):
    train, test = clean()
    by_label = [[row for row, one in enumerate(train) if one.label == label] for label in (0, 1)]
    (a, b, c, d), (e, f) = by_label[0][:4], by_label[1][:2]
    train, _ = spoil(train, lambda row, _: row == b, scene=train[a].scene, quality=train[a].quality)
    train, _ = spoil(train, lambda row, _: row == d, scene=train[c].scene, quality=train[c].quality - 20)
    train, _ = spoil(train, lambda row, _: row == f, scene=train[e].scene, quality=train[e].quality, label=0)
    found = audited(tmp_path, train, test)

    def ids(*rows):
        return {f"train_data/{train[row].name}" for row in rows}

    assert set(found.get("exact-duplicates").rows["id"]) == ids(a, b, e, f)
    assert found.get("exact-duplicates").figures["clusters"] == 2
    assert set(found.get("near-duplicates").rows["id"]) == ids(c, d)
    assert set(found.get("conflicting-labels").rows["id"]) == ids(e, f)


def test_copies_across_folds_are_flagged_by_the_folds_given(tmp_path):
    train, test = clean()
    same = dict(scene=train[0].scene, quality=train[0].quality, label=train[0].label)
    train, _ = spoil(train, lambda row, _: row in (1, 2), **same)
    dataset = write(tmp_path / "data", train, test)
    apart = pd.DataFrame({"id": dataset.train["id"], "fold": np.arange(len(train)) % 5})
    found = audit(dataset, tmp_path / "cache", "quick", apart)
    finding = found.get("duplicates-across-folds")
    assert finding.level == "alarm" and not found.honest
    assert sorted(finding.rows["id"]) == sorted(dataset.train["id"][:3])
    assert dict(zip(finding.rows["id"], finding.rows["fold"], strict=True)) == dict(apart[:3].to_numpy())
    together = apart.assign(fold=np.where(np.arange(len(train)) < 3, 0, apart["fold"]))
    assert audit(dataset, tmp_path / "cache", "quick", together).get("duplicates-across-folds") is None


def test_broken_and_missing_files_are_named_with_the_reason(tmp_path):
    train, test = clean()
    whole = file_of(train[0])
    train, cut = spoil(train, lambda row, _: row == 5, raw=whole[: len(whole) // 2])
    train, empty = spoil(train, lambda row, _: row == 9, raw=b"")
    dataset = write(tmp_path / "data", train, test)
    gone = dataset.train["path"][20]
    (tmp_path / "data" / "train_data" / train[20].name).unlink()
    found = audit(dataset, tmp_path / "cache", "full")
    broken = found.get("broken-files").rows
    assert set(broken["id"]) == cut | empty and broken["fault"].tolist() == ["it is truncated", "the file is empty"]
    assert [gone.endswith(one) for one in found.get("missing-files").rows["id"]] == [True]
    quick = audit(dataset, tmp_path / "other", "quick")
    assert set(quick.get("broken-files").rows["id"]) == empty


def test_broken_files_are_no_copies_of_each_other_and_need_no_fold(tmp_path):
    train, test = clean()
    dataset = write(tmp_path / "data", spoil(train, lambda row, _: row < 4, raw=b"")[0], test)
    folds = pd.DataFrame({"id": dataset.train["id"][4:], "fold": np.arange(4, len(train)) % 5})
    assert flagged(audit(dataset, tmp_path / "cache", "full", folds)) == {"broken-files"}


def test_a_test_set_saved_another_way_is_told_by_its_files_never_by_their_names(tmp_path):
    train, test = clean()
    found = audited(
        tmp_path / "names", train, spoil(test, lambda *_: True, name=lambda one: f"x{one.label}_{one.name}")[0]
    )
    assert found.get("train-test-metadata") is None and 0.3 < found.domain.auc < 0.6
    found = audited(tmp_path / "quality", train, spoil(test, lambda *_: True, quality=50)[0], "quick")
    assert found.get("train-test-metadata").level == "alarm" and found.domain.auc > 0.95


def test_rows_in_order_of_their_class_and_in_blocks_are_flagged(tmp_path):
    train, test = clean()
    by_class = sorted(train, key=lambda one: one.label)
    assert flagged(audited(tmp_path / "sorted", by_class, test, "tables")) == {"row-order"}
    zeros, ones = by_class[:80], by_class[80:]
    blocks = [one for start in range(0, 80, 10) for part in (zeros, ones) for one in part[start : start + 10]]
    assert flagged(audited(tmp_path / "blocks", blocks, test, "tables")) == {"row-order"}


def with_a_bright_sky(picture):
    """Return the file of the picture with its upper half made lighter."""
    pixels = draw(picture.scene).astype(float)
    pixels[:32] = 128 + pixels[:32] / 2
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=picture.quality)
    return buffer.getvalue()


def test_classes_that_show_different_things_are_flagged_by_their_thumbnails_alone(tmp_path):
    train, test = clean()
    train, _ = spoil(train, is_fake, raw=with_a_bright_sky)
    finding = audited(tmp_path, train, test).get("composition")
    assert finding.level == "warning" and "8 x 8 grey pixels" in finding.what
    assert finding.figures["auc"] > 0.9 and finding.figures["looked_at"] == len(train)
    assert audited(tmp_path / "quick", train, test, "quick").get("composition") is None
