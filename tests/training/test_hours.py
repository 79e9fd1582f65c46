"""What fits into the hours: given up in the order that is written, kept when the line is run again, ended in time."""

import dataclasses
import json

import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.run_data import read_tables
from competition.training import hours
from competition.training.engines.local import LocalEngine
from competition.training.estimate import BESIDE, JOB, JobRows, RowCounts, job_images, makespan, run_seconds
from competition.training.hours import choose_plan, estimator, in_sizes, keep_plan, kept_plan
from competition.training.speed import Speed
from tests.running import TINY, done, inside

WORDS = ["preset=demo", "seeds=2", "tta=flip", "members.convnext.epochs=10", "members.swin.epochs=20"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


def cost(config):
    """Return hours of a run in which a convnext's epoch takes two and a swin's one, and a second view adds a tenth."""
    epochs = sum({"convnext": 2, "swin": 1}[name] * recipe.epochs for name, recipe in config.members.items())
    share = len(config.fold.split(",")) if config.fold not in ("all", "full") else config.folds
    return 3600 * epochs * share * config.seeds * (1.1 if config.tta == "flip" else 1)


@pytest.mark.parametrize(
    ("limit", "given_up"),
    [
        (441, "nothing"),
        (401, "test-time views"),
        (201, "test-time views, seeds"),
        (161, "test-time views, seeds, all but 4 folds"),
        (121, "test-time views, seeds, all but 3 folds"),
        (81, "test-time views, seeds, all but 3 folds, epochs beyond 69 %"),
        (61, "test-time views, seeds, all but 3 folds, convnext"),
        (34, "test-time views, seeds, all but 3 folds, convnext, epochs beyond 59 %"),
        (4, "seeds, all but 3 folds, convnext, epochs beyond 9 %"),  # views have room again
    ],
)
def test_what_is_given_up_first_is_what_the_page_says(limit, given_up):
    config = load_config([*WORDS, f"hours={limit}"])
    found = choose_plan(config, [], [config], lambda one: hours.SHARE * cost(one))
    fitting = [one.given_up for one in found if one.seconds <= 3600 * limit * hours.SHARE]
    assert fitting[-1] == found[-1].given_up == given_up and len(fitting) == (2 if limit == 4 else 1)


def test_too_few_hours_are_refused_with_the_least_that_work():
    config = load_config([*WORDS, "hours=1"])
    with pytest.raises(UserError, match=r"hours=1 is too little: .* give hours=3\.\d or more"):
        choose_plan(config, [], [config], lambda one: hours.SHARE * cost(one))


def test_what_the_user_has_set_is_not_given_up():
    words = ["tta=flip", "seeds=2", "folds=5", "epochs=10", "members.swin.lr=1e-3"]
    config = load_config(["preset=demo", "hours=1", *words])
    with pytest.raises(UserError, match="is too little"):
        choose_plan(config, words, [config], cost)
    some = load_config([*WORDS, "hours=1", "fold=0,1"])  # of five folds, which are then left five
    with pytest.raises(UserError, match="is too little"):
        choose_plan(some, ["fold=0,1"], [some], lambda one: 10 * cost(one))


def test_a_smaller_size_comes_with_all_that_the_larger_one_gave_up():
    config = load_config(["preset=wai2025", "hours=9"])
    sizes = in_sizes(config, ["preset=wai2025", "hours=9"])
    assert [one.size for one in sizes] == ["tiny", "base", "large"] and {one.name for one in sizes} == {"wai2025"}
    hours_of = {"tiny": 7, "base": 14, "large": 30}
    found = choose_plan(config, [], sizes, lambda one: 3600 * hours_of[one.size] * one.folds / 5)
    assert [one.config.size for one in found] == ["large"] * 4 + ["base"] * 4 + ["tiny"]
    assert found[-1].given_up == "size=tiny" and found[-1].config.folds == 5 and found[-1].config.tta == "flip"
    assert in_sizes(config, ["preset=wai2025", "size=base"]) == [config]


def test_a_plan_is_kept_for_the_same_line_and_for_the_runs_own_settings_and_for_no_other():
    config = load_config([*WORDS, "hours=60"])
    plan = choose_plan(config, [], [config], lambda one: hours.SHARE * cost(one))[-1].config
    assert kept_plan(config, []) is None
    keep_plan(config, plan)
    assert kept_plan(config, []) == plan and kept_plan(plan, []) == plan
    only = dataclasses.replace(config, fold="1")
    assert kept_plan(only, []) == dataclasses.replace(plan, fold="1")
    for other in (["hours=61"], ["hours=60", "tta=d4"], ["hours=60", "members.swin.lr=1e-4"]):
        another = load_config([*(word for word in WORDS if word.split("=")[0] != other[-1].split("=")[0]), *other])
        assert kept_plan(another, []) is None
    assert kept_plan(dataclasses.replace(config, overwrite=True), []) is None


@pytest.mark.parametrize("key", ["requested", "chosen", "size", "epochs"])
def test_a_plan_that_lacks_something_is_made_anew(home, key):
    config = load_config([*WORDS, "hours=60"])
    keep_plan(config, config)
    path = home / "folds/demo/hours.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in found.items() if name not in (key, "seal")}))
    assert kept_plan(config, []) is None


def test_jobs_end_when_the_last_of_them_does_and_each_is_begun_by_the_worker_that_is_free():
    assert makespan([3, 2, 2, 1], 2) == 4 and makespan([1, 2, 2, 3], 2) == 5
    assert makespan([3, 1, 2, 2], 9) == 3 and makespan([5], 1) == 5


def test_a_runs_seconds_are_its_images_by_what_each_takes():
    config = load_config(
        ["preset=demo", "members.swin=null", "evidence_rows=0", "threshold_on=clean", "tta=flip", "folds=4"]
    )
    recipe, speed, counts = config.members["convnext"], Speed(0.01, 0.001, 0.1), RowCounts(80, 40)
    assert job_images(config, recipe, JobRows(60, 20, 40), False, views=2) == (7 * 48, 120)
    for at_once, rounds in ((1, 4), (2, 2), (3, 2), (4, 1)):
        nothing = run_seconds(config, counts, False, {"convnext": Speed(0, 0)}, 1) - 4 * JOB
        found = run_seconds(config, counts, False, {"convnext": speed}, at_once) - nothing
        slower = 1 if at_once == 1 else BESIDE
        assert found == pytest.approx(120 * 0.1 + slower * rounds * (JOB + 7 * 48 * 0.01 + (120 + 7 * 20) * 0.001))


def test_steps_are_measured_once_for_each_recipe_whatever_its_epochs(monkeypatch):
    config = load_config([*TINY, "threads=1"])
    dataset, measured = read_tables(config), []
    engine = LocalEngine(config)
    original = engine.speeds
    monkeypatch.setattr(engine, "speeds", lambda one, data: measured.append(list(one.members)) or original(one, data))
    estimate = estimator(engine, dataset, RowCounts(60, 24))
    whole = estimate(config)
    members = {name: dataclasses.replace(one, epochs=2000) for name, one in config.members.items()}
    assert estimate(dataclasses.replace(config, members=members)) > 2 * whole > 0
    assert measured == [["convnext", "swin"]]


def line(**words):
    given = dict(word.split("=", 1) for word in TINY) | words
    return [f"{key.replace('__', '.')}={value}" for key, value in given.items()]


def test_a_line_too_long_for_its_hours_is_refused_and_writes_no_plan(home):
    result = inside(home, *line(hours="0.0001"))
    assert result.returncode == 2 and "hours=0.0001 is too little" in result.stderr
    assert not list(home.glob("folds/*/hours.json"))


@pytest.mark.slow
def test_when_time_runs_out_what_stands_is_scored_and_the_same_line_goes_on_by_the_same_plan(home):
    words = line(hours="0.022", jobs="4", members__swin__epochs="9000")
    config = load_config(words)
    keep_plan(config, config)  # all of it, which takes far longer
    first = done(home, *words)
    assert "what follows is without swin. The same line goes on with the rest." in first
    trained = [(home / f"folds/{config.name}/convnext/fold{fold}/done.json").read_bytes() for fold in range(3)]
    submission = (home / "submissions/submission.csv").read_bytes()
    assert "3 jobs of 6 are not finished, the first swin fold 0" in first
    second = done(home, *words)
    assert "what follows is without swin" in second and "Measuring" not in first + second
    assert (home / "submissions/submission.csv").read_bytes() == submission
    assert trained == [(home / f"folds/{config.name}/convnext/fold{fold}/done.json").read_bytes() for fold in range(3)]
