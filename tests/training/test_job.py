import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import f1_score, roc_auc_score
from timm.models import generate_default_cfgs, register_model

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.files import read_json
from competition.data.assemble import assemble
from competition.data.images.perturb import conditions
from competition.data.run_data import read_tables
from competition.inference.diagnostics import collect_sweep, collect_views, diagnostics_images, read_diagnostics
from competition.inference.oof import read_predictions
from competition.inference.predict import Predictor, predict_logits
from competition.inference.torch_member import load_model
from competition.models.build import build_model
from competition.models.checkpoint import load_weights
from competition.training.job import prepare_features, run_job
from competition.training.plan import Job, make_plans, validate_every

WORDS = [
    "preset=demo",
    "members=null",
    "backbone=hungry_test_model",
    "demo.train_scenes=20",
    "demo.test_scenes=4",
    "image_size=16",
    "batch_size=16",
    "epochs=2",
    "folds=2",
    "lr=1e-2",
]
LARGEST = 4  # images that fit in this model's memory


class Hungry(torch.nn.Module):
    """A model that runs out of memory, as a GPU does, on more than a few images."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 1))

    def forward(self, x):
        if torch.is_grad_enabled() and len(x) > LARGEST:
            raise torch.OutOfMemoryError(f"no room for {len(x)} images")
        return self.net(x)


default_cfgs = generate_default_cfgs(
    {"hungry_test_model": {"input_size": (3, 16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3}}
)


@register_model
def hungry_test_model(pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None, **kwargs):
    return Hungry()


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    config = load_config(WORDS)
    data = assemble(config, read_tables(config))
    return config, data, make_plans(config, data, [Job("model", 0), Job("model", 1)], "cpu")


def test_memory_that_runs_out_halves_the_micro_batch_says_so_once_and_remembers(run):
    config, data, plans = run
    said = []
    run_job(config, data, plans[0], 0, lambda images, note: said.append(note))
    assert [note for note in said if "out of memory" in note] == [
        "model fold 0: out of memory, going on with 8 images a pass",
        "model fold 0: out of memory, going on with 4 images a pass",
    ]
    again = make_plans(config, data, [Job("model", 1)], "cpu")[0]
    assert again.placement.micro_batch == 4 and again.conflict() is None
    said.clear()
    run_job(config, data, again, 0, lambda images, note: said.append(note))
    assert not any("out of memory" in note for note in said)


def test_memory_that_never_suffices_is_one_sentence(run, monkeypatch):
    config, data, plans = run
    monkeypatch.setattr("tests.training.test_job.LARGEST", 0)
    with pytest.raises(UserError, match="runs out of GPU memory even one image at a time"):
        run_job(config, data, plans[0], 0, lambda images, note: None)


def test_a_finished_job_names_its_settings_and_nothing_else_of_the_run_matters(run):
    config, data, plans = run
    done = run_job(config, data, plans[0], 0, lambda images, note: None)
    assert plans[0].is_done() and not plans[1].is_done()
    assert read_json(plans[0].folder / "done.json")["key"] == done["key"] == plans[0].key
    for other in (["threshold=0.3", "workers=2", "cache_gb=0"], ["jobs=3", "public_fraction=0.5"]):
        changed = load_config([*WORDS, *other])
        assert make_plans(changed, assemble(changed, read_tables(changed)), [Job("model", 0)], "cpu")[0].is_done()
    changed = load_config([*(w for w in WORDS if w != "lr=1e-2"), "lr=2e-2"])
    plan = make_plans(changed, assemble(changed, read_tables(changed)), [Job("model", 0)], "cpu")[0]
    assert not plan.is_trained() and plan.conflict() == "lr was 0.01 and is now 0.02"


def test_validation_gathers_the_whole_fold_before_any_figure(run):
    config, data, plans = run
    run_job(config, data, plans[0], 0, lambda images, note: None)
    line = json.loads((plans[0].folder / "history.jsonl").read_text().splitlines()[-1])
    recipe = config.members["model"]
    model = build_model(recipe, load=False)
    load_weights(plans[0].folder / "model.safetensors", model)
    held = data.train[data.train["fold"] == 0]
    logit = predict_logits(model, data.of(recipe)[0], held["row"], Predictor(recipe, plans[0].placement))[0]
    assert line["val_auc"] == pytest.approx(roc_auc_score(held["label"], logit))
    assert line["val_f1"] == pytest.approx(f1_score(held["label"], logit >= 0))
    oof = read_predictions(plans[0].folder / "oof.csv").set_index("id")
    views = predict_logits(model, data.of(recipe)[0], held["row"], Predictor(recipe, plans[0].placement, "flip"))
    assert np.allclose(oof["logit"][held["id"]], views.mean(axis=0), atol=1e-6)


SMALL = [
    "preset=demo",
    "demo.train_scenes=12",
    "demo.test_scenes=4",
    "image_size=16",
    "batch_size=8",
    "epochs=1",
    "folds=2",
    "threads=1",
    "members.convnext=null",
    "members.swin=null",
    "members.cnn.backbone=small_cnn",
    "members.cnn.backbone_args={widths: [4, 8, 8, 8]}",
    "members.probe.backbone=resnet18",
    "members.probe.backbone_args={layers: [1, 1, 1, 1], channels: [8, 8, 16, 16]}",
    "members.probe.frozen=true",
    "members.probe.augment=none",
]
JOBS = [Job("cnn", 0), Job("cnn", 0, 1), Job("probe", 0), Job("cnn", 1), Job("cnn", None)]


def finished(*words, jobs=JOBS, heard=None, without="nothing"):
    """Do the jobs, with the usual settings but those that name ``without``; returns the data and each job's folder."""
    config = load_config([*(word for word in SMALL if without not in word), *words])
    data = assemble(config, read_tables(config))
    plans = make_plans(config, data, jobs, "cpu")
    prepare_features(config, data, plans, 0)
    for plan in plans:
        if not plan.is_done():
            run_job(config, data, plan, 0, lambda images, note: heard is not None and heard.append((note, images)))
    assert all(plan.is_done() for plan in plans)
    return data, {plan.job: plan.folder for plan in plans}


@pytest.fixture(scope="module")
def evident(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(tmp_path_factory.mktemp("evident")))
        heard = []
        yield *finished("evidence_rows=7", "seeds=2", heard=heard), heard


def test_a_job_leaves_every_held_out_rows_logit_under_each_view(evident):
    data, folders, _ = evident
    for job in JOBS[:-1]:
        oof = read_predictions(folders[job] / "oof.csv").set_index("id")["logit"]
        diagnostics = read_diagnostics(folders[job])
        assert diagnostics.views == ("identity", "hflip") and set(diagnostics.ids) == set(oof.index)
        assert np.array_equal(oof[diagnostics.ids], diagnostics.logits.astype(float).mean(axis=0))
    views = collect_views([[folders[JOBS[0]], folders[JOBS[1]]], [folders[JOBS[3]]]], data.train["id"])
    assert all(np.isfinite(logits).all() for logits in views.values())


def test_its_sample_is_the_folds_own_and_the_same_for_all_members_and_seeds(evident):
    data, folders, _ = evident
    one, seed, probe, other = (read_diagnostics(folders[job]) for job in JOBS[:-1])
    for diagnostics in (seed, probe):
        for name in ("validation_ids", "test_ids", "sweep_ids"):
            assert np.array_equal(getattr(one, name), getattr(diagnostics, name))
    assert len(one.validation_ids) == len(one.test_ids) == 7 and set(one.sweep_ids) <= set(one.validation_ids)
    assert set(one.validation_ids) <= set(one.ids) and not set(one.ids) & set(other.ids)
    assert set(one.test_ids) <= set(data.test["id"])


def test_its_features_times_the_last_weights_are_the_logits_under_the_first_view(evident):
    _, folders, _ = evident
    for job in (JOBS[0], JOBS[2]):
        diagnostics, weights = read_diagnostics(folders[job]), load_file(folders[job] / "model.safetensors")
        last = max(name for name in weights if name.startswith("backbone.head.")).rsplit(".", 1)[0]
        logit = diagnostics.validation.astype(float) @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]
        at = [diagnostics.ids.tolist().index(id) for id in diagnostics.validation_ids]
        assert np.allclose(logit[:, 0], diagnostics.logits[0][at], atol=1e-2)


def test_its_sweep_begins_with_the_first_views_logits_and_compression_moves_them(evident):
    data, folders, _ = evident
    for job in (JOBS[0], JOBS[2]):
        diagnostics = read_diagnostics(folders[job])
        assert diagnostics.conditions == ("clean", *conditions(False))
        at = [diagnostics.ids.tolist().index(id) for id in diagnostics.sweep_ids]
        assert np.array_equal(diagnostics.sweep[0], diagnostics.logits[0][at])
        assert (np.abs(diagnostics.sweep[1:] - diagnostics.sweep[0]).max(axis=1) > 0).all()
    swept = collect_sweep([[folders[JOBS[0]], folders[JOBS[1]]], [folders[JOBS[3]]]], data.train["id"])
    assert {int(np.isfinite(logits).sum()) for logits in swept.values()} == {14}


def test_a_model_on_all_rows_leaves_none(evident):
    _, folders, _ = evident
    assert sorted(path.name for path in folders[JOBS[-1]].glob("*.*")) == [
        "config.yaml",
        "done.json",
        "history.jsonl",
        "model.safetensors",
        "test.csv",
    ]


def test_the_bar_hears_of_as_many_images_as_it_is_promised(evident):
    data, _, heard = evident
    featured, swept = diagnostics_images(7, 12, len(data.test), floating=False)
    for job, promised in zip(JOBS, [featured + swept, featured + swept, swept, featured + swept, 0], strict=True):
        assert sum(images for note, images in heard if note == f"{job} evidence") == promised
    assert diagnostics_images(7, 0, 8, floating=False) == (0, 0)


@pytest.mark.parametrize("words", [["adapt=lora", "lora_rank=1"], ["adapt=norms"]], ids=["lora", "norms"])
def test_an_adapted_job_leaves_a_model_like_any_other(tmp_path, monkeypatch, words):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    member = ["members.probe.frozen=false", *(f"members.probe.{word}" for word in words), "head_lr=1e-2", "ema=0.5"]
    _, folders = finished(*member, "evidence_rows=2", jobs=[Job("probe", 0)], without="frozen")
    done = read_json(folders[Job("probe", 0)] / "done.json")
    assert 0 < done["trained_parameters"] < done["parameters"] / 2
    model = load_model(folders[Job("probe", 0)])
    assert done["parameters"] == sum(p.numel() for p in model.parameters())


def test_without_evidence_rows_the_views_alone_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    data, folders = finished("evidence_rows=0", jobs=JOBS[:1])
    diagnostics = read_diagnostics(folders[JOBS[0]])
    assert diagnostics.logits.shape == (2, 12) and diagnostics.conditions == ()
    assert len(diagnostics.validation) == len(diagnostics.test) == len(diagnostics.sweep) == 0
    assert collect_sweep([[folders[JOBS[0]]]], data.train["id"]) == {}
    kept = (folders[JOBS[0]] / "model.safetensors").stat().st_mtime_ns
    finished("evidence_rows=3", jobs=JOBS[:1])
    assert len(read_diagnostics(folders[JOBS[0]]).validation) == 3
    assert (folders[JOBS[0]] / "model.safetensors").stat().st_mtime_ns == kept


@pytest.mark.parametrize(
    ("words", "every"),
    [
        (["epochs=10"], 1),
        (["epochs=11"], 2),
        (["epochs=100"], 10),
        (["epochs=100", "validate_every=3"], 3),
        (["epochs=100", "validate_every=3", "patience=5"], 1),
    ],
)
def test_a_curve_of_some_ten_points_or_as_many_as_are_set_or_early_stopping_needs(words, every):
    config = load_config(["preset=demo", *words])
    assert validate_every(config, config.members["swin"]) == every
