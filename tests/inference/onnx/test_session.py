import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from competition.commands.predict import open_engine
from competition.core.errors import UserError
from competition.core.intact import read_record_file, write_record_file
from competition.data.tta import TTA
from competition.inference.onnx.export import export
from competition.inference.onnx.session import BATCH, open_onnx_classifier
from competition.inference.torch_member import open_classifier
from tests.running import environment
from tests.runs import TINY, make_run, random_pictures

MEMBERS = {
    "rgb": dataclasses.replace(TINY["small_cnn"], store_size=40),
    "residual": dataclasses.replace(TINY["small_cnn"], view="residual", fit="crop", image_size=20, store_cap=64),
    "fourier": dataclasses.replace(TINY["small_cnn"], view="fourier", fit="crop", image_size=24),
}
CLOSE = 1e-5  # of a probability
PICTURES = random_pictures((3, 1), (7, 90), (33, 20), (32, 32), (101, 64), *[(30, 31)] * BATCH)
WITHOUT_TORCH = """
import sys
from competition.__main__ import main
status = main(sys.argv[1:])
print([name for name in ("torch", "timm", "competition.models.build", "competition.models") if name in sys.modules])
sys.exit(status)
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The home of an exported run of one member for each view."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(home))
        export(make_run(home, MEMBERS))
    return home


@pytest.fixture
def home(exported, tmp_path, monkeypatch):
    """A copy of it to change."""
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("tta", TTA)
def test_verdicts_are_torchs_under_every_set_of_views_for_pictures_of_any_size(home, tta):
    assert export(make_run(home, MEMBERS, tta=tta)).written == (() if tta == "flip" else ("telltale.json",))
    verdicts, wanted = (
        open_onnx_classifier("made").classify(PICTURES),
        open_classifier("made", "cpu").classify(PICTURES),
    )
    assert {verdict.positive for verdict in wanted} == {True, False}
    for found, expected in zip(verdicts, wanted, strict=True):
        assert found.prob == pytest.approx(expected.prob, abs=1e-4)
        assert list(found.views) == list(MEMBERS)
        for member in MEMBERS:
            assert list(found.views[member]) == [view.name for view in TTA[tta]]
            assert found.members[member] == pytest.approx(expected.members[member], abs=CLOSE)
            assert found.views[member] == pytest.approx(expected.views[member], abs=CLOSE)


def test_a_picture_alone_gets_the_verdict_it_gets_among_others_and_none_get_none(home):
    classifier = open_onnx_classifier("made")
    together = classifier.classify(PICTURES)
    for row in (0, 1, len(PICTURES) - 1):
        assert classifier.classify([PICTURES[row]])[0].prob == pytest.approx(together[row].prob, abs=1e-6)
    assert classifier.classify([]) == [] and classifier.members["rgb"].see([]).logits.shape == (2, 0)


def test_the_export_alone_is_enough_and_no_model_code_is_imported(home):
    import cv2

    picture, whole = home / "a picture.png", open_onnx_classifier("made").classify([PICTURES[4]])[0]
    cv2.imwrite(str(picture), PICTURES[4][..., ::-1])
    for path in (home / "folds/made").iterdir():
        if path.name != "export":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    words = ["predict", "name=made", "engine=onnx", "format=json", str(picture)]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words],
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0 and result.stderr == ""
    answer, imported = result.stdout.strip().rsplit("\n", 1)
    assert imported == "[]"
    row = json.loads(answer)["answers"][0]
    assert row["probability"] == pytest.approx(whole.prob, abs=1e-6) and row["threshold"] == 0.45


def test_the_fold_of_a_run_is_named_when_it_was_trained_again(home):
    done = home / "folds/made/residual/fold1/done.json"
    write_record_file(done, read_record_file(done) | {"key": "another"})
    with pytest.raises(UserError, match=r"residual/fold1 was trained again\): run ./run.sh export name=made again"):
        open_onnx_classifier("made")


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("export/rgb.onnx", None, "rgb.onnx is missing or damaged: run ./run.sh export name=made again"),
        ("export/rgb.onnx", b"half", "rgb.onnx is missing or damaged"),
        ("export/telltale.json", None, r"The run 'made' has no export in .*: run ./run.sh export name=made"),
        ("export/telltale.json", b'{"format', "telltale.json is damaged or of another version: run ./run.sh export"),
        ("export/telltale.json", b'{"format": 0}', "is damaged or of another version"),
    ],
)
def test_an_export_that_is_missing_or_damaged_is_one_sentence(home, path, content, said):
    (home / "folds/made" / path).unlink()
    if content is not None:
        (home / "folds/made" / path).write_bytes(content)
    with pytest.raises(UserError, match=said):
        open_onnx_classifier("made")


def test_whoever_has_only_a_copy_of_an_export_is_told_another_remedy(home, tmp_path):
    for damaged in (False, True):
        if damaged:
            shutil.copytree(home / "folds/made/export", tmp_path / "copy")
            (tmp_path / "copy/rgb.onnx").write_bytes(b"half")
        with pytest.raises(UserError, match=": copy it again"):
            open_onnx_classifier("made", tmp_path / "copy", remedy="copy it again")


def test_another_threshold_makes_the_export_outdated(home):
    path = home / "folds/made/run.json"
    write_record_file(path, read_record_file(path) | {"threshold": 0.9})
    with pytest.raises(UserError, match=r"is not of 'made' as it is now \(its members, threshold or views changed\)"):
        open_onnx_classifier("made")
    export("made")
    assert open_onnx_classifier("made").record.threshold == 0.9


def test_a_gpu_and_a_missing_package_are_said_before_anything_is_read(home, monkeypatch):
    with pytest.raises(UserError, match=r"engine=onnx runs on the CPU"):
        open_engine("onnx", "made", "cuda")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs the package onnxruntime, .* pip install onnx onnxscript onnxruntime"):
        open_engine("onnx", "made", "auto")


def test_pictures_of_one_colour_have_torchs_verdict_as_far_as_rounding_tells(home):
    # Taking out the mean leaves nothing but rounding in such a picture's spectrum, which no two programs do alike.
    flat = [np.full((side, side, 3), level, np.uint8) for side in (1, 40) for level in (0, 128, 255)]
    for found, expected in zip(
        open_onnx_classifier("made").classify(flat), open_classifier("made", "cpu").classify(flat), strict=True
    ):
        assert found.members == pytest.approx(expected.members, abs=CLOSE)
        assert found.members["rgb"] == pytest.approx(expected.members["rgb"], abs=1e-5)
