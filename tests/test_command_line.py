"""What a user meets at the command line: every mistake is one sentence, status 2, and nothing written."""

import os
import shutil
import subprocess
import sys
import tomllib

import cv2
import numpy as np
import pandas as pd
import pytest

from competition.__main__ import main
from competition.core.config import load_config
from competition.core.config_forms import as_yaml
from tests.running import ROOT, SHARED, TINY, done, done_inside, environment, everything, inside

FAST = [
    "preset=small",
    "epochs=1",
    "jobs=1",
    "folds=2",
    "members=null",
    "backbone=resnet18",
    "image_size=16",
    "backbone_args={channels: [4, 8, 8, 8]}",
    "view=rgb",
    "fit=resize",
    "augment=flips",
    "batch_size=8",
    "tta=none",
    "precision=fp32",
    "memory_format=contiguous",
    "store_size=0",
]


def draw(path, seed, size=(20, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A Kaggle-like competition of 16 training and 6 test images."""
    root = tmp_path_factory.mktemp("competition")
    for row in range(22):
        draw(root / ("train" if row < 16 else "test") / f"{row}.png", row)
    lines = [f"{row},train/{row}.png,{row % 2}" for row in range(16)]
    (root / "train.csv").write_text("\n".join([",file_name,label", *lines]) + "\n")
    (root / "test.csv").write_text("\n".join(["id", *(f"test/{row}.png" for row in range(16, 22))]) + "\n")
    return root


@pytest.fixture
def data(pictures, tmp_path):
    return shutil.copytree(pictures, tmp_path / "data")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def rewrite(path, change):
    path.write_text(change(path.read_text()))


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])


def replaced(path):
    path.unlink()
    return path


MISTAKES = {
    "missing folder": (lambda d: shutil.rmtree(d), [], "There is no folder"),
    "no csv": (lambda d: [p.unlink() for p in d.glob("*.csv")], [], "train"),
    "no label column": (
        lambda d: rewrite(d / "train.csv", lambda t: t.replace("label", "width")),
        [],
        "file_name, width",
    ),
    "three labels": (lambda d: rewrite(d / "train.csv", lambda t: t.replace("3.png,1", "3.png,2")), [], "(0, 1, 2)"),
    "empty label": (
        lambda d: rewrite(d / "train.csv", lambda t: t.replace("3.png,1", "3.png,")),
        [],
        "without a value",
    ),
    "nan label": (
        lambda d: rewrite(d / "train.csv", lambda t: t.replace("3.png,1", "3.png,nan")),
        [],
        "without a value",
    ),
    "duplicated id": (lambda d: rewrite(d / "train.csv", lambda t: t.replace("/3.png", "/1.png")), [], "repeats 1 id"),
    "missing files": (lambda d: [(d / f"train/{k}.png").unlink() for k in range(5)], [], "5 of the 22 images listed"),
    "shared file": (lambda d: rewrite(d / "test.csv", lambda t: t + "train/1.png\n"), [], "train/1.png"),
    "truncated image": (lambda d: cut(d / "train/3.png"), [], "train/3.png"),
    "not an image": (lambda d: (d / "train/3.png").write_text("hello"), [], "bad_images=drop"),
    "few groups": (lambda d: None, ["folds=9"], "folds=9"),
    "unknown model": (lambda d: None, ["backbone=resnet81"], "There is no backbone 'resnet81'; did you mean"),
    "no weights": (lambda d: None, ["pretrained=/no/such"], "pretrained=/no/such is not a file or folder"),
    "fold outside": (lambda d: None, ["fold=7"], "fold=7 asks for a fold outside 0..1 (folds=2)"),
    "threshold": (lambda d: None, ["threshold=bootstrp"], "did you mean 'bootstrap'?"),
    "unknown key": (lambda d: None, ["epoch=3"], "did you mean 'epochs'?"),
    "a link to itself": (
        lambda d: (d / "train/3.png").unlink() or (d / "train/3.png").symlink_to("3.png"),
        [],
        "leads",
    ),
    "a pipe": (lambda d: (d / "train/3.png").unlink() or os.mkfifo(d / "train/3.png"), [], "it is a pipe or a device"),
    "200 GB": (lambda d: os.truncate(d / "train/3.png", 200 * 10**9), [], "exceed the limit"),
    "no group column": (lambda d: None, ["group=column:lable"], "did you mean 'label'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_with_status_2_and_nothing_written(data, home, mistake):
    spoil, words, said = MISTAKES[mistake]
    spoil(data)
    given = {word.partition("=")[0] for word in words}
    result = inside(
        home, *(word for word in FAST if word.partition("=")[0] not in given), f"data={data}", "name=x", *words
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    left = [path for path in everything(home) if "/.cache/" not in path]  # decoded pixels are no result
    assert left == []


def test_unreadable_images_left_out_by_name_and_test_rows_never(data, home):
    cut(data / "train" / "3.png")
    (data / "test" / "18.png").write_text("hello")
    printed = done_inside(home, *FAST, f"data={data}", "name=x", "bad_images=drop", "fallback=0", "fold=all")
    assert "train/3.png" in printed and "left out (bad_images=drop)" in printed
    assert "1 test images cannot be read and get label 0: test/18.png" in printed
    table = pd.read_csv(home / "submissions" / "submission.csv").set_index("id")["label"]
    assert len(table) == 6 and table["test/18.png"] == 0
    folds = pd.read_csv(home / "folds" / "x" / "folds.csv")
    assert len(folds) == 15 and "train/3.png" not in set(folds["id"])


def test_images_smaller_than_the_crop_are_padded_and_said_once(data, home):
    words = [word for word in FAST if not word.startswith(("fit=", "image_size="))]
    printed = done_inside(home, *words, f"data={data}", "name=x", "fit=crop", "image_size=24", "fold=0")
    assert printed.count("22 images are smaller than the 24-pixel crop") == 1


def test_exact_copies_across_folds_and_in_the_test_set_do_not_pass_unnoticed(data, home):
    for row in range(2, 16, 2):
        shutil.copy(data / "train" / "0.png", data / "train" / f"{row}.png")
    shutil.copy(data / "train" / "1.png", data / "test" / "17.png")
    printed = done_inside(home, *FAST, f"data={data}", "name=x", "fold=0")
    assert "duplicates-across-folds" in printed and "duplicates-in-test" in printed
    across = pd.read_csv(home / "folds" / "x" / "audit" / "duplicates-across-folds.csv")
    assert set(across["id"]) == {f"train/{row}.png" for row in range(0, 16, 2)}
    assert set(pd.read_csv(home / "folds/x/audit/duplicates-in-test.csv")["id"]) == {"train/1.png", "test/17.png"}


def test_a_sample_submission_decides_order_and_columns(data, home):
    ids = [f"test/{row}.png" for row in (20, 16, 21, 17, 19, 18)]
    (data / "sample_submission.csv").write_text("\n".join(["file,target", *(f"{i},0" for i in ids)]) + "\n")
    done_inside(home, *FAST, f"data={data}", "name=x")
    table = pd.read_csv(home / "submissions" / "submission.csv")
    assert list(table.columns) == ["file", "target"] and table["file"].tolist() == ids


def test_pixel_tables_refuse_what_is_made_for_photographs(home, tmp_path):
    rng = np.random.default_rng(0)
    for name, rows in (("train", 20), ("test", 6)):
        table = pd.DataFrame(rng.normal(size=(rows, 192)).round(4))
        if name == "train":
            table.insert(0, "labels", np.arange(rows) % 2)
        (tmp_path / "pixels").mkdir(exist_ok=True)
        table.to_csv(tmp_path / "pixels" / f"{name}.csv", index=False)
    words = [word for word in FAST if not word.startswith(("image_size=", "augment="))]
    base = [*words, f"data={tmp_path / 'pixels'}", "name=x", "image_size=8"]
    result = inside(home, *base, "augment=forensic")
    assert result.returncode == 2 and "standardised floats" in result.stderr and not list(home.glob("folds/x/*/fold*"))
    result = inside(home, *base, "augment=flips", "equalise=jpeg:96")
    assert result.returncode == 2 and "equalise=jpeg:96 (member model) is made for image files" in result.stderr
    done_inside(home, *base, "augment=flips")
    assert pd.read_csv(home / "submissions" / "submission.csv")["id"].tolist() == list(range(6))


def test_commands_are_spelt_or_corrected(home):
    result = inside(home, "ensmble")
    assert result.returncode == 2 and "did you mean 'ensemble'?" in result.stderr
    assert "./run.sh" in done(home, "help")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "name=typo"], "There is no run 'typo' in folds/: train one first."),
        (["ensemble", "name=typo"], "There is no run 'typo' in folds/: train one first."),
        (["predict", "name=typo", str(ROOT / "README.md")], "There is no finished run 'typo' in folds/"),
        (["export", "name=typo"], "There is no finished run 'typo' in folds/"),
        (["app", "name=typo", "open=false"], "There is no finished run 'typo' in folds/"),
        (["collect", "label=ai", "out=x"], "Say where the images are"),
        (["config", "preset=convitx", "size="], "preset=convitx needs one of its sizes: large, base, tiny."),
        (["config", "preset=demo", "split=holdout:0.7,0.2"], "split=holdout:0.7,0.2 does not share out all the rows"),
        (["config", "preset=demo", "split=half"], "split=half is not a way to split the data"),
        (["config", "preset=cifake-resnet50", "fold=0..4"], "fold=0..4 does not go with split=holdout:0.7,0.2,0.1"),
        (["config", "preset=demo", "head=relu"], "head=relu (in the command line) is not a list like [256, relu]"),
        (["config", "preset=demo", "members={1: 2}"], "members={1: 2} is not YAML (the key 1 is not text"),
        (["config", "preset=demo", "head=&a [*a]"], "head=&a [*a] (in the command line) is not a list"),
        (["config", "preset=demo", "backbone_args=&a [*a]"], "backbone_args=&a [*a] is not YAML (it has more than 20"),
        (["config", "preset=demo", "demo=[1]"], "demo=[1] (in the command line) is not a mapping"),
        (["config", "preset=demo", "demo.seed=1", "demo=2"], "demo=2 (in the command line) is not a mapping"),
        (["config", "preset=demo", "name=two\nlines\x1b[31m"], "name=two\\nlines\\x1b[31m is not a folder's name"),
        (["fold=0", "name=" + 300 * "x"], "name=xxx"),
        (["audit", "name=x", "data=" + 3000 * "x"], "xxx"),
    ],
)
def test_a_commands_mistake_is_one_sentence_and_nothing_written(home, monkeypatch, capsys, words, said):
    monkeypatch.setenv("TELLTALE_HOME", str(home))
    monkeypatch.chdir(home)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {said}") and error.count("\n") == 1
    assert not any(home.iterdir())


def test_want_of_memory_is_one_sentence(home, monkeypatch, capsys):
    def refuse(*arguments, **named):
        raise MemoryError("Unable to allocate 200 GiB")

    monkeypatch.setattr("competition.commands.config.resolve", refuse)
    assert main(["audit"]) == 2
    said = capsys.readouterr().err
    assert "not enough memory (Unable to allocate 200 GiB)" in said and said.count("\n") == 1


def test_a_finished_runs_settings_do_not_take_another_size(home, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_HOME", str(home))
    (home / "folds" / "x").mkdir(parents=True)
    (home / "folds" / "x" / "config.yaml").write_text(as_yaml(load_config(["preset=convitx", "data=.", "name=x"])))
    assert main(["config", "name=x"]) == 0 and "size: large" in capsys.readouterr().out
    assert main(["config", "name=x", "size=tiny"]) == 2
    assert "size=tiny goes with a preset" in capsys.readouterr().err


def test_config_prints_settings_without_touching_anything(home):
    printed = done_inside(home, "config", "preset=wai2025", "size=tiny", "members.swin.lr=3e-5")
    assert "backbone: swin_tiny_patch4_window7_224.ms_in22k_ft_in1k" in printed and "lr: 3.0e-05" in printed
    assert everything(home) == {}


def test_without_data_the_demo_runs_and_says_so_first(home):
    printed = done_inside(home, "config")
    assert printed.splitlines()[0].startswith("No data in data/: running the embedded demo")
    assert "preset: demo" in printed


def test_data_in_its_place_is_found_and_said_first(home, data):
    shutil.copytree(data, home / "data" / "mine")
    printed = done_inside(home, "audit")
    assert printed.startswith("Data found in") and "16 training rows" in printed


def test_ensemble_without_trained_jobs_is_one_sentence(home):
    result = inside(home, "ensemble", *TINY)
    assert result.returncode == 2 and "6 jobs of demo-0-30-12 are not finished" in result.stderr


def test_ensemble_writes_the_submission_again_from_what_is_trained(home, data):
    words = [*FAST, f"data={data}", "name=x"]
    done_inside(home, *words)
    shutil.rmtree(home / "submissions")
    done_inside(home, "ensemble", *words)
    assert (home / "submissions" / "submission.csv").exists()


def test_the_kaggle_tables_without_images_are_read_and_training_refuses(home):
    if not (SHARED / "wai2025").is_dir():
        pytest.skip("the competition's tables are not on this machine")
    words = [f"data={SHARED / 'wai2025'}", "preset=wai2025", "pretrained=false"]
    printed = done_inside(home, "audit", *words)
    assert "5,000 training rows in 2,500 groups" in printed and "1,000 test rows" in printed
    for found in ("row-parity", "possible-pairs: 2,500 pairs", "Not checked: metadata shortcuts"):
        assert found in printed
    result = inside(home, *words, "fold=0..4")
    assert result.returncode == 2 and "6,000 of the 6,000 images listed are missing" in result.stderr
    assert {path.partition("/audit/")[0] for path in everything(home)} == {"folds/wai2025"}  # the audit's own findings


@pytest.mark.parametrize(("folder", "rows"), [("cifake", 200), ("bitgrit", 160)])
def test_the_other_layouts_train_to_a_submission(home, folder, rows):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"{folder} is not on this machine")
    size = {"cifake": 32, "bitgrit": 20}[folder]
    words = [word for word in FAST if not word.startswith("image_size=")]
    printed = done_inside(home, *words, f"data={SHARED / folder}", f"image_size={size}")
    assert len(pd.read_csv(home / "submissions" / "submission.csv")) == rows
    assert ("Leaderboard F1" in printed) == (folder == "cifake")


@pytest.mark.parametrize(
    ("words", "shown"), [(["help"], "./run.sh preset=wai2025 fold=0..4"), (["app", "-h"], "port=")]
)
def test_help_comes_before_any_set_up(tmp_path, words, shown):
    shutil.copy(ROOT / "run.sh", tmp_path)
    shutil.copytree(ROOT / "competition", tmp_path / "competition")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHON", "PYTHONPATH", "TELLTALE_HOME")}
    said = subprocess.run([tmp_path / "run.sh", *words], env=env, capture_output=True, text=True)
    assert said.returncode == 0 and shown in said.stdout and not said.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("words", ["help", "run help", "config preset=wai2025"])
def test_a_reader_that_has_had_enough_ends_a_command_without_a_word(home, words):
    line = f"{sys.executable} -m competition {words} | head -n 1"
    said = subprocess.run(line, shell=True, env=environment(home), capture_output=True, text=True)
    assert said.stdout.count("\n") == 1 and said.stderr == ""


@pytest.mark.parametrize("words", ["help >&-", "help 2>&-", "predict name=none - <&-"])
def test_a_stream_that_the_shell_closed_is_an_empty_one(home, words):
    line = f"{sys.executable} -m competition {words}"
    said = subprocess.run(line, shell=True, env=environment(home), capture_output=True, text=True)
    assert "Traceback" not in said.stderr and said.returncode == (2 if "predict" in words else 0)


def test_the_console_script_is_the_command_line(home):
    (entry,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items()
    code = f"import sys; from importlib.metadata import EntryPoint; sys.argv[0] = {entry[0]!r}; "
    code += f"sys.exit(EntryPoint({entry[0]!r}, {entry[1]!r}, 'console_scripts').load()())"
    for words, status, out, err in (
        (["predict", "help"], 0, "format=table", ""),
        (["predict", "format=xml"], 2, "", "Error: format=xml is not one of table, csv, json, jsonl.\n"),
    ):
        said = subprocess.run(
            [sys.executable, "-c", code, *words], env=environment(home), capture_output=True, text=True
        )
        assert entry[0] == "telltale" and said.returncode == status and out in said.stdout and said.stderr == err


def test_run_sh_uses_a_given_python_untouched_and_says_what_is_wrong_with_another(home, tmp_path):
    def run(python):
        env = {**os.environ, "PYTHON": python, "TELLTALE_HOME": str(home)}
        return subprocess.run([ROOT / "run.sh", "help"], env=env, capture_output=True, text=True, cwd=tmp_path)

    assert run(sys.executable).returncode == 0
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert run(str(old)).returncode == 2 and "older than 3.11" in run(str(old)).stderr
    assert run("/no/such/python").returncode == 2 and "is no program" in run("/no/such/python").stderr


@pytest.mark.parametrize(
    ("words", "started"),
    [
        (["test"], ["-m pytest -m not slow"]),
        (["test", "-k", "fold"], ["-m pytest -m not slow -k fold"]),
        (["test", "all", "-k", "fold"], ["-m pytest -k fold"]),
        (["check"], ["-m ruff check .", "-m ruff format --check .", "-m mypy"]),
    ],
)
def test_run_sh_starts_the_tests_or_the_checks(tmp_path, words, started):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    ended = subprocess.run([ROOT / "run.sh", *words], env={**os.environ, "PYTHON": str(python)}, capture_output=True)
    assert ended.stdout.decode().splitlines()[-len(started) :] == started
