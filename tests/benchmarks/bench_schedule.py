"""How a run's time falls with the number of workers: its jobs, as long as they took, are dealt out as engines do it.

The jobs of a finished run (``name=``, five folds of each member) and those of five such runs are scheduled on 1 to 16
workers, each of which takes the next job when it is free: the longest first, as the engines do, and in the order of the
folds. "Idle" is the share of the workers' time that goes by after their last job, until the longest has ended.
`./run.sh bench schedule` takes no time; nothing is trained.
"""

from competition.core.config import CONFIG_FILE, load_config
from competition.core.errors import UserError
from competition.core.paths import run_folder
from competition.inference.job_files import read_done
from competition.training.estimate import makespan
from competition.training.plan import all_jobs

WORKERS = (1, 2, 4, 8, 16)
RUNS = (1, 5)
PROMISED = 1.9  # times as fast on two workers as on one


def main(name: str = "demo") -> bool:
    """Print the tables and return whether two workers are as much faster as is promised."""
    kept = run_folder(name) / CONFIG_FILE
    config = load_config([f"config={kept}"]) if kept.exists() else None
    seconds = [read_done(job.folder(config)).get("seconds", 0.0) for job in all_jobs(config)] if config else []
    if not seconds or not all(seconds):
        raise UserError(f"There is no finished run '{name}' whose jobs could be scheduled: train it, or name another.")
    kept_promise = True
    for runs in RUNS:
        jobs = seconds * runs
        print(f"{len(jobs)} jobs of {min(jobs):.0f} to {max(jobs):.0f} s")
        print(f"{'workers':>7}{'minutes':>9}{'times as fast':>15}{'idle':>7}   in the order of folds")
        alone = sum(jobs)
        for workers in WORKERS:
            took, unsorted = makespan(sorted(jobs, reverse=True), workers), makespan(jobs, workers)
            idle = [1 - alone / (workers * one) for one in (took, unsorted)]
            figures = f"{alone / took:>15.2f}{idle[0]:>7.1%}{alone / unsorted:>9.2f}{idle[1]:>7.1%}"
            print(f"{workers:>7}{took / 60:>9.1f}{figures}")
            kept_promise &= workers != 2 or alone / took >= PROMISED
    return kept_promise
