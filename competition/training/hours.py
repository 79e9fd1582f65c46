"""`hours=`: the largest form of the preset that the time allows, chosen once and kept in the run's folder.

What is given up, in this order: test-time views; all seeds but one; folds, down to three; the preset's size, with the
rest back again; epochs, down to two thirds; members, the one that takes longest first; epochs again, down to one. Views
come back where there is time for them after all. What the user has set on the command line is never given up.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table

from competition.core.config import load_config, read_preset
from competition.core.config_forms import recipe_key
from competition.core.deadline import line_seconds
from competition.core.errors import Unfinished, UserError
from competition.core.files import fingerprint
from competition.core.intact import kept_record, stands, write_record_file
from competition.core.paths import run_folder
from competition.core.settings import Config, Recipe
from competition.core.splits import chosen_folds
from competition.core.text import counted
from competition.data.layouts.dataset import Dataset
from competition.training.engines.protocol import Engine
from competition.training.estimate import RowCounts, run_seconds
from competition.training.plan import Plan, is_requested, unfinished
from competition.training.speed import Speed

FILE = "hours.json"  # in a run's folder: the plan that the run goes by
PLAN = ("size", "tta", "seeds", "folds", "epochs")  # what it holds, beside the fingerprints of what it is for
FEWEST_FOLDS = 3
SHARE = 0.85  # of the hours that a plan may fill by its estimate, which was up to a tenth too short with the demo
# Per cent of the epochs, below which a member goes first: of 1,200 faces, a network of 16 of its 20 epochs had AUC .795
TWO_THIRDS = 200 / 3  # on 400 others, two of 8 and 6 epochs .745 in that time; .792 and .795 where others were judged.
VIEWS = "test-time views"


@dataclass(frozen=True)
class Trimmed:
    """A form of the run: ``given_up`` in words, its settings, and the ``seconds`` that it is estimated to take."""

    given_up: str
    config: Config
    seconds: float


Estimate = Callable[[Config], float]  # seconds of the whole line under these settings


def estimator(engine: Engine, dataset: Dataset, counts: RowCounts) -> Estimate:
    """Return what estimates a run on the engine's machines, with the time that the line has taken until now; it
    measures each network once, when it is first needed."""
    known: dict[str, Speed] = {}
    at_once: dict[tuple[str, ...], int] = {}
    taken = [0.0]

    def key(recipe: Recipe) -> str:
        return fingerprint(recipe_key(dataclasses.replace(recipe, epochs=1)))

    def seconds(config: Config) -> float:
        unknown = {name: recipe for name, recipe in config.members.items() if key(recipe) not in known}
        if unknown:
            found = engine.speeds(dataclasses.replace(config, members=unknown), dataset)
            known.update({key(unknown[name]): speed for name, speed in found.items()})
            taken[0] = line_seconds()
        keys = {name: key(recipe) for name, recipe in config.members.items()}
        if (networks := tuple(keys.values())) not in at_once:
            at_once[networks] = engine.at_once(config, dataset)
        speeds = {name: known[one] for name, one in keys.items()}
        return taken[0] + run_seconds(config, counts, dataset.floating, speeds, at_once[networks])

    return seconds


def in_sizes(config: Config, words: Sequence[str]) -> list[Config]:
    """Return the run in each size of its preset, or as it is where there is one alone; ``words`` are the line's."""
    given = [word for word in words if not word.startswith("preset=")]
    sizes = read_preset(config.preset).get("sizes", {}) if config.preset else {}
    if not sizes or any(word.startswith(("size=", "config=")) for word in given):
        return [config]
    loaded = [load_config([*given, f"preset={config.preset}", f"size={size}"]) for size in sizes]
    same = {key: getattr(config, key) for key in ("name", "data", "overwrite")}
    return [dataclasses.replace(one, **same) for one in loaded]


def kept_plan(config: Config, words: Sequence[str]) -> Config | None:
    """Return the settings by which the run of these settings has begun; None where it has not, under these hours.

    ``words`` are the line's.
    """
    kept = kept_record(run_folder(config.name) / FILE)
    if config.overwrite or not kept.keys() >= {"requested", "chosen", *PLAN}:
        return None
    if kept["chosen"] == _key(config):  # as the run's own settings say
        return config
    sized = next((one for one in in_sizes(config, words) if one.size == kept["size"]), None)
    if kept["requested"] != _key(config) or sized is None:
        return None
    members = {name: dataclasses.replace(sized.members[name], epochs=epochs) for name, epochs in kept["epochs"].items()}
    return dataclasses.replace(_in_folds(sized, kept["folds"]), members=members, tta=kept["tta"], seeds=kept["seeds"])


def keep_plan(requested: Config, chosen: Config) -> None:
    """Write the plan into the run's folder: later lines of the same settings, or of the run's name, go by it."""
    epochs = {name: recipe.epochs for name, recipe in chosen.members.items()}
    keys = {"requested": _key(requested), "chosen": _key(chosen)}
    plan = {"size": chosen.size, "tta": chosen.tta, "seeds": chosen.seeds, "folds": chosen.folds, "epochs": epochs}
    if not stands(path := run_folder(requested.name) / FILE, keys | plan):
        write_record_file(path, keys | plan)


def _key(config: Config) -> str:
    """Return the fingerprint of what a plan is made from; `pretrained=auto` is settled by the time it is kept."""
    members = {name: recipe_key(dataclasses.replace(recipe, pretrained="")) for name, recipe in config.members.items()}
    return fingerprint(members, config.hours, config.tta, config.seeds, config.folds, config.split)


def choose_plan(config: Config, words: Sequence[str], sizes: Sequence[Config], estimate: Estimate) -> list[Trimmed]:
    """Return the forms that were looked at, in order, of which the last is the first that fits ``config.hours``, or the
    same with its views.

    ``words`` are the user's own. Raises UserError where none fits.
    """
    budget = SHARE * config.hours * 3600
    found = _until_one_fits(config, [word.partition("=")[0] for word in words], sizes, estimate)
    views = dataclasses.replace(found[-1].config, tta=config.tta)
    if views.tta != found[-1].config.tta and (seconds := estimate(views)) <= budget:
        rest = [word for word in found[-1].given_up.split(", ") if word != VIEWS]
        found.append(Trimmed(", ".join(rest), views, seconds))
    return found


def _until_one_fits(config: Config, given: Sequence[str], sizes: Sequence[Config], estimate: Estimate) -> list[Trimmed]:
    """See :func:`choose_plan`; ``given``: the settings in the user's words."""
    budget, found = SHARE * config.hours * 3600, list[Trimmed]()
    for sized in sorted(sizes, key=estimate, reverse=True):
        for given_up, one in _smaller(sized, given):
            size = [f"size={sized.size}"] if sized.size else []
            found.append(Trimmed(", ".join([*size, *given_up]) or "nothing", one, estimate(one)))
            if found[-1].seconds <= budget:
                return found
    for last in _shorter(found[-1], given, budget, estimate):
        found.append(last)
        if last.seconds <= budget:
            return found
    least = found[-1].seconds / SHARE / 3600
    raise UserError(
        f"hours={config.hours:g} is too little: with all given up that may be, this run takes {found[-1].seconds:.0f} "
        f"seconds or so: give hours={1.05 * least:.2g} or more."
    )


def _smaller(config: Config, given: Sequence[str]) -> Iterator[tuple[list[str], Config]]:
    """Yield what is given up and what is left, step by step: test-time views, seeds, folds."""
    words = list[str]()
    yield words, config
    if config.tta != "none" and "tta" not in given:
        config, words = dataclasses.replace(config, tta="none"), [*words, VIEWS]
        yield words, config
    if config.seeds > 1 and "seeds" not in given:
        config, words = dataclasses.replace(config, seeds=1), [*words, "seeds"]
        yield words, config
    if config.shares is None and _is_whole(config) and "folds" not in given:
        for folds in range(config.folds - 1, FEWEST_FOLDS - 1, -1):
            yield [*words, f"all but {folds} folds"], _in_folds(config, folds)


def _shorter(least: Trimmed, given: Sequence[str], budget: float, estimate: Estimate) -> Iterator[Trimmed]:
    """Yield what is given up beyond that: epochs, a member, epochs of the others, and so on."""
    config, words = least.config, least.given_up
    members_set = any(word.split(".")[0] == "members" for word in given)
    epochs_set = any(word.split(".")[-1] == "epochs" for word in given)
    while True:
        last = members_set or len(config.members) == 1
        if not epochs_set:
            percent = _most_percent(config, 1.0 if last else TWO_THIRDS, budget, estimate)
            short = _with_epochs(config, percent)
            yield Trimmed(f"{words}, epochs beyond {percent:.0f} %", short, estimate(short))
        if last:
            return
        alone = {name: dataclasses.replace(config, members={name: one}) for name, one in config.members.items()}
        slowest = max(alone, key=lambda name: estimate(alone[name]))
        rest = {name: one for name, one in config.members.items() if name != slowest}
        config = dataclasses.replace(config, members=rest)
        yield Trimmed(words := f"{words}, {slowest}", config, estimate(config))


def _most_percent(config: Config, least: float, budget: float, estimate: Estimate) -> float:
    """Return the largest part of the epochs that fits, in whole per cent, or else the ``least``."""
    fitting = (percent for percent in range(99, int(least), -1) if estimate(_with_epochs(config, percent)) <= budget)
    return next(fitting, least)


def _with_epochs(config: Config, percent: float) -> Config:
    """Return the settings with so much of each member's epochs, at least one."""
    members = {
        name: dataclasses.replace(recipe, epochs=max(1, int(recipe.epochs * percent / 100)))
        for name, recipe in config.members.items()
    }
    return dataclasses.replace(config, members=members)


def _is_whole(config: Config) -> bool:
    return chosen_folds(config)[0] == list(range(config.parts))


def _in_folds(config: Config, folds: int) -> Config:
    """Return the settings with so many folds; where all were requested, all of these."""
    fold = config.fold
    if config.folds != folds and _is_whole(config):
        fold = "full" if chosen_folds(config)[1] else "all"
    return dataclasses.replace(config, folds=folds, fold=fold)


def what_stands(config: Config, plans: Sequence[Plan]) -> tuple[Config, list[Plan], str]:
    """Return what can be scored when time has run out before all jobs were finished, and a sentence that says so.

    Members that lack a fold are left out where others are whole; where none is, folds that are finished by all count.
    Raises Unfinished where there is no such fold.
    """
    left = unfinished(config, plans)
    lacking = {plan.job.member for plan in left}
    said = (
        f"  The time is over: {counted(len(left), 'job')} of {len(plans)} are not finished, the first {left[0].job}; "
    )
    if whole := {name: recipe for name, recipe in config.members.items() if name not in lacking}:
        said += f"what follows is without {' and '.join(sorted(lacking))}. The same line goes on with the rest."
        config = dataclasses.replace(config, members=whole)
        return config, [plan for plan in plans if plan.job.member in whole], said
    if {plan.job.fold for plan in plans if is_requested(config, plan.job)} == {plan.job.fold for plan in left}:
        raise Unfinished(f"{said.strip()} no fold is whole, so there is nothing to score yet: the same line goes on.")
    return config, list(plans), said + "the same line goes on with them."


def plan_table(forms: Sequence[Trimmed], hours: float) -> Table:
    """Return a table of what was looked at, the plan last."""
    title = f"The plan for {hours:g} hours, by measured steps: the first that takes at most {SHARE:.0%} of them"
    table = Table("given up", "members", "folds", "epochs", "views", "estimate", title=title, box=None)
    for one in forms:
        config = one.config
        epochs = ", ".join(str(recipe.epochs) for recipe in config.members.values())
        row = [one.given_up, str(len(config.members)), str(config.parts), epochs, config.tta, _clock(one.seconds)]
        table.add_row(*row, style="bold" if one is forms[-1] else "dim")
    return table


def _clock(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{seconds / 60:.1f} min"
