"""A packed page: what the folder holds, and that it answers as this machine does where there is nothing else."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from competition.app.limits import Limits
from competition.app.pack import check_place
from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.inference.onnx.session import read_manifest
from tests.app.hostile import JUDGED
from tests.data.images.signing import encoded, made, signatory, signed
from tests.running import ROOT, done_inside, everything, inside
from tests.runs import make_run, random_pictures
from tests.standin.image import link_packages, required

NET = {"backbone": "small_cnn", "backbone_args": {"widths": [4, 8]}, "image_size": 32}
MEMBERS = {"whole": Recipe(**NET), "spectrum": Recipe(**NET, view="fourier", fit="crop")}

pytest.importorskip("gradio", reason="the extra 'app' is not installed")
pytest.importorskip("c2pa", reason="the extra 'app' is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("packed")
    make_run(home, MEMBERS)
    (home / "root.pem").write_text(signatory().root)
    done_inside(home, "app", "name=made", "pack=space", "per_minute=100", "max_mb=5", "trust=root.pem")
    return home


@pytest.fixture
def pack(home):
    return home / "space"


def _text(pack: Path, name: str) -> str:
    return (pack / name).read_text(encoding="utf-8")


def test_a_pack_holds_what_a_space_and_docker_need_and_nothing_of_this_machine(pack, home):
    head = yaml.safe_load(_text(pack, "README.md").split("---")[1])
    versions = dict(line.split("==") for line in _text(pack, "requirements.txt").splitlines())
    assert head["sdk"] == "gradio" and head["sdk_version"] == versions["gradio"] and head["app_file"] == "app.py"
    assert len(head["short_description"]) <= 60
    assert not {"torch", "torchvision", "timm", "albumentations", "captum", "matplotlib"} & versions.keys()
    assert "USER user" in _text(pack, "Dockerfile") and "EXPOSE 7860" in _text(pack, "Dockerfile")
    assert "main(Path(__file__).resolve().parent, 'made', max_mb=5, per_minute=100)" in _text(pack, "app.py")
    assert sorted(path.name for path in (pack / "model").iterdir()) == ["spectrum.onnx", "telltale.json", "whole.onnx"]
    for path in pack.rglob("*"):
        assert path.suffix != ".pyc" and not path.is_symlink()
        raw = path.read_bytes() if path.is_file() else b""
        assert str(home).encode() not in raw and str(ROOT).encode() not in raw, path


def test_a_pack_that_would_not_change_is_left_alone_and_an_older_one_is_replaced(pack, home):
    from competition.app.pack import make_pack

    exported = home / "folds/made/export"
    manifest, before, trust = read_manifest(exported), everything(pack), _text(pack, "trust.pem")
    assert not make_pack(exported, manifest, pack, Limits(5, 100), trust)[1] and everything(pack) == before
    (pack / "competition" / "__pycache__").mkdir()
    (pack / "competition" / "__pycache__" / "x.pyc").write_bytes(b"")
    assert make_pack(exported, manifest, pack, Limits(5, 100))[1] and not (pack / "trust.pem").exists()
    assert make_pack(exported, manifest, pack, Limits(5, 7))[1]
    assert "per_minute=7" in _text(pack, "app.py") and not list(pack.rglob("__pycache__"))
    assert make_pack(exported, manifest, pack, Limits(5, 100), trust)[1] and everything(pack).keys() == before.keys()
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["full", "extended", "full/letter.txt"])
def test_a_folder_with_anything_else_is_refused_and_left_as_it_is(pack, home, name):
    (home / "full").mkdir(exist_ok=True)
    (home / "full" / "letter.txt").write_text("Dear reader")
    if not (home / "extended").exists():
        shutil.copytree(pack, home / "extended")
        (home / "extended" / ".git").mkdir()
        (home / "extended" / ".git" / "HEAD").write_text("mine")
    before = everything(home / name) if (home / name).is_dir() else None
    result = inside(home, "app", "name=made", f"pack={name}")
    assert result.returncode == 2 and name in result.stderr and result.stderr.count("\n") == 1
    assert before is None or everything(home / name) == before


def test_a_folder_that_cannot_be_replaced_as_a_whole_is_refused(tmp_path, monkeypatch):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    for folder in (tmp_path, Path.cwd()):
        with pytest.raises(UserError, match="in use as a whole"):
            check_place(folder)
    monkeypatch.setattr("os.path.ismount", lambda path: path.name == "mounted")
    with pytest.raises(UserError, match="in use as a whole"):
        check_place(tmp_path / "mounted")


def test_settings_of_a_server_have_no_place_in_a_pack(tmp_path):
    from competition.commands.app import main

    for word in ("port=80", "host=0.0.0.0", "password=secret"):
        with pytest.raises(UserError, match="leave port="):
            main([f"pack={tmp_path}", word])


def test_where_there_is_nothing_but_the_pack_and_its_requirements_it_answers_as_here(pack, home, tmp_path):
    if subprocess.run(["unshare", "-rn", "curl", "--version"], capture_output=True).returncode:
        pytest.skip("this machine makes no network namespaces, or lacks curl")
    files = [tmp_path / name for name in JUDGED]
    for path in files:
        path.write_bytes(JUDGED[path.name])
    for number, pixels in enumerate(random_pictures((64, 64), (40, 90), (300, 200))):
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    files.append(tmp_path / "signed.jpg")
    files[-1].write_bytes(signed(encoded(), made("digitalCapture")))
    words = ("name=made", "engine=onnx", "format=json", "trust=root.pem")
    here = json.loads(done_inside(home, "predict", *words, *map(str, files)))
    assert here["answers"][-1]["credentials"] == "human (Acme)"
    python = link_packages(tmp_path / "env", required(_text(pack, "requirements.txt").splitlines()))
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 1
    there = tmp_path / "elsewhere" / "space"
    shutil.copytree(pack, there)
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, str(ROOT / "tests/app/visit_pack.py"), python, there, *files],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert "torch" not in done.stderr and answers["status"] == 0 and answers["left"] == ["space"]
    assert answers["stranger"] == {"status": 401}
    by_curl, by_client = json.loads(answers["lines"][0]), ast.literal_eval(answers["lines"][1])
    assert by_curl | {"file": files[0].name} == by_client == answers["gradio"][0]
    for way in ("gradio", "posted"):
        for found, wanted in zip(answers[way], here["answers"], strict=True):
            assert found == wanted | {"file": Path(wanted["file"]).name}
