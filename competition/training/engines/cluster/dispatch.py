"""Sends work to the nodes as they have room, takes in what they send, and sends it out again where one is lost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError, WorkerCrashedError
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import write_json
from competition.training.engines.cluster.connect import Connection, Node, first_line
from competition.training.engines.cluster.messages import Began, Incoming, Kept, Message, Piece, Progress, TaskFailed
from competition.training.engines.cluster.node import Work, train
from competition.training.engines.cluster.supply import Supply

MAX_LOST = 3  # times in a row that the same work is lost without having come further
LOOK_SECONDS = 5.0  # between two looks for new nodes
NOTE_SECONDS = 2.0  # between two notes of where everything runs
NODE_PATIENCE = 60.0  # seconds without a node, after which none is waited for


@dataclass
class RemoteTask:
    """Work for a node: ``work`` returns it as it stands now, for so many CPUs; ``folder``, the member's, takes the
    files that come back; ``begun`` returns in words where it goes on."""

    title: str
    folder: Path
    work: Callable[[int], Work]
    begun: Callable[[], str] = lambda: "its beginning"
    lost: int = 0


@dataclass
class _Running:
    task: RemoteTask
    node: Node
    incoming: Incoming
    images: int = 0
    device: str = "?"
    note: str = "begins"
    failed: TaskFailed | None = None


@dataclass
class Dispatch:
    """``gpus`` of each piece of work; ``on_progress(images, note)`` is called as it goes on, ``say`` for what the user
    should read. ``nodes_file``: where it is noted which node does what."""

    connection: Connection
    supply: Supply
    gpus: float
    on_progress: Callable[[int, str], None]
    say: Callable[[str], None] = tqdm.write
    nodes_file: Path | None = None
    ready: dict[str, Node] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    _running: dict[Any, _Running] = field(default_factory=dict)
    _looked: float = 0.0
    _noted: float = 0.0

    def run(self, tasks: list[RemoteTask], on_done: Callable[[RemoteTask], None] = lambda task: None) -> None:
        """Finish all the work, begun in this order; ``on_done`` is called after each.

        Raises UserError for the first that cannot be finished, and where no node is left.
        """
        todo, alone = list(tasks), time.monotonic()
        try:
            while todo or self._running:
                self._look()
                while todo and (node := self._free_node()):
                    self._start(todo.pop(0), node)
                self._note()
                if self._running:
                    alone = time.monotonic()
                    self._hear(todo, on_done)
                elif time.monotonic() - alone > NODE_PATIENCE:
                    why = "; ".join(dict.fromkeys(self.refused.values())) or "all are gone, or too small for a job"
                    raise UserError(f"No node of the cluster can train ({why}): the same line goes on from here.")
                else:
                    time.sleep(0.2)
        finally:
            for generator in self._running:
                ray.cancel(generator, force=True)
            self._running.clear()
            if self.nodes_file:
                self.nodes_file.unlink(missing_ok=True)

    def _look(self) -> None:
        """Take in nodes that have come, and forget those that have gone."""
        if time.monotonic() - self._looked < LOOK_SECONDS and self.ready:
            return
        alive = {node.id: node for node in self.connection.nodes() if node.id not in self.gone}
        self.ready = {name: node for name, node in self.ready.items() if name in alive}
        fit = [node for node in alive.values() if node.slots(self._cpus(node), self.gpus)]
        new = [node for node in fit if node.id not in self.ready and node.id not in self.refused]
        refused = self.supply.refusals(new) if new else {}
        for node, why in refused.items():
            self.refused[node.id] = f"node {node.name} is not used, for {why}"
            self.say(f"  Node {node.name} is not used, for {why}")
        self.ready |= {node.id: node for node in new if node not in refused}
        self._looked = time.monotonic()

    def _note(self) -> None:
        """Note where everything runs, and what it does there, for `./run.sh status`."""
        if self.nodes_file and time.monotonic() - self._noted >= NOTE_SECONDS:
            self._noted = time.monotonic()
            at_work = self._running.values()
            write_json(
                self.nodes_file,
                {one.task.title: {"node": f"{one.node.name}, {one.device}", "note": one.note} for one in at_work},
            )

    def _cpus(self, node: Node) -> int:
        return node.share(self.supply.config, self.gpus)

    def _free_node(self) -> Node | None:
        """Return the node with the most room for further work, or None where all are full."""
        busy = [running.node.id for running in self._running.values()]
        room = {node: node.slots(self._cpus(node), self.gpus) - busy.count(node.id) for node in self.ready.values()}
        best = max(room, key=lambda node: room[node], default=None)
        return best if best and room[best] > 0 else None

    def _start(self, task: RemoteTask, node: Node) -> None:
        cpus = self._cpus(node)
        generator = node.run(train, task.work(cpus), self.supply.tables, cpus=cpus, gpus=self.gpus)
        self._running[generator] = _Running(task, node, Incoming(task.folder, Path(self.supply.cache)))

    def _hear(self, todo: list[RemoteTask], on_done: Callable[[RemoteTask], None]) -> None:
        """Take in what running work has sent; what is lost goes back to the front of ``todo``."""
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
        for generator in ready:
            running = self._running[generator]
            try:
                self._take(running, ray.get(next(cast(Iterator[Any], generator))))
            except StopIteration:
                del self._running[generator]
                if failed := running.failed:
                    if failed.error:
                        raise failed.error from None
                    raise RuntimeError(f"A job failed:\n{failed.traceback}") from None
                on_done(running.task)
            except RayTaskError as error:
                raise RuntimeError(f"{running.task.title} failed on node {running.node.name}:\n{error}") from None
            except RayError as error:
                del self._running[generator]
                todo.insert(0, self._lost(running, error))

    def _take(self, running: _Running, message: Message) -> None:
        if isinstance(message, Began):
            running.device = message.device
        elif isinstance(message, Progress):
            running.images += message.images
            running.note = message.note.removeprefix(running.task.title).strip()
            self.on_progress(message.images, message.note)
        elif isinstance(message, Piece):
            running.incoming.take(message)
        elif isinstance(message, Kept):
            running.task.lost = 0
        else:
            running.failed = message

    def _lost(self, running: _Running, error: RayError) -> RemoteTask:
        """Return the work of a lost node, to be done again from its last resume point; UserError after a few."""
        task, why = running.task, first_line(error)
        task.lost += 1
        if not isinstance(error, WorkerCrashedError | OutOfMemoryError):  # the cluster notices it some time later
            self.gone.add(running.node.id)
            self.ready.pop(running.node.id, None)
        if task.lost == MAX_LOST or isinstance(error, TaskCancelledError):
            raise UserError(
                f"{task.title} was lost {task.lost} times without coming further, last on node {running.node.name} "
                f"({why}): see what ends it there, then run the same line, which goes on from here."
            )
        self.on_progress(-running.images, f"{task.title} was lost")
        self.say(f"  {task.title}: its node {running.node.name} was lost ({why}); it goes on from {task.begun()}")
        return task
