import dataclasses
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.data.images.perturb import conditions
from competition.data.images.stores import ArrayStore, ImageStore
from competition.inference.diagnostics import (
    FILE,
    MAX_FEATURES,
    Diagnostics,
    collect_sweep,
    collect_views,
    penultimate,
    read_diagnostics,
    sample,
    sweep_logits,
    write_diagnostics,
)
from competition.inference.predict import Predictor, predict_logits
from competition.models.build import build_model
from competition.models.device import Placement
from tests.runs import TINY, random_model, random_pictures

CPU = Placement("cpu", "fp32", "contiguous", 8)
KINDS = TINY | {
    "a convolution for classifier": Recipe(
        backbone="resnetv2_50",
        image_size=32,
        backbone_args={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "stem_chs": 8},
    ),
    "a batch norm before the last layer": dataclasses.replace(TINY["resnet"], head=["8", "batchnorm"], dropout=0.5),
}


@pytest.fixture
def store():
    pictures = ImageStore(random_pictures(*[(40, 36)] * 6))
    pictures.dtype = np.dtype(np.uint8)
    return pictures


def last_matrix(model):
    layer = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    return layer.weight.detach().flatten().numpy(), layer.bias.item()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_last_layer_sees_times_its_weights_is_the_logit(kind, store):
    recipe = dataclasses.replace(KINDS[kind], batch_size=4)
    model = build_model(recipe) if "classifier" in kind else random_model(recipe)
    rows = [5, 0, 3, 1, 4]
    weight, bias = last_matrix(model)
    for tta, precision, error in (("flip", "fp32", 1e-2), ("crops", "bf16", 0.1)):
        placement = dataclasses.replace(CPU, precision=precision)
        features = penultimate(model, store, rows, Predictor(recipe, placement))
        assert features.dtype == np.float16 and features.shape == (5, len(weight))
        identity = predict_logits(model, store, rows, Predictor(recipe, placement, tta))[0]
        assert np.allclose(features.astype(float) @ weight + bias, identity, atol=error * (1 + abs(identity).max()))


def test_a_distilled_vit_with_two_last_layers_shows_what_the_first_sees(store):
    recipe = Recipe(
        backbone="deit_tiny_distilled_patch16_224",
        image_size=32,
        batch_size=4,
        backbone_args={"embed_dim": 24, "depth": 1, "num_heads": 2, "patch_size": 8},
    )
    assert penultimate(build_model(recipe), store, [0, 1], Predictor(recipe, CPU)).shape == (2, 24)


def test_taking_features_leaves_the_model_as_it_was_and_hears_of_every_image(store):
    recipe, heard = TINY["convnext"], []
    model = random_model(recipe)
    before = predict_logits(model, store, range(6), Predictor(recipe, CPU))
    features = penultimate(
        model, store, range(6), Predictor(dataclasses.replace(recipe, batch_size=4), CPU, on_progress=heard.append)
    )
    assert heard == [4, 2]
    pickle.dumps(model)  # which it could not be with the hook still on
    assert np.array_equal(before, predict_logits(model, store, range(6), Predictor(recipe, CPU)))
    assert penultimate(model, store, [], Predictor(recipe, CPU)).shape == (0, 0)
    assert np.array_equal(
        features,
        penultimate(
            model,
            store,
            range(6),
            Predictor(dataclasses.replace(recipe, batch_size=4), dataclasses.replace(CPU, compiled=True)),
        ),
    )


def test_many_features_become_fewer_of_about_the_same_distances(store):
    recipe = Recipe(backbone="small_cnn", backbone_args={"widths": [8, 16, 64, 512]}, image_size=32)
    model = build_model(recipe).eval()
    features = penultimate(model, store, range(6), Predictor(recipe, CPU)).astype(float)
    pixels = torch.from_numpy(np.stack([picture[4:36, 2:34] for picture in random_pictures(*[(40, 36)] * 6)]))
    crops = dataclasses.replace(recipe, fit="crop")
    cropped = penultimate(model, store, range(6), Predictor(crops, CPU)).astype(float)
    whole = model.backbone.trunk(model.seen(pixels.movedim(-1, 1))).flatten(1).detach().numpy()
    assert whole.shape[1] > MAX_FEATURES == features.shape[1]
    pairs = [(i, j) for i in range(6) for j in range(i)]
    full, few = (np.array([np.linalg.norm(x[i] - x[j]) for i, j in pairs]) for x in (whole, cropped))
    assert np.allclose(few, full, rtol=0.35) and np.corrcoef(few, full)[0, 1] > 0.95


def test_values_beyond_half_precision_become_its_largest(store):
    recipe = TINY["small_cnn"]
    model = random_model(recipe)
    with torch.no_grad():
        model.backbone.head[1].weight.mul_(1e9)
    features = penultimate(model, store, range(6), Predictor(recipe, CPU))
    assert np.isfinite(features).all() and features.max() == np.finfo(np.float16).max


def test_a_sweep_moves_logits_and_a_model_that_sees_the_same_pixels_says_the_same(store):
    recipe, compiled = TINY["resnet"], dataclasses.replace(CPU, compiled=True)
    model = random_model(recipe)
    rows = [4, 1, 0]
    clean = predict_logits(model, store, rows, Predictor(TINY["resnet"], CPU))[0]
    sweep = sweep_logits(model, store, rows, Predictor(recipe, compiled))
    assert tuple(sweep) == conditions(False)
    assert all(np.abs(logit - clean).min() > 0 for logit in sweep.values())
    flat = ImageStore([np.full((32, 32, 3), 120, np.uint8)] * 2)
    flat.dtype = np.dtype(np.uint8)
    clean = predict_logits(model, flat, [0, 1], Predictor(TINY["resnet"], CPU))[0]
    for condition in ("blur", "half"):
        assert np.array_equal(sweep_logits(model, flat, [0, 1], Predictor(recipe, compiled))[condition], clean)


def test_standardised_floats_are_blurred_and_resized_only():
    recipe = dataclasses.replace(TINY["small_cnn"], image_size=16)
    model = build_model(recipe, channels=2, floating=True)
    floats = ArrayStore(np.random.default_rng(0).normal(size=(3, 16, 16, 2)).astype(np.float32), "digest")
    assert tuple(sweep_logits(model, floats, [0, 2], Predictor(recipe, CPU))) == conditions(True)


@given(st.sets(st.text(max_size=5), max_size=30), st.integers(0, 40), st.integers(0, 40), st.randoms())
def test_a_sample_goes_by_ids_and_seed_alone_and_a_smaller_one_lies_within(ids, count, other, random):
    ids = sorted(id.rstrip("\0") for id in ids)
    ids = list(dict.fromkeys(ids))
    shuffled = random.sample(ids, len(ids))
    chosen = [ids[at] for at in sample(ids, count, 3, 1)]
    assert len(chosen) == min(count, len(ids)) and chosen == sorted(chosen)
    assert set(chosen) == {shuffled[at] for at in sample(shuffled, count, 3, 1)}
    smaller, larger = sorted((count, other))
    assert set(sample(ids, smaller, 3, 1)) <= set(sample(ids, larger, 3, 1))


def test_every_fold_and_every_seed_samples_rows_of_its_own():
    ids = [f"{number}.jpg" for number in range(100)]
    assert len({tuple(sample(ids, 10, *seed)) for seed in ((0, 0), (0, 1), (1, 0))}) == 3


def made(ids, shift=0.0, swept=("b",)):
    ids = np.array(ids)
    swept = np.array([id for id in ids if id in swept], dtype=str)
    logits = np.stack([np.arange(len(ids)), -np.arange(len(ids))]).astype(np.float32) + np.float32(shift)
    return Diagnostics(
        views=("identity", "hflip"),
        ids=ids,
        logits=logits,
        validation_ids=ids[:1],
        validation=np.ones((1, 3), "f2"),
        test_ids=np.array(["t"]),
        test=np.zeros((1, 3), np.float16),
        conditions=("clean", "blur"),
        sweep_ids=swept,
        sweep=np.full((2, len(swept)), shift, np.float32),
    )


@pytest.fixture
def folders(tmp_path):
    """Two folds, the second with two seeds whose files have another order."""
    for name, found in {"f0": made(["c", "007"]), "f1": made(["b", "a,b"], 1), "f1s": made(["a,b", "b"], 3)}.items():
        (tmp_path / name).mkdir()
        write_diagnostics(tmp_path / name, found)
    return [[tmp_path / "f0"], [tmp_path / "f1", tmp_path / "f1s"]]


def test_evidence_is_read_as_it_was_written_and_its_bytes_know_no_clock(folders):
    folder, diagnostics = folders[0][0], made(["c", "007"])
    found = read_diagnostics(folder)
    for item in dataclasses.fields(Diagnostics):
        mine, theirs = getattr(diagnostics, item.name), getattr(found, item.name)
        assert np.array_equal(mine, theirs)
        assert isinstance(theirs, tuple) or mine.dtype == theirs.dtype
    before = (folder / FILE).read_bytes()
    write_diagnostics(folder, found)
    assert (folder / FILE).read_bytes() == before
    assert {entry.date_time for entry in zipfile.ZipFile(folder / FILE).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_evidence_without_rows_or_sweep_is_read_back(tmp_path):
    none = np.zeros((0, 0), np.float16)
    diagnostics = dataclasses.replace(
        made(["c"]),
        validation_ids=np.array([], str),
        validation=none,
        conditions=(),
        sweep_ids=np.array([], str),
        sweep=none.astype(np.float32),
    )
    write_diagnostics(tmp_path, diagnostics)
    assert read_diagnostics(tmp_path).conditions == () and collect_sweep([[tmp_path]], ["c"]) == {}
    assert collect_views([[tmp_path]], ["c"])["identity"].tolist() == [0]


def test_views_and_sweep_are_joined_by_id_over_folds_and_averaged_over_seeds(folders):
    views = collect_views(folders, ["a,b", "x", "007", "b", "c"])
    assert list(views) == ["identity", "hflip"]
    assert np.array_equal(views["identity"], [2.5, np.nan, 1, 2.5, 0], equal_nan=True)
    assert np.array_equal(views["hflip"], [1.5, np.nan, -1, 1.5, 0], equal_nan=True)
    sweep = collect_sweep(folders, ["a,b", "x", "007", "b", "c"])
    assert np.array_equal(sweep["clean"], [np.nan, np.nan, np.nan, 2, np.nan], equal_nan=True)
    assert collect_views([], ["a"]) == {}


def test_sweeps_of_several_versions_meet_in_what_all_of_them_know(tmp_path):
    older = made(["a", "b", "c"], 1, swept=("a", "b", "c"))
    newer = made(["a", "b", "c"], 3, swept=("a", "b"))
    newer = dataclasses.replace(newer, conditions=("clean", "noise", "blur"), sweep=np.full((3, 2), 3, np.float32))
    for name, found in {"older": older, "newer": newer}.items():
        (tmp_path / name).mkdir()
        write_diagnostics(tmp_path / name, found)
    sweep = collect_sweep([[tmp_path / "older", tmp_path / "newer"]], ["a", "b", "c"])
    assert list(sweep) == ["clean", "blur"]
    assert np.array_equal(sweep["blur"], [2, 2, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    "spoilt",
    [
        made(["b", "z"]),
        made(["b"]),
        made(["b", "c"]),
        dataclasses.replace(made(["b", "a,b"]), views=("identity", "rot90")),
    ],
)
def test_rows_that_do_not_fit_one_to_one_are_refused_by_file(folders, spoilt):
    write_diagnostics(folders[1][1], spoilt)
    with pytest.raises(UserError, match=r"The rows in .*f1s/evidence\.npz are not this fold's: delete it"):
        collect_views(folders, ["a,b", "007", "b", "c"])


@pytest.mark.parametrize("spoilt", [b"", b"no archive", "half", "twice", None])
def test_a_damaged_file_is_one_sentence_with_its_remedy(folders, spoilt):
    folder, path = folders[0][0], folders[0][0] / FILE
    if spoilt is None:
        path.unlink()
    elif spoilt == "twice":
        write_diagnostics(folder, made(["c", "c"]))
    else:
        path.write_bytes(path.read_bytes()[:900] if spoilt == "half" else spoilt)
    with pytest.raises(UserError, match=r"evidence\.npz .*: delete what there is of it and run the same line again\."):
        read_diagnostics(folder)
