"""Search for better settings on some folds, and let the other folds say whether they are better.

./run.sh tune ... hours=3                search for better settings so long, or with trials=30 so many
./run.sh tune preset=small data=FOLDER trials=30 member=swin tune.lr=[1e-5,1e-3,log] tune.folds=0,1

All other words are settings of the main job. The same line goes on from where it was ended.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from competition.commands.config import resolve
from competition.core.errors import UserError, did_you_mean
from competition.core.locks import only_one
from competition.core.options import bounded, one_of, parse
from competition.core.packages import check_packages
from competition.core.paths import run_folder
from competition.core.search_space import SearchSpace, read_space
from competition.core.settings import Config
from competition.core.splits import parse_folds
from competition.data.folds import JUDGED, VALIDATION
from competition.scoring.leaderboard_metric import ProbabilityMetric, find_metric

PATIENCE = 15.0  # seconds for a killed line's processes to end


@dataclass(frozen=True)
class TuneOptions:
    """How long to search, and for what. The settings that are searched are those of tune= (./run.sh run help)."""

    trials: int = bounded(0, 0, 10_000)  # settings that are tried, the preset's own first; 0 = as many as hours hold
    hours: float = bounded(0.0, 0, 10_000)  # that the whole line may take, the judgement included; 0 = no limit
    member: str = ""  # the one member that is searched for; default: all of them take the same values
    objective: str = one_of("auto", "log_loss", "auc", "brier")  # what is to be better; auto: the metric where
    # that is of probabilities, else log_loss
    on: str = one_of("clean", "web")  # for images as they are, or on average as they are and as the web leaves them


def main(words: Sequence[str]) -> None:
    """Search, judge the best trial on the other folds, and write what was found."""
    known = {item.name for item in dataclasses.fields(TuneOptions)}
    own = [word for word in words if word.partition("=")[0] in known]
    options = parse(own, TuneOptions)
    config = resolve(rest := [word for word in words if word not in own])
    if not options.trials and not options.hours:
        raise UserError("How long is the search to be? Give hours=3, or trials=30, or both.")
    space = read_space(config.tune)
    seen, others = _folds(config, space)
    searched = _searched(config, options)
    check_packages("tune", ("optuna",))
    from competition.commands.run import look_ahead  # torch and Optuna take seconds to import
    from competition.commands.search import Tuning
    from competition.training.engines.protocol import open_engine

    ready = look_ahead(searched, open_engine(searched), train=True, submit=False)
    if options.objective == "auto":
        metric = find_metric(ready.config.metric)
        named = metric.name if isinstance(metric, ProbabilityMetric) else "log_loss"
        options = dataclasses.replace(options, objective=named)
    dataset = ready.tables()
    folder = run_folder(config.name) / "tune"
    with only_one(folder / ".lock", PATIENCE, f"Another line tunes {config.name}: wait for it."):
        Tuning(options, config, ready, dataset, space, seen, others).run(folder, rest)


def _folds(config: Config, space: SearchSpace) -> tuple[list[int], list[int]]:
    """Return the folds that the search sees, and the others, which judge; of a hold-out its validation and its test
    part. UserError where there are none to judge on."""
    if config.names:
        raise UserError(f"names={config.names} are finished runs, and tune trains its own: name data or a preset.")
    if config.shares is not None:
        if len(config.shares) == 2:
            raise UserError(
                f"split={config.split} has no part to judge on: give a third share, as in split=holdout:0.7,0.2,0.1."
            )
        return [VALIDATION], [JUDGED]
    try:
        seen = parse_folds(space.folds, config.folds)[0]
    except UserError as error:
        raise UserError(f"tune.{str(error).replace('fold=', 'folds=', 1)}") from error
    others = [fold for fold in range(config.folds) if fold not in seen]
    if not others:
        raise UserError(f"tune.folds={space.folds} leaves no fold to judge on: let the search see fewer of them.")
    return seen, others


def _searched(config: Config, options: TuneOptions) -> Config:
    """Return the settings of the runs that are searched: of the members that are searched for alone."""
    if options.member and options.member not in config.members:
        raise UserError(f"There is no member '{options.member}'{did_you_mean(options.member, config.members)}")
    if options.on == "web" and not config.evidence_rows:
        raise UserError("on=web judges degraded held-out images, and evidence_rows=0 keeps none: set it to 1000.")
    members = {name: one for name, one in config.members.items() if options.member in ("", name)}
    return dataclasses.replace(config, members=members, overwrite=False, hours=0.0, track="")
