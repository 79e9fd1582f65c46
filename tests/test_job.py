import json

import numpy as np
import pytest
import torch
from competition.plan import Job, make_plans
from sklearn.metrics import f1_score, roc_auc_score
from timm.models import generate_default_cfgs, register_model

from competition.config import load_config
from competition.data.assemble import assemble, read_tables
from competition.errors import UserError
from competition.files import read_json
from competition.inference.collect import read_predictions
from competition.inference.predict import predict_logits
from competition.job import run_job
from competition.models.zoo import build_model
from competition.training.checkpoint import load_weights

WORDS = [
    "preset=demo", "members=null", "backbone=hungry_test_model", "demo.train_scenes=20", "demo.test_scenes=4",
    "image_size=16", "batch_size=16", "epochs=2", "folds=2", "lr=1e-2",
]  # fmt: skip
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


default_cfgs = generate_default_cfgs({"hungry_test_model": {"input_size": (3, 16, 16), "mean": (0.5,) * 3,
                                                            "std": (0.5,) * 3}})  # fmt: skip


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
    monkeypatch.setattr("tests.test_job.LARGEST", 0)
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
    logit = predict_logits(model, data.of(recipe)[0], held["row"], recipe, plans[0].placement, "none", 0)[0]
    assert line["val_auc"] == pytest.approx(roc_auc_score(held["label"], logit))
    assert line["val_f1"] == pytest.approx(f1_score(held["label"], logit >= 0))
    oof = read_predictions(plans[0].folder / "oof.csv").set_index("id")
    views = predict_logits(model, data.of(recipe)[0], held["row"], recipe, plans[0].placement, "flip", 0)
    assert np.allclose(oof["logit"][held["id"]], views.mean(axis=0), atol=1e-6)
