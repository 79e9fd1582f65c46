"""Finished runs blended by id: what the blend says is what its runs' own files say together."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from competition.core.intact import read_record_file, write_record_file
from competition.data.folds import read_folds
from competition.inference.run_inputs import folds_mark
from tests.running import TINY, done_inside, everything, inside, sign

WORDS = [*(word for word in TINY if not word.startswith("folds=")), "folds=2"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two finished runs over the same folds: one member each."""
    home = tmp_path_factory.mktemp("runs")
    done_inside(home, *WORDS, "name=first", "members.swin=null")
    done_inside(home, *WORDS, "name=second.run", "members.convnext=null")
    return home


@pytest.fixture
def copy(home, tmp_path):
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home"


def test_runs_join_by_id_whatever_the_order_of_their_rows(copy):
    for path in (copy / "folds" / "second.run").rglob("*.csv"):
        table = pd.read_csv(path, dtype=str)
        table.iloc[::-1].to_csv(path, index=False)
        if path.name in ("oof.csv", "test.csv"):
            sign(path)
    printed = done_inside(copy, "ensemble", "names=first,second.run")
    assert "Blending 2 members of first, second.run over 2 folds: 60 training rows, 24 test rows" in printed
    folders = [copy / "folds/first/convnext", copy / "folds/second.run/swin"]
    logit = [
        sum(pd.read_csv(folder / f"fold{k}/test.csv").set_index("id")["logit"] for k in (0, 1)) / 2
        for folder in folders
    ]
    prob = sum(1 / (1 + np.exp(-member)) for member in logit) / 2
    (card,) = (json.loads(path.read_text()) for path in (copy / "submissions/blend-first-second.run").glob("*.json"))
    submitted = pd.read_csv(copy / "submissions" / "submission.csv").set_index("id")["label"]
    assert submitted.to_dict() == (prob >= card["threshold"]["value"]).astype(int).to_dict()
    assert set(card["members"]) == {"first", "second-run"}


def test_a_blend_judges_pictures_as_its_submission_does_and_changes_nothing_when_run_again(copy):
    done_inside(copy, "ensemble", "names=first,second.run", "name=both")
    before = everything(copy)
    done_inside(copy, "ensemble", "names=first,second.run", "name=both")
    done_inside(copy, "ensemble", "name=both")
    assert everything(copy) == before
    asked = done_inside(copy, "predict", "name=both", "format=csv", str(copy / "data/demo-0-30-12/test_data_v2"))
    answers = pd.read_csv(io.StringIO(asked)).to_dict("records")
    verdicts = {row["file"].rpartition("/")[2]: row["verdict"] == "AI-made" for row in answers}
    submitted = pd.read_csv(copy / "submissions" / "submission.csv")
    assert {row.id.rpartition("/")[2]: bool(row.label) for row in submitted.itertuples()} == verdicts


def test_runs_over_other_folds_join_by_id_where_no_group_was_seen(copy):
    done_inside(copy, *WORDS, "name=third", "members.convnext=null", "seed=1")
    folds = [pd.read_csv(copy / f"folds/{name}/folds.csv", index_col="id") for name in ("first", "third")]
    assert (folds[0]["fold"] != folds[1]["fold"][folds[0].index]).any()
    assert "Blending 2 members of first, third over 2 folds" in done_inside(copy, "ensemble", "names=first,third")
    (card,) = (copy / "submissions/blend-first-third").glob("*.json")
    for name, member in (("first", "convnext"), ("third", "swin")):
        oof = pd.concat(pd.read_csv(path) for path in (copy / f"folds/{name}/{member}").glob("fold*/oof.csv"))
        auc = json.loads(card.read_text())["cv"][name]["auc"]
        assert auc == pytest.approx(roc_auc_score(oof["label"], oof["prob"]), abs=1e-6)


def test_a_blend_of_a_blend_counts_no_model_twice(copy):
    done_inside(copy, "ensemble", "names=first,second.run", "name=both")
    assert "Blending 2 members of" in done_inside(copy, "ensemble", "names=first,both")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["names=first"], "must name two finished runs"),
        (["names=first,first"], "each once"),
        (["names=first,nobody"], "There is no finished run 'nobody'"),
        (["names=first,second.run", "name=first"], "is one of the runs"),
    ],
)
def test_a_mistake_is_one_sentence(home, words, said):
    before = everything(home)
    result = inside(home, "ensemble", *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert everything(home) == before


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "folds.csv",
            lambda table: table.assign(fold=np.arange(len(table)) % 2),  # neighbours are twins
            "was judged in 'second.run' by a model that had learned from its group",
        ),
        ("folds.csv", lambda table: table.iloc[1:], "training rows are in one alone"),
        ("swin/fold0/test.csv", lambda table: table.iloc[1:], "is in one alone"),
    ],
)
def test_runs_over_other_rows_are_refused_with_the_row(copy, name, change, said):
    path = copy / "folds" / "second.run" / name
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)
    if name.startswith("swin"):
        sign(path)
    else:  # as if the run had been trained in these
        record, folds = path.with_name("run.json"), read_folds(path)
        known = read_record_file(record)
        rows = known["rows"] | {"train": len(folds)}
        write_record_file(record, known | {"rows": rows, "folds": folds_mark(folds)})
    result = inside(copy, "ensemble", "names=first,second.run")
    assert result.returncode == 2 and said in result.stderr
    assert not (copy / "folds" / "blend-first-second.run" / "run.json").exists()


def test_an_unfinished_run_is_refused_with_the_line_that_completes_it(copy):
    done_inside(copy, *WORDS, "name=third", "members.swin=null", "fold=1")
    result = inside(copy, "ensemble", "names=first,third")
    assert result.returncode == 2 and "lacks fold 0" in result.stderr and "name=third fold=0" in result.stderr


def test_averaging_ranks_is_not_one_of_the_ways_to_blend(copy):
    before = everything(copy)
    result = inside(copy, "ensemble", "names=first,second.run", "blend=rank")
    assert result.returncode == 2 and "blend=rank is not one of auto, equal, caruana, stacking." in result.stderr
    assert everything(copy) == before
