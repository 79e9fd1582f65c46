"""Show how far each job of a run is, and where it runs.

./run.sh status ...                      how far each job of a line is: epoch, node, time left

Everything is read from the run's folder: the line that trains is not asked, and may run on another engine.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from competition.core.files import read_json
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.inference.job_files import read_done, read_history
from competition.training.hours import kept_plan
from competition.training.plan import NODES_FILE, Job, all_jobs, is_requested

COLUMNS = ("job", "state", "epoch", "images/s", "left", "node")


def main(config: Config, words: Sequence[str]) -> None:
    """Print a table with a row for each job."""
    if config.hours:
        config = kept_plan(config, words) or config
    path = run_folder(config.name) / NODES_FILE
    nodes = read_json(path) or {}
    title = config.name
    if nodes:
        title += f", as its line on the cluster noted {max(0, round(time.time() - path.stat().st_mtime))} s ago"
    table = Table(*COLUMNS, title=title, title_justify="left", box=None)
    for job in all_jobs(config):
        if is_requested(config, job):
            table.add_row(*_cells(config, job, nodes.get(str(job), {})))
    Console().print(table)


def _cells(config: Config, job: Job, node: Mapping[str, Any]) -> list[str]:
    folder, epochs = job.folder(config), config.members[job.member].epochs
    done = read_done(folder)
    if "prediction_key" in done:
        return [str(job), "done", str(done["epochs"]), "", "", ""]
    history = read_history(folder / "history.jsonl")
    epoch = f"{len(history)} of {epochs}" if history else ""
    if not history or not node:
        return [str(job), node.get("note", "begun" if history else "waits"), epoch, "", "", node.get("node", "")]
    rate = f"{history[-1]['images_per_second']:,.0f}"
    left = history[-1]["elapsed"] / len(history) * (epochs - len(history))
    return [str(job), node["note"], epoch, rate, f"{left / 60:.0f} min", node["node"]]
