"""Training in Kaggle's sessions (`engine=kaggle`): jobs go out in kernels and come back as if trained here."""

from collections.abc import Callable, Sequence

from competition.config import Config
from competition.data.assemble import RunData
from competition.errors import UserError
from competition.files import read_json, shown
from competition.kaggle.account import find_account
from competition.kaggle.api import Kaggle, accepted_rules
from competition.kaggle.kernels import watch_kernels
from competition.plan import Plan
from competition.remote.dispatch import Dispatch, check_sendable
from competition.remote.intake import take_in
from competition.remote.waiting import Waiting

WAITING = 24.0  # hours that a session may take with its time in Kaggle's queue
SHARE = 0.9  # of a session's hours that jobs of known length may fill

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


def train_on_kaggle(config: Config, data: RunData, kaggle: Kaggle, replan: Replan) -> None:
    """Have all jobs trained that are not, in as many rounds of sessions as it takes.

    ``replan`` returns the plans that are to stand at the end, by what is settled by then. The same line, repeated, goes
    on: it waits for what runs, fetches what is finished and sends what is left. Raises UserError where something cannot
    be sent or comes back other than expected, and Unfinished where Kaggle has to be waited for.
    """
    dispatch = Dispatch(config, data, kaggle)
    while left := _untrained(replan):
        under_way = dispatch.kept(left) or dispatch.send(deal(left, config))
        with Waiting(config.kaggle.hours) as waiting:
            versions = {sent.ref: sent.version for sent in under_way}
            states = watch_kernels(dispatch.kaggle, versions, 3600 * WAITING, waiting.show)
        wanted = dispatch.wanted(left)
        reasons = [take_in(config, dispatch.kaggle, sent, states[sent.ref], wanted, replan) for sent in under_way]
        dispatch.keep([])
        if len(_untrained(replan)) == len(left):
            raise UserError(f"Kaggle's sessions finished none of {len(left)} jobs ({'; '.join(reasons)}): mend that, "
                            f"then repeat the same line (logs in {shown(dispatch.inbox)}).")  # fmt: skip


def deal(left: Sequence[Plan], config: Config) -> list[list[Plan]]:
    """Share jobs out to sessions, the longest first and each to the session with the least to do.

    How long a member's jobs take is known from those that are finished; where it is, a session gets no more than fills
    most of its hours, and the rest waits for the next round. Members whose precision is yet to be measured go to one
    session, so that all their jobs get the same.
    """
    seconds = {member: _seconds(plan) for plan in left for member in [plan.job.member]}
    unsettled = any("auto" in (plan.placement.precision, plan.placement.memory_format) for plan in left)
    sessions = [[] for _ in range(1 if unsettled else config.kaggle.sessions)]
    loads = [0.0] * len(sessions)
    usual = max(seconds.values()) or 1.0  # for members of which nothing is known
    for plan in sorted(left, key=lambda plan: -(seconds[plan.job.member] or usual)):
        least = min(range(len(sessions)), key=lambda index: loads[index])
        took = seconds[plan.job.member]
        if sessions[least] and loads[least] + took > SHARE * 3600 * config.kaggle.hours and took:
            continue
        sessions[least].append(plan)
        loads[least] += took or usual
    return [session for session in sessions if session]


def _seconds(plan: Plan) -> float:
    """Return what the longest finished job of a plan's member took, 0 where none is."""
    done = [read_json(path) or {} for path in plan.folder.parent.glob("*/done.json")]
    return max((line.get("seconds", 0.0) for line in done), default=0.0)


def _untrained(replan: Replan) -> list[Plan]:
    return [plan for plan in replan() if not plan.is_trained()]
