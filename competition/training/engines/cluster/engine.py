"""The engine `ray`: jobs go out to the nodes of a cluster, and come back while others run, as if trained here."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from competition.core.config import WEIGHTS_WORDS
from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.paths import run_folder
from competition.core.settings import Config, Recipe
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData
from competition.inference.job_files import read_done
from competition.inference.learner import feature_passes
from competition.models.build import check_pretrained, timm_parts
from competition.models.device import Placement, choose_device
from competition.models.weights import weights_options
from competition.training.engines.cluster.connect import Connection, Node, address_of, reply
from competition.training.engines.cluster.dispatch import Dispatch, RemoteTask
from competition.training.engines.cluster.node import Work, place
from competition.training.engines.cluster.supply import Supply
from competition.training.engines.cluster.travel import Parcel, packed
from competition.training.engines.progress import JobsBar, longest_first
from competition.training.engines.protocol import Engine
from competition.training.job_run import JobRun
from competition.training.plan import NODES_FILE, PLACEMENT_FILE, Plan, all_jobs, is_requested, unfinished
from competition.training.resume import load_resume
from competition.training.speed import Speed, measure_speeds


class RayEngine(Engine):
    """Trains on a cluster's nodes: on their GPUs, or where none has one, on their CPUs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.device = choose_device("auto")
        self.where = f"a Ray cluster ({address_of(config) or 'this machine alone'})"
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Connect to the cluster at the address, unless nothing seems left to do; UserError where there is none.

        One of this machine is started when it is needed, for nothing can speak against it.
        """
        folders = [job.folder(self.config) for job in all_jobs(self.config) if is_requested(self.config, job)]
        done = not self.config.overwrite and all("prediction_key" in read_done(folder) for folder in folders)
        if address_of(self.config) and not done:
            self._connected()

    def place(self, data: RunData, recipe: Recipe) -> Placement:
        """Return what a node measures, or what is usual on its device."""
        gpus = self._gpus()
        for node in self._connected().nodes():
            cpus = node.share(self.config, gpus)
            if node.slots(cpus, gpus):
                return reply(node, node.run(place, packed(data), recipe, cpus=cpus, gpus=gpus))
        return super().place(data, recipe)

    def check_weights(self, members: Iterable[str], channels: int) -> None:
        for member in members:
            check_pretrained(self.config.members[member], channels)

    def speeds(self, config: Config, dataset: Dataset) -> dict[str, Speed]:
        """Return what is measured on this machine, which is taken for one like the nodes."""
        if (gpus := self._gpus()) and self.device == "cpu":
            raise UserError(
                f"hours={config.hours:g} needs measured steps, and this machine has no GPU, as the nodes have: run the "
                "line on one of them."
            )
        beside = max(self._slots(node) for node in self._connected().nodes())
        return measure_speeds(config, dataset, self.device if gpus else "cpu", max(1, beside))

    def at_once(self, config: Config, dataset: Dataset) -> int:
        return max(1, sum(map(self._slots, self._connected().nodes())))

    def _slots(self, node: Node) -> int:
        """Return how many jobs a node takes at once."""
        gpus = self._gpus()
        return node.slots(node.share(self.config, gpus), gpus)

    def finish(self, data: RunData, plans: list[Plan]) -> list[Plan]:
        left, connection = longest_first(self.config, data, unfinished(self.config, plans)), self._connected()
        try:
            supply = Supply(self.config, data, list(self._weights(left).values()))
            self._compute_features(supply, left)
            self._train(supply, left)
        finally:
            connection.close()
            self._connection = None  # another call connects again
        return plans

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self.config)
        return self._connection

    def _gpus(self) -> float:
        """Return the GPUs of a job."""
        return self.config.ray.gpus if any(node.gpus for node in self._connected().nodes()) else 0.0

    def _compute_features(self, supply: Supply, left: Sequence[Plan]) -> None:
        """Compute what is missing of frozen members' features on one node each, and let them travel to all."""
        config, data = self.config, supply.data
        tasks, paths = [], dict[Path, None]()
        for member in dict.fromkeys(plan.job.member for plan in left if config.members[plan.job.member].frozen):
            plan = next(plan for plan in left if plan.job.member == member)
            predictor = JobRun(config, data, plan, 0, lambda images, note: None).predictor()
            clean, variants = feature_passes(config, data, member, plan.settings["pretrained"], predictor)
            own = [one.path for one in itertools.chain(clean, *variants)]
            paths |= dict.fromkeys(own)
            if missing := tuple(path.name for path in own if not path.exists()):
                tasks.append(RemoteTask(f"features of {member}", plan.folder.parent, self._work(supply, plan, missing)))
        if tasks:
            print(f"  Computing the features of {len(tasks)} members on the cluster ...", flush=True)
            Dispatch(self._connected(), supply, self._gpus(), lambda images, note: None).run(tasks)
        supply.others += [Parcel.of(path.name, {path.name: path}) for path in paths]

    def _train(self, supply: Supply, left: Sequence[Plan]) -> None:
        plans = {str(plan.job): plan for plan in left}
        tasks = [
            RemoteTask(title, plan.folder.parent, self._work(supply, plan), lambda plan=plan: _begun(plan))  # type: ignore[misc]
            for title, plan in plans.items()
        ]
        with JobsBar(self.config, supply.data, left, self.watch) as bar:

            def finish(task: RemoteTask) -> None:
                plan = plans[task.title]
                (plan.folder / "resume.pt").unlink(missing_ok=True)
                if not plan.is_done():
                    raise RuntimeError(f"{plan.job} came back made of something else than what was sent")
                bar.finish(plan, read_done(plan.folder))

            nodes_file = run_folder(self.config.name) / NODES_FILE
            dispatch = Dispatch(self._connected(), supply, self._gpus(), bar.progress, bar.say, nodes_file)
            dispatch.run(tasks, finish)

    def _work(self, supply: Supply, plan: Plan, features: tuple[str, ...] = ()) -> Any:
        """Return what makes a plan's work, from the files that stand here when it is called."""
        weights = {source: next(iter(parcel.files))[0] for source, parcel in self._weights([plan]).items()}
        weights = {source: _top(place, source) for source, place in weights.items()}

        def work(cpus: int) -> Work:
            found = [path for path in plan.folder.glob("*") if path.is_file() and not path.name.startswith(".")]
            found += [path for path in [plan.folder.parent / PLACEMENT_FILE] if path.exists()]
            files = {path.relative_to(plan.folder.parent).as_posix(): path.read_bytes() for path in found}
            return Work(self.config, plan, files, weights, cpus, supply.cache, features)

        return work

    def _weights(self, plans: Sequence[Plan]) -> dict[str, Parcel]:
        """Return the files of weights that members begin with, by the setting that names them."""
        found = {}
        for member, plan in {plan.job.member: plan for plan in plans if not plan.is_trained()}.items():
            recipe = self.config.members[member]
            if recipe.pretrained not in WEIGHTS_WORDS:
                source = Path(recipe.pretrained).expanduser()
                parts = timm_parts(recipe)
                paths = [Path(weights_options(part)["pretrained_cfg_overlay"]["file"]) for part in parts]
                name = f"weights-{fingerprint(plan.settings['pretrained'], [path.name for path in paths])}"
                root = source if source.is_dir() else source.parent
                places = {f"{name}/{path.relative_to(root).as_posix()}": path for path in paths}
                found[recipe.pretrained] = Parcel.of(name, places)
        return found


def _top(place: str, source: str) -> str:
    """Return where a node finds what ``source`` names here, a file or a folder, below its cache."""
    return place.split("/")[0] if Path(source).expanduser().is_dir() else place


def _begun(plan: Plan) -> str:
    """Return where a job goes on that begins again, in words."""
    if plan.is_trained():
        return "its predictions"
    point = load_resume(plan.folder / "resume.pt")
    return f"epoch {point['epoch'] + 1}" if point and point["key"] == plan.key else "its beginning"
