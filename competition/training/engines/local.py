"""The engine of this machine: jobs in this process, or several side by side in processes of their own.

How many run side by side never changes a number as long as `threads` is pinned.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from tqdm import tqdm

from competition.core.settings import Config, Recipe
from competition.data.run_data import RunData
from competition.inference.diagnostics import diagnostics_images
from competition.models.build import check_pretrained
from competition.models.cost import model_cost
from competition.models.device import Placement, choose_device, choose_placement
from competition.training.engines.protocol import Engine
from competition.training.engines.side_by_side import run_side_by_side
from competition.training.estimate import print_estimate
from competition.training.job import prepare_features, run_job
from competition.training.plan import Plan, probe_of, unfinished
from competition.training.process import feed_workers, jobs_at_once


class LocalEngine(Engine):
    """Trains on the device of this machine that ``config.device`` names: every GPU, or the CPU."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.device = self.where = choose_device(config.device)

    def place(self, data: RunData, recipe: Recipe) -> Placement:
        return choose_placement(recipe, self.device, *probe_of(data, recipe))

    def check_weights(self, members: Iterable[str], channels: int) -> None:
        for member in members:
            check_pretrained(self.config.members[member], channels)

    def print_estimate(self, data: RunData, plans: Sequence[Plan]) -> None:
        if self.config.limit:
            print_estimate(self.config, data, plans, jobs_at_once(self.config, data.dataset, self.device))

    def finish(self, data: RunData, plans: list[Plan]) -> list[Plan]:
        run_jobs(self.config, data, unfinished(self.config, plans), self.device)
        return plans


def run_jobs(
    config: Config, data: RunData, plans: Sequence[Plan], device: str, on_done: Callable[[Plan], None] = lambda _: None
) -> None:
    """Finish every plan's job on this machine, with one bar and one estimate; ``on_done`` is called after each.

    Raises UserError for the first job that cannot be finished; the others keep what they have.
    """
    prepare_features(config, data, plans, feed_workers(config, device))
    if device != "cpu":
        torch.accelerator.empty_cache()  # for the processes that share the GPU
    processes = min(jobs_at_once(config, data.dataset, device), len(plans))
    images = sum(_images(config, data, plan) for plan in plans)
    with tqdm(total=images, unit="img", disable=None, smoothing=0.02, dynamic_ncols=True) as bar:
        finished: list[Plan] = []

        def progress(images: int, note: str) -> None:
            bar.set_description(f"[{len(finished)}/{len(plans)} jobs] {note}", refresh=False)
            bar.update(images)

        def finish(plan: Plan, done: dict[str, Any]) -> None:
            finished.append(plan)
            tqdm.write(job_line(plan, done), file=sys.stdout)
            sys.stdout.flush()
            on_done(plan)

        if processes <= 1:
            for plan in plans:
                finish(plan, run_job(config, data, plan, feed_workers(config, device), progress))
        else:
            run_side_by_side(config, longest_first(config, data, plans), device, processes, progress, finish)


def longest_first(config: Config, data: RunData, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans in an order in which the last ones to begin are short, by their images and what each costs."""
    dataset = data.dataset
    members = {plan.job.member for plan in plans}
    flops = {one: model_cost(config.members[one], dataset.channels, dataset.floating).flops for one in members}
    return sorted(plans, key=lambda plan: -flops[plan.job.member] * _images(config, data, plan))


def _images(config: Config, data: RunData, plan: Plan) -> int:
    """Return how many images a job will have seen at its end: in training, its predictions and its diagnostics."""
    recipe = config.members[plan.job.member]
    held, tested = int(data.predicted(plan.job.fold).sum()), len(data.test) - len(data.unreadable_test)
    featured, swept = diagnostics_images(config.evidence_rows, held, tested, data.dataset.floating)
    if recipe.frozen:  # its features were computed before: only new pixels take time
        return swept
    rows = len(data.learnt(plan.job.fold))
    predicted = held + tested + featured + swept
    if plan.is_trained():
        return predicted
    batch = min(rows, recipe.batch_size * recipe.accumulate)
    return recipe.epochs * (rows // batch) * batch + predicted


def job_line(plan: Plan, done: dict[str, Any]) -> str:
    """Return the line that is printed of a finished job; ``done`` is its ``done.json``."""
    figures = done["oof"]
    score = f"F1 {figures['f1']:.4f} at .5, AUC {figures.get('auc', float('nan')):.4f}, " if figures else ""
    return f"  {plan.job}: {score}{done['epochs']} epochs, {done['seconds']:.0f} s"
