"""The main job: tables -> folds -> train every member on every fold -> OOF -> threshold -> test -> submission.

Run again, it finishes what is missing and leaves alone what stands.
"""

import dataclasses
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition import __version__
from competition.config import Config, parse_folds
from competition.data.assemble import RunData, assemble, read_tables, run_folder
from competition.data.augment import train_transform
from competition.data.folds import check_possible
from competition.data.layouts import Dataset, check_files
from competition.engine import prepare_process, run_jobs
from competition.ensemble import Result, score
from competition.errors import UserError
from competition.estimate import print_estimate
from competition.files import fingerprint, home, only_one
from competition.job import Job, Plan, make_plans
from competition.models.zoo import check_model
from competition.report.figures import draw_figures
from competition.report.table import closing_tables, console
from competition.scoring.metrics import f1
from competition.scoring.scorecard import Score
from competition.scoring.threshold import find_rule
from competition.submission.write import LATEST, check_against, submission_bytes, write_submission
from competition.training.placement import choose_device

LOCK_PATIENCE = 15  # seconds: the feeding processes of a killed run hold its lock a little longer than it lived


def run(config: Config, words: Sequence[str] = (), train: bool = True) -> Result:
    """Do the main job, or with ``train=False`` its end alone, from results that stand.

    ``words`` are the user's own, for the line that completes a partial run.
    """
    device = choose_device(config.device)
    prepare_process(config, device, config.jobs)
    dataset = read_tables(config)
    check(config, dataset)
    with only_one(run_folder(config) / ".lock", LOCK_PATIENCE):
        data = assemble(config, dataset)
        plans = make_plans(config, data, all_jobs(config), device)
        refuse_conflicts(config, plans, discard=train and config.overwrite)
        _announce(config, data, device)
        if config.limit:
            print_estimate(config, data, plans)
        todo = [plan for plan in asked_for(config, plans) if not plan.is_done()]
        if todo and not train:
            raise UserError(f"{len(todo)} jobs of {config.name} are not trained yet, first {todo[0].job}: train them.")
        if todo:
            run_jobs(config, data, todo, device)
        result = score(config, data, plans)
        conclude(config, data, plans, result, words)
    return result


def check(config: Config, dataset: Dataset) -> None:
    """Refuse what cannot work before anything is written: files, folds, threshold rule, models, augmentations."""
    find_rule(config.threshold)
    check_files(dataset)
    check_possible(dataset.train, config.folds)
    public = len(dataset.test) * config.public_fraction
    if len(dataset.test) and round(public) < 1:
        raise UserError(
            f"public_fraction={config.public_fraction} of {len(dataset.test)} test rows is no row: raise it."
        )
    floating = dataset.pixels is not None
    for name, recipe in config.members.items():
        train_transform(recipe.augment, recipe.image_size, recipe.fit, floating)
        if list((run_folder(config) / name).glob("*/model.safetensors")):
            recipe = dataclasses.replace(recipe, pretrained="false")  # the weights were loaded before: no need of them
        check_model(recipe, dataset.pixels[0].shape[-1] if floating else 3, floating)


def all_jobs(config: Config) -> list[Job]:
    """Return every job of the run, fold by fold; one on all rows only where it is asked for."""
    folds: list[int | None] = list(range(config.folds))
    if parse_folds(config.fold, config.folds)[1]:
        folds.append(None)
    return [Job(member, fold, index) for fold in folds for index in range(config.seeds) for member in config.members]


def asked_for(config: Config, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans of the folds that the command names."""
    chosen, full = parse_folds(config.fold, config.folds)
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
        shutil.rmtree(plan.folder)


def _announce(config: Config, data: RunData, device: str) -> None:
    ones = int(data.train["label"].sum())
    groups = data.train["group"].nunique()
    print(f"Telltale {__version__}: {config.name}, {len(config.members)} members x {config.folds} folds on {device}")
    print(f"  {len(data.train):,} training images in {groups:,} groups, {ones / len(data.train):.1%} of them "
          f"'{data.dataset.classes[1]}'; {len(data.test):,} test images")  # fmt: skip
    for note in data.notes:
        print(f"  Note: {note}.")


def conclude(config: Config, data: RunData, plans: Sequence[Plan], result: Result, words: Sequence[str]) -> None:
    """Print the closing table, draw the figures and write the submission, or say what is missing for one."""
    final, out = list(result.scores)[-1], console()
    score_of = result.scores[final]
    how = "cross-fitted" if score_of.cross_fitted else "at threshold .5, for want of a second fold"
    out.print()
    title = f"{config.name}: F1 of class 1, {how}"
    for table in closing_tables(result.scores, result.seconds, title, out.width):
        out.print(table)
    figures = draw_figures(
        run_folder(config) / "report",
        data.train["label"].to_numpy()[result.known],
        data.dataset.classes,
        {name: [p.folder / "history.jsonl" for p in plans if p.job.member == name and p.is_done()]
         for name in config.members},
        {name: found.oof[result.known] for name, found in result.predictions.items()},
        score_of.decision,
        score_of.threshold,
    )  # fmt: skip
    out.print(f"\nFigures     {shown(figures)}")
    if not result.complete:
        missing = [k for k in range(config.folds) if any(not p.is_done() for p in plans if p.job.fold == k)]
        out.print(f"To complete the submission: ./run.sh {_line(words, missing)}")
    elif data.test.empty:
        out.print("There is no test set in the data, so there is no submission.")
    else:
        _submit(config, data, plans, result, out)


def _line(words: Sequence[str], missing: Sequence[int]) -> str:
    ends = f"{missing[0]}..{missing[-1]}"
    text = ends if len(missing) > 1 and len(missing) == missing[-1] - missing[0] + 1 else ",".join(map(str, missing))
    full = any(word.startswith("fold=") and "full" in word for word in words)
    kept = [word for word in words if not word.startswith("fold=")]
    return shlex.join([*kept, f"fold={text}" + (",full" if full else "")])


def _submit(config: Config, data: RunData, plans: Sequence[Plan], result: Result, out) -> None:
    final = list(result.scores)[-1]
    found, score_of = result.predictions[final], result.scores[final]
    label = np.where(np.isnan(found.test), config.fallback, found.test >= score_of.threshold).astype(int)
    header = data.dataset.header
    content = submission_bytes(data.test["id"].tolist(), label, header)
    check_against(content, data.test["id"].tolist(), header)
    provenance = {"git_commit": git_commit(), "telltale": __version__, "python": platform.python_version()}
    card = make_card(config, data, plans, result)
    path, new = write_submission(home() / "submissions", config.name, content, card, provenance)
    latest = shown(home() / "submissions" / LATEST)
    out.print(f"Submission  {latest}, {len(label):,} rows, {label.mean():.1%} positive")
    out.print(f"Card        {shown(path.with_suffix('.json'))}" + ("" if new else " (unchanged)"))
    if data.dataset.test_label is not None:
        _reveal(data, label, score_of, out)
    slug = config.competition or "COMPETITION"
    message = f"{config.name} CV {score_of.figures['f1']:.4f} {fingerprint(content)[:8]}"
    out.print(f'Upload      {_kaggle()} competitions submit {slug} -f {latest} -m "{message}"')


def _reveal(data: RunData, label: np.ndarray, score_of: Score, out) -> None:
    """Score the submission on labels that were kept aside until now."""
    truth = data.dataset.test_label.set_index("id")["label"][data.test["id"]].to_numpy()
    value, (low, high) = f1(truth, label), score_of.leaderboard
    where = "inside" if low <= value <= high else "OUTSIDE"
    out.print(f"Leaderboard F1 {value:.4f} on the labels kept aside, {where} the range {low:.3f}-{high:.3f}")


def make_card(config: Config, data: RunData, plans: Sequence[Plan], result: Result) -> dict[str, Any]:
    """Return what is known about a submission; the same results give the same card, whenever they were made."""
    final = list(result.scores)[-1]
    score_of = result.scores[final]
    return {
        "name": config.name,
        "cv": {name: _rounded(score.figures) for name, score in result.scores.items()},
        "cv_interval": list(score_of.interval),
        "leaderboard_range": list(score_of.leaderboard),
        "public_fraction": config.public_fraction,
        "threshold": {"value": score_of.threshold, "rule": config.threshold, "chosen_on": "the ensemble's OOF"},
        "predicted_positive_rate": {"oof": score_of.figures["predicted_positive_rate"], "test": score_of.test_rate},
        "members": {
            name: {"weight": 1 / len(config.members), "backbone": recipe.backbone, "view": recipe.view,
                   "models": sum(plan.job.member == name for plan in plans)}
            for name, recipe in config.members.items()
        },
        "tta": config.tta,
        "rows": {"train": len(data.train), "test": len(data.test)},
        "unreadable_test": data.unreadable_test,
        "fallback": config.fallback,
        "notes": data.notes,
        "fingerprints": {"data": data.table_key, "jobs": fingerprint(sorted(p.prediction_key for p in plans))},
    }  # fmt: skip


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in figures.items() if value == value}


def git_commit() -> str | None:
    """Return the checkout's commit, or None outside of one."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None


def shown(path: Path) -> str:
    """Return a path as the user would type it: relative where it lies below the current folder."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def _kaggle() -> str:
    """Return how this environment calls the Kaggle CLI."""
    beside = Path(sys.executable).with_name("kaggle")
    return shown(beside) if beside.exists() else "kaggle"
