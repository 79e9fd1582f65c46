"""A member as the ensemble knows it: its recipe, and where its finished models lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.intact import read_record_file
from competition.core.settings import Recipe
from competition.data.run_data import FoldedRows
from competition.inference.job_files import read_done
from competition.inference.oof import Predictions, collect_member
from competition.training.job import FEATURES_FILE


@dataclass(frozen=True)
class Member:
    """One member with its finished models: ``by_fold``, for each finished fold their folders (one a seed), and
    ``full``, the folders of models on all rows."""

    recipe: Recipe
    by_fold: Sequence[Sequence[Path]]
    full: Sequence[Path] = ()

    @property
    def folders(self) -> list[Path]:
        """The folders of all models that are in the member's average."""
        return [folder for folders in [*self.by_fold, self.full] for folder in folders]

    def predictions(self, data: FoldedRows, folds: int) -> Predictions:
        """Return the average of the member's models, in the order of ``data``; it has models of so many ``folds``."""
        return collect_member(self.by_fold, self.full, data.train["id"], data.test["id"])

    def done(self) -> list[dict]:
        """Return each model's done.json."""
        return [read_done(folder) for folder in self.folders]

    def seconds(self) -> float:
        """Return what the jobs took, a frozen member's features included."""
        features = read_record_file(self.folders[0].parent / FEATURES_FILE) or {"seconds": 0}
        return sum(done["seconds"] for done in self.done()) + features["seconds"]
