"""Runs with train-only rows, whole: what they learn more changes their models, and nothing that they are judged on."""

import json
import shutil

import pandas as pd
import pytest
from safetensors.numpy import load_file

from competition.data.demo.draw import DemoPlan, draw_demo
from tests.running import TINY, done_inside, everything, inside

ALONE = [*(word for word in TINY if "members.swin" not in word and word != "folds=3"), "folds=2", "members.swin=null"]
WORDS = [
    *ALONE,
    "members.probe.frozen=true",
    "members.probe.augment=flips",
    "members.probe.variants=1",
    "members.probe.backbone=resnet18",
    "members.probe.backbone_args={channels: [4, 8, 8, 8], layers: [1, 1, 1, 1]}",
]
MEMBERS = ("convnext", "probe")
SURE = ["pseudo_positive=0.501", "pseudo_negative=0.501"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A plain run, and a folder of more images: four scenes, a copy of a training image and one of a test image."""
    home = tmp_path_factory.mktemp("train_only")
    done_inside(home, *WORDS, "name=plain")
    draw_demo(home / "more", DemoPlan(9, (4, 1)))
    for name, part in (("train.csv", "train_data"), ("test.csv", "test_data_v2")):
        data = home / "data" / "demo-0-30-12"
        first = pd.read_csv(data / name).iloc[3]
        path = first["file_name"] if name == "train.csv" else first["id"]
        shutil.copy(data / path, home / "more" / "train_data" / f"{part}_copy.jpg")
    table = pd.read_csv(home / "more" / "train.csv", index_col=0)
    copies = pd.DataFrame(
        {"file_name": [f"train_data/{part}_copy.jpg" for part in ("train_data", "test_data_v2")], "label": [0, 1]}
    )
    pd.concat([table, copies], ignore_index=True).to_csv(home / "more" / "train.csv")
    return home


def judged(home, name, member):
    tables = [pd.read_csv(path) for path in sorted((home / "folds" / name / member).glob("fold*/oof.csv"))]
    return pd.concat(tables, ignore_index=True)


def card(home, name):
    (path,) = (home / "submissions" / name).glob("*.json")
    return json.loads(path.read_text())


def check_judged_as_plain(home, name):
    """The folds and the rows with an out-of-fold prediction are the plain run's; the models are others."""
    folds = [(home / "folds" / run / "folds.csv").read_bytes() for run in ("plain", name)]
    assert folds[0] == folds[1]
    for member in MEMBERS:
        rows, plain = judged(home, name, member), judged(home, "plain", member)
        assert rows[["id", "label", "fold"]].equals(plain[["id", "label", "fold"]]) and rows["id"].is_unique
        assert set(rows["id"]) == set(pd.read_csv(home / "folds" / name / "folds.csv")["id"])
        for fold in ("fold0", "fold1"):
            one, other = (
                load_file(home / "folds" / run / member / fold / "model.safetensors") for run in ("plain", name)
            )
            assert any((one[key] != other[key]).any() for key in one)
    assert card(home, name)["rows"] == card(home, "plain")["rows"]
    assert card(home, name)["fingerprints"]["data"] == card(home, "plain")["fingerprints"]["data"]


def test_a_run_with_extra_images_is_judged_on_its_own_rows_alone_and_says_what_was_added(home):
    printed = done_inside(home, *WORDS, "name=more", "extra=more", "fold=full")
    check_judged_as_plain(home, "more")
    for note in ("extra=more adds 8 images", "copies of test images", "copies of training images"):
        assert note in printed and any(note in line for line in card(home, "more")["notes"])
    before = everything(home)
    assert inside(home, "name=more", cwd=home.parent).returncode == 0  # whose settings know the folder from anywhere
    assert everything(home) == before
    table = pd.read_csv(home / "more" / "train.csv", index_col=0)
    table.assign(label=1 - table["label"]).to_csv(home / "more" / "train.csv")
    result = inside(home, "name=more")
    table.to_csv(home / "more" / "train.csv")
    assert result.returncode == 2 and "the training data changed" in result.stderr
    assert everything(home).keys() == before.keys()


def test_a_run_with_pseudo_labels_is_judged_on_its_own_rows_alone(home):
    printed = done_inside(home, *WORDS, "name=taught", "pseudo=plain", "extra=more", *SURE)
    check_judged_as_plain(home, "taught")
    assert "pseudo=plain adds" in printed and "extra=more adds 8" in printed
    before = everything(home)
    done_inside(home, "ensemble", "name=taught")
    assert everything(home) == before


@pytest.mark.slow
def test_processes_that_feed_change_no_bit_of_what_is_learnt_with_train_only_rows(home):
    words = [*ALONE, "pseudo=plain", "extra=more", *SURE, "fold=0"]
    done_inside(home, *words, "name=here")
    done_inside(home, *words, "name=there", "workers=2")
    here, there = ((home / "folds" / name / "convnext/fold0/oof.csv").read_bytes() for name in ("here", "there"))
    assert here == there


@pytest.mark.slow
def test_a_hold_out_split_takes_both_kinds_and_a_dry_run_counts_them(home):
    words = [*ALONE, "split=holdout:0.6,0.2,0.2"]
    done_inside(home, *words, "name=held")
    printed = done_inside(home, *words, "name=held2", "pseudo=held", "extra=more", *SURE)
    assert "pseudo=held adds" in printed and "hold-out" in printed
    rows, plain = (judged(home, name, "convnext")["id"] for name in ("held2", "held"))
    assert rows.equals(plain)
    printed = done_inside(home, *ALONE, "name=dry", "extra=more", "limit=24", "fold=0")
    assert "Estimate for all 60 + 24 images" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["extra=nowhere"], "There is no folder"),
        (["pseudo=nobody"], "There is no finished run 'nobody'"),
        (["pseudo=new"], "is this run itself"),
        (["pseudo=plain", "seed=3"], "has another fold for"),
        (["pseudo=plain", "folds=3"], "has no fold 2 of convnext"),
        (["pseudo=plain", "pseudo_positive=0.4"], "out of range"),
    ],
)
def test_what_cannot_be_is_said_before_any_model_is_trained(home, words, said):
    given = {word.split("=")[0] for word in words}
    result = inside(home, *[word for word in WORDS if word.split("=")[0] not in given], "name=new", *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert not list((home / "folds").glob("new/*/fold*"))
    shutil.rmtree(home / "folds" / "new", ignore_errors=True)
