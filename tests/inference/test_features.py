import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from competition.core.errors import UserError
from competition.data.augment import train_transform
from competition.data.images.stores import ImageStore
from competition.inference.features import FeaturePass, Variant, compute_features, features_path, load_features
from competition.inference.predict import Predictor
from competition.models.build import build_model
from competition.models.device import Placement
from tests.runs import TINY, random_pictures

RECIPE = TINY["frozen"]
CPU = Placement("cpu", "fp32", "contiguous", 8)


@pytest.fixture
def store():
    pictures: Any = ImageStore(random_pictures(*[(32, 32)] * 5))
    pictures.bad, pictures.digest = {2: "damaged"}, "digest"
    return pictures


def path_of(folder, store, weights="w", tta="flip", placement=CPU, variant=None, **change):
    predictor = Predictor(dataclasses.replace(RECIPE, **change), placement, tta)
    return features_path(folder, predictor, weights, store, variant)


def passes_of(path, store, **change):
    """One pass over the image as it is, under two views, and one over its third variant."""
    predictor = Predictor(
        dataclasses.replace(RECIPE, augment="forensic", variants=3, batch_size=2, **change), CPU, "flip"
    )
    clean = FeaturePass(path / "clean.npy", store, predictor, "train")
    return [clean, dataclasses.replace(clean, path=path / "variant.npy", variant=Variant(7, 3))]


def test_features_are_named_after_all_that_changes_them_and_nothing_else(tmp_path, store):
    changes = [
        {},
        {"store_size": 16},
        {"image_size": 16},
        {"fit": "crop"},
        {"fit": "crop", "store_cap": 64},
        {"equalise": "jpeg:96"},
        {"view": "fourier"},
        {"head": []},
        {"small_stem": True},
        {"stem_stride": 1},
        {"backbone": "resnet34"},
        {"weights": "v"},
        {"backbone_args": {}},
        {"tta": "none"},
        {"tta": "d4"},
        {"placement": Placement("cpu", "bf16", "contiguous", 8)},
        {"variant": Variant(0, 1)},
        {"variant": Variant(0, 2)},
        {"variant": Variant(1, 1)},
        {"variant": Variant(0, 1), "augment": "flips"},
    ]
    assert len({path_of(tmp_path, store, **change) for change in changes}) == len(changes)
    same = [
        {"lr": 1.0},
        {"epochs": 3},
        {"dropout": 0.9},
        {"batch_size": 2},
        {"head": ["flatten", "3"]},
        {"placement": Placement("cuda", "fp32", "contiguous", 4)},
    ]
    same += [{"augment": "flips", "variants": 4}]
    assert {path_of(tmp_path, store, **change) for change in same} == {path_of(tmp_path, store)}
    first = path_of(tmp_path, store, variant=Variant(0, 1))
    assert path_of(tmp_path, store, variant=Variant(0, 1), variants=9, tta="none") == first  # more variants keep these
    store.digest = "other"
    assert path_of(tmp_path, store) not in {path_of(tmp_path, store, **change) for change in changes[1:]}


def test_features_are_the_trunks_of_each_view_and_nan_where_there_is_no_image(tmp_path, store):
    model = build_model(RECIPE).eval()
    path = tmp_path / "new" / "features.npy"
    compute_features([FeaturePass(path, store, Predictor(RECIPE, CPU, "flip"), "train")], model, "probe")
    straight, mirrored = load_features(path)
    for row in (0, 1, 3, 4):
        pixels = torch.from_numpy(store[row]).movedim(-1, 0)[None]
        for view, seen in ((straight, pixels), (mirrored, pixels.flip(-1))):
            expected = model.backbone.trunk(model.seen(seen)).flatten().detach().numpy()
            assert view[row].shape == (1, 1, len(expected)) and np.allclose(view[row].ravel(), expected, atol=1e-4)
    assert np.isnan(straight[2]).all() and not list(path.parent.glob(".*"))


def test_a_variants_features_are_the_trunks_of_the_image_that_its_number_and_row_augment(tmp_path, store):
    model, passes = build_model(RECIPE).eval(), passes_of(tmp_path, store)
    compute_features(passes, model, "probe")
    (features,) = load_features(passes[1].path)
    transform = train_transform("forensic", RECIPE.image_size, RECIPE.fit)
    for row in (0, 1, 3, 4):
        pixels = torch.from_numpy(transform(store[row], (7, 3, row)).copy()).movedim(-1, 0)[None]
        expected = model.backbone.trunk(model.seen(pixels)).flatten().detach().numpy()
        assert np.allclose(features[row].ravel(), expected, atol=1e-4)
    assert np.isnan(features[2]).all() and not list(tmp_path.glob(".*"))


class Killed(BaseException):
    pass


class Dying:
    """A store whose process is killed at its n-th picture."""

    def __init__(self, store, pictures):
        self.store, self.left, self.read = store, pictures, []

    def __getattr__(self, name):
        return getattr(self.store, name)

    def __len__(self):
        return len(self.store)

    def __getitem__(self, row):
        if not self.left:
            raise Killed
        self.left -= 1
        self.read.append(row)
        return self.store[row]


@pytest.mark.parametrize("part", [0, 1])
def test_a_killed_pass_goes_on_from_its_mark_to_the_same_bytes(tmp_path, store, monkeypatch, part):
    monkeypatch.setattr("competition.inference.features.MARK_SECONDS", 0)
    model = build_model(RECIPE)
    straight, again = (passes_of(tmp_path / name, store)[part] for name in ("straight", "again"))
    compute_features([straight], model, "probe")
    with pytest.raises(Killed):
        compute_features([dataclasses.replace(again, store=Dying(store, 3))], model, "probe")
    assert not again.path.exists()
    rest = Dying(store, 99)
    compute_features([dataclasses.replace(again, store=rest)], model, "probe")
    assert set(rest.read) == {3, 4}  # 0 and 1 were a batch, and done
    assert again.path.read_bytes() == straight.path.read_bytes() and not list(again.path.parent.glob(".*"))


def test_a_pass_that_was_marked_under_another_batch_size_starts_anew(tmp_path, store, monkeypatch):
    monkeypatch.setattr("competition.inference.features.MARK_SECONDS", 0)
    model, one = build_model(RECIPE), passes_of(tmp_path, store)[1]
    with pytest.raises(Killed):
        compute_features([dataclasses.replace(one, store=Dying(store, 3))], model, "probe")
    recipe = dataclasses.replace(one.predictor.recipe, batch_size=4)
    rest = Dying(store, 99)
    other = dataclasses.replace(one, store=rest, predictor=dataclasses.replace(one.predictor, recipe=recipe))
    compute_features([other], model, "probe")
    assert set(rest.read) == {0, 1, 3, 4}


def test_features_that_a_disk_has_no_room_for_are_refused_before_any_is_computed(tmp_path, store, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=5e8))
    with pytest.raises(
        UserError, match=r"take 0\.0 GB and 1 GB to spare, but only 0\.5 GB .*cache=DIR, or lower variants"
    ):
        compute_features(passes_of(tmp_path, store), build_model(RECIPE), "probe")
    assert not list(tmp_path.iterdir())


def test_features_that_are_no_numbers_are_refused_and_not_kept(tmp_path, store):
    model = build_model(RECIPE)
    torch.nn.init.constant_(model.backbone.trunk.conv1.weight, float("nan"))
    with pytest.raises(UserError, match="are not finite for some images: use precision=fp32"):
        compute_features(passes_of(tmp_path, store), model, "probe")
    assert not list(tmp_path.iterdir())
