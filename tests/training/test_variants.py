"""Frozen members that learn from augmented variants, and pairs: as jobs, and refused where they cannot be."""

import dataclasses
import re

import numpy as np
import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.paths import cache_folder
from competition.data.run_data import read_tables
from competition.inference.learner import fresh_model
from competition.training.estimate import print_estimate
from competition.training.job import prepare_features, run_job
from competition.training.job_run import JobRun
from competition.training.open_data import check_inputs, open_data
from competition.training.plan import Job, make_plans

WORDS = [
    "preset=demo",
    "members=null",
    "demo.train_scenes=12",
    "demo.test_scenes=4",
    "image_size=16",
    "batch_size=8",
    "epochs=2",
    "folds=2",
    "threads=1",
    "checkpoint_seconds=0",
]
CNN = [*WORDS, "backbone=small_cnn", "backbone_args={widths: [4, 8, 8, 8]}", "precision=fp32"]
PROBE = [
    *WORDS,
    "backbone=resnet18",
    "backbone_args={layers: [1, 1, 1, 1], channels: [8, 8, 16, 16]}",
    "frozen=true",
    "augment=forensic",
    "variants=2",
]


def configured(words):
    """Return the settings of words of which a later one undoes an earlier one."""
    return load_config([f"{key}={value}" for key, value in dict(word.split("=", 1) for word in words).items()])


FIRST = (Job("model", 0),)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


def prepared(words, jobs):
    config = configured(words)
    dataset = read_tables(config)
    check_inputs(config, dataset)
    data = open_data(config, dataset)
    return config, data, make_plans(config, data, jobs, "cpu")


def finished(words, jobs=FIRST, stop_at=None):
    """Do the jobs and return their folders' predictions, each file's bytes; ``stop_at``: a kill at that batch."""
    config, data, plans = prepared(words, jobs)
    prepare_features(config, data, plans, 0)
    batches = []

    def progress(images, note):
        batches.append(note)
        if len(batches) == stop_at:
            raise KeyboardInterrupt

    for plan in plans:
        run_job(config, data, plan, 0, progress)
    return [(plan.folder / name).read_bytes() for plan in plans for name in ("oof.csv", "test.csv")]


def test_variants_are_computed_once_for_all_folds_and_more_of_them_keep_what_is_there(home):
    config, data, plans = prepared(PROBE, [Job("model", 0), Job("model", 1)])
    prepare_features(config, data, plans, 0)
    first = {path.name: path.stat().st_mtime_ns for path in cache_folder(config).glob("features-*.npy")}
    assert len(first) == 4  # train and test as they are, and the train set's two variants
    finished(PROBE, [Job("model", 0), Job("model", 1)])
    finished([*PROBE, "variants=3", "name=more"])
    later = {path.name: path.stat().st_mtime_ns for path in cache_folder(config).glob("features-*.npy")}
    assert len(later) == 5 and {name: later[name] for name in first} == first
    run = JobRun(config, data, plans[0], 0, lambda images, note: None)
    learner = run.learner(fresh_model(config, data, "model", 0))
    shown = [store.batch(range(len(store))) for store in (learner.learnt, *learner.variants)]
    assert all(np.isfinite(features).all() for features in shown)
    assert not any(np.array_equal(shown[a], shown[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_the_head_learns_from_variants_and_the_same_run_gives_the_same_bytes(home):
    clean = finished([*PROBE, "augment=none", "variants=0", "name=a"])
    varied, again = finished([*PROBE, "name=b"]), finished([*PROBE, "name=c"])
    assert varied == again != clean


@pytest.mark.parametrize("pairs", ["batch", "mixup"])
def test_a_job_on_pairs_that_was_killed_goes_on_to_the_same_bytes(home, pairs):
    words = [*CNN, f"pairs={pairs}"]
    straight = finished([*words, "name=straight"])
    with pytest.raises(KeyboardInterrupt):
        finished([*words, "name=cut"], stop_at=2)
    assert finished([*words, "name=cut"]) == straight
    assert finished([*CNN, "name=plain"]) != straight


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [*PROBE, "cache_gb=0"],
            r"variants' features take 0\.00 GB, and cache_gb=0 .*: raise cache_gb, or lower variants",
        ),
        ([*PROBE, "variants=0"], "set augment=none, or variants=6 to learn from six"),
        ([*PROBE, "augment=none"], "variants=2 with augment=none would be copies"),
        ([*CNN, "variants=2"], "variants=2 goes with frozen=true alone"),
        ([*CNN, "pairs=batch", "group=none"], "pairs=batch learns from groups of two rows, .* only 0 of the 24"),
        ([*CNN, "pairs=batch", "batch_size=7"], "make batch_size, now 7, even"),
    ],
)
def test_what_cannot_be_is_said_before_any_image_is_read(home, words, said):
    config = configured(words)
    with pytest.raises(UserError, match=said):
        check_inputs(config, read_tables(config))
    assert not cache_folder(config).exists()


def test_twins_that_the_audit_finds_are_pairs(home):
    data = prepared([*CNN, "pairs=batch", "group=auto"], FIRST)[1]
    rows, partner = data.learnt(0), data.partners(0)
    assert (partner != range(len(rows))).mean() > 0.5
    assert ((rows["label"] + rows["label"].to_numpy()[partner])[partner != range(len(rows))] == 1).all()


def test_the_estimate_of_a_dry_run_counts_variants(home, capsys):
    gigabytes = []
    for variants in (64, 32):
        config, data, plans = prepared([*PROBE, "limit=12", f"variants={variants}"], FIRST)
        print_estimate(config, dataclasses.replace(data, full_size=(80_000, 0)), plans, 1, 0)
        told = re.search(r"([\d.]+) GB of features", capsys.readouterr().out)
        gigabytes.append(float(told[1]))
    assert gigabytes == pytest.approx([(2 + variants) * 80_000 * 16 * 4 / 1e9 for variants in (64, 32)], abs=0.005)
