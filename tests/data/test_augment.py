"""A training variant depends on its image and its seed alone; test-time views are exact."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from competition.core.errors import UserError
from competition.core.settings import CHOICES
from competition.data.augment import mix_seed, train_transform
from competition.data.tta import CROPS, TTA, TURNS, eval_crops, needs_padding, turn

pytestmark = pytest.mark.filterwarnings("error")  # albumentations only warns of a wrong argument

ROWS, SIZE = 24, 16
LARGE = np.random.default_rng(3).integers(0, 256, (500, 600, 3), np.uint8)  # room for very many different crops
NOISE = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
RANDOM = [(name, fit) for name in CHOICES["augment"] if name != "none" for fit in CHOICES["fit"]]


class _Samples(Dataset):
    """The same image in every row, so that whatever differs between rows comes from the augmentation."""

    def __init__(self, name: str, fit: str, epoch: int):
        self.transform, self.epoch = train_transform(name, SIZE, fit), epoch

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.tensor(self.transform(LARGE, (42, self.epoch, row)))


def _epoch(name: str, fit: str, epoch: int, workers: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than this machine has cores
        return torch.cat(list(DataLoader(_Samples(name, fit, epoch), 4, num_workers=workers))).numpy()


@pytest.mark.parametrize(("name", "fit"), [("forensic", "crop"), ("classic", "resize"), ("web", "crop")])
def test_the_number_of_workers_changes_no_pixel_and_no_worker_repeats_another(name, fit):
    alone = _epoch(name, fit, 0, 0)
    for workers in (1, 2, 4):
        np.testing.assert_array_equal(_epoch(name, fit, 0, workers), alone)
    # Every row shows the same image: were a stream repeated, by a worker or from row to row, two rows would be equal.
    assert len({row.tobytes() for row in alone}) == ROWS
    again = _epoch(name, fit, 1, 2)
    assert len({row.tobytes() for row in [*alone, *again]}) == 2 * ROWS, "two epochs share a variant"


@pytest.mark.parametrize(("name", "fit"), RANDOM)
def test_rows_epochs_and_runs_differ_and_repeat(name, fit):
    transform = train_transform(name, SIZE, fit)
    seeds = [(run, epoch, row) for run in (0, 1) for epoch in (0, 1) for row in range(20)]
    variants = np.stack([transform(NOISE, seed) for seed in seeds])
    assert variants.dtype == np.uint8 and variants.shape[1:] == (SIZE, SIZE, 3)
    first, later_epoch, other_run = variants[:20], variants[20:40], variants[40:60]
    assert not np.array_equal(first, later_epoch) and not np.array_equal(first, other_run)
    assert len({variant.tobytes() for variant in first}) > 1
    backwards = np.stack([transform(NOISE, seed) for seed in reversed(seeds)])[::-1]
    np.testing.assert_array_equal(variants, backwards)


def test_a_spawned_worker_makes_the_same_pixels():
    transform = train_transform("forensic", SIZE, "crop")
    copy = pickle.loads(pickle.dumps(transform))
    assert copy == transform
    np.testing.assert_array_equal(copy(NOISE, (1, 2, 3)), transform(NOISE, (1, 2, 3)))
    assert len(pickle.dumps(transform)) < 500


@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4), st.data())
def test_every_number_of_a_seed_counts(seed, data):
    other = list(seed)
    place = data.draw(st.integers(0, len(seed) - 1))
    other[place] += data.draw(st.integers(1, 2**40))
    assert mix_seed(seed) != mix_seed(other)
    assert 0 <= mix_seed(seed) < 2**64
    assert mix_seed(seed) == mix_seed([np.int64(n) if abs(n) < 2**63 else n for n in seed])


def test_seeds_of_neighbouring_rows_and_epochs_never_collide():
    seeds = {mix_seed((run, epoch, row)) for run in range(4) for epoch in range(20) for row in range(1000)}
    assert len(seeds) == 4 * 20 * 1000


@pytest.mark.parametrize("name", CHOICES["augment"])
@pytest.mark.parametrize("fit", CHOICES["fit"])
@pytest.mark.parametrize("shape", [(40, 48), (SIZE, SIZE), (9, 70), (5, 5), (1, 1)])
def test_any_image_comes_out_square_and_the_input_stays_as_it_was(name, fit, shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    image.flags.writeable = False  # as in the memory map of a cache
    before = image.copy()
    transform = train_transform(name, SIZE, fit)
    for row in range(8):
        assert transform(image, (0, 0, row)).shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(image, before)


def test_none_is_what_is_seen_in_evaluation():
    for fit in CHOICES["fit"]:
        expected = eval_crops(NOISE, SIZE, fit, ["centre"])[0]
        np.testing.assert_array_equal(train_transform("none", SIZE, fit)(NOISE, (0, 0, 0)), expected)
    fitting = NOISE[:SIZE, :SIZE]
    assert train_transform("none", SIZE, "resize")(fitting, (0, 0, 0)) is fitting


def test_flips_of_a_fitting_image_are_the_image_or_its_mirror_image():
    image = NOISE[:SIZE, :SIZE].copy()
    transform = train_transform("flips", SIZE, "resize")
    mirrored = 0
    for row in range(200):
        variant = transform(image, (0, 0, row))
        flipped = np.array_equal(variant, image[:, ::-1])
        assert flipped or np.array_equal(variant, image)
        mirrored += flipped
    assert 70 < mirrored < 130


def test_crops_are_windows_at_native_resolution():
    windows = {
        NOISE[top : top + SIZE, left : left + SIZE].tobytes()
        for top in range(40 - SIZE + 1)
        for left in range(48 - SIZE + 1)
    }
    mirrored = {np.frombuffer(w, np.uint8).reshape(SIZE, SIZE, 3)[:, ::-1].tobytes() for w in windows}
    transform = train_transform("flips", SIZE, "crop")
    seen = {transform(NOISE, (0, 0, row)).tobytes() for row in range(60)}
    assert seen <= windows | mirrored and len(seen) > 30


def test_most_forensic_variants_keep_every_pixel_value():
    image = NOISE[:SIZE, :SIZE].copy()
    transform = train_transform("forensic", SIZE, "crop")
    colours = np.sort(image, axis=None)
    kept = [np.array_equal(np.sort(transform(image, (0, 0, row)), axis=None), colours) for row in range(200)]
    assert 0.5 < np.mean(kept) < 0.8


@pytest.mark.parametrize("fit", CHOICES["fit"])
def test_web_variants_are_degraded_and_some_are_the_image_as_it_is_or_its_mirror_image(fit):
    image = NOISE[:SIZE, :SIZE].copy()
    transform = train_transform("web", SIZE, fit)
    variants = [transform(image, (0, 0, row)) for row in range(300)]
    mirrored = sum(np.array_equal(variant, image[:, ::-1]) for variant in variants)
    kept = sum(np.array_equal(variant, image) for variant in variants)
    assert min(mirrored, kept) > 8 and 0.1 < (mirrored + kept) / 300 < 0.25


def test_a_web_crop_lies_anywhere_in_the_image_and_costs_no_more_in_a_large_one():
    ramp = np.add.outer(100 * np.linspace(0, 1, 400), 100 * np.linspace(0, 1, 600))
    image = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    transform = train_transform("web", SIZE, "crop")
    means = [transform(image, (0, 0, row)).mean() for row in range(200)]
    assert min(means) < 30 and max(means) > 170


def test_images_too_small_for_a_crop_are_mirrored_at_their_border():
    small = NOISE[:10, :40]
    assert needs_padding(small.shape, SIZE) and not needs_padding(NOISE.shape, SIZE)
    assert needs_padding((40, 10, 3), SIZE) and not needs_padding((SIZE, SIZE, 3), SIZE)
    seen = eval_crops(small, SIZE, "crop", ["top_left"])[0]
    np.testing.assert_array_equal(seen, np.pad(small, ((3, 3), (0, 0), (0, 0)), mode="reflect")[:, :SIZE])
    np.testing.assert_array_equal(eval_crops(small[:1, :1], 4, "crop", ["centre"])[0], np.tile(small[0, 0], (4, 4, 1)))


def test_floats_are_only_moved_never_changed():
    image = np.random.default_rng(2).normal(size=(20, 20, 1)).astype(np.float32)
    for fit in CHOICES["fit"]:
        variant = train_transform("flips", 20, fit, floating=True)(image, (0, 0, 1))
        assert variant.dtype == np.float32 and variant.shape == image.shape
        np.testing.assert_array_equal(np.sort(variant.ravel()), np.sort(image.ravel()))
        assert eval_crops(image, 32, fit, ["centre", "top_left"]).shape == (2, 32, 32, 1)


def test_jitter_turns_an_image_slightly_and_changes_its_colours_mildly():
    ramp = np.repeat(np.linspace(60, 180, 64)[None, :, None], 64, 0).repeat(3, -1).astype(np.uint8)
    transform = train_transform("jitter", 64, "resize")
    mirrored, brightness, slopes = 0, [], []
    for row in range(100):
        variant = transform(ramp, (0, 0, row)).astype(float)
        inside = variant[16:48, 16:48, 0]
        across, down = np.gradient(inside, axis=1).mean(), np.gradient(inside, axis=0).mean()
        mirrored += across < 0
        slopes.append(np.degrees(np.arctan2(down, abs(across))))
        brightness.append(variant.mean() / ramp.mean())
    assert 30 < mirrored < 70
    assert 3 < np.std(slopes) and np.abs(slopes).max() < 11
    assert 0.75 < min(brightness) < 0.9 and 1.1 < max(brightness) < 1.25


@pytest.mark.parametrize("name", ["forensic", "classic", "web", "jitter"])
def test_augmentations_of_colours_refuse_floats(name):
    with pytest.raises(UserError, match=f"augment={name} .*use augment=flips, flips_both or none"):
        train_transform(name, 20, "resize", floating=True)


def test_unknown_names_are_refused_with_the_nearest_right_one():
    with pytest.raises(UserError, match=r"augment=forensics .*did you mean 'forensic'"):
        train_transform("forensics", 96, "crop")
    with pytest.raises(UserError, match=r"fit=crops .*did you mean 'crop'"):
        train_transform("none", 96, "crops")
    with pytest.raises(UserError, match="did you mean 'centre'"):
        eval_crops(NOISE, 8, "crop", ["center"])
    with pytest.raises(UserError, match="did you mean 'hflip'"):
        turn(torch.zeros(1, 1, 2, 2), "hflp")


def test_evaluation_crops_lie_in_the_centre_and_the_corners():
    crops = dict(zip(CROPS, eval_crops(NOISE, SIZE, "crop", list(CROPS)), strict=True))
    np.testing.assert_array_equal(crops["centre"], NOISE[12:28, 16:32])
    np.testing.assert_array_equal(crops["top_left"], NOISE[:16, :16])
    np.testing.assert_array_equal(crops["top_right"], NOISE[:16, -16:])
    np.testing.assert_array_equal(crops["bottom_left"], NOISE[-16:, :16])
    np.testing.assert_array_equal(crops["bottom_right"], NOISE[-16:, -16:])


def test_with_resizing_the_centre_is_the_whole_image_and_corners_are_most_of_it():
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, 0).repeat(3, -1)
    centre, left, right = eval_crops(ramp, 32, "resize", ["centre", "top_left", "bottom_right"])
    assert centre[0, 0, 0] < 4 and centre[0, -1, 0] > 251
    assert left[0, 0, 0] < 4 and 215 < left[0, -1, 0] < 230
    assert 25 < right[0, 0, 0] < 40 and right[0, -1, 0] > 251


def test_every_test_time_view_is_made_of_known_parts_and_listed_once():
    for views in TTA.values():
        assert len({view.name for view in views}) == len(views) == len({(view.crop, view.turn) for view in views})
        assert views[0].crop == "centre" and views[0].turn == "identity"
        assert all(view.crop in CROPS and view.turn in TURNS for view in views)
    assert [len(TTA[name]) for name in ("none", "flip", "d4", "crops")] == [1, 2, 8, 5]


UNDO = {name: name for name in TURNS} | {"rot90": "rot270", "rot270": "rot90"}


@settings(deadline=None)
@given(st.sampled_from(sorted(TURNS)), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6))
def test_turning_and_undoing_is_the_identity_and_an_array_turns_as_a_tensor_does(name, n, height, width):
    batch = torch.arange(n * 2 * height * width).reshape(n, 2, height, width)
    assert torch.equal(turn(turn(batch, name), UNDO[name]), batch)
    np.testing.assert_array_equal(turn(batch.numpy(), name), turn(batch, name).numpy())


def test_the_eight_turns_are_the_eight_symmetries_and_rotations_go_counter_clockwise():
    batch = torch.arange(9).reshape(1, 1, 3, 3)
    assert len({tuple(turn(batch, name).flatten().tolist()) for name in TURNS}) == 8
    assert torch.equal(turn(batch, "rot90"), torch.rot90(batch, 1, (-2, -1)))
    assert torch.equal(turn(batch, "rot270"), torch.rot90(batch, 3, (-2, -1)))


def test_evaluation_needs_neither_albumentations_nor_torch():
    program = (
        "import sys, numpy as np\n"
        "from competition.data.augment import train_transform; from competition.data.tta import eval_crops\n"
        "eval_crops(np.zeros((9, 9, 3), np.uint8), 4, 'crop', ['centre']); train_transform('none', 4, 'resize')\n"
        "assert not {'albumentations', 'torch'} & set(sys.modules), 'slow imports'\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
