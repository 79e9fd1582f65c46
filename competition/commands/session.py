"""Train what a request asks for: what engine=kaggle runs inside Kaggle's sessions, and no command for a user.

Each job is packed for the way back when it is finished.
"""

import dataclasses
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.config import CONFIG_FILE, load_config
from competition.core.errors import UserError
from competition.core.locks import only_one
from competition.core.options import parse, positional
from competition.core.paths import FOLDS_FILE, cache_folder, run_folder
from competition.core.settings import Config
from competition.data.folds import keep_folds
from competition.data.images.cache import SPARE_GB
from competition.data.layouts.dataset import check_files
from competition.data.run_data import read_tables, split_table
from competition.kaggle.sessions.request import STOPS, Outbox, Request, differences, made_of, read_request
from competition.training.engines.local import LocalEngine, run_jobs
from competition.training.open_data import check_inputs, has_models, open_data
from competition.training.plan import LOCK_PATIENCE, Job, make_plans
from competition.training.process import jobs_at_once, prepare_process


@dataclass(frozen=True)
class SessionOptions:
    """What the training kernel passes to its session."""

    words: tuple[str, ...] = positional("WORD")  # the request's file, the deadline in seconds since the epoch, the
    # output folder, and the data's folder where the data is not drawn


def main(words: Sequence[str]) -> None:
    """Train for a request that lies beside its settings."""
    given = parse(words, SessionOptions).words
    if len(given) not in (3, 4) or not re.fullmatch(r"\d+(\.\d*)?", given[1]):
        raise UserError(
            "session is what engine=kaggle runs inside Kaggle's sessions: ./run.sh help lists the commands."
        )
    request, deadline, output, *data = given
    settings = [f"config={Path(request).parent / CONFIG_FILE}", *(f"data={folder}" for folder in data)]
    run_session(load_config(settings), read_request(Path(request)), Path(output), float(deadline))


def run_session(config: Config, request: Request, output: Path, deadline: float) -> None:
    """Train the requested jobs, as many at once as the session has GPUs, and put each into ``output`` when it is
    finished.

    ``deadline`` in seconds since the epoch: no job is begun that would not end before it, and none at all that would be
    made of something else than the request says.
    """
    outbox, engine = Outbox(output, run_folder(config.name), request.key, deadline), LocalEngine(config)
    if request.accelerator != "none" and engine.device == "cpu":
        outbox.close(
            f"there is no GPU in this session, which was asked for {request.accelerator}: see your GPU quota and that "
            "your account's phone number is verified, or set kaggle.accelerator=none"
        )
        return
    cache_folder(config).mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(cache_folder(config)).free / 1e9 - 2 * SPARE_GB
    config = dataclasses.replace(config, cache_gb=max(0.0, min(config.cache_gb, room)))
    prepare_process(config, engine.device)
    dataset = read_tables(config)
    at_once = jobs_at_once(config, dataset, engine.device)
    check_inputs(config, dataset)
    check_files(dataset)
    engine.check_weights([name for name in config.members if not has_models(config, name)], dataset.channels)
    with only_one(run_folder(config.name) / ".lock", LOCK_PATIENCE):
        data = open_data(config, dataset, request.folds_from)
        keep_folds(run_folder(config.name) / FOLDS_FILE, split_table(config, data.train))
        expected = dict(zip((Job(*job) for job in request.jobs), request.expected, strict=True))
        left = list(expected)
        while left:
            plans = make_plans(config, data, left[:at_once], engine.device)  # a job may settle things for later ones
            reasons = [differences(expected[plan.job], made_of(plan)) or outbox.full(plan.job.member) for plan in plans]
            if reason := reasons[0]:
                outbox.close(
                    reason if reason in STOPS else f"it would be made of something else than requested ({reason})"
                )
                return
            ready = next((index for index, reason in enumerate(reasons) if reason), len(plans))
            run_jobs(config, data, plans[:ready], engine.device, outbox.put)
            left = left[ready:]
        outbox.close("done")
