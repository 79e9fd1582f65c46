"""The engine `kaggle`: jobs go out to Kaggle's sessions in kernels and come back as if trained here."""

import datetime
import sys
from collections.abc import Sequence

from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import read_json
from competition.core.paths import shown
from competition.core.settings import Config
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData
from competition.kaggle.client.account import find_account
from competition.kaggle.client.api import Kaggle, accepted_rules
from competition.kaggle.kernels import ENDED, watch_kernels
from competition.kaggle.sessions.kernel import DEADLINE
from competition.kaggle.sessions.receive import Receiver
from competition.kaggle.sessions.send import Sender, Session
from competition.kaggle.sessions.source import check_sendable
from competition.models.cost import model_cost
from competition.models.device import choose_device
from competition.training.engines.local import run_jobs
from competition.training.engines.protocol import Engine
from competition.training.plan import Plan, all_jobs, is_requested, make_plans, unfinished
from competition.training.speed import HEAD_SECONDS, Speed, measure_speeds

WAIT_HOURS = 24.0  # that a session may take with its time in Kaggle's queue
FILLED_SHARE = 0.9  # of a session's hours that jobs of known length may fill
GPUS = {"NvidiaTeslaT4": 2}  # that a session has, each with a job on it; of others one
# See presets/README.md, "What a run costs": training images/s of ConvNeXt-Tiny at 224 pixels on one of them, how speed
# falls with multiply-adds, the seconds in which a step's kernels are started, and one image's decoding on four cores.
IMAGES_PER_SECOND = {"NvidiaTeslaT4": 273.0, "NvidiaTeslaP100": 273 * 732 / 320}
CONVNEXT_TINY_FLOPS, SLOWER, STARTS, DECODE_SECONDS, FORWARD_SHARE = 2 * 4.46e9, 0.72, 0.03, 2e-3, 1 / 3


class KaggleEngine(Engine):
    """Trains in Kaggle's sessions; predictions that a session had no time for are made on this machine."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.device = choose_device("auto")
        self.where = f"Kaggle ({config.kaggle.accelerator})"
        self._kaggle: Kaggle | None = None

    def connect(self) -> None:
        """Raise UserError where nothing could be sent to Kaggle: for want of credentials, of the competition's rules
        accepted, or of data and weights that Kaggle can have. Where nothing seems left to train, nothing is needed."""
        folders = [job.folder(self.config) for job in all_jobs(self.config) if is_requested(self.config, job)]
        trained = all((folder / name).exists() for folder in folders for name in ("done.json", "model.safetensors"))
        if self.config.overwrite or not trained:
            self._kaggle = open_kaggle(self.config)

    def speeds(self, config: Config, dataset: Dataset) -> dict[str, Speed]:
        """Return what the arithmetic of the presets' README gives for the sessions' GPUs, and for a CPU, this one's."""
        rate = IMAGES_PER_SECOND.get(config.kaggle.accelerator)
        if rate is None:
            return measure_speeds(config, dataset, "cpu", beside=1)
        found = {}
        for name, recipe in config.members.items():
            flops = model_cost(recipe, dataset.channels, dataset.floating).flops
            again = 4 / 3 if recipe.checkpointing else 1.0
            step = max(again / rate * (flops / CONVNEXT_TINY_FLOPS) ** SLOWER, STARTS / recipe.batch_size)
            train = HEAD_SECONDS if recipe.frozen else step
            found[name] = Speed(train, step * FORWARD_SHARE, DECODE_SECONDS)
        return found

    def at_once(self, config: Config, dataset: Dataset) -> int:
        return config.kaggle.sessions * GPUS.get(config.kaggle.accelerator, 1)

    def finish(self, data: RunData, plans: list[Plan]) -> list[Plan]:
        """Finish the requested jobs, in as many sessions as it takes; returns all plans as sessions settled them.

        The same line, repeated, goes on: it waits for what runs, fetches what is finished and sends what is left.
        Raises UserError where something cannot be sent or comes back other than expected, and Unfinished where Kaggle
        has to be waited for.
        """
        if self._untrained(plans):
            self._train(data)
            plans = self._plan(data)
        run_jobs(self.config, data, unfinished(self.config, plans), self.device, watch=self.watch)
        return plans

    def _plan(self, data: RunData) -> list[Plan]:
        return make_plans(self.config, data, all_jobs(self.config), self.device, self.place)

    def _untrained(self, plans: Sequence[Plan]) -> list[Plan]:
        return [plan for plan in plans if is_requested(self.config, plan.job) and not plan.is_trained()]

    def _train(self, data: RunData) -> None:
        """Send the requested jobs out and take in what sessions finish, until all of them are trained."""
        config, kaggle = self.config, self._kaggle or open_kaggle(self.config)
        sender, receiver = Sender(config, data, kaggle), Receiver(config, kaggle, lambda: self._plan(data))
        while left := self._untrained(self._plan(data)):
            under_way, wanted = sender.under_way(), sender.wanted(left)
            sent = {job for session in under_way for job in session.jobs.items()}
            new = [plan for plan, job in zip(left, wanted.items(), strict=True) if job not in sent]
            room = config.kaggle.sessions - len(under_way)
            if new and room > 0:
                under_way = sender.send(share_out(new, config, room), under_way)
            ours = [session for session in under_way if session.jobs.items() & wanted.items()]
            for session, state in _wait(config, kaggle, ours or _in_the_way(under_way)):
                received = receiver.receive(session, state, sender.wanted(self._plan(data)))
                further = sender.note_ended(session, received.finished, received.begun) and received.why == DEADLINE
                if session in ours and not (received.finished or further):
                    hint = f" (kaggle.hours={config.kaggle.hours:g} is too short)" if received.why == DEADLINE else ""
                    raise UserError(
                        f"The session of {session.ref} finished none of {len(session.jobs)} jobs: {received.why}"
                        f"{hint}; correct that, then repeat the same line, which goes on from there (log in "
                        f"{shown(receiver.folder(session))})."
                    )


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


def _in_the_way(sessions: Sequence[Session]) -> Sequence[Session]:
    """Say that these sessions, of other folds or settings, have to be waited for; returns them."""
    for session in sessions:
        print(
            f"  Kaggle: {session.ref} runs for other folds or settings, and no session is free before it ends: stop "
            f"it on https://www.kaggle.com/code/{session.ref} to go on sooner"
        )
    return sessions


def _wait(config: Config, kaggle: Kaggle, sessions: Sequence[Session]) -> list[tuple[Session, str]]:
    """Wait until one of the sessions has ended, or more; returns those, each with how Kaggle says it ended.

    Meanwhile one line with their states is rewritten on a terminal, and elsewhere printed when it changes.
    """
    limit, last = _clock(3600 * config.kaggle.hours), ""
    with tqdm(bar_format="{desc}", disable=not sys.stderr.isatty()) as bar:

        def show(states: dict[str, str], seconds: float) -> None:
            nonlocal last
            line = ", ".join(f"{ref} {state}" for ref, state in states.items())
            bar.set_description_str(f"  Kaggle: {line}; {_clock(seconds)} of {limit}")
            if bar.disable and line != last:
                print(f"  Kaggle: {line} after {_clock(seconds)} (a session ends itself after {limit})", flush=True)
            last = line

        versions = {session.ref: session.version for session in sessions}
        states = watch_kernels(kaggle, versions, 3600 * WAIT_HOURS, show)
    return [(session, states[session.ref]) for session in sessions if states[session.ref] in ENDED]


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


def share_out(left: Sequence[Plan], config: Config, most: int) -> list[list[Plan]]:
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
        if took and sessions[least] and loads[least] + took > FILLED_SHARE * room:
            continue
        sessions[least].append(plan)
        loads[least] += took or usual
    return [session for session in sessions if session]


def _seconds(plan: Plan) -> float:
    """Return what the longest finished job of a plan's member took, 0 where none is."""
    done = [read_json(path) or {} for path in plan.folder.parent.glob("*/done.json")]
    return max((line.get("seconds", 0.0) for line in done), default=0.0)
