"""The main job: tables -> folds -> train every member on every fold -> OOF -> threshold -> test -> submission.

Run again, it finishes what is missing and leaves alone what stands.
"""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from competition import __version__
from competition.auditing import quick_audit
from competition.closing import conclude
from competition.combine import combine
from competition.config import Config, chosen_folds
from competition.data.assemble import RunData, cache_folder, read_tables, run_folder
from competition.data.augment import train_transform
from competition.data.cache import SPARE_GB
from competition.data.extra import located, read_extra
from competition.data.folds import check_possible
from competition.data.layouts import Dataset, check_files
from competition.engine import at_once, prepare_process, run_jobs
from competition.ensemble import Result, check_decisions, score_run
from competition.errors import UserError
from competition.estimate import print_estimate
from competition.files import only_one
from competition.inference.pseudo import find_teacher
from competition.inference.record import FILE as RECORD
from competition.models.zoo import Detector, check_model, count_parameters
from competition.plan import Job, Plan, make_plans
from competition.pretrained import keep_pretrained, settle_pretrained
from competition.remote.session import STOPS, Outbox, Request, differences, made_of
from competition.rundata import open_data
from competition.training.placement import choose_device

if TYPE_CHECKING:
    from competition.kaggle.api import Kaggle

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
            raise UserError(f"{len(todo)} jobs of {config.name} are not finished under these settings, first "
                            f"{todo[0].job}: run the same line without '{command}'.")  # fmt: skip
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
        from competition.remote.rounds import open_kaggle, train_on_kaggle

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
    from competition.remote.rounds import open_kaggle  # here, for a Kaggle session itself has no tools for Kaggle

    chosen, full = chosen_folds(config)
    folders = [job.folder(config) for job in all_jobs(config) if job.fold in chosen or (full and job.fold is None)]
    trained = all((folder / name).exists() for folder in folders for name in ("done.json", "model.safetensors"))
    return None if trained and not config.overwrite else open_kaggle(config)


def run_session(config: Config, request: Request, output: Path, deadline: float) -> None:
    """Train the jobs that a session is asked for, as many at once as it has GPUs, and put each into ``output`` when it
    is finished.

    ``deadline`` in seconds since the epoch: no job is begun that would not end before it, and none at all where it
    would be made of something else than it was asked to be.
    """
    outbox, device = Outbox(output, run_folder(config), request.key, deadline), choose_device(config.device)
    if request.accelerator != "none" and device == "cpu":
        outbox.close(f"there is no GPU in this session, which was asked for {request.accelerator}: see your GPU quota "
                     "and that your account's phone number is verified, or say kaggle.accelerator=none")  # fmt: skip
        return
    cache_folder(config).mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(cache_folder(config)).free / 1e9 - 2 * SPARE_GB
    beside = at_once(config, device)
    config = dataclasses.replace(config, cache_gb=max(0.0, min(config.cache_gb, room)), jobs=beside)
    prepare_process(config, device, beside)
    dataset = read_tables(config)
    check(config, dataset)
    with only_one(run_folder(config) / ".lock", LOCK_PATIENCE):
        data = open_data(config, dataset, request.dealt)
        expected = dict(zip((Job(*job) for job in request.jobs), request.expected, strict=True))
        left = list(expected)
        while left:
            plans = make_plans(config, data, left[:beside], device)  # anew: a job may settle things for the later ones
            troubles = [differences(expected[plan.job], made_of(plan)) or outbox.full(plan.job.member)
                        for plan in plans]  # fmt: skip
            if why := troubles[0]:
                outbox.close(why if why in STOPS else f"it would be made of something else than asked for ({why})")
                return
            ready = next((index for index, why in enumerate(troubles) if why), len(plans))
            run_jobs(config, data, plans[:ready], device, outbox.put)
            left = left[ready:]
        outbox.close("done")


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


def all_jobs(config: Config) -> list[Job]:
    """Return every job of the run, fold by fold; one on all rows only where it is asked for."""
    folds: list[int | None] = list(range(config.parts))
    if chosen_folds(config)[1]:
        folds.append(None)
    return [Job(member, fold, index) for fold in folds for index in range(config.seeds) for member in config.members]


def asked_for(config: Config, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans of the folds that the command names."""
    chosen, full = chosen_folds(config)
    return [plan for plan in plans if plan.job.fold in chosen or (full and plan.job.fold is None)]


def refuse_conflicts(config: Config, plans: Sequence[Plan], discard: bool) -> None:
    """Refuse to go on over results made with other settings, or discard them."""
    for plan in plans:
        if (conflict := plan.conflict()) is None:
            continue
        if not discard:
            raise UserError(
                f"{plan.folder} holds results of other settings ({conflict}): keep them with another name=, or discard "
                "them with overwrite=true."
            )
        (run_folder(config) / RECORD).unlink(missing_ok=True)  # the models that it answers for go
        shutil.rmtree(plan.folder)


def _announce(config: Config, data: RunData, device: str, models: Mapping[str, Detector], notes: Sequence[str]) -> None:
    ones = int(data.train["label"].sum())
    groups = data.train["group"].nunique()
    count = f"{len(models)} member" + "s" * (len(models) > 1)
    parts = f"x {config.folds} folds" if config.shares is None else f"on one split ({config.split})"
    where = device if config.engine == "local" else f"Kaggle ({config.kaggle.accelerator})"
    print(f"Telltale {__version__}: {config.name}, {count} {parts} on {where}")
    print(f"  {len(data.train):,} training images in {groups:,} groups, {ones / len(data.train):.1%} of them "
          f"'{data.dataset.classes[1]}'; {len(data.test):,} test images")  # fmt: skip
    for name, model in models.items():
        total, trained = count_parameters(model)
        recipe = config.members[name]
        few = "" if total == trained else f", {trained:,} trainable parameters"
        print(f"  {name}: {recipe.backbone}, {recipe.view} at {recipe.image_size} px, {total / 1e6:.2f} million "
              f"parameters{few}")  # fmt: skip
    for note in [*notes, *data.notes]:
        print(f"  Note: {note}.")
