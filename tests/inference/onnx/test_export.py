import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.commands.export import main
from competition.core.errors import UserError
from competition.core.files import write_json
from competition.core.intact import read_record_file
from competition.inference.onnx import graph
from competition.inference.onnx.export import STAGES, check_images, export
from competition.inference.onnx.graph import MeanLogit, write_onnx
from competition.inference.onnx.session import open_session, run_session
from competition.models.views import fourier
from competition.models.views.fourier import Fourier, RealFourier
from tests.running import everything
from tests.runs import TINY, make_run, random_model, random_pictures

SMALL = dataclasses.replace(TINY["small_cnn"], image_size=20)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 40), st.integers(0, 99))
def test_the_spectrum_by_matrix_products_is_that_of_the_view(size, seed):
    pictures = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))
    found, wanted = RealFourier(size)(pictures), Fourier()(pictures)
    centre = size // 2  # there the mean was taken out, and what is left is rounding
    found[..., centre, centre] = wanted[..., centre, centre]
    assert torch.allclose(found, wanted, atol=2e-3)


OFTEN = ("convnext", "swin", "small_cnn")  # the others run with ./run.sh test all


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in OFTEN else pytest.mark.slow) for n in TINY])
def test_every_kind_of_backbone_gives_torchs_logits_whatever_the_batch(name, tmp_path):
    model = random_model(TINY[name])
    write_onnx(MeanLogit([model], 32), 32, tmp_path / "a.onnx")
    session = open_session(tmp_path / "a.onnx")
    pixels = np.moveaxis(random_pictures(*[(32, 32)] * 7), -1, 1)
    with torch.no_grad():
        wanted = model(torch.from_numpy(pixels)).numpy()
    assert wanted.std() > 0.5
    for count in (1, 2, 7):
        logit = run_session(session, pixels[:count])
        assert logit.dtype == np.float32 and logit.shape == (count,)
        np.testing.assert_allclose(logit, wanted[:count], atol=1e-4)


def test_a_graph_averages_its_models_and_carries_no_path_of_the_machine(tmp_path):
    models = [random_model(SMALL, seed) for seed in range(3)]
    write_onnx(MeanLogit(models, 20), 20, tmp_path / "a.onnx")
    pixels = check_images(20)[0]
    with torch.no_grad():
        wanted = np.mean([model(torch.from_numpy(pixels)).numpy() for model in models], axis=0)
    np.testing.assert_allclose(run_session(open_session(tmp_path / "a.onnx"), pixels), wanted, atol=1e-5)
    assert b".py" not in (tmp_path / "a.onnx").read_bytes()


def test_large_weights_lie_beside_their_graph_and_both_are_known_by_digest(home, monkeypatch):
    monkeypatch.setattr(graph, "INLINE_BYTES", 1000)
    exported = export(make_run(home, {"cnn": SMALL}, folds=1))
    assert exported.written == ("cnn.onnx", "cnn.onnx.data", "telltale.json")
    assert list(exported.manifest.members["cnn"].digests) == ["cnn.onnx", "cnn.onnx.data"]
    onnx.checker.check_model(str(exported.folder / "cnn.onnx"))
    run_session(open_session(exported.folder / "cnn.onnx"), check_images(20)[0])


def test_an_export_that_would_change_nothing_writes_nothing_and_says_so(home, capfd):
    name = make_run(home, {"cnn": SMALL}, folds=1)
    main([f"name={name}"])
    out, err = capfd.readouterr()
    assert "Written to" in out and "cnn.onnx, telltale.json" in out and err == ""
    before = everything(home)
    main([f"name={name}"])
    assert "Nothing to do" in capfd.readouterr().out
    assert everything(home) == before


@pytest.mark.slow
def test_only_what_changed_is_exported_again_and_what_the_run_has_no_more_goes(home):
    export(make_run(home, {"cnn": SMALL, "other": SMALL}, folds=1))
    kept = (home / "folds/made/export/cnn.onnx").stat().st_mtime_ns
    wider = dataclasses.replace(SMALL, image_size=24)
    notes = []
    exported = export(make_run(home, {"cnn": SMALL, "third": wider}, folds=1), on_progress=notes.append)
    assert exported.written == ("third.onnx", "telltale.json") and len(notes) == 2 * len(STAGES)
    assert sorted(path.name for path in exported.folder.iterdir()) == ["cnn.onnx", "telltale.json", "third.onnx"]
    assert (exported.folder / "cnn.onnx").stat().st_mtime_ns == kept
    assert export(make_run(home, {"cnn": SMALL, "third": wider}, folds=1, tta="d4")).written == ("telltale.json",)
    (exported.folder / "cnn.onnx").write_bytes(b"damaged")
    assert export("made").written == ("cnn.onnx", "telltale.json")


def test_logits_unlike_torchs_are_refused_and_leave_the_export_as_it_was(home):
    class Shifted(RealFourier):
        def forward(self, x):
            return super().forward(x) + 0.5

    exported = export(make_run(home, {"cnn": dataclasses.replace(SMALL, view="fourier")}, folds=1))
    before = everything(exported.folder)
    write_json(home / "folds/made/cnn/fold0/done.json", {"key": "trained again"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fourier, "RealFourier", Shifted)
        with pytest.raises(UserError, match=r"gives other logits as ONNX than in torch \(by up to .* nothing is exp"):
            export("made")
    assert everything(exported.folder) == before
    assert [path.name for path in exported.folder.parent.glob(".telltale*")] == []


def test_the_comparison_with_the_runs_own_precision_is_told_apart(home):
    exported = export(make_run(home, {"cnn": dataclasses.replace(SMALL, precision="bf16")}, folds=1), device="cpu")
    member = exported.manifest.members["cnn"]
    assert member.precision == "bf16" and member.difference["logit"] < 1e-4 < member.difference["own_logit"]
    assert json.loads((exported.folder / "telltale.json").read_text())["run"] == read_record_file(
        home / "folds/made/run.json"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["name=mad"], "There is no finished run 'mad' in folds/; did you mean 'made'"),
        (["nam=made"], "There is no setting 'nam'"),
        (["made"], "'made' is not a setting"),
    ],
)
def test_an_export_that_cannot_be_is_one_sentence(home, words, said):
    make_run(home, {"cnn": SMALL}, folds=1)
    with pytest.raises(UserError, match=said):
        main(words)
    assert not (home / "folds/made/export").exists()


def test_weights_that_are_gone_are_one_sentence(home):
    make_run(home, {"cnn": SMALL}, folds=2)
    (home / "folds/made/cnn/fold1/model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no trained model any more: run the line"):
        export("made")


def test_a_folder_in_a_files_place_is_refused_before_any_file_is_replaced(home):
    exported = export(make_run(home, {"cnn": SMALL}, folds=1))
    (exported.folder / "telltale.json").unlink()
    (exported.folder / "telltale.json").mkdir()
    (exported.folder / "cnn.onnx").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"telltale\.json is a folder, where a file of the export is to be"):
        export("made")
    assert (exported.folder / "cnn.onnx").read_bytes() == b"damaged"
