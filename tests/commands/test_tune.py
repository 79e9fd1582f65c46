"""A search from the command line: what it leaves, what it refuses, and that no kill changes it."""

import csv
import json
import shutil

import pytest
import yaml

from competition.core.config import load_config
from tests.running import TINY, done, everything, inside, killed, once

SMALL = [*TINY, "name=mine", "members.swin=null", "tune.folds=0"]
LINE = ["tune", *SMALL, "trials=4", "lr=1e-5", "tune.lr=[1e-5,1e-2,log]", "tune.weight_decay=null"]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A home in which a search has ended, and what it printed."""
    return once(tmp_path_factory, "tuned", lambda home: done(home, *LINE))


def trials(home):
    with (home / "folds/mine/tune/trials.csv").open() as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def test_a_search_leaves_its_trials_its_best_settings_and_a_page(tuned):
    home, printed = tuned
    found = trials(home)
    assert [row["trial"] for row in found] == ["0", "1", "2", "3"] and float(found[0]["lr"]) == 1e-5
    best = min((row for row in found if row["loss"]), key=lambda row: float(row["loss"]))
    assert best["trial"] != "0" and f"trial {best['trial']}" in printed
    folder = home / "folds/mine/tune"
    page = (folder / "tuning.html").read_text()
    assert page.count("<img") == 4 and "http" not in page
    assert all((folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG" for name in ("history", "slices", "parallel"))
    kept = {path.name for path in (home / "folds").glob("mine.trial-*")}
    assert kept == {"mine.trial-000", f"mine.trial-{int(best['trial']):03d}"}


def test_best_yaml_is_the_run_with_the_best_values_and_its_card_says_so(tuned, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tuned[0], home)
    path = home / "folds/mine/tune/best.yaml"
    config = load_config([f"config={path}"])
    best = min((row for row in trials(home) if row["loss"]), key=lambda row: float(row["loss"]))
    assert config.name == "mine-tuned" and config.members["convnext"].lr == float(best["lr"])
    assert config.members["convnext"].epochs == 2 and config.tune["lr"] == ["1e-5", "1e-2", "log"]
    printed = done(home, f"config={path}", "fold=0..2")
    (path,) = (home / "submissions").glob("mine-tuned/*.json")
    card = json.loads(path.read_text())
    assert card["tuned"] == config.tuned and card["tuned"].startswith("4 trials of mine on folds 0,")
    assert config.tuned in printed


def test_the_same_line_again_trains_nothing_and_more_trials_go_on(tuned):
    home, printed = tuned
    before = everything(home)
    again = done(home, *LINE)
    assert again.splitlines()[-3:] == printed.splitlines()[-3:] and "F1" not in again
    changed = {name for name, what in everything(home).items() if before.get(name) != what}
    assert not changed


def results(home):
    return {name: what for name, what in everything(home).items() if "/.cache/" not in name}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "How long is the search to be?"),
        (["trials=2", "tune.folds=0..2"], "leaves no fold to judge on"),
        (["trials=2", "tune.folds=5"], "tune.folds=5 asks for a fold outside 0..2"),
        (["trials=2", "member=x"], "There is no member 'x'"),
        (["trials=2", "split=holdout:0.8,0.2"], "split=holdout:0.8,0.2 has no part to judge on"),
        (["trials=2", "on=web", "evidence_rows=0"], "set it to 1000"),
        (["trials=2", "objective=f1"], "objective=f1 is not one of auto, log_loss, auc, brier"),
        (["trials=2", "pretrained=/nowhere.safetensors"], "/nowhere.safetensors"),
    ],
)
def test_what_cannot_be_searched_is_refused_and_nothing_is_written(tmp_path, words, said):
    small = [word for word in SMALL if word.partition("=")[0] not in [one.partition("=")[0] for one in words]]
    result = inside(tmp_path, "tune", *small, *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_another_search_of_the_same_name_is_refused_and_discarded_on_request(tuned, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(tuned[0], home)
    other = [word if not word.startswith("tune.lr=") else "tune.lr=[1e-4,1e-2,log]" for word in LINE]
    before = results(home)
    result = inside(home, *other)
    assert result.returncode == 2 and "holds another search" in result.stderr
    assert results(home) == before
    done(home, *other, "overwrite=true")
    assert len(trials(home)) == 4 and "lr" in trials(home)[1] and trials(home)[0]["lr"] == ""  # 1e-5 is not in there
    printed = done(home, *other, "overwrite=true")  # it is this search by now: nothing is discarded
    assert "F1" not in printed


@pytest.mark.slow
def test_hours_end_a_search_before_a_trial_that_would_take_longer(tmp_path):
    words = [word for word in LINE if not word.startswith("trials=")]
    printed = done(tmp_path, *words, "hours=0.0001")
    assert [row["trial"] for row in trials(tmp_path)] == ["0"]
    assert "Keep the preset's settings" in printed and " min to go." in printed
    printed = done(tmp_path, *words, "hours=1", "trials=2")  # whichever comes first
    assert [row["trial"] for row in trials(tmp_path)] == ["0", "1"]


@pytest.mark.slow
def test_members_share_values_and_web_conditions_can_be_judged(tmp_path):
    words = [word for word in SMALL if word != "members.swin=null"]
    printed = done(tmp_path, "tune", *words, "trials=2", "on=web", "objective=auc", "tune.augment=[none,flips_both]")
    assert "1 - AUC under web conditions" in printed
    placed = yaml.safe_load((tmp_path / "folds/mine.trial-000/swin/fold0/config.yaml").read_text())
    assert placed["augment"] == "flips"


@pytest.mark.slow
def test_every_fold_of_the_search_and_of_the_judgement_has_its_jobs(tmp_path):
    words = [word for word in LINE if word.partition("=")[0] not in ("folds", "tune.folds", "trials")]
    done(tmp_path, *words, "folds=4", "tune.folds=0,1", "trials=2")
    folders = {path.name for path in tmp_path.glob("folds/mine.trial-001/convnext/fold*")}
    assert folders == {"fold0", "fold1", "fold2", "fold3"}


@pytest.mark.slow
def test_a_hold_out_is_searched_on_its_validation_part_and_judged_on_its_test_part(tmp_path):
    words = [
        *SMALL,
        "split=holdout:0.5,0.25,0.25",
        "trials=2",
        "lr=1e-6",
        "tune.lr=[1e-3,2e-3]",
        "tune.weight_decay=null",
    ]
    printed = done(tmp_path, "tune", *words)
    assert "the others: the test part" in printed
    assert len(list(tmp_path.glob("folds/mine.trial-001/convnext/*"))) == 2  # a fold and its placement: no other job


@pytest.mark.slow
def test_five_kills_change_no_trial(tuned, tmp_path):
    whole, printed = tuned
    for at in (
        ("competition.training.fit", "save_resume", 1, "before"),
        ("competition.training.job", "write_record_file", 2, "before"),
        ("competition.training.tuning.study", "create_trial", 1, "before"),
        ("competition.training.tuning.search", "judge", 1, "before"),
        ("competition.report.tuning.write", "write_changed", 2, "before"),
    ):
        killed(tmp_path, at, *LINE)
    assert done(tmp_path, *LINE).splitlines()[-3:] == printed.splitlines()[-3:]
    assert trials(tmp_path) == trials(whole)
    best = "folds/mine/tune/best.yaml"
    assert (tmp_path / best).read_text().replace(str(tmp_path), "") == (whole / best).read_text().replace(
        str(whole), ""
    )
    for path in whole.glob("folds/mine.trial-*/*/*/oof.csv"):
        assert (tmp_path / path.relative_to(whole)).read_bytes() == path.read_bytes()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".tmp", ".lock", "resume.pt"))]
