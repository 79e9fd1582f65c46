"""One job: train one (member, fold), predict its held-out fold and the test set, and leave the files that say so."""

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
import yaml
from torch import nn

from competition.core.errors import Untrainable
from competition.core.files import write_changed
from competition.core.intact import write_record_file
from competition.core.seeds import stream
from competition.core.settings import Config, Recipe
from competition.data.device_feed import training_feed
from competition.data.loader import EpochSampler, killed_workers_told
from competition.data.run_data import RunData
from competition.inference.job_files import DONE_FILE, PREDICTED, TRAINED, digests, read_done
from competition.inference.learner import TRAIN, Learner, feature_passes, fresh_model
from competition.inference.predict import Predictor, predict_logits
from competition.inference.torch_member import load_model
from competition.models.adapt import count_parameters, merged
from competition.models.build import Detector
from competition.models.checkpoint import save_weights
from competition.models.device import read_placement
from competition.scoring.arrays import sigmoid
from competition.scoring.metrics import summary
from competition.training.fit import Task, fit
from competition.training.job_run import JobRun, Progress, predict_job
from competition.training.plan import PLACEMENT_FILE, Plan, validate_every

FEATURES_FILE = "features.json"  # beside a frozen member's folds: what its features took


@killed_workers_told()
def run_job(config: Config, data: RunData, plan: Plan, workers: int, on_progress: Progress) -> dict[str, Any]:
    """Do what is left of a job and return its ``done.json``; ``on_progress(images, note)`` is called as it goes on."""
    start = time.monotonic()
    run = JobRun(config, data, plan, workers, on_progress)
    if plan.placement.compiled:
        torch.compiler.reset()  # or other members' compilations count against this one's limit
    done = read_done(plan.folder)
    if not plan.is_trained():
        run = run.with_micro_batch(_settled_micro_batch(run))
        write_changed(plan.folder / "config.yaml", yaml.safe_dump(plan.settings, sort_keys=False, width=120))
        model, history, run = _train(run)
        done = {"key": plan.key, "epochs": len(history)}
        done["seconds"] = max(0.0, history[-1]["elapsed"] - (time.monotonic() - start))  # before a kill
        done["parameters"], done["trained_parameters"] = count_parameters(model)
        save_weights(plan.folder / "model.safetensors", merged(model))
    else:
        model = load_model(plan.folder)
    done.pop("prediction_key", None)  # until all of them are written, there are no predictions
    done["files"] = digests(plan.folder, TRAINED)
    write_record_file(plan.folder / DONE_FILE, done)  # from here on, a kill costs the predictions alone
    (plan.folder / "resume.pt").unlink(missing_ok=True)
    done["oof"] = predict_job(run, model)
    done["prediction_key"] = plan.prediction_key
    done["seconds"] = round(done.get("seconds", 0) + time.monotonic() - start, 1)
    done["torch"] = torch.__version__
    done["files"] |= digests(plan.folder, PREDICTED)
    write_record_file(plan.folder / DONE_FILE, done)
    return done


@killed_workers_told()
def prepare_features(config: Config, data: RunData, plans: Sequence[Plan], workers: int) -> None:
    """Compute the features of frozen members before their jobs start, each member's once."""
    for member in dict.fromkeys(plan.job.member for plan in plans if config.members[plan.job.member].frozen):
        plan = next(plan for plan in plans if plan.job.member == member)
        run = JobRun(config, data, plan, workers, lambda images, note: None)
        clean, variants = feature_passes(config, data, member, plan.settings["pretrained"], run.predictor())
        if all(one.path.exists() for passes in (clean, *variants) for one in passes):
            continue
        start = time.monotonic()
        run.learner(load_model(plan.folder) if plan.is_trained() else fresh_model(config, data, member, 0))
        write_record_file(plan.folder.parent / FEATURES_FILE, {"seconds": round(time.monotonic() - start, 1)})


def _settled_micro_batch(run: JobRun) -> int:
    """Return the micro-batch that an earlier job of the member came down to, or the plan's own if it is smaller."""
    placement = run.plan.placement
    earlier = read_placement(run.recipe, placement.device, run.plan.folder.parent / PLACEMENT_FILE)
    return min(earlier.micro_batch, placement.micro_batch) if earlier else placement.micro_batch


def _train(run: JobRun) -> tuple[Detector, list[dict[str, Any]], JobRun]:
    """Fit the job's model; when the GPU's memory runs out, halve the micro-batch for it and all later jobs.

    Returns the model, a line of history per epoch, and the run as it stands then.
    """
    job, recipe = run.plan.job, run.recipe
    seed = stream(run.config.seed, job.member, -1 if job.fold is None else job.fold, job.index)
    while True:
        try:
            model = fresh_model(run.config, run.data, job.member, seed)
            learner = run.learner(model)
            kept, history = fit(_task(run, learner, seed), learner.module, run.plan.key)
            if not recipe.frozen:
                return kept, history, run
            model.with_head.head.load_state_dict(kept.with_head.head.state_dict())
            return model, history, run
        except torch.OutOfMemoryError:
            half = run.plan.placement.micro_batch // 2
            if not half or (half == 1 and "batchnorm" in recipe.head):
                raise Untrainable(
                    f"Training {job} runs out of GPU memory even one image at a time: choose a smaller backbone or "
                    "image_size, or checkpointing=true."
                ) from None
        torch.accelerator.empty_cache()
        run.on_progress(0, f"{job}: out of memory, going on with {half} images a pass")
        run = run.with_micro_batch(half)


def _task(run: JobRun, learner: Learner, seed: int) -> Task:
    data, job, recipe, placement = run.data, run.plan.job, learner.predictor.recipe, learner.predictor.placement
    rows = data.learnt(job.fold)
    partner = None if recipe.pairs == "none" else data.partners(job.fold)
    other = rows["row"].to_numpy() if partner is None else rows["row"].to_numpy()[partner]
    mixed = dict(zip(rows["row"], other, strict=True)) if recipe.pairs == "mixup" else {}
    images = learner.training_set(seed, data.dataset.floating, {row: min(row, twin) for row, twin in mixed.items()})
    order = EpochSampler(rows["row"].to_numpy(), recipe.batch_size * recipe.accumulate, seed, partner)
    label = torch.zeros(len(learner.learnt))
    label[torch.tensor(rows["row"].tolist())] = torch.tensor(rows["label"].tolist(), dtype=torch.float32)
    return Task(
        title=str(job),
        recipe=recipe,
        placement=placement,
        feed=training_feed(images, order, run.config.store, placement.device, run.workers),
        label=label,
        partner=mixed,
        class_weight=_class_weight(recipe, rows["label"]),
        seed=seed,
        folder=run.plan.folder,
        checkpoint_seconds=run.config.checkpoint_seconds,
        validate_every=validate_every(run.config, recipe),
        validate=partial(_validate, learner, data.train[data.held(job.fold)]),
        # A frozen member reports nothing: its features took all the time before.
        on_progress=(lambda images, note: None) if run.recipe.frozen else run.on_progress,
    )


def _validate(learner: Learner, held: pd.DataFrame, model: nn.Module) -> dict[str, float]:
    """Return the figures of an epoch's ``model`` on the held-out rows, seen once each; none where there are no rows."""
    if held.empty:
        return {}
    whole = learner.predictor
    predictor = Predictor(whole.recipe, whole.placement, workers=whole.workers)
    logit = predict_logits(model, learner.stores[TRAIN][0], held["row"], predictor)[0]
    figures = summary(held["label"].to_numpy(), sigmoid(logit), logit >= 0)
    figures = {"val_loss": figures["log_loss"], "val_f1": figures["f1"], "val_auc": figures["auc"]}
    return {key: value for key, value in figures.items() if not math.isnan(value)}  # one class alone has no AUC


def _class_weight(recipe: Recipe, label: pd.Series) -> tuple[float, float]:
    """Return each class's weight in the loss: n / (2 n_c) for balanced classes (King and Zeng 2001)."""
    if not recipe.balance:
        return 1.0, 1.0
    ones = int(label.sum())
    return len(label) / (2 * (len(label) - ones)), len(label) / (2 * ones)
