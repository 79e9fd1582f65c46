"""What a search leaves for its reader: a table of its trials, its figures, and a page that shows them."""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.files import write_changed
from competition.core.search_space import Dimension, Trial
from competition.report.html import page_environment
from competition.report.tuning import plots

TRIALS, PAGE = "trials.csv", "tuning.html"
CAPTIONS = {
    "history": "What each trial came to, and the best so far",
    "importances": "What the settings matter, by a functional analysis of variance of the trials",
    "slices": "The loss by the value of each setting",
    "parallel": "All settings of a trial at once",
}


@dataclass(frozen=True)
class TuningFacts:
    """What the page tells of a search. ``loss``: what was minimised; ``verdict``: sentences about the best trial;
    ``line``: what to type next."""

    name: str
    loss: str
    trials: Sequence[Trial]
    space: Sequence[Dimension]
    importances: Mapping[str, float]
    verdict: Sequence[str]
    line: str


def write_tuning(folder: Path, facts: TuningFacts) -> Path:
    """Write trials.csv, the figures and tuning.html into ``folder``, each as a whole, and return the page."""
    write_changed(folder / TRIALS, trials_csv(facts))
    paths = {name: folder / f"{name}.png" for name in CAPTIONS}
    plots.history_figure(facts.trials, facts.loss, paths["history"])
    plots.importances_figure(facts.importances, paths["importances"])
    plots.slices_figure(facts.trials, facts.space, facts.loss, paths["slices"])
    plots.parallel_figure(facts.trials, facts.space, facts.loss, paths["parallel"])
    pictures = {name: base64.b64encode(path.read_bytes()).decode() for name, path in paths.items()}
    template = page_environment().get_template(f"tuning/{PAGE}")
    write_changed(folder / PAGE, template.render(facts=facts, pictures=pictures, captions=CAPTIONS))
    return folder / PAGE


def trials_csv(facts: TuningFacts) -> str:
    """Return the trials as CSV: number, loss (empty of one that ended early), why, seconds and a column a setting."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["trial", "loss", "why", "seconds", *(one.key for one in facts.space)])
    for trial in facts.trials:
        loss = "" if trial.loss is None else repr(trial.loss)
        values = [trial.settings.get(one.key, "") for one in facts.space]
        table.writerow([trial.number, loss, trial.why, trial.seconds, *values])
    return file.getvalue()
