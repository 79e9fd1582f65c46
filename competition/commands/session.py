"""What runs inside a Kaggle session: trains the requested jobs and packs each one for the way back."""

import dataclasses
import shutil
from pathlib import Path

from competition.commands.run import LOCK_PATIENCE, check
from competition.core.config import Config
from competition.core.files import only_one
from competition.core.paths import cache_folder, run_folder
from competition.data.images.cache import SPARE_GB
from competition.data.run_data import read_tables
from competition.kaggle.sessions.request import STOPS, Outbox, Request, differences, made_of
from competition.models.device import choose_device
from competition.training.engine import at_once, prepare_process, run_jobs
from competition.training.open_data import open_data
from competition.training.plan import Job, make_plans


def run_session(config: Config, request: Request, output: Path, deadline: float) -> None:
    """Train the jobs that a session is asked for, as many at once as it has GPUs, and put each into ``output`` when it
    is finished.

    ``deadline`` in seconds since the epoch: no job is begun that would not end before it, and none at all where it
    would be made of something else than it was asked to be.
    """
    outbox, device = Outbox(output, run_folder(config), request.key, deadline), choose_device(config.device)
    if request.accelerator != "none" and device == "cpu":
        outbox.close(
            f"there is no GPU in this session, which was asked for {request.accelerator}: see your GPU quota "
            "and that your account's phone number is verified, or say kaggle.accelerator=none"
        )
        return
    cache_folder(config).mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(cache_folder(config)).free / 1e9 - 2 * SPARE_GB
    beside = at_once(config, device)
    config = dataclasses.replace(config, cache_gb=max(0.0, min(config.cache_gb, room)), jobs=beside)
    prepare_process(config, device, beside)
    dataset = read_tables(config)
    check(config, dataset)
    with only_one(run_folder(config) / ".lock", LOCK_PATIENCE):
        data = open_data(config, dataset, request.dealt)
        expected = dict(zip((Job(*job) for job in request.jobs), request.expected, strict=True))
        left = list(expected)
        while left:
            plans = make_plans(config, data, left[:beside], device)  # anew: a job may settle things for the later ones
            troubles = [
                differences(expected[plan.job], made_of(plan)) or outbox.full(plan.job.member) for plan in plans
            ]
            if why := troubles[0]:
                outbox.close(why if why in STOPS else f"it would be made of something else than asked for ({why})")
                return
            ready = next((index for index, why in enumerate(troubles) if why), len(plans))
            run_jobs(config, data, plans[:ready], device, outbox.put)
            left = left[ready:]
        outbox.close("done")
