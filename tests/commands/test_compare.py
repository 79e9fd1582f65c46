"""One run in random folds and one by source stand side by side, as their own files say; nothing is blended."""

import json
import re

import pandas as pd
import pytest

from tests.running import TINY, done_inside, everything, inside

WORDS = [word for word in TINY if not word.startswith("folds=")]
WORDS += ["folds=2", "demo.sources=2", "members.swin=null", "source=column:source"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two finished runs over the same rows, in random folds and by source, and what the second printed."""
    home = tmp_path_factory.mktemp("runs")
    done_inside(home, *WORDS, "name=random")
    printed = done_inside(home, *WORDS, "name=apart", "split=by-source")
    return home, printed


def test_each_fold_holds_out_whole_sources_which_the_jobs_never_saw(home):
    folds = pd.read_csv(home[0] / "folds" / "apart" / "folds.csv")
    assert folds.groupby("source")["fold"].nunique().max() == 1
    assert (folds.groupby("fold")["label"].nunique() == 2).all()
    for fold in (0, 1):
        judged = pd.read_csv(home[0] / "folds" / "apart" / "convnext" / f"fold{fold}" / "oof.csv")
        assert set(judged["id"]) == set(folds["id"][folds["fold"] == fold])


def test_the_worst_source_is_named_in_the_closing_lines_the_card_and_no_verdict_is_made_up(home):
    (card,) = (json.loads(path.read_text()) for path in (home[0] / "submissions" / "apart").glob("*.json"))
    rows = pd.read_csv(home[0] / "folds" / "apart" / "folds.csv").set_index("id")
    parts = (home[0] / "folds" / "apart" / "convnext").glob("fold*/oof.csv")
    prob = pd.concat(pd.read_csv(path, index_col="id") for path in parts)["prob"][rows.index]
    called = prob >= card["threshold"]["value"]
    right = (called == rows["label"]).groupby(rows["source"]).mean()
    assert {one["source"]: one["accuracy"] for one in card["sources"]} == pytest.approx(right.to_dict())
    assert f"Sources     worst of 4 at the submission's cut: {card['sources'][0]['source']} (" in home[1]
    assert card["world"] is None and "World       not judged: each fold holds out whole sources" in home[1]


def test_the_two_scores_stand_side_by_side_and_nothing_is_written(home):
    before = everything(home[0])
    printed = done_inside(home[0], "ensemble", "names=random,apart")
    cards = {}
    for name in ("random", "apart"):
        (cards[name],) = (json.loads(path.read_text()) for path in (home[0] / "submissions" / name).glob("*.json"))
    pair = [f"{cards[name]['cv']['convnext']['f1']:.4f}" for name in ("random", "apart")]
    assert re.search(rf"convnext +F1 +{pair[0]} +{pair[1]} +[+-]", printed)
    assert all(re.search(rf"{one['source']} +15 ", printed) for one in cards["apart"]["sources"])
    assert "nothing was blended" in printed and everything(home[0]) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ensemble", "names=random,apart,random2"], "There is no finished run 'random2'"),
        ([*WORDS, "name=apart"], "holds folds by source, and split= wants others"),
        ([*WORDS, "name=random", "split=by-source"], "holds folds that are not by source"),
        ([*WORDS[:-1], "name=new", "split=by-source"], "split=by-source needs to know where each image is from"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(home, words, said):
    before = everything(home[0])
    result = inside(home[0], *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert everything(home[0]) == before


def test_the_sources_of_a_finished_run_can_be_named_later_and_nothing_is_trained_again(home):
    folder = home[0] / "folds" / "random"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("convnext/fold*/*")}
    printed = done_inside(home[0], *WORDS[:-1], "name=random")
    assert "Sources " not in printed
    assert "Sources     worst of 4" in done_inside(home[0], *WORDS, "name=random")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("convnext/fold*/*")} == before
