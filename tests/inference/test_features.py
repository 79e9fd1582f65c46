import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from competition.core.errors import UserError
from competition.data.images.stores import ImageStore
from competition.inference.features import compute_features, features_path, load_features
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


def path_of(folder, store, weights="w", tta="flip", placement=CPU, **change):
    predictor = Predictor(dataclasses.replace(RECIPE, **change), placement, tta)
    return features_path(folder, predictor, weights, store)


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
        {"backbone": "resnet34"},
        {"weights": "v"},
        {"backbone_args": {}},
        {"tta": "none"},
        {"tta": "d4"},
        {"placement": Placement("cpu", "bf16", "contiguous", 8)},
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
    assert {path_of(tmp_path, store, **change) for change in same} == {path_of(tmp_path, store)}
    store.digest = "other"
    assert path_of(tmp_path, store) not in {path_of(tmp_path, store, **change) for change in changes[1:]}


def test_features_are_the_trunks_of_each_view_and_nan_where_there_is_no_image(tmp_path, store):
    model = build_model(RECIPE).eval()
    path = tmp_path / "new" / "features.npy"
    compute_features(path, model, store, Predictor(RECIPE, CPU, "flip"), "train")
    straight, mirrored = load_features(path)
    for row in (0, 1, 3, 4):
        pixels = torch.from_numpy(store[row]).movedim(-1, 0)[None]
        for view, seen in ((straight, pixels), (mirrored, pixels.flip(-1))):
            expected = model.backbone.trunk(model.seen(seen)).flatten().detach().numpy()
            assert view[row].shape == (1, 1, len(expected)) and np.allclose(view[row].ravel(), expected, atol=1e-4)
    assert np.isnan(straight[2]).all() and not list(path.parent.glob(".*"))


def test_features_that_are_no_numbers_are_refused_and_not_kept(tmp_path, store):
    model = build_model(RECIPE)
    torch.nn.init.constant_(model.backbone.trunk.conv1.weight, float("nan"))
    with pytest.raises(UserError, match="are not finite for some images: use precision=fp32"):
        compute_features(tmp_path / "features.npy", model, store, Predictor(RECIPE, CPU), "train")
    assert not list(tmp_path.iterdir())
