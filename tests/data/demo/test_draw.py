import dataclasses
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, JpegImagePlugin
from sklearn.metrics import roc_auc_score

from competition.core.errors import UserError
from competition.core.settings import CHOICES, Demo
from competition.data.demo.draw import BICUBIC, RECIPE, WORLDS, Camera, DemoPlan, Generator, World, draw_demo
from competition.data.demo.scenes import SIZE, paint_scene
from competition.data.demo.sources import MAX_SOURCES, draw_source

SCENES = (24, 10)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "drawn"
    draw_demo(folder, DemoPlan(seed=3, scenes=SCENES))
    return folder


@pytest.fixture(scope="module")
def worlds(demo, tmp_path_factory):
    """The same demo with the test sets of all worlds, by world."""
    root = tmp_path_factory.mktemp("worlds")
    for world in ("prior", "generator"):
        draw_demo(root / world, DemoPlan(seed=3, scenes=SCENES, world=world))
    return {"same": demo, "prior": root / "prior", "generator": root / "generator"}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labels(folder):
    train = pd.read_csv(folder / "train.csv", index_col=0).rename(columns={"file_name": "id"})
    return pd.concat([train, pd.read_csv(folder / "test_labels.csv")], ignore_index=True)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A demo of four sources, with a test set from a fifth."""
    folder = tmp_path_factory.mktemp("several") / "drawn"
    draw_demo(folder, DemoPlan(seed=3, scenes=SCENES, world="source", sources=4))
    return folder


def test_several_sources_take_turns_and_twins_are_of_one_camera_and_its_generator(several):
    train = pd.read_csv(several / "train.csv", index_col=0)
    assert (train["source"].str.startswith("generator") == (train["label"] == 1)).all()
    number = train["source"].str.rpartition("-")[2].astype(int).to_numpy()
    assert list(number) == [scene % 4 + 1 for scene in range(SCENES[0]) for _ in (0, 1)]


def test_the_unseen_source_is_none_of_the_training_sets_whatever_their_number(several, tmp_path):
    worlds = [draw_source(World(), 3, number) for number in range(MAX_SOURCES + 1)]
    assert len({world.generator.taps for world in worlds}) == len({world.camera for world in worlds}) == MAX_SOURCES + 1
    draw_demo(tmp_path / "one", DemoPlan(seed=3, scenes=SCENES, world="source"))
    for name in ("test.csv", "test_labels.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (several / name).read_bytes()
    assert (tmp_path / "one" / "train.csv").read_text().splitlines()[0] == ",file_name,label"


def test_a_test_set_of_the_same_world_is_of_the_same_sources(several, tmp_path):
    draw_demo(tmp_path / "same", DemoPlan(seed=3, scenes=SCENES, sources=4))
    assert (tmp_path / "same" / "train.csv").read_bytes() == (several / "train.csv").read_bytes()
    twins = [draw_source(World(), 3, number % 4).twins(3, 1, number) for number in range(SCENES[1])]
    drawn = {path.read_bytes() for path in (tmp_path / "same" / "test_data_v2").iterdir()}
    assert drawn == {jpeg for pair in twins for jpeg in pair}


@pytest.mark.parametrize("sources", [0, MAX_SOURCES + 1])
def test_sources_that_cannot_be_drawn_are_refused(tmp_path, sources):
    with pytest.raises(UserError, match=f"demo.sources={sources} cannot be drawn: give 1 to {MAX_SOURCES}."):
        draw_demo(tmp_path / "demo", DemoPlan(sources=sources))
    assert not list(tmp_path.iterdir())


def test_the_number_of_sources_that_can_be_set_is_that_of_those_there_are():
    (bounds,) = (item.metadata["bounds"] for item in dataclasses.fields(Demo) if item.name == "sources")
    assert bounds == (1, MAX_SOURCES)


def test_equal_arguments_give_equal_bytes_and_other_seeds_give_other_images(demo, tmp_path):
    draw_demo(tmp_path / "again", DemoPlan(seed=3, scenes=SCENES))
    draw_demo(tmp_path / "other", DemoPlan(seed=4, scenes=SCENES))
    assert contents(tmp_path / "again") == contents(demo)
    images = [{name for name in contents(folder) if name.endswith(".jpg")} for folder in (demo, tmp_path / "other")]
    assert not images[0] & images[1]


def test_a_scene_does_not_depend_on_how_many_are_drawn(demo, tmp_path):
    draw_demo(tmp_path / "few", DemoPlan(seed=3, scenes=(2, 1)))
    few, many = (pd.read_csv(folder / "train.csv", index_col=0) for folder in (tmp_path / "few", demo))
    pd.testing.assert_frame_equal(few, many.iloc[:4])


def test_the_layout_is_that_of_the_kaggle_competition(demo):
    assert (demo / "train.csv").read_text().splitlines()[0] == ",file_name,label"
    train = pd.read_csv(demo / "train.csv", index_col=0)
    test = pd.read_csv(demo / "test.csv")
    assert list(train.index) == list(range(2 * SCENES[0])) and set(train["label"]) == {0, 1}
    assert list(test.columns) == ["id"] and len(test) == 2 * SCENES[1]
    assert all(re.fullmatch(r"train_data/[0-9a-f]{32}\.jpg", name) for name in train["file_name"])
    assert all(re.fullmatch(r"test_data_v2/[0-9a-f]{32}\.jpg", name) for name in test["id"])
    on_disk = {name for name in contents(demo) if name.endswith(".jpg")}
    assert on_disk == set(train["file_name"]) | set(test["id"])


def test_the_withheld_labels_cover_the_test_rows_once_each_and_both_classes_equally(demo):
    withheld, test = pd.read_csv(demo / "test_labels.csv"), pd.read_csv(demo / "test.csv")
    assert list(withheld["id"]) == list(test["id"]) and withheld["id"].is_unique
    assert withheld["label"].value_counts().to_dict() == {0: SCENES[1], 1: SCENES[1]}


def test_rows_2k_and_2k_plus_1_are_twins_one_of_each_label(demo):
    train = pd.read_csv(demo / "train.csv", index_col=0)
    assert (train["label"].to_numpy().reshape(-1, 2).sum(axis=1) == 1).all()
    images = [Image.open(demo / name).convert("L").resize((8, 8)) for name in train["file_name"]]
    small = np.array([np.asarray(image, dtype=float).ravel() for image in images])
    distance = np.linalg.norm(small[:, None] - small[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert list(distance.argmin(axis=1)) == [index ^ 1 for index in range(len(train))]


def test_row_parity_and_order_do_not_predict_the_label(tmp_path, monkeypatch):
    monkeypatch.setattr(World, "twins", lambda self, seed, part, number: (b"%d real" % number, b"%d fake" % number))
    draw_demo(tmp_path / "demo", DemoPlan(scenes=(400, 400)))
    train = pd.read_csv(tmp_path / "demo" / "train.csv", index_col=0)["label"].to_numpy()
    test = pd.read_csv(tmp_path / "demo" / "test_labels.csv")["label"].to_numpy()
    assert abs(train[::2].mean() - 0.5) < 0.1  # four standard deviations of 400 fair coins
    assert abs(test[::2].mean() - 0.5) < 0.1
    assert abs(test[:400].mean() - 0.5) < 0.1
    assert abs((test[::2] != test[1::2]).mean() - 0.5) < 0.1


def test_both_classes_share_size_mode_format_and_the_distribution_of_jpeg_settings(demo):
    settings = {0: [], 1: []}
    for name, label in labels(demo).itertuples(index=False):
        with (image := JpegImagePlugin.JpegImageFile(demo / name)):
            layers = [layer[1:3] for layer in image.layer]
            tables = {key: tuple(table) for key, table in image.quantization.items()}
            settings[label].append(str((image.size, image.mode, image.format, layers, sorted(image.info), tables)))
            assert image.size == (SIZE, SIZE)
    assert sorted(settings[0]) == sorted(settings[1])
    assert len(set(settings[0])) > 5


@pytest.mark.parametrize("world", WORLDS)
def test_which_twin_takes_more_bytes_is_chance_so_that_file_size_tells_nothing(world):
    size = np.array([[len(jpeg) for jpeg in WORLDS[world].twins(seed=5, part=1, number=n)] for n in range(40)])
    ratio = np.log(size[:, 1] / size[:, 0])
    assert abs(ratio.mean()) < 0.05 and 0.06 < ratio.std() < 0.14  # .1 / sqrt(40) is .016
    assert 0.44 < roc_auc_score(np.tile([0, 1], len(size)), size.ravel()) < 0.56


def test_the_generator_leaves_a_grid_that_the_camera_does_not():
    def unevenness(render):
        pictures = np.stack([render(paint_scene(rng), rng) for rng in map(np.random.default_rng, range(20))])
        cells = pictures.mean(axis=3).reshape(20, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
        return np.abs(cells[:, 0, 0] + cells[:, 1, 1] - cells[:, 0, 1] - cells[:, 1, 0]).mean()

    flat = dataclasses.replace(Generator(), checkerboard=0.0)
    assert unevenness(Generator().render) > 5 * max(unevenness(Camera().render), unevenness(flat.render))


def test_a_second_call_changes_nothing(demo):
    before = {path: path.stat().st_mtime_ns for path in [demo, *demo.rglob("*")]}
    draw_demo(demo, DemoPlan(seed=3, scenes=SCENES))
    assert {path: path.stat().st_mtime_ns for path in [demo, *demo.rglob("*")]} == before


def test_a_folder_that_is_something_else_is_refused_and_left_alone(demo, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(UserError, match="mine"):
        draw_demo(tmp_path / "mine", DemoPlan(scenes=(2, 1)))
    with pytest.raises(UserError, match="seed"):
        draw_demo(demo, DemoPlan(seed=9, scenes=SCENES))
    assert contents(tmp_path / "mine") == {"photo.jpg": b"precious"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_demo_that_an_earlier_version_drew_is_refused_with_what_to_do(demo, tmp_path):
    shutil.copytree(demo, tmp_path / "old")
    stamp = json.loads((tmp_path / "old" / "demo.json").read_text())
    (tmp_path / "old" / "demo.json").write_text(json.dumps(stamp | {"recipe": RECIPE - 1}))
    before = contents(tmp_path / "old")
    with pytest.raises(UserError, match="another version of Telltale drew it: draw today's beside it with data=FOLDER"):
        draw_demo(tmp_path / "old", DemoPlan(seed=3, scenes=SCENES))
    assert contents(tmp_path / "old") == before


def test_every_world_has_the_same_training_set_to_the_byte_and_a_test_set_of_its_own(worlds):
    drawn = {world: contents(folder) for world, folder in worlds.items()}
    train = {
        world: {name: raw for name, raw in files.items() if name.startswith("train")} for world, files in drawn.items()
    }
    assert train["prior"] == train["generator"] == train["same"] and len(train["same"]) == 2 * SCENES[0] + 1
    assert len({files["test.csv"] for files in drawn.values()}) == len(worlds)
    assert {len(pd.read_csv(folder / "test.csv")) for folder in worlds.values()} == {2 * SCENES[1]}


def test_the_stamp_of_the_first_world_is_what_it_was_and_others_name_theirs(worlds):
    stamps = {world: json.loads((folder / "demo.json").read_text()) for world, folder in worlds.items()}
    assert stamps["same"] == {"recipe": RECIPE, "seed": 3, "scenes": list(SCENES)}
    assert stamps["prior"] == stamps["same"] | {"world": "prior"}
    with pytest.raises(UserError, match="prior"):
        draw_demo(worlds["prior"], DemoPlan(seed=3, scenes=SCENES, world="generator"))


def test_in_world_prior_a_quarter_is_ai_by_the_same_cameras_and_the_same_generator(worlds):
    test = {world: pd.read_csv(worlds[world] / "test_labels.csv") for world in ("same", "prior")}
    assert test["prior"]["label"].value_counts().to_dict() == {0: 15, 1: 5}
    assert test["prior"]["id"].is_unique
    ids = {
        (world, label): set(table["id"][table["label"] == label]) for world, table in test.items() for label in (0, 1)
    }
    assert ids["prior", 1] < ids["same", 1] and ids["same", 0] < ids["prior", 0]


def test_in_world_generator_classes_are_balanced_and_share_another_range_of_jpeg_settings(worlds):
    withheld = pd.read_csv(worlds["generator"] / "test_labels.csv")
    assert withheld["label"].value_counts().to_dict() == {0: SCENES[1], 1: SCENES[1]}
    tables = {
        world: [quantisation(folder / name) for name in pd.read_csv(folder / "test.csv")["id"]]
        for world, folder in worlds.items()
    }
    assert np.mean(tables["generator"]) > 1.5 * np.mean(tables["same"])
    by_label = [sorted(np.array(tables["generator"])[withheld["label"] == label]) for label in (0, 1)]
    assert by_label[0] == by_label[1]


def quantisation(path):
    """Return the mean step of a JPEG file's first quantisation table."""
    with (image := JpegImagePlugin.JpegImageFile(path)):
        return np.mean(image.quantization[0])


def test_the_other_generator_renders_the_same_scenes_with_other_traces():
    pictures = [
        [WORLDS[world].generator.render(paint_scene(rng), rng) for rng in map(np.random.default_rng, range(8))]
        for world in ("same", "generator")
    ]
    for one, other in zip(*pictures, strict=True):
        small = [cv2.resize(picture, (8, 8), interpolation=cv2.INTER_AREA) for picture in (one, other)]
        assert np.abs(small[0] - small[1]).max() < 0.1
        assert np.abs(one - other).mean() > 0.005


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), BICUBIC])
def test_kernels_of_any_taps_keep_the_mean_and_without_a_checkerboard_a_flat_picture_flat(taps):
    even = Generator(checkerboard=0.0, grid=0.0, latent_noise=(1e-9, 1e-9), pixel_noise=(1e-9, 1e-9), taps=taps)
    flat = even.render(np.full((2 * SIZE, 2 * SIZE, 3), 0.2, np.float32), np.random.default_rng(0))
    inside = flat[4:-4, 4:-4]
    assert inside.std() < 1e-5
    assert np.allclose(Generator(checkerboard=0.2, taps=taps).kernels().sum(axis=(1, 2)), 4)


def test_the_worlds_that_can_be_set_are_the_worlds_there_are(tmp_path):
    assert CHOICES["world"] == tuple(WORLDS)
    with pytest.raises(UserError, match="'generater'; did you mean 'generator'"):
        draw_demo(tmp_path / "demo", DemoPlan(world="generater"))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "demo").mkdir()
    draw_demo(tmp_path / "demo", DemoPlan(scenes=(2, 1)))
    assert len(pd.read_csv(tmp_path / "demo" / "train.csv")) == 4


def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Camera, "render", interrupt)
    with pytest.raises(KeyboardInterrupt):
        draw_demo(tmp_path / "demo", DemoPlan(scenes=(2, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"scenes": (0, 5)}])
def test_impossible_arguments_are_refused(tmp_path, arguments):
    with pytest.raises(UserError, match="demo"):
        draw_demo(tmp_path / "demo", DemoPlan(**arguments))
    assert list(tmp_path.iterdir()) == []
