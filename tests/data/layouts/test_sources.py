"""Each image's source is read from a column or from the folders below the class folders, or the mistake is named."""

import pytest

from competition.core.errors import UserError
from competition.data.layouts.dataset import LayoutSettings
from competition.data.layouts.read import read_dataset
from tests.data.layouts.test_read import kaggle, lay, pixel_rows

TABLE = ",file_name,label,camera\n0,train_data/0.jpg,1, 007\n1,train_data/1.jpg,0,NA\n"
NESTED = {"train__FAKE": ["midjourney/a.jpg", "sdxl/v1/b.jpg", "c.jpg"], "train__REAL": ["sdxl/d.jpg", "e.jpg"]}


def test_a_source_column_keeps_its_values_and_without_a_rule_there_is_none(tmp_path):
    root = kaggle(tmp_path, TABLE)
    assert list(read_dataset(root, LayoutSettings(source="column:camera")).train["source"]) == ["007", "NA"]
    assert "source" not in read_dataset(root).train


def test_the_folder_below_the_class_folder_is_the_source_and_the_class_where_there_is_none(tmp_path):
    found = read_dataset(lay(tmp_path, **NESTED), LayoutSettings(source="folders")).train.set_index("id")["source"]
    assert found.to_dict() == {
        "train/FAKE/midjourney/a.jpg": "midjourney",
        "train/FAKE/sdxl/v1/b.jpg": "sdxl",
        "train/FAKE/c.jpg": "FAKE",
        "train/REAL/sdxl/d.jpg": "sdxl",
        "train/REAL/e.jpg": "REAL",
    }


def test_class_folders_in_the_root_have_sources_too(tmp_path):
    root = lay(tmp_path, FAKE=["gan/a.jpg"], REAL=["b.jpg"])
    assert list(read_dataset(root, LayoutSettings(source="folders")).train["source"]) == ["gan", "REAL"]


def test_a_source_column_beside_the_pixels_is_no_pixel(tmp_path):
    lines = pixel_rows(4, 16).splitlines()
    train = "\n".join([lines[0] + ",site1", *(f"{line},{number}" for number, line in enumerate(lines[1:]))]) + "\n"
    root = lay(tmp_path, train=train, test=pixel_rows(2, 16, label=False))
    data = read_dataset(root, LayoutSettings(source="column:site1"))
    assert data.kind == "pixels" and data.pixels[0].shape == (4, 4, 4, 1)
    assert list(data.train["source"]) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("column:camra", "source=column:camra: .* has no column 'camra'; did you mean 'camera'"),
        ("folder", "source=folder is not a rule; did you mean 'folders'"),
        ("folders", "source=folders needs class folders, and .*train.csv is a table: name its column"),
    ],
)
def test_a_mistaken_rule_for_a_table_is_one_sentence(tmp_path, source, said):
    with pytest.raises(UserError, match=said):
        read_dataset(kaggle(tmp_path, TABLE), LayoutSettings(source=source))


def test_an_empty_cell_and_a_column_of_ids_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"source=column:camera: .* has 1 row \(line 3\) without a value there"):
        read_dataset(kaggle(tmp_path / "empty", TABLE.replace("NA", " ")), LayoutSettings(source="column:camera"))
    rows = "".join(f"{row}.jpg,{row % 2},{row}\n" for row in range(1001))
    with pytest.raises(UserError, match=r"gives 1,001 sources in .*, more than the 1,000 there may be"):
        read_dataset(
            kaggle(tmp_path / "ids", "file_name,label,camera\n" + rows), LayoutSettings(source="column:camera")
        )


def test_class_folders_without_folders_and_columns_of_class_folders_are_refused(tmp_path):
    root = lay(tmp_path, train__FAKE=["a.jpg"], train__REAL=["b.jpg"])
    with pytest.raises(UserError, match=r"source=folders: the class folders in .*train have no folders in them"):
        read_dataset(root, LayoutSettings(source="folders"))
    with pytest.raises(UserError, match=r"source=column:x needs the rows of a train.csv; .* has class folders"):
        read_dataset(root, LayoutSettings(source="column:x"))
