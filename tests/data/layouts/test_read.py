"""Each layout is read as it lies on disk, and whatever is wrong with it is one sentence that says what and where."""

import os
from pathlib import Path

import numpy as np
import pytest

from competition.core.errors import UserError
from competition.data.layouts.csv_text import read_text
from competition.data.layouts.dataset import LayoutSettings, check_files, limit_rows
from competition.data.layouts.read import read_dataset

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def lay(root, **files):
    """Write files under ``root``; a keyword's double underscores are slashes. A list of names makes tiny images."""
    for name, content in files.items():
        place = root / name.replace("__", "/")
        if isinstance(content, list):
            place.mkdir(parents=True, exist_ok=True)
            for image in content:
                (place / image).parent.mkdir(parents=True, exist_ok=True)
                (place / image).write_bytes(b"image")
        else:
            place = place.with_suffix(".csv")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def kaggle(root, train=None, **files):
    """The competition's layout: six rows in pairs, three test rows."""
    rows = "".join(f"{row},train_data/{row}.jpg,{1 - row % 2}\n" for row in range(6))
    defaults = {
        "train": train if train is not None else f",file_name,label\n{rows}",
        "test": "id\ntest_data_v2/c.jpg\ntest_data_v2/a.jpg\ntest_data_v2/b.jpg\n",
        "train_data": [f"{row}.jpg" for row in range(6)],
        "test_data_v2": ["a.jpg", "b.jpg", "c.jpg"],
    }
    return lay(root, **{name: content for name, content in {**defaults, **files}.items() if content is not None})


def pixel_rows(n, columns, label=True):
    """A pixel CSV whose value in row r, column c is r + c / 1000."""
    header = ["labels"] * label + [str(column) for column in range(columns)]
    rows = [[str(row % 2)] * label + [str(row + column / 1000) for column in range(columns)] for row in range(n)]
    return "".join(",".join(cells) + "\n" for cells in [header, *rows])


def test_the_competition_is_read_as_its_files_spell_it(tmp_path):
    data = read_dataset(kaggle(tmp_path), LayoutSettings(group="pairs"))
    assert (data.kind, data.header, data.classes) == ("kaggle", ("id", "label"), ("0", "1"))
    assert list(data.train["id"]) == [f"train_data/{row}.jpg" for row in range(6)]
    assert list(data.train["label"]) == [1, 0, 1, 0, 1, 0]
    assert list(data.train["group"]) == ["0", "0", "1", "1", "2", "2"]
    assert list(data.train.columns) == ["id", "path", "label", "group"]
    assert list(data.test["id"]) == ["test_data_v2/c.jpg", "test_data_v2/a.jpg", "test_data_v2/b.jpg"]
    assert data.test_label is None and data.pixels is None
    assert all(Path(path).is_file() for path in [*data.train["path"], *data.test["path"]])
    check_files(data)


def test_pairs_follow_the_row_index_where_rows_were_shuffled(tmp_path):
    data = read_dataset(
        kaggle(tmp_path, ",file_name,label\n5,a,0\n2,b,1\n4,c,1\n3,d,0\n"), LayoutSettings(group="pairs")
    )
    assert list(data.train["group"]) == ["2", "1", "2", "1"]


def test_pairs_follow_the_position_where_there_is_no_row_index(tmp_path):
    data = read_dataset(kaggle(tmp_path, "file_name,label\na,0\nb,1\nc,1\nd,0\n"), LayoutSettings(group="pairs"))
    assert list(data.train["group"]) == ["0", "0", "1", "1"]


def test_a_group_column_keeps_its_values_and_without_a_rule_each_row_is_its_own_group(tmp_path):
    root = kaggle(tmp_path, "file_name,label,camera\na,0,007\nb,1,NA\nc,1,007\n")
    assert list(read_dataset(root, LayoutSettings(group="column:camera")).train["group"]) == ["007", "NA", "007"]
    assert list(read_dataset(root).train["group"]) == ["a", "b", "c"]


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_ids_are_text_whatever_they_look_like(tmp_path, index):
    text = f'{index},Image ID,target\n0,007,0\n1,NA,1.0\n2,nan,1\n3,"a,b",0.0\n'
    data = read_dataset(kaggle(tmp_path, text, test="Image ID\n0001\n1e5\n"))
    assert list(data.train["id"]) == ["007", "NA", "nan", "a,b"]
    assert list(data.train["label"]) == [0, 1, 1, 0]
    assert list(data.test["id"]) == ["0001", "1e5"]
    assert data.header == ("Image ID", "target")


def test_files_from_windows_with_a_byte_order_mark_and_crlf_are_read(tmp_path):
    data = read_dataset(kaggle(tmp_path, b"\xef\xbb\xbfid,label\r\na,0\r\nb,1\r\n\r\n"))
    assert list(data.train["id"]) == ["a", "b"]


def test_images_are_found_without_their_extension_or_folder(tmp_path):
    images = {"train_images": ["1.jpg", "2.PNG"], "images": ["train/3.webp", "9.png"], "test_images": ["8.jpeg"]}
    root = lay(tmp_path, train="id,label\n1,0\n2,1\n3,1\n", test="id\n8\n9.png\n", **images)
    data = read_dataset(root)
    places = ["train_images/1.jpg", "train_images/2.PNG", "images/train/3.webp"]
    assert list(data.train["path"]) == [str(root / place) for place in places]
    assert list(data.test["path"]) == [str(root / "test_images/8.jpeg"), str(root / "images/9.png")]
    assert list(data.test["id"]) == ["8", "9.png"]
    check_files(data)


def test_a_table_with_ids_and_file_names_keeps_both(tmp_path):
    root = lay(tmp_path, train="image_path,label,id\nx/1.jpg,0,10\nx/2.jpg,1,11\n", x=["1.jpg", "2.jpg"])
    data = read_dataset(root)
    assert list(data.train["id"]) == ["10", "11"]
    assert list(data.train["path"]) == [str(root / "x/1.jpg"), str(root / "x/2.jpg")]
    assert data.test.empty and list(data.test.columns) == ["id", "path"]


def test_columns_can_be_named(tmp_path):
    root = kaggle(tmp_path, "photograph,label,verdict\n1,x,fake\n2,y,real\n", test="photograph\n3\n")
    data = read_dataset(root, LayoutSettings(label_column="verdict", id_column="photograph"))
    assert list(data.train["id"]) == ["1", "2"] and list(data.train["label"]) == [1, 0]
    assert (data.header, data.classes) == (("photograph", "verdict"), ("real", "fake"))


def test_the_sample_submission_gives_order_and_header(tmp_path):
    sample = "image,prediction\ntest_data_v2/b.jpg,0\ntest_data_v2/c.jpg,0\ntest_data_v2/a.jpg,0\n"
    labels = "id,label\ntest_data_v2/a.jpg,1\ntest_data_v2/b.jpg,0\ntest_data_v2/c.jpg,1\n"
    data = read_dataset(kaggle(tmp_path, sample_submission=sample, test_labels=labels))
    ids = ["test_data_v2/b.jpg", "test_data_v2/c.jpg", "test_data_v2/a.jpg"]
    assert list(data.test["id"]) == ids and data.header == ("image", "prediction")
    assert list(data.test["path"]) == [str(tmp_path / one) for one in ids]
    assert list(data.test_label["id"]) == ids and list(data.test_label["label"]) == [0, 1, 1]


def test_the_sample_submission_alone_names_the_test_set(tmp_path):
    data = read_dataset(kaggle(tmp_path, test=None, sample_submission="id,label\ntest_data_v2/b.jpg,0\n"))
    assert list(data.test["id"]) == ["test_data_v2/b.jpg"]
    check_files(data)


def test_class_folders_as_in_cifake(tmp_path):
    names = ["0000 (10).jpg", "0000 (2).JPG", "0000.jpg", "notes.txt", "._0000.jpg"]
    root = lay(tmp_path, train__REAL=names, train__FAKE=names, test__REAL=names[:1], test__FAKE=names[:2])
    data = read_dataset(root)
    ordered = ["0000 (2).JPG", "0000 (10).jpg", "0000.jpg"]
    assert list(data.train["id"]) == [f"train/{name}/{one}" for name in ("FAKE", "REAL") for one in ordered]
    assert list(data.train["label"]) == [1, 1, 1, 0, 0, 0]
    assert list(data.test["id"]) == ["test/FAKE/0000 (2).JPG", "test/FAKE/0000 (10).jpg", "test/REAL/0000 (10).jpg"]
    assert list(data.test_label["label"]) == [1, 1, 0]
    assert (data.kind, data.header, data.classes) == ("folders", ("id", "label"), ("REAL", "FAKE"))
    check_files(data)


def test_two_class_folders_in_the_root_have_no_test_set(tmp_path):
    data = read_dataset(lay(tmp_path, human=["1.png", "more/2.png"], AI_generated=["1.png"], notes=["a.txt"]))
    assert dict(zip(data.train["id"], data.train["label"], strict=True)) == {
        "AI_generated/1.png": 1,
        "human/1.png": 0,
        "human/more/2.png": 0,
    }
    assert data.test.empty and data.test_label is None


def test_a_test_folder_without_classes_is_unlabelled(tmp_path):
    data = read_dataset(
        lay(tmp_path, train__cat=["1.png"], train__dog=["1.png"], test=["2.png"]), LayoutSettings(positive="DOG")
    )
    assert list(data.test["id"]) == ["test/2.png"] and data.test_label is None
    assert data.classes == ("cat", "dog")


def test_a_pixel_csv_keeps_every_value_as_float32_in_height_width_channel_order(tmp_path):
    labels = "labels\n1\n0\n1\n"
    root = lay(tmp_path, train=pixel_rows(4, 48), test=pixel_rows(3, 48, label=False), test_labels=labels)
    data = read_dataset(root)
    assert (data.kind, data.header) == ("pixels", ("id", "labels"))
    train, test = data.pixels
    assert train.dtype == test.dtype == np.float32 and train.shape == (4, 4, 4, 3) and test.shape == (3, 4, 4, 3)
    assert train[2, 1, 3, 2] == np.float32(2 + ((1 * 4 + 3) * 3 + 2) / 1000)
    assert list(data.train["id"]) == ["0", "1", "2", "3"] and list(data.train["label"]) == [0, 1, 0, 1]
    assert set(data.train["path"]) == {""} and list(data.test["id"]) == ["0", "1", "2"]
    assert list(data.test_label["label"]) == [1, 0, 1]
    check_files(data)


def test_pixel_columns_are_joined_by_name(tmp_path):
    columns = list(range(16))[::-1]
    test = ",".join(map(str, columns)) + "\n" + ",".join(f"{column}.5" for column in columns) + "\n"
    data = read_dataset(lay(tmp_path, train=pixel_rows(2, 16), test=test))
    assert data.pixels[1][0, :, :, 0].ravel().tolist() == [column + 0.5 for column in range(16)]


def test_the_sample_submission_names_the_rows_of_a_pixel_csv(tmp_path):
    test = pixel_rows(2, 16, label=False)
    data = read_dataset(lay(tmp_path, train=pixel_rows(2, 16), test=test, sample_submission="ImageId,y\n1,0\n2,0\n"))
    assert list(data.test["id"]) == ["1", "2"] and data.header == ("ImageId", "y")


def test_pixel_rows_with_ids_follow_the_sample_submission(tmp_path):
    test = pixel_rows(2, 16, label=False).splitlines()
    test = "\n".join(f"{one},{row}" for one, row in zip(["id", "x", "y"], test, strict=True))
    data = read_dataset(lay(tmp_path, train=pixel_rows(2, 16), test=test, sample_submission="id,label\ny,0\nx,0\n"))
    assert list(data.test["id"]) == ["y", "x"] and data.pixels[1][:, 0, 0, 0].tolist() == [1.0, 0.0]


def test_a_group_column_beside_the_pixels_is_no_pixel(tmp_path):
    rows = pixel_rows(2, 16).splitlines()
    train = "\n".join(f"{row},{cell}" for row, cell in zip(rows, ["scene1", "NA", "007"], strict=True))
    data = read_dataset(
        lay(tmp_path, train=train, test=pixel_rows(2, 16, label=False)), LayoutSettings(group="column:scene1")
    )
    assert list(data.train["group"]) == ["NA", "007"] and data.pixels[0].shape == (2, 4, 4, 1)


@pytest.mark.parametrize(("shape", "size"), [("4x6x1", (4, 6, 1)), ("2x4x3", (2, 4, 3)), ("3x8", (3, 8, 1))])
def test_an_image_shape_can_be_given(tmp_path, shape, size):
    data = read_dataset(lay(tmp_path, train=pixel_rows(2, 24)), LayoutSettings(image_shape=shape))
    assert data.pixels[0].shape == (2, *size) and data.pixels[1].shape == (0, *size)


def spoilt(text, old, new):
    assert old in text
    return text.replace(old, new, 1)


SAMPLE = "id,label\nx,0\n"
GRID, GRID_TEST = pixel_rows(3, 16), pixel_rows(2, 16, label=False)
TWO, THREE = "id,label\na,0\nb,1\n", "id,label\na,0\nb,1\nc,1\n"
MISTAKES = {
    "no layout": ({"notes": ["a.txt"]}, {}, "neither a train.csv nor .* it holds notes/"),
    "empty folder": ({}, {}, "it holds nothing"),
    "no train.csv": ({"test": "id\na\n", "train_data": ["a.jpg"], "test_data": ["b.jpg"]}, {}, "test.csv, test_data/"),
    "named layout": ({"a": ["1.jpg"], "b": ["1.jpg"]}, {"layout": "kaggle"}, "no train.csv in .* only a/, b/"),
    "unknown layout": ({"train": TWO}, {"layout": "kagle"}, "did you mean 'kaggle'"),
    "empty file": ({"train": ""}, {}, "train.csv is empty"),
    "no rows": ({"train": "id,label\n"}, {}, "train.csv has a header and no rows"),
    "no pixel rows": ({"train": GRID.splitlines()[0]}, {"layout": "pixels"}, "train.csv has a header and no rows"),
    "latin-1": ({"train": "id,label\ncafé,0\n".encode("latin-1")}, {}, r"train.csv is not UTF-8 text \(byte 12\)"),
    "binary": ({"train": b"id,label\na\0,0\n"}, {}, "zero byte"),
    "open quote": ({"train": 'id,label\n"a,0\n'}, {}, r"train.csv, line 2, is not CSV"),
    "ragged": ({"train": "id,label\na,0\nb\n"}, {}, "line 3, has 1 cell where the header has 2"),
    "column twice": ({"train": "id,id,label\na,b,0\n"}, {}, "two columns named 'id'"),
    "no label column": ({"train": "id,width\na,0\n"}, {}, "no label column among id, width"),
    "given label column": ({"train": TWO}, {"label_column": "lable"}, "no column 'lable'; did you mean 'label'"),
    "no id column": ({"train": "width,height,label\n1,2,0\n"}, {}, "no id column among width, height, label"),
    "given id column": ({"train": TWO}, {"id_column": "idd"}, "no column 'idd'; did you mean 'id'"),
    "three labels": ({"train": "id,label\na,0\nb,1\nc,2\n"}, {}, r"has 3 \(0, 1, 2\)"),
    "one label": ({"train": "id,label\na,0\nb,0.0\n"}, {}, r"has 1 \(0\)"),
    "empty label": ({"train": "id,label\na,0\nb,\nc,1\nd,NaN\n"}, {}, r"2 rows \(lines 3, 5\) without a value"),
    "unclear labels": ({"train": "id,label\na,x\nb,y\n"}, {}, "give positive='x' or positive='y'"),
    "unknown positive": ({"train": "id,label\na,x\nb,yes\n"}, {"positive": "yess"}, "did you mean 'yes'"),
    "positive=0": ({"train": TWO}, {"positive": "0"}, "leave positive out"),
    "id twice": ({"train": "id,label\na,0\nb,1\na,1\n"}, {}, r"repeats 1 id, first 'a' \(line 4\)"),
    "empty id": ({"train": "id,label\n,0\nb,1\n"}, {}, r"1 row \(line 2\) with an empty id"),
    "line break": ({"train": 'id,label\n"a\nb",0\nb,1\n'}, {}, "holds a line break"),
    "shared id": ({"train": THREE, "test": "id\nx\nc\nb\n"}, {}, "2 image files twice.*/c"),
    "shared file": ({"train": THREE, "test": "id\na.jpg\n", "images": ["a.jpg"]}, {}, "1 image file twice.*s/a.jpg"),
    "sample too long": ({"train": TWO, "test": "id\nx\n", "sample_submission": SAMPLE + "y,0\n"}, {}, "'y' is not in"),
    "sample too short": ({"train": TWO, "test": "id\nx\ny\n", "sample_submission": SAMPLE}, {}, "'y' of test.csv"),
    "sample columns": ({"train": TWO, "sample_submission": "id\nx\n"}, {}, "must have an id column and a label column"),
    "test labels": ({"train": TWO, "test": "id\nx\n", "test_labels": "id,label\ny,0\n"}, {}, "those of the test set"),
    "test class": ({"train": TWO, "test": "id\nx\n", "test_labels": "id,label\nx,2\n"}, {}, "'2' is not a class"),
    "group rule": ({"train": TWO}, {"group": "pair"}, "did you mean 'pairs'"),
    "group column": ({"train": TWO}, {"group": "column:lable"}, "did you mean 'label'"),
    "empty group": ({"train": "id,label,g\na,0,\nb,1,x\n"}, {"group": "column:g"}, r"1 row \(line 2\) without a value"),
    "pair index": ({"train": ",id,label\n0,a,0\nx,b,1\n"}, {"group": "pairs"}, "line 3, is 'x'"),
    "pair index twice": ({"train": ",id,label\n0,a,0\n0,b,1\n"}, {"group": "pairs"}, "row index 0 .* twice"),
    "one class folder": ({"train__FAKE": ["1.jpg"]}, {}, r"has 1 \(FAKE\)"),
    "three class folders": ({"a": ["1.jpg"], "b": ["1.jpg"], "c": ["1.jpg"]}, {}, r"has 3 \(a, b, c\)"),
    "empty class folder": ({"train__FAKE": ["1.jpg"], "train__REAL": ["a.txt"]}, {}, "REAL holds no images"),
    "unclear folders": ({"cat": ["1.jpg"], "dog": ["1.jpg"]}, {}, "positive='cat' or positive='dog'"),
    "two fakes": ({"fake": ["1.jpg"], "synthetic": ["1.jpg"]}, {}, "positive='fake' or positive='synthetic'"),
    "mixed test": ({"fake": ["1.jpg"], "real": ["1.jpg"], "test": ["2.jpg", "fake/3.jpg"]}, {}, "first 'test/2.jpg'"),
    "folder pairs": ({"fake": ["1.jpg"], "real": ["1.jpg"]}, {"group": "pairs"}, "needs the rows of a train.csv"),
    "no square": ({"train": pixel_rows(2, 17)}, {}, "17 pixel columns, which do not make a square image"),
    "shape": ({"train": GRID}, {"image_shape": "4x4x3"}, "makes 48 values, but .* has 16 pixel columns"),
    "shape spelling": ({"train": GRID}, {"image_shape": "4*4"}, "is not a shape: write HEIGHTxWIDTHxCHANNELS"),
    "empty pixel": ({"train": spoilt(GRID, "1.003", "")}, {}, "line 3, column '3': '' is not a finite number"),
    "nan pixel": ({"train": spoilt(GRID, "1.003", "nan")}, {}, "line 3, column '3': 'nan'"),
    "infinite pixel": ({"train": GRID, "test": spoilt(GRID_TEST, "1.003", "-inf")}, {}, "test.csv, line 3, column '3'"),
    "float64 pixel": ({"train": spoilt(GRID, "1.003", "1e39")}, {}, "column '3': '1e39'"),
    "word for a pixel": ({"train": spoilt(GRID, "1.003", "dark")}, {}, "column '3': 'dark'"),
    "long pixel row": ({"train": spoilt(GRID, "1.003", "1.003,0")}, {}, "line 3, has 18 cells where the header has 17"),
    "short pixel row": ({"train": spoilt(GRID, ",1.003", "")}, {}, "line 3, has 16 cells where the header has 17"),
    "pixel label": ({"train": spoilt(GRID, "\n1,", "\n,")}, {}, r"1 row \(line 3\) without a value in column 'labels'"),
    "test lacks pixels": ({"train": GRID, "test": pixel_rows(2, 15, label=False)}, {}, "lacks '15'"),
    "test has labels": ({"train": GRID, "test": GRID}, {}, "has 'labels' too"),
    "pixel sample": ({"train": GRID, "test": GRID_TEST, "sample_submission": "id,y\n0,0\n"}, {}, "1 row and test"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_naming_it(tmp_path, mistake):
    files, settings, expected = MISTAKES[mistake]
    with pytest.raises(UserError, match=expected) as caught:
        read_dataset(lay(tmp_path, **files), LayoutSettings(**settings))
    sentence = str(caught.value)
    assert "\n" not in sentence and ". " not in sentence.replace("e.g. ", "")


def test_a_table_that_no_memory_holds_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise MemoryError

    table = tmp_path / "train.csv"
    table.write_text("id,label\n")
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(UserError, match=r"train.csv does not fit into memory \(9 bytes\)"):
        read_text(table)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        read_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [b"\xff.jpg", b"a\nb.jpg"])
def test_an_image_whose_name_no_csv_can_hold_is_named(tmp_path, name):
    root = lay(tmp_path, fake=["1.jpg"], real=["1.jpg"])
    try:
        Path(os.path.join(os.fsencode(root), b"real", name).decode("utf-8", "surrogateescape")).write_bytes(b"image")
    except OSError:
        pytest.skip("this file system refuses such names itself")
    with pytest.raises(UserError, match=r"holds a line break or is not UTF-8") as caught:
        read_dataset(root)
    str(caught.value).encode()


def test_missing_images_are_counted_and_the_first_three_named(tmp_path):
    data = read_dataset(kaggle(tmp_path, train_data=["0.jpg"]))
    with pytest.raises(UserError, match=r"5 of the 9 images .* train_data/1.jpg, train_data/2.jpg, train_data/3.jpg: "):
        check_files(data)


def paired(root, n):
    rows = "".join(f"{row},{row}.jpg,{1 - row % 2}\n" for row in range(n))
    return kaggle(root, f",file_name,label\n{rows}", test="id\n" + "".join(f"t{row}.jpg\n" for row in range(40)))


def test_a_dry_run_keeps_whole_groups_both_classes_and_the_order(tmp_path):
    data = read_dataset(paired(tmp_path, 200), LayoutSettings(group="pairs"))
    small = limit_rows(data, 21, seed=1)
    assert 20 <= len(small.train) <= 22 and small.train["label"].mean() == 0.5
    assert set(small.train.groupby("group").size()) == {2}
    rows = data.train.set_index("id").loc[small.train["id"]].reset_index()
    assert rows.equals(small.train) and list(rows["id"]) == [one for one in data.train["id"] if one in set(rows["id"])]
    assert len(small.test) == 21
    assert list(small.test["id"]) == [one for one in data.test["id"] if one in set(small.test["id"])]
    assert small.train.equals(limit_rows(data, 21, seed=1).train)
    assert not small.train.equals(limit_rows(data, 21, seed=2).train)


def test_a_dry_run_keeps_each_class_in_its_share(tmp_path):
    rows = "".join(f"{row},{int(row < 20)}\n" for row in range(200))
    small = limit_rows(read_dataset(kaggle(tmp_path, f"id,label\n{rows}")), 50, seed=0)
    assert small.train["label"].value_counts().to_dict() == {0: 45, 1: 5}


def test_a_dry_run_larger_than_the_data_changes_nothing(tmp_path):
    data = read_dataset(kaggle(tmp_path))
    same = limit_rows(data, 1000, seed=0)
    assert same.train.equals(data.train) and same.test.equals(data.test)


def test_a_dry_run_cuts_pixels_and_known_labels_with_their_rows(tmp_path):
    labels = "labels\n" + "".join(f"{row % 2}\n" for row in range(30))
    root = lay(tmp_path, train=pixel_rows(60, 16), test=pixel_rows(30, 16, label=False), test_labels=labels)
    small = limit_rows(read_dataset(root), 8, seed=0)
    assert small.pixels[0][:, 0, 0, 0].tolist() == [float(one) for one in small.train["id"]]
    assert small.pixels[1][:, 0, 0, 0].tolist() == [float(one) for one in small.test["id"]]
    assert list(small.test_label["label"]) == [int(one) % 2 for one in small.test["id"]]


REAL = {
    "wai2025": ({"group": "pairs"}, ("kaggle", 5000, 2500, 1000, ("id", "label"))),
    "faces": ({"group": "pairs"}, ("kaggle", 1600, 800, 600, ("id", "label"))),
    "cifake": ({}, ("folders", 600, 600, 200, ("id", "label"))),
    "bitgrit": ({}, ("pixels", 400, 400, 160, ("id", "labels"))),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_is_read(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"{name} is not in ../shared/data")
    settings, expected = REAL[name]
    data = read_dataset(SHARED / name, LayoutSettings(**settings))
    assert (data.kind, len(data.train), data.train["group"].nunique(), len(data.test), data.header) == expected
    assert data.classes == (("REAL", "FAKE") if name == "cifake" else ("0", "1"))
    if name == "wai2025":
        with pytest.raises(UserError, match="6,000 of the 6,000 images"):
            check_files(data)
    else:
        check_files(data)
