"""Training in Kaggle's sessions (`engine=kaggle`): jobs go out in kernels and come back as if trained here."""

from collections.abc import Callable, Sequence

from competition.core.config import Config
from competition.core.errors import UserError
from competition.core.files import read_json
from competition.core.paths import shown
from competition.data.run_data import RunData
from competition.kaggle.client.account import find_account
from competition.kaggle.client.api import Kaggle, accepted_rules
from competition.kaggle.kernels import ENDED, watch_kernels
from competition.kaggle.sessions.kernel import DEADLINE
from competition.kaggle.sessions.progress import Waiting
from competition.kaggle.sessions.receive import Intake
from competition.kaggle.sessions.send import Dispatch, check_sendable
from competition.training.plan import Plan

WAITING = 24.0  # hours that a session may take with its time in Kaggle's queue
SHARE = 0.9  # of a session's hours that jobs of known length may fill
GPUS = {"NvidiaTeslaT4": 2}  # that a session has, each with a job on it; of others one

Replan = Callable[[], list[Plan]]


def open_kaggle(config: Config) -> Kaggle:
    """Return the Kaggle that jobs are to be sent to, having seen that they can be: before anything else is done."""
    check_sendable(config)
    account = find_account()
    for warning in account.warnings:
        print(f"  Warning: {warning}")
    kaggle = Kaggle(account)
    if config.competition and not config.demo.draw:
        accepted_rules(kaggle, config.competition)
    return kaggle


def train_on_kaggle(
    config: Config, data: RunData, kaggle: Kaggle, replan: Replan, asked: Callable[[list[Plan]], list[Plan]]
) -> None:
    """Have all jobs trained that are asked for, in as many sessions as it takes.

    ``replan`` returns the plans of all the run's jobs, by what is settled by then, and ``asked`` picks those asked for.
    The same line, repeated, goes on: it waits for what runs, fetches what is finished and sends what is left. Raises
    UserError where something cannot be sent or comes back other than expected, and Unfinished where Kaggle has to be
    waited for.
    """
    dispatch, intake = Dispatch(config, data, kaggle), Intake(config, kaggle, replan)
    while left := [plan for plan in asked(replan()) if not plan.is_trained()]:
        under_way, wanted = dispatch.under_way(), dispatch.wanted(left)
        sent = {job for one in under_way for job in one.jobs.items()}
        new = [plan for plan, job in zip(left, wanted.items(), strict=True) if job not in sent]
        room = config.kaggle.sessions - len(under_way)
        if new and room > 0:
            under_way = dispatch.send(deal(new, config, room), under_way)
        awaited = [one for one in under_way if one.jobs.items() & wanted.items()] or under_way
        for one in (one for one in awaited if not one.jobs.items() & wanted.items()):
            print(
                f"  Kaggle: {one.ref} runs for other folds or settings, and no session is free before it ends: stop "
                f"it on https://www.kaggle.com/code/{one.ref} to go on sooner"
            )
        with Waiting(config.kaggle.hours) as waiting:
            versions = {one.ref: one.version for one in awaited}
            states = watch_kernels(kaggle, versions, 3600 * WAITING, waiting.show)
        for one in (one for one in awaited if states[one.ref] in ENDED):
            taken = intake.take_in(one, states[one.ref], dispatch.wanted(replan()))
            further = dispatch.settle(one, taken.finished, taken.begun) and taken.why == DEADLINE
            if not (taken.finished or further) and one.jobs.items() & wanted.items():
                hint = f" (kaggle.hours={config.kaggle.hours:g} is too short)" if taken.why == DEADLINE else ""
                raise UserError(
                    f"The session of {one.ref} finished none of {len(one.jobs)} jobs: {taken.why}{hint}; "
                    "mend that, then repeat the same line, which goes on from there (log in "
                    f"{shown(intake.folder(one))})."
                )


def deal(left: Sequence[Plan], config: Config, most: int) -> list[list[Plan]]:
    """Share jobs out to at most ``most`` sessions, the longest first and each to the session with the least to do.

    How long a member's jobs take is known from those that are finished; where it is, a session gets no more than fills
    most of its hours, and the rest waits until one has ended. Members whose precision is yet to be measured go to one
    session, so that all their jobs get the same.
    """
    seconds = {member: _seconds(plan) for plan in left for member in [plan.job.member]}
    unsettled = any("auto" in (plan.placement.precision, plan.placement.memory_format) for plan in left)
    sessions: list[list[Plan]] = [[] for _ in range(1 if unsettled else most)]
    loads = [0.0] * len(sessions)
    room = 3600 * config.kaggle.hours * GPUS.get(config.kaggle.accelerator, 1)
    usual = max(seconds.values()) or 1.0  # for members of which nothing is known
    for plan in sorted(left, key=lambda plan: -(seconds[plan.job.member] or usual)):
        least = min(range(len(sessions)), key=lambda index: loads[index])
        took = seconds[plan.job.member]
        if took and sessions[least] and loads[least] + took > SHARE * room:
            continue
        sessions[least].append(plan)
        loads[least] += took or usual
    return [session for session in sessions if session]


def _seconds(plan: Plan) -> float:
    """Return what the longest finished job of a plan's member took, 0 where none is."""
    done = [read_json(path) or {} for path in plan.folder.parent.glob("*/done.json")]
    return max((line.get("seconds", 0.0) for line in done), default=0.0)
