"""What the main job asks of an engine. A new engine is its own file and a row in `core/settings.py`, ``ENGINES``.

No engine assumes a disk that machines share; each goes on from what stands, and gives the bytes of a local run where
the hardware and the versions are the same.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from competition.core.settings import ENGINES, Config, Recipe, placed
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData
from competition.models.device import Placement
from competition.training.engines.progress import Watch, no_watch
from competition.training.plan import Plan
from competition.training.speed import Speed


class Engine(Protocol):
    """Finishes the jobs of the run with settings ``config``.

    ``device``: this machine's, for all that is done here; ``where``: where jobs are trained, as the user reads it;
    ``watch``: called as jobs go on; what it raises ends the training, and all that stands stays.
    What is written out below holds for an engine that trains elsewhere: the machine that trains chooses precision and
    memory layout, fetches pretrained weights, and nothing here says how long it takes.
    """

    config: Config
    device: str
    where: str
    watch: Watch = staticmethod(no_watch)

    def connect(self) -> None:
        """Raise UserError where jobs could not be sent out, before anything is read or written."""
        return

    def place(self, data: RunData, recipe: Recipe) -> Placement:
        """Return the placement of a member of which no job has begun; what it leaves open, the first job settles."""
        return Placement(self.device, recipe.precision, recipe.memory_format, recipe.batch_size)

    def check_weights(self, members: Iterable[str], channels: int) -> None:
        """Raise UserError for pretrained weights that cannot be had or do not fit images of ``channels`` channels."""
        return

    def speeds(self, config: Config, dataset: Dataset) -> dict[str, Speed]:
        """Return how fast each member of ``config`` is where jobs are trained."""

    def at_once(self, config: Config, dataset: Dataset) -> int:
        """Return how many jobs run side by side, on all machines together."""

    def print_estimate(self, data: RunData, plans: Sequence[Plan]) -> None:
        """Print what the whole run would take, where this is a dry run on a part of the rows."""
        return

    def finish(self, data: RunData, plans: list[Plan]) -> list[Plan]:
        """Finish the requested jobs of ``plans``, which are all the run's: on return their folders lie in the run's.

        Returns all plans by what is settled then. Raises UserError for the first job that cannot be finished; the
        others keep what they have, and the same call goes on from there.
        """


def open_engine(config: Config) -> Engine:
    """Return the engine that ``config.engine`` names; its module is imported here, so that others need not be there."""
    return placed(ENGINES[config.engine])(config)
