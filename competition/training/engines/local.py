"""The engine of this machine: jobs in this process, or several side by side in processes of their own.

How many run side by side never changes a number as long as `threads` is pinned.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from competition.core.settings import Config, Recipe
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData
from competition.models.build import check_pretrained
from competition.models.device import Placement, choose_device, choose_placement
from competition.training.engines.progress import JobsBar, Watch, longest_first, no_watch
from competition.training.engines.protocol import Engine
from competition.training.engines.side_by_side import run_side_by_side
from competition.training.estimate import print_estimate
from competition.training.job import prepare_features, run_job
from competition.training.plan import Plan, probe_of, unfinished
from competition.training.process import feed_workers, jobs_at_once
from competition.training.speed import Speed, measure_speeds


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

    def speeds(self, config: Config, dataset: Dataset) -> dict[str, Speed]:
        return measure_speeds(config, dataset, self.device, self.at_once(config, dataset))

    def at_once(self, config: Config, dataset: Dataset) -> int:
        return jobs_at_once(config, dataset, self.device)

    def print_estimate(self, data: RunData, plans: Sequence[Plan]) -> None:
        if self.config.limit:
            beside = self.at_once(self.config, data.dataset)
            print_estimate(self.config, data, plans, beside, feed_workers(self.config, self.device, beside))

    def finish(self, data: RunData, plans: list[Plan]) -> list[Plan]:
        run_jobs(self.config, data, unfinished(self.config, plans), self.device, watch=self.watch)
        return plans


def run_jobs(
    config: Config,
    data: RunData,
    plans: Sequence[Plan],
    device: str,
    on_done: Callable[[Plan], None] = lambda _: None,
    watch: Watch = no_watch,
) -> None:
    """Finish every plan's job on this machine, with one bar and one estimate; ``on_done`` is called after each.

    Raises UserError for the first job that cannot be finished, and what ``watch`` raises as jobs go on; the others keep
    what they have.
    """
    prepare_features(config, data, plans, feed_workers(config, device))
    if device != "cpu":
        torch.accelerator.empty_cache()  # for the processes that share the GPU
    processes = min(jobs_at_once(config, data.dataset, device), len(plans))
    with JobsBar(config, data, plans, watch) as bar:

        def finish(plan: Plan, done: dict[str, Any]) -> None:
            bar.finish(plan, done)
            on_done(plan)

        if processes <= 1:
            for plan in plans:
                finish(plan, run_job(config, data, plan, feed_workers(config, device), bar.progress))
        else:
            run_side_by_side(config, longest_first(config, data, plans), device, processes, bar.progress, finish)
