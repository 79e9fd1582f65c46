"""A job under way, as the functions that train and predict it see it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from competition.core.settings import Config, Recipe
from competition.data.run_data import RunData
from competition.inference.learner import Learner, make_learner
from competition.inference.predict import Predictor
from competition.models.build import Detector
from competition.models.device import write_placement
from competition.training.plan import PLACEMENT_FILE, Plan

Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class JobRun:
    """A job under way: what it is made of, how many processes feed it, and ``on_progress(images, note)``."""

    config: Config
    data: RunData
    plan: Plan
    workers: int
    on_progress: Progress

    @property
    def recipe(self) -> Recipe:
        """The member's recipe."""
        return self.config.members[self.plan.job.member]

    def predictor(self, doing: str = "") -> Predictor:
        """Return how the whole model predicts; it reports its images as what the job is ``doing``."""
        note = f"{self.plan.job} {doing}"
        return Predictor(
            recipe=self.recipe,
            placement=self.plan.placement,
            tta=self.config.tta,
            workers=self.workers,
            on_progress=lambda images: self.on_progress(images, note),
        )

    def learner(self, model: Detector, doing: str = "") -> Learner:
        """Return what trains and predicts with ``model``."""
        weights = self.plan.settings["pretrained"]
        return make_learner(self.config, self.data, self.plan.job.member, weights, model, self.predictor(doing))

    def with_micro_batch(self, rows: int) -> "JobRun":
        """Return the same with so many rows in a forward pass, stored for the member's later jobs."""
        plan = dataclasses.replace(self.plan, placement=dataclasses.replace(self.plan.placement, micro_batch=rows))
        write_placement(plan.folder.parent / PLACEMENT_FILE, plan.placement, self.recipe)
        return dataclasses.replace(self, plan=plan)
