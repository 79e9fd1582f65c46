import csv
import io
import json
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from competition.__main__ import main
from competition.commands.predict import read_names
from competition.data.images.decode import read_image
from competition.inference.torch_member import open_classifier
from tests.data.images.signing import made, signatory, signed
from tests.runs import TINY, make_run, random_pictures


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of two members, and a folder of four pictures, one file that is none, and one more of another kind."""
    home = tmp_path_factory.mktemp("home")
    make_run(home, {"cnn": TINY["small_cnn"], "net": TINY["resnet"]})
    (home / "pictures" / "inner").mkdir(parents=True)
    for index, image in enumerate(random_pictures((40, 50), (64, 64), (33, 70), (32, 32))):
        cv2.imwrite(str(home / "pictures" / ("inner" if index == 3 else ".") / f"{index} (1)=a.png"), image)
    (home / "pictures" / "text.jpg").write_text("no picture")
    (home / "pictures" / "notes.txt").write_text("not looked at")
    return home


@pytest.fixture
def ask(home, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_HOME", str(home))
    monkeypatch.chdir(home)

    def run(*words):
        status = main(["predict", "name=made", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_readable_are_judged_and_the_unreadable_listed_with_status_1(ask, home):
    status, out, err = ask("format=json", "pictures")
    told = json.loads(out)
    assert status == 1 and "text.jpg: it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image" in err
    assert list(told["unreadable"]) == ["pictures/text.jpg"] and len(told["answers"]) == 4
    images = [read_image(home / answer["file"]) for answer in told["answers"]]
    for answer, verdict in zip(told["answers"], open_classifier("made", "cpu").classify(images), strict=True):
        assert answer["probability"] == pytest.approx(verdict.prob, abs=1e-5)
        assert answer["verdict"] == ("AI-made" if verdict.prob >= answer["threshold"] else "human-made")
        assert np.mean([answer["cnn"], answer["net"]]) == pytest.approx(answer["probability"], abs=1e-5)


def test_a_name_with_control_characters_is_printed_escaped_on_one_line(ask, tmp_path):
    (tmp_path / "bell\x07\n.jpg").write_text("no picture")
    shutil.copy("pictures/0 (1)=a.png", tmp_path / "bell\x07.png")
    status, out, err = ask(str(tmp_path))
    assert status == 1 and err.count("\n") == 1
    assert r"bell\x07\n.jpg: it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image" in err
    assert r"bell\x07.png" in out and "\x07" not in out


def test_the_same_answers_come_as_csv_and_as_a_table(ask):
    status, text, _ = ask("format=csv", "pictures/0 (1)=a.png", "pictures/inner")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert status == 0
    assert [row["file"] for row in rows] == ["pictures/0 (1)=a.png", "pictures/inner/3 (1)=a.png"]
    _, table, _ = ask("pictures/0 (1)=a.png")
    assert rows[0]["verdict"] in table and f"{float(rows[0]['probability']):.4f}" in table and "not proof" in table


def test_of_a_table_names_alone_are_broken_where_the_terminal_is_narrow(ask, tmp_path, monkeypatch):
    long = tmp_path / ("a long name " * 12) / "picture.png"
    long.parent.mkdir()
    shutil.copy("pictures/0 (1)=a.png", long)
    (row,) = csv.DictReader(io.StringIO(ask("format=csv", str(long))[1]))
    figures = [row["verdict"], *(f"{float(row[name]):.4f}" for name in ("probability", "threshold", "cnn", "net"))]
    whole = ask(str(long))[1]
    assert str(long) in whole and all(figure in whole for figure in figures)
    monkeypatch.setattr("competition.commands.predict.console", lambda **_: Console(width=80))
    lines = ask(str(long))[1].splitlines()[1:]
    assert max(map(len, lines[:-2])) <= 80 and lines[0].split()[-5:] == figures


def test_each_line_of_json_is_a_row_of_the_csv_or_a_file_that_is_no_image(ask):
    lines = [json.loads(line) for line in ask("format=jsonl", "pictures")[1].splitlines()]
    assert [line for line in lines if "unreadable" in line] == [
        {"file": "pictures/text.jpg", "unreadable": "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"}
    ]
    rows = list(csv.DictReader(io.StringIO(ask("format=csv", "pictures")[1])))
    answers = [line for line in lines if "unreadable" not in line]
    assert [{name: "" if cell is None else str(cell) for name, cell in line.items()} for line in answers] == rows


def test_standard_input_names_the_files(ask, monkeypatch):
    named = b"\xef\xbb\xbfpictures/0 (1)=a.png\n\npictures/inner/3 (1)=a.png\r\npictures/gone\xff.png"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(named)))
    status, out, err = ask("format=csv", "-")
    assert status == 1 and err == "Not read: pictures/gone\\udcff.png: there is no such file\n"
    assert out == ask("format=csv", "pictures/0 (1)=a.png", "pictures/inner")[1]


def test_a_line_that_is_long_in_coming_is_waited_for_with_the_others_judged():
    come = threading.Event()

    def lines():
        yield b"one.png\n"
        come.wait(60)
        yield b"two.png\n"

    found = read_names(lines())
    assert next(found) == Path("one.png") and next(found) is None
    come.set()
    assert list(found) == [Path("two.png")]


def test_a_column_tells_what_signed_credentials_prove(ask, home, tmp_path):
    pytest.importorskip("c2pa", reason="c2pa-python, which verifies Content Credentials, is not installed")
    plain = home / "pictures" / "0 (1)=a.png"
    whole = signed(plain.read_bytes(), made("digitalCapture"), kind="PNG")
    for name, raw in {
        "0.png": plain.read_bytes(),
        "1.png": whole,
        "2.png": whole.replace(b"Firefly", b"Firefox"),
    }.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "root.pem").write_text(signatory().root)
    told = [answer["credentials"] for answer in json.loads(ask("format=json", str(tmp_path))[1])["answers"]]
    assert told == ["", "human (Acme, unknown signer)", "tampered"]
    _, text, _ = ask("format=csv", f"trust={tmp_path}/root.pem", str(tmp_path))
    assert [row["credentials"] for row in csv.DictReader(io.StringIO(text))] == ["", "human (Acme)", "tampered"]
    assert "credentials" not in ask(str(tmp_path / "0.png"))[1] and "tampered" in ask(str(tmp_path))[1]
    status, _, err = ask("trust=none.pem", str(tmp_path))
    assert status == 2 and "trust=none.pem cannot be used (No such file or directory)" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.png"], "There is no file or folder nothing.png"),
        ([], "There is nothing to judge"),
        (["pictures", "-"], "'-' reads the names of the files from standard input: give it alone."),
        (["format=xml", "pictures"], "format=xml is not one of table, csv, json, jsonl."),
        (["device=tpu", "pictures"], "device=tpu is not one of auto, cpu, cuda, mps."),
        (["formt=csv", "pictures"], "There is no setting 'formt' (in the command line); did you mean 'format'?"),
        (["engine=onnx", "pictures"], "./run.sh export name=made"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(ask, words, said):
    status, out, err = ask(*words)
    assert status == 2 and not out and err.startswith("Error: ") and said in err and err.count("\n") == 1


def test_a_run_that_is_not_there_names_the_one_that_is(home, monkeypatch, capsys):
    monkeypatch.setenv("TELLTALE_HOME", str(home))
    assert main(["predict", "name=mad", str(home)]) == 2
    assert "There is no finished run 'mad' in folds/; did you mean 'made'?" in capsys.readouterr().err
