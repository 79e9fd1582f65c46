"""The main job: tables -> folds -> train every member on every fold -> OOF -> threshold -> test -> submission.

Run again, it finishes what is missing and leaves alone what stands.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from competition import __version__
from competition.audit.run import quick_audit
from competition.commands.blend import combine
from competition.commands.finish import conclude
from competition.core.config import Config, chosen_folds
from competition.core.errors import UserError
from competition.core.files import only_one
from competition.core.paths import located, run_folder
from competition.data.augment import train_transform
from competition.data.extra import read_extra
from competition.data.folds import check_possible
from competition.data.layouts.read import Dataset, check_files
from competition.data.run_data import RunData, read_tables
from competition.ensemble.score import Result, check_decisions, score_run
from competition.models.build import Detector, check_model, count_parameters
from competition.models.device import choose_device
from competition.models.pretrained import keep_pretrained, settle_pretrained
from competition.training.engine import prepare_process, run_jobs
from competition.training.estimate import print_estimate
from competition.training.open_data import open_data
from competition.training.plan import Plan, all_jobs, asked_for, make_plans, refuse_conflicts
from competition.training.pseudo_labels import find_teacher

if TYPE_CHECKING:
    from competition.kaggle.client.api import Kaggle

LOCK_PATIENCE = 15  # seconds: the feeding processes of a killed run hold its lock a little longer than it lived


def run(config: Config, words: Sequence[str] = (), train: bool = True, submit: bool = True) -> Result:
    """Do the main job, or with ``train=False`` its end alone, from results that stand; ``submit=False`` stops at the
    report, which may be of some folds only.

    ``words`` are the user's own, for the line that completes a partial run.
    """
    if config.names:
        return combine(config, words, submit)
    if not train:  # nothing that stands is discarded for want of it
        config = dataclasses.replace(config, overwrite=False)
    if config.extra:
        config = dataclasses.replace(config, extra=str(located(config.extra)))
    asked, device = config, choose_device("auto" if config.engine == "kaggle" else config.device)
    config, notes = settle_pretrained(config)
    kaggle = _open_kaggle(config) if train and config.engine == "kaggle" else None
    prepare_process(config, device, config.jobs)
    dataset = read_tables(config)
    models = check(config, dataset)
    with only_one(run_folder(config) / ".lock", LOCK_PATIENCE):
        data = open_data(config, dataset)
        plans = make_plans(config, data, all_jobs(config), device)
        todo = [plan for plan in asked_for(config, plans) if not plan.is_done()]
        if train and config.engine == "local":
            check_pretrained(config, data, [plan.job.member for plan in todo if not plan.is_trained()])
        refuse_conflicts(config, plans, discard=config.overwrite)
        if todo and not train and (submit or len(todo) == len(plans)):
            command = "ensemble" if submit else "report"
            raise UserError(
                f"{len(todo)} jobs of {config.name} are not finished under these settings, first "
                f"{todo[0].job}: run the same line without '{command}'."
            )
        _announce(config, data, device, models, notes)
        audit, lines = quick_audit(config, data)
        print("".join(f"  {line}\n" for line in lines), end="")
        if config.limit and config.engine == "local":
            print_estimate(config, data, plans)
        if todo and train:
            plans = _train(config, asked, data, device, plans, kaggle)
        result = score_run(config, data, plans, audit)
        conclude(config, data, result, words, submit)
    return result


def _train(
    config: Config, asked: Config, data: RunData, device: str, plans: Sequence[Plan], kaggle: "Kaggle | None"
) -> Sequence[Plan]:
    """Finish the jobs that are asked for, wherever they are to be trained; returns all plans as they stand then."""
    keep_pretrained(config, asked)
    if config.engine == "kaggle" and not all(plan.is_trained() for plan in asked_for(config, plans)):
        from competition.kaggle.sessions.train import open_kaggle, train_on_kaggle

        def replan() -> list[Plan]:
            return make_plans(config, data, all_jobs(config), device)

        kaggle = kaggle or open_kaggle(config)
        train_on_kaggle(config, data, kaggle, replan, lambda plans: asked_for(config, plans))
        plans = replan()
    if todo := [plan for plan in asked_for(config, plans) if not plan.is_done()]:
        run_jobs(config, data, todo, device)
    return plans


def _open_kaggle(config: Config) -> "Kaggle | None":
    """Return the Kaggle to train on, before anything is read; None where it looks as if nothing were left to train."""
    from competition.kaggle.sessions.train import (
        open_kaggle,  # here, for a Kaggle session itself has no tools for Kaggle
    )

    chosen, full = chosen_folds(config)
    folders = [job.folder(config) for job in all_jobs(config) if job.fold in chosen or (full and job.fold is None)]
    trained = all((folder / name).exists() for folder in folders for name in ("done.json", "model.safetensors"))
    return None if trained and not config.overwrite else open_kaggle(config)


def check(config: Config, dataset: Dataset) -> dict[str, Detector]:
    """Refuse what cannot work before anything is written: files, folds, threshold rule, models, augmentations.

    Returns each member's model, its shapes alone.
    """
    check_decisions(config, len(dataset.test))
    check_files(dataset)
    if config.extra:
        read_extra(config, dataset)
    if config.pseudo:
        find_teacher(config, dataset)
    check_possible(dataset.train, config.folds, config.shares)
    floating = dataset.pixels is not None
    models = {}
    for name, recipe in config.members.items():
        train_transform(recipe.augment, recipe.image_size, recipe.fit, floating)
        if _has_models(config, name) or config.engine == "kaggle":
            recipe = dataclasses.replace(recipe, pretrained="false")  # not needed, or looked at once that is clear
        models[name] = check_model(recipe, dataset.pixels[0].shape[-1] if floating else 3, floating)
    return models


def _has_models(config: Config, member: str) -> bool:
    return any((run_folder(config) / member).glob("*/model.safetensors"))


def check_pretrained(config: Config, data: RunData, members: Sequence[str]) -> None:
    """Refuse pretrained weights that cannot be had or do not fit, of members of which something is left to train."""
    for name in dict.fromkeys(members):
        if _has_models(config, name):  # or they were looked at before
            check_model(config.members[name], data.channels, data.floating)


def _announce(config: Config, data: RunData, device: str, models: Mapping[str, Detector], notes: Sequence[str]) -> None:
    ones = int(data.train["label"].sum())
    groups = data.train["group"].nunique()
    count = f"{len(models)} member" + "s" * (len(models) > 1)
    parts = f"x {config.folds} folds" if config.shares is None else f"on one split ({config.split})"
    where = device if config.engine == "local" else f"Kaggle ({config.kaggle.accelerator})"
    print(f"Telltale {__version__}: {config.name}, {count} {parts} on {where}")
    print(
        f"  {len(data.train):,} training images in {groups:,} groups, {ones / len(data.train):.1%} of them "
        f"'{data.dataset.classes[1]}'; {len(data.test):,} test images"
    )
    for name, model in models.items():
        total, trained = count_parameters(model)
        recipe = config.members[name]
        few = "" if total == trained else f", {trained:,} trainable parameters"
        print(
            f"  {name}: {recipe.backbone}, {recipe.view} at {recipe.image_size} px, {total / 1e6:.2f} million "
            f"parameters{few}"
        )
    for note in [*notes, *data.notes]:
        print(f"  Note: {note}.")
