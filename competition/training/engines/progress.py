"""What an engine shows of its jobs: how far they are, in one bar with an estimate, and a line for each that is done."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

from tqdm import tqdm

from competition.core.deadline import line_seconds
from competition.core.settings import Config
from competition.core.text import counted
from competition.data.run_data import RunData
from competition.models.cost import model_cost
from competition.training.estimate import JobRows, job_images
from competition.training.plan import Plan

Watch = Callable[[], None]  # called as jobs go on; what it raises ends the training of those that are not finished


class OutOfTime(Exception):
    """The time that the line may take is over before all jobs are finished."""


def stop_after(seconds: float) -> Watch:
    """Return what raises OutOfTime once the command line has taken so long."""

    def watch() -> None:
        if line_seconds() > seconds:
            raise OutOfTime

    return watch


def no_watch() -> None:
    """Let all jobs end."""


class JobsBar:
    """The bar of these jobs, in images; to be used in a ``with`` block."""

    def __init__(self, config: Config, data: RunData, plans: Sequence[Plan], watch: Watch = no_watch):
        self.jobs, self.finished, self._watch = len(plans), 0, watch
        total = sum(images_of(config, data, plan) for plan in plans)
        self._bar = tqdm(total=total, unit="img", disable=None, smoothing=0.02, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def progress(self, images: int, note: str) -> None:
        """Show that so many ``images`` more were seen (fewer: what a lost job had seen), and what is done now."""
        self._bar.set_description(f"[{self.finished}/{self.jobs} jobs] {note}", refresh=False)
        self._bar.update(images)
        self._watch()

    def finish(self, plan: Plan, done: dict[str, Any]) -> None:
        """Print the line of a finished job; ``done`` is its ``done.json``."""
        self.finished += 1
        self.say(job_line(plan, done))

    def say(self, line: str) -> None:
        """Print a line beside the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()


def images_of(config: Config, data: RunData, plan: Plan) -> int:
    """Return how many images a job will have seen at its end: in training, its predictions and its diagnostics."""
    held, tested = int(data.predicted(plan.job.fold).sum()), len(data.test) - len(data.unreadable_test)
    rows = JobRows(len(data.learnt(plan.job.fold)), held, tested)
    trained, seen = job_images(config, config.members[plan.job.member], rows, data.dataset.floating)
    return seen if plan.is_trained() else trained + seen


def longest_first(config: Config, data: RunData, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans in an order in which the last ones to begin are short, by their images and what each costs."""
    dataset = data.dataset
    members = {plan.job.member for plan in plans}
    flops = {one: model_cost(config.members[one], dataset.channels, dataset.floating).flops for one in members}
    return sorted(plans, key=lambda plan: -flops[plan.job.member] * images_of(config, data, plan))


def job_line(plan: Plan, done: dict[str, Any]) -> str:
    """Return the line that is printed of a finished job; ``done`` is its ``done.json``."""
    figures = done["oof"]
    score = f"F1 {figures['f1']:.4f} at .5, AUC {figures.get('auc', float('nan')):.4f}, " if figures else ""
    return f"  {plan.job}: {score}{counted(done['epochs'], 'epoch')}, {done['seconds']:.0f} s"
