"""What the first release left (tests/fixtures/README.md) is continued, read, or refused in one sentence."""

import json
import shutil
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from competition.core.files import read_json
from competition.data.images import cache
from competition.data.images.decode import DECODER, fit_store, read_image
from competition.data.images.stores import StoreSpec
from competition.kaggle.submission.cards import cards
from tests.running import done_inside, everything, inside

RELEASE = Path(__file__).parent / "fixtures" / "first_release.tar.xz"
DEMO = "data/demo-0-30-12"
DRAWN = ["preset=demo", "demo.train_scenes=30", "demo.test_scenes=12"]
# The settings of then, those that presets have meanwhile in other values included; the images as data of one's own.
LINE = [
    "preset=demo",
    "demo.draw=false",
    f"data={DEMO}",
    "epochs=2",
    "batch_size=8",
    "jobs=1",
    "folds=2",
    "image_size=32",
    "fit=resize",
    "augment=flips",
    "checkpoint_seconds=0",
    "report=false",
    "members.convnext.backbone_args={patch_size: 2, depths: [1, 1, 1, 1], dims: [4, 8, 8, 8]}",
    "members.convnext.view=residual",
    "members.swin=null",
    "members.cnn.backbone=small_cnn",
    "members.cnn.backbone_args={widths: [4, 8, 8]}",
    "members.cnn.view=rgb",
]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(RELEASE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def home(unpacked, tmp_path):
    """The home that the first release left, to change at will."""
    return Path(shutil.copytree(unpacked, tmp_path / "home"))


def jobs(home, *patterns):
    """Return what the jobs' files hold."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for pattern in patterns
        for path in sorted(home.glob(f"folds/{pattern}"))
    }


def test_a_finished_run_is_continued_and_nothing_is_trained_again(home):
    trained = jobs(home, "first/*/*/model.safetensors", "first/*/*/oof.csv", "first/*/*/history.jsonl")
    assert len(trained) == 12
    assert "Submission  submissions/submission.csv, 24 rows" in done_inside(home, *LINE, "name=first")
    assert jobs(home, "first/*/*/model.safetensors", "first/*/*/oof.csv", "first/*/*/history.jsonl") == trained


def test_a_killed_run_goes_on_from_its_resume_point(home):
    done, begun = jobs(home, "half/convnext/fold0/model.safetensors"), home / "folds/half/cnn/fold0/history.jsonl"
    first = begun.read_text()
    assert (begun.parent / "resume.pt").exists() and len(first.splitlines()) == 1
    done_inside(home, *LINE, "name=half")
    assert jobs(home, "half/convnext/fold0/model.safetensors") == done
    assert begun.read_text().startswith(first) and len(begun.read_text().splitlines()) == 2
    assert (begun.parent / "done.json").exists() and not (begun.parent / "resume.pt").exists()


def test_results_of_other_settings_are_refused_in_one_sentence_and_nothing_changes(home):
    before = everything(home / "folds/first")
    refused = inside(home, *LINE, "name=first", "members.cnn.lr=0.01")
    assert refused.returncode == 2 and "holds results of other settings" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and everything(home / "folds/first") == before


def test_the_demo_of_then_is_refused_in_one_sentence(home):
    before = everything(home)
    refused = inside(home, *DRAWN, "name=other")
    assert refused.returncode == 2 and "as another version of Telltale drew it" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and everything(home) == before


def test_the_cache_of_then_is_read_where_the_decoder_is_the_same_and_is_right_in_any_case(home, monkeypatch):
    decoded = []
    monkeypatch.setattr(cache, "read_image", lambda path: decoded.append(path) or read_image(path))
    names = (home / DEMO / "test.csv").read_text().split()[1:]
    paths = [str(home / DEMO / name) for name in names]
    kept = home / "folds/.cache"
    (maker,) = {read_json(path)["decoder"] for path in kept.glob("*/manifest.json")}
    (store,) = cache.open_stores(paths, [StoreSpec(32)], kept, 1.0, "images").values()
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(store[row], fit_store(read_image(path), 32))
    assert bool(decoded) == (maker != DECODER)


def test_a_run_of_then_answers_for_images_and_for_its_test_set(home):
    answers = json.loads(done_inside(home, "predict", "name=first", "format=json", f"{DEMO}/test_data_v2"))
    assert len(answers["answers"]) == 24 and answers["unreadable"] == {}
    done_inside(home, "predict", "name=first", f"test={DEMO}", "out=again.csv")
    assert (home / "again.csv").read_bytes() == (home / "submissions/submission.csv").read_bytes()


def test_the_page_shows_a_run_of_then(home, monkeypatch):
    pytest.importorskip("captum", reason="the extra 'app' is not installed")
    from competition.app.answer import answer
    from competition.app.cards import about, card
    from competition.app.evidence import heat_picture
    from competition.inference.torch_member import open_classifier

    monkeypatch.setenv("TELLTALE_HOME", str(home))
    classifier = open_classifier("first", "cpu")
    image = next((home / DEMO / "test_data_v2").iterdir())
    answered = answer(classifier, image.read_bytes(), image.name, evidence=partial(heat_picture, classifier))
    assert "tt-verdict" in card(answered, classifier.record, classifier.networks)
    assert "first" in about(classifier.record, classifier.networks)


def test_its_report_is_made_and_its_threshold_set_anew(home):
    config = ["config=folds/first/config.yaml", "demo.draw=false", f"data={DEMO}"]
    trained = jobs(home, "first/*/*/model.safetensors")
    assert "folds/first/report/report.html" in done_inside(home, "report", *config)
    assert "0.4 (.4000): as set" in done_inside(home, "ensemble", *config, "threshold=0.4")
    assert jobs(home, "first/*/*/model.safetensors") == trained


def test_its_card_is_read_and_its_ledger_is_empty(home):
    ((submission, card),) = cards(home / "submissions")
    assert submission.parent.name == card["name"] == "first" and card["cv"]["ensemble"]["f1"] > 0
    assert "Nothing is submitted yet" in done_inside(home, "ledger")


def test_its_bundle_is_made_anew_in_its_place(home):
    manifest = home / "submissions/first/bundle/dataset/telltale.json"
    then = read_json(manifest)
    told = done_inside(home, "bundle", "name=first", "competition=cats", "owner=alice")
    assert "submissions/first/bundle" in told and read_json(manifest)["key"] != then["key"]
    assert {path.suffix for path in manifest.parent.iterdir()} >= {".whl", ".safetensors"}


@pytest.mark.slow
def test_it_is_exported(home):
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    assert "Written to folds/first/export" in done_inside(home, "export", "name=first")
    done_inside(home, "predict", "name=first", "engine=onnx", f"{DEMO}/test_data_v2")
