"""The main job: audit -> folds -> train -> OOF -> threshold -> test-time augmentation -> submission.

./run.sh fold=0..4                       the main job: the embedded demo, or the competition in data/
./run.sh preset=wai2025 fold=0..4        a preset: {presets}
./run.sh data=FOLDER name=mine fold=0..4 members.swin.lr=1e-4
./run.sh fold=0                          one fold: its score, and the line that completes the submission

Run again, it finishes what is missing and leaves alone what stands.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from competition.audit.run import quick_audit
from competition.commands.blend import blend_runs
from competition.commands.finish import finish_run
from competition.core.console import console
from competition.core.errors import UserError
from competition.core.locks import only_one
from competition.core.paths import FOLDS_FILE, located, run_folder
from competition.core.settings import Config
from competition.data.extra import read_extra
from competition.data.folds import keep_folds
from competition.data.layouts.dataset import Dataset, check_files
from competition.data.run_data import RunData, foreseen_demo, read_tables, split_table
from competition.ensemble.outside import outside_notes, read_outsiders
from competition.ensemble.score import Result, check_decisions, score_run, settle_metric
from competition.models.build import Detector
from competition.models.pretrained import keep_pretrained, settle_pretrained
from competition.report.opening import opening_lines
from competition.report.trackers.follow import followed
from competition.report.trackers.protocol import tracker_names
from competition.training.engines.progress import OutOfTime, stop_after
from competition.training.engines.protocol import Engine, open_engine
from competition.training.estimate import RowCounts, closing_seconds
from competition.training.hours import (
    choose_plan,
    estimator,
    in_sizes,
    keep_plan,
    kept_plan,
    plan_table,
    what_stands,
)
from competition.training.open_data import check_inputs, has_models, open_data
from competition.training.plan import LOCK_PATIENCE, Job, Plan, all_jobs, make_plans, refuse_conflicts, unfinished
from competition.training.process import prepare_process


def main(config: Config, words: Sequence[str]) -> None:
    """Train what is missing and write the submission."""
    run(config, words)


def run(config: Config, words: Sequence[str] = (), train: bool = True, submit: bool = True) -> Result:
    """Do the main job, or with ``train=False`` its end alone, from results that stand; ``submit=False`` stops at the
    report, which may be of some folds only. Without training nothing that stands is discarded.

    ``words`` are the user's own, for the line that completes a partial run.
    """
    if config.names:
        return blend_runs(config, words, submit)
    trackers = tracker_names(config.track) if train else []
    whole = dataclasses.replace(config, overwrite=config.overwrite and train)
    begun = kept_plan(whole, words) if whole.hours else None
    ready = look_ahead(begun or whole, open_engine(whole), train, submit)
    if whole.hours and train and not begun:
        ready = look_ahead(_fit_hours(ready, words), ready.engine, train, submit)
    config, engine = ready.config, ready.engine
    dataset = ready.tables()
    outsiders = read_outsiders(config, dataset)
    with only_one(run_folder(config.name) / ".lock", LOCK_PATIENCE):
        data = open_data(config, dataset)  # the pixels, in folds that no group crosses
        data = dataclasses.replace(data, notes=[*data.notes, *outside_notes(config, outsiders, data)])
        plans = _plan_jobs(config, data, engine, train, submit)
        print(*opening_lines(config, data, ready.models, engine.where, ready.notes), sep="\n")
        audit, findings = quick_audit(config, data)
        keep_folds(run_folder(config.name) / FOLDS_FILE, split_table(config, data.train))
        print("".join(f"  {line}\n" for line in findings), end="")
        engine.print_estimate(data, plans)
        with followed(config.name, trackers):
            if train and unfinished(config, plans):
                keep_pretrained(config, ready.requested)
                if config.hours:
                    keep_plan(whole, config)
                    engine.watch = stop_after(3600 * config.hours - closing_seconds(_count_rows(config, dataset)))
                try:
                    plans = engine.finish(data, plans)  # trains each (member, fold), predicts its fold and the test set
                except OutOfTime:
                    config, plans, said = what_stands(config, plans)
                    print(said)
            result = score_run(config, data, plans, audit, outsiders)  # OOF and test: members, blend, threshold
            finish_run(config, data, result, words, submit)  # the table, the report, the submission with its card
    return result


@dataclass(frozen=True)
class Ready:
    """What is known of a run before anything is written. ``requested``: its settings as they were given; ``drawn``:
    whether its data is there, and not a demo that is drawn when nothing speaks against the rest."""

    requested: Config
    config: Config
    notes: list[str]
    engine: Engine
    dataset: Dataset
    models: dict[str, Detector]
    drawn: bool

    def tables(self) -> Dataset:
        """Return the data's tables; a demo is drawn for them."""
        return self.dataset if self.drawn else read_tables(self.config)


def look_ahead(config: Config, engine: Engine, train: bool, submit: bool) -> Ready:
    """Return what a run is made of. Raises UserError for all that can be refused before anything is written."""
    extra = str(located(config.extra)) if config.extra else ""  # known wherever the line is run
    requested = dataclasses.replace(config, extra=extra)
    config, notes = settle_pretrained(requested)
    engine.config = config
    if train:
        engine.connect()
    else:
        refuse_rest(config, [job for job in all_jobs(config) if not has_models(config, job.member)], submit)
    prepare_process(config, engine.device)
    ahead = foreseen_demo(config)
    if ahead and config.predictions:
        raise UserError("predictions= is about rows that are not drawn yet: run the demo first, without predictions=.")
    dataset = ahead or read_tables(config)
    config, said = settle_metric(config, dataset)
    check_decisions(config, len(dataset.test))
    if not ahead:
        check_files(dataset)
    models = check_inputs(config, dataset)
    if train:
        engine.check_weights([name for name in models if not has_models(config, name)], dataset.channels)
    return Ready(requested, config, [*notes, *said], engine, dataset, models, drawn=not ahead)


def _fit_hours(ready: Ready, words: Sequence[str]) -> Config:
    """Return the run's settings cut down to its hours."""
    config = ready.requested
    dataset = ready.tables()
    print(f"  Measuring how fast this is on {ready.engine.where}, for a plan of {config.hours:g} hours ...", flush=True)
    estimate = estimator(ready.engine, dataset, _count_rows(config, dataset))
    found = choose_plan(config, words, in_sizes(config, words), estimate)
    console().print(plan_table(found, config.hours))
    return found[-1].config


def _count_rows(config: Config, dataset: Dataset) -> RowCounts:
    """Return how many rows the run will have; of the test rows that it learns from, as many as there can be."""
    extra = len(read_extra(config, dataset).train) if config.extra else 0
    most = config.limit or math.inf
    train, test, extra = (int(min(rows, most)) for rows in (len(dataset.train), len(dataset.test), extra))
    return RowCounts(train, test, extra, test if config.pseudo else 0)


def _plan_jobs(config: Config, data: RunData, engine: Engine, train: bool, submit: bool) -> list[Plan]:
    """Return every (member, fold) of the run with what decides its bytes.

    Raises UserError for results of other settings that ``overwrite`` does not discard, for weights that the rest cannot
    be trained from, and without ``train`` for a rest that the submission or the report needs.
    """

    def planned() -> list[Plan]:
        return make_plans(config, data, all_jobs(config), engine.device, engine.place)

    plans = planned()
    left = unfinished(config, plans)
    if train:
        untrained = dict.fromkeys(plan.job.member for plan in left if not plan.is_trained())
        if begun := [name for name in untrained if has_models(config, name)]:
            engine.check_weights(begun, data.dataset.channels)
            plans = planned()  # what was fetched may not be the file of before
    if refuse_conflicts(config, plans, discard=config.overwrite):
        plans = planned()  # a member that began anew is named after the weights of today
    if not train:
        refuse_rest(config, [plan.job for plan in left], submit)
    return plans


def refuse_rest(config: Config, left: Sequence[Job], submit: bool) -> None:
    """Raise UserError where so many jobs are ``left`` that what was trained gives no submission, or no report."""
    if left and (submit or len(left) == len(all_jobs(config))):
        command = "ensemble" if submit else "report"
        raise UserError(
            f"{len(left)} jobs of {config.name} are not finished under these settings, first {left[0]}: run the "
            f"same line without '{command}'."
        )
