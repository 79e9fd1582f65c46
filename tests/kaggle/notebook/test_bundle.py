"""A bundle runs where there is no network and no Telltale, and gives the bytes of the run that it was made from."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest

from competition.core.intact import read_record_file, write_record_file
from competition.kaggle.notebook.placeholder import main as placeholder
from competition.kaggle.notebook.session_setup import MANIFEST
from tests.kaggle_world import World
from tests.running import done_inside, everything, inside

WORDS = ["bundle", "name=run", "competition=cats"]
REF, KERNEL = "alice/telltale-run-bundle", "alice/telltale-run-predict"


@pytest.fixture
def home(ran, tmp_path, monkeypatch):
    """That run alone, on a machine whose user has no Kaggle account."""
    shutil.copytree(ran / "folds/run", tmp_path / "folds/run")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("KAGGLE_", "XDG_"))]:
        monkeypatch.delenv(name)
    return tmp_path


def packed(files, folder):
    """Return a competition's files with every folder and table in an archive of its own."""
    found = {}
    for name, path in files.items():
        found[f"{name.split('/')[0]}.zip"] = target = folder / f"{name.split('/')[0]}.zip"
        with zipfile.ZipFile(target, "a") as archive:
            archive.write(path, name.split("/")[-1])
    return found


@pytest.mark.slow
def test_the_bundle_pushed_by_the_real_command_line_runs_offline_in_both_layouts_with_the_runs_bytes(ran, tmp_path):
    drawn, own = next((ran / "data").iterdir()), (ran / "submissions/submission.csv").read_bytes()
    assert len({line[-1:] for line in own.splitlines()[1:]}) == 2
    files = {
        path.relative_to(drawn).as_posix(): path
        for path in drawn.rglob("*.*")
        if path.name not in ("test_labels.csv", "demo.json")
    }
    with World(image_without=("timm", "albumentations", "albucore")) as world:
        world.add_competition("cats", files=files)
        done = world.telltale(ran, *WORDS, "push=true")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith(f"Submit      ./run.sh submit kernel={KERNEL} name=run competition=cats\n")
        kernel = world.kernel(KERNEL)
        assert {path.name for path in kernel.output.iterdir()} == {"submission.csv", "submission_images.csv"}, (
            kernel.log
        )
        assert (kernel.output / "submission.csv").read_bytes() == own
        pushed = {
            key: kernel.request[key]
            for key in (
                "isPrivate",
                "enableInternet",
                "enableGpu",
                "machineShape",
                "datasetDataSources",
                "competitionDataSources",
                "kernelType",
            )
        }
        assert pushed == {
            "isPrivate": True,
            "enableInternet": False,
            "enableGpu": True,
            "kernelType": "notebook",
            "machineShape": "NvidiaTeslaT4",
            "datasetDataSources": [REF],
            "competitionDataSources": ["cats"],
        }
        sent = len(world.requests("PUT /upload"))
        again = world.telltale(ran, *WORDS, "push=true")  # all of it stands
        assert again.returncode == 0 and "(unchanged)" in again.stdout
        assert (world.kernel(KERNEL).version, len(world.requests("PUT /upload"))) == (1, sent)
        world.set(layout="old")
        world.add_competition("cats", files=packed(files, tmp_path))  # as older competitions are mounted
        done = world.kaggle("kernels", "push", "-p", ran / "submissions/run/bundle/kernel")
        kernel = world.wait_kernel(KERNEL)
        assert (kernel.version, kernel.status) == (2, "COMPLETE"), kernel.log
        assert "Unpacking /kaggle/input/cats/test_data_v2.zip" in kernel.log
        assert (kernel.output / "submission.csv").read_bytes() == own


def test_the_notebook_is_valid_and_says_what_it_is_and_nothing_of_this_machine(home):
    config = home / "folds/run/config.yaml"
    text = config.read_text().replace("pretrained: 'false'", "pretrained: /home/me/w.safetensors")
    config.write_text(text)
    done_inside(home, *WORDS, "owner=alice", "internet=true", "accelerator=none", "out=here")
    told = json.loads((home / "here/kernel/kernel-metadata.json").read_text())
    assert told["id"] == KERNEL and told["title"].replace(" ", "-") == KERNEL.split("/")[1]
    assert (told["enable_internet"], told["enable_gpu"], "machine_shape" in told) == ("true", "false", False)
    assert told["docker_image_pinning_type"] == "latest"
    sent = (home / "here/dataset/run.config.yaml").read_text()
    assert "/home/me" in text and "/home/me" not in sent and str(home) not in sent
    notebook = nbformat.read(home / "here/kernel" / told["code_file"], as_version=4)
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown"] + ["code"] * 4
    assert "test set of **cats** with the run **run**" in notebook.cells[0].source


def test_a_bundle_is_flat_and_whole_and_left_alone_until_the_run_changes(home):
    said = done_inside(home, *WORDS, "owner=alice")
    assert "9 models" in said and said.endswith("./run.sh bundle name=run competition=cats owner=alice push=true\n")
    data = home / "submissions/run/bundle/dataset"
    assert all(path.is_file() for path in data.iterdir())
    packed = json.loads((data / MANIFEST).read_text())["files"]
    assert set(packed) == {path.name for path in data.iterdir()} - {MANIFEST, "dataset-metadata.json"}
    weights = "run.convnext.fold0.model.safetensors"
    assert (data / weights).samefile(home / packed[weights]["place"])  # not a second copy of gigabytes
    stands = everything(home)
    assert "(unchanged)" in done_inside(home, *WORDS, "owner=alice") and everything(home) == stands
    record = home / "folds/run/run.json"
    record.write_text(record.read_text().replace('"threshold"', '"threshold" '))  # which says the same
    assert "(unchanged)" in done_inside(home, *WORDS, "owner=alice")
    write_record_file(record, read_record_file(record) | {"threshold": 0.25})
    assert "(unchanged)" not in done_inside(home, *WORDS, "owner=alice")
    assert (data / "run.run.json").read_bytes() == record.read_bytes()
    assert sorted(path.name for path in data.parent.parent.iterdir()) == ["bundle"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (WORDS, "say owner=USER. (There are no Kaggle credentials on this machine"),
        ([*WORDS, "owner=alice", "push=true"], "There are no Kaggle credentials on this machine"),
        (["bundle", "name=run", "owner=alice"], "say competition=SLUG"),
        (
            ["bundle", "name=run", "owner=a/b", "competition=https://www.kaggle.com/competitions/cats"],
            "owner=a/b is no",
        ),
        (["bundle", "name=run", "owner=alice", "competition=a b"], "competition=a b cannot be a competition"),
        ([*WORDS, "owner=alice", "push=yes"], "push=yes is not true or false"),
        ([*WORDS, "owner=alice", "out=folds"], "folds holds something else than a bundle"),
        ([*WORDS, "owner=alice", "out=folds/run/run.json/b"], "run.json is a file where the bundle's folder is to be"),
        (["bundle", "name=rum", "owner=alice", "competition=cats"], "did you mean 'run'?"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(home, words, said):
    before = everything(home)
    result = inside(home, *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert everything(home) == before and not list(Path(home).rglob(".*building"))


def test_a_test_set_that_kaggle_hides_gets_a_placeholder_and_no_other(ran, home, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_HOME", str(home))
    drawn, root, out = next((ran / "data").iterdir()), home / "mounted", home / "submission.csv"
    root.mkdir()
    words = ["run", str(root), str(out)]
    shutil.copy(drawn / "test.csv", root)  # ids whose images are not there
    ids = (drawn / "test.csv").read_text().split()[1:]
    assert placeholder(words) == 0 and out.read_text().split() == ["id,label", *(f"{one},1" for one in ids)]
    assert "IS A PLACEHOLDER, no prediction: 24 rows, all of the label 1." in capsys.readouterr().out
    (root / "test.csv").write_text("id\n")
    assert placeholder(words) == 0 and out.read_text() == "id,label\n"
    (root / "sample_submission.csv").write_text("id,label\nhidden.jpg,0.5\n")
    assert placeholder(words) == 0 and out.read_text() == "id,label\nhidden.jpg,0.5\n"
    out.unlink()
    assert placeholder(["run", str(drawn), str(out)]) == 1 and not out.exists()


@pytest.mark.parametrize("name", ["swin/fold1/model.safetensors", "swin/fold1/evidence.npz", "folds.csv"])
def test_a_run_whose_files_are_gone_gives_no_bundle(home, name):
    (home / "folds/run" / name).unlink()
    result = inside(home, *WORDS, "owner=alice")
    assert result.returncode == 2 and f"{name} is gone" in result.stderr
    assert not list((home / "submissions").rglob("*.json"))


@pytest.mark.parametrize("spoilt", [lambda text: text * 2, lambda text: text[: text.rindex("\n", 0, -1) + 1]])
def test_a_run_whose_folds_are_not_its_own_gives_no_bundle(home, spoilt):
    folds = home / "folds/run/folds.csv"
    text = folds.read_text()
    folds.unlink()  # its content is shared by the runs of other tests
    folds.write_text(spoilt(text))
    result = inside(home, *WORDS, "owner=alice")
    assert result.returncode == 2 and str(folds) in result.stderr and result.stderr.count("\n") == 1
    assert not list((home / "submissions").rglob("*.json"))


def test_folds_that_a_spreadsheet_saved_again_give_the_same_bundle(home):
    assert inside(home, *WORDS, "owner=alice").returncode == 0
    bundled = home / "submissions/run/bundle/dataset/run.folds.csv"
    content = bundled.read_bytes()
    folds = home / "folds/run/folds.csv"
    text = folds.read_text()
    folds.unlink()  # its content is shared by the runs of other tests
    folds.write_bytes(text.replace("\n", "\r\n").encode())
    assert inside(home, *WORDS, "owner=alice").returncode == 0
    assert bundled.read_bytes() == content
