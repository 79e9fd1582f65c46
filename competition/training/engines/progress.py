"""What an engine shows of its jobs: how far they are, in one bar with an estimate, and a line for each that is done."""

import sys
from collections.abc import Sequence
from typing import Any, Self

from tqdm import tqdm

from competition.core.settings import Config
from competition.data.run_data import RunData
from competition.inference.diagnostics import diagnostics_images
from competition.models.cost import model_cost
from competition.training.plan import Plan


class JobsBar:
    """The bar of these jobs, in images; to be used in a ``with`` block."""

    def __init__(self, config: Config, data: RunData, plans: Sequence[Plan]):
        self.jobs, self.finished = len(plans), 0
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
    return f"  {plan.job}: {score}{done['epochs']} epochs, {done['seconds']:.0f} s"
