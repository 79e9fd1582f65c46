"""A report is written whole, again only when what it shows has changed, and holds nothing that no longer applies."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from competition.report import style
from competition.report.metrics_json import plain
from competition.report.write import write_report
from competition.scoring.evaluation import evaluate
from competition.scoring.metrics import f1
from tests.report.runs import analysis, facts, judged, write_histories

ALWAYS = {
    "metrics.json",
    "report.html",
    "figures.json",
    "epoch_training_curves.png",
    "batch_training_curves.png",
    "confusion_matrix.png",
    "roc_curve.png",
    "pr_curve.png",
    "calibration.png",
    "threshold.png",
}


@pytest.fixture(scope="module", autouse=True)
def coarse():
    """Figures of few pixels: here it matters when they are drawn, not what they show."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", 40)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A written report: its folder and what it was written from."""
    folder = tmp_path_factory.mktemp("run")
    oof = judged()
    inputs = (oof, judged(120, seed=1, ids="test/{}.jpg"), write_histories(folder, batches=3), facts(oof))
    assert write_report(folder / "report", *inputs) == folder / "report" / "report.html"
    return folder / "report", inputs


def state(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


def metrics_of(folder):
    def refuse(word):
        raise AssertionError(word)

    return json.loads((folder / "metrics.json").read_text(), parse_constant=refuse)


def test_a_report_holds_its_page_its_numbers_and_its_figures_and_the_stamp_is_last(run):
    found = state(run[0])
    assert set(found) == ALWAYS | {"agreement.png", "mistakes.png", "shift.png", "robustness.png", "sources.png"}
    assert max(found, key=found.get) == "figures.json"


def test_the_same_inputs_write_nothing(run):
    folder, inputs = run
    before = state(folder)
    write_report(folder, *inputs)
    assert state(folder) == before


def test_a_lost_file_is_made_again_with_the_same_bytes(run):
    folder, inputs = run
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.html").unlink()
    write_report(folder, *inputs)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def change_probability(oof, test, histories, run):
    probs = {name: prob.copy() for name, prob in oof.probs.items()}
    probs["swin"][7] *= 0.5
    return dataclasses.replace(oof, probs=probs), test, histories, run


def change_image(oof, test, histories, run):
    return (
        dataclasses.replace(oof, thumbnails=lambda rows: [np.zeros((9, 9, 3), np.uint8)] * len(rows)),
        test,
        histories,
        run,
    )


def forget_test(oof, test, histories, run):
    return oof, None, histories, run


def add_note(oof, test, histories, run):
    return oof, test, histories, dataclasses.replace(run, notes=["one more"])


def change_test_score(oof, test, histories, run):
    return oof, test, histories, dataclasses.replace(run, test_scores=run.test_scores * 0.5)


def change_oof_score(oof, test, histories, run):
    return oof, test, histories, dataclasses.replace(run, oof_scores=run.oof_scores * 0.5)


def change_verdict(oof, test, histories, run):
    return oof, test, histories, dataclasses.replace(run, analysis=analysis(verdict="label shift"))


CHANGES = [change_probability, change_image, forget_test, add_note, change_test_score, change_oof_score, change_verdict]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_in_what_it_shows_writes_it_again(tmp_path, run, change):
    folder, inputs = run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    before = state(tmp_path)
    write_report(tmp_path, *change(*inputs))
    assert state(tmp_path)["report.html"] != before["report.html"]


def test_the_test_images_are_compared_with_the_models_own_scores_and_not_with_calibrated_ones(tmp_path, run):
    folder, (oof, test, histories, facts) = run
    probs = {name: np.clip(prob * 0.5, 0, 1) for name, prob in oof.probs.items()}
    write_report(tmp_path, dataclasses.replace(oof, probs=probs), test, histories, facts)
    assert (folder / "shift.png").read_bytes() == (tmp_path / "shift.png").read_bytes()
    assert (folder / "calibration.png").read_bytes() != (tmp_path / "calibration.png").read_bytes()


def test_figures_that_no_longer_apply_are_removed_and_other_files_are_not(tmp_path, run):
    folder, inputs = run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine.png").write_bytes(b"mine")
    oof = judged(names=("convnext",))
    oof = dataclasses.replace(oof, decision=oof.label)
    page = write_report(tmp_path, oof, None, {"convnext": inputs[2]["convnext"]}, facts(oof, test_rows=0))
    assert set(state(tmp_path)) == ALWAYS | {"mine.png"}
    assert "mistakes" not in page.read_text()


def test_metrics_hold_all_that_is_known_of_how_far_the_score_can_be_believed(run):
    folder, (*_, known) = run
    found = metrics_of(folder)["honest"]
    assert found == plain(dataclasses.asdict(known.analysis))
    assert found["threshold"]["rules"]["prior:0.31"]["test_rate"] is None
    assert [finding["level"] for finding in found["audit"]["findings"]] == ["alarm", "warning", "note"]


def test_metrics_are_those_of_the_given_decisions_for_the_last_and_of_their_threshold_for_the_others(run):
    folder, (oof, test, _, known) = run
    found = metrics_of(folder)
    for name, rows in (("oof", oof), ("test", test)):
        assert found[name]["ensemble"].pop("value") == f1(rows.label, rows.decision)
        assert found[name]["ensemble"] == evaluate(rows.label, rows.probs["ensemble"], rows.decision)
        cut = rows.probs["swin"] >= known.scores["swin"].threshold
        assert found[name]["swin"].pop("value") == f1(rows.label, cut)
        assert found[name]["swin"] == evaluate(rows.label, rows.probs["swin"], cut)
    assert found["agreement"]["members"] == ["convnext", "swin"]
    assert found["cv"]["ensemble"]["f1"] == known.scores["ensemble"].figures["f1"]
    low, high = known.scores["ensemble"].leaderboard
    assert found["leaderboard_held"] == (low <= found["test"]["ensemble"]["1"]["f1"] <= high)


def test_mistakes_are_the_wrong_rows_whose_class_got_the_least_probability_worst_first(run):
    folder, (oof, *_) = run
    found = metrics_of(folder)["mistakes"]
    of_truth = np.where(oof.label == 1, oof.probs["ensemble"], 1 - oof.probs["ensemble"])
    wrong = sorted(np.flatnonzero(oof.label != oof.decision), key=lambda row: of_truth[row])[:12]
    assert [mistake["id"] for mistake in found] == [oof.id[row] for row in wrong]
    assert [mistake["votes"]["swin"] for mistake in found] == [oof.probs["swin"][row] for row in wrong]


@pytest.mark.parametrize("only", [0, 1])
def test_rows_of_one_class_make_a_report_without_nan(tmp_path, only):
    oof = judged(40)
    oof = dataclasses.replace(oof, label=np.full(40, only))
    page = write_report(tmp_path / "report", oof, None, write_histories(tmp_path), facts(oof))
    assert metrics_of(page.parent)["oof"]["ensemble"]["roc_auc"] is None
    assert "nan" not in page.read_text().split("</style>")[1].split("data:image")[0].lower()


def test_images_that_cannot_be_read_leave_the_page_its_words(tmp_path):
    oof = judged(images=False)
    page = write_report(tmp_path / "report", oof, None, write_histories(tmp_path), facts(oof))
    assert not (page.parent / "mistakes.png").exists()
    assert metrics_of(page.parent)["mistakes"][0]["id"] in page.read_text()
