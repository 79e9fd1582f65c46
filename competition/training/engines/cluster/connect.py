"""The cluster itself: found at its address or started on this machine, and what its nodes have."""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import competition
from competition.core.errors import UserError
from competition.core.files import cores
from competition.core.settings import Config

T = TypeVar("T")
MAX_TEMPORARY = 28  # bytes: the paths of Ray's sockets have some 79 more, and may have 107
PATIENCE = 10.0  # seconds for an answer at the address
LOOK_PATIENCE = 600.0  # seconds for a node's first answer: it imports torch, and may decode the images


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: its id, how it is called, and its ``cpus`` and ``gpus``."""

    id: str
    name: str
    cpus: float
    gpus: float

    def share(self, config: Config, gpus: float) -> int:
        """Return the cores of a job that needs so many GPUs: as set, or its part of the node's."""
        part = self.cpus * gpus / self.gpus if gpus and self.gpus else 1
        return config.ray.cpus or config.threads or max(1, int(part))

    def slots(self, cpus: int, gpus: float) -> int:
        """Return how many jobs it takes at once that need so many cores and GPUs each."""
        by_cpu = int(self.cpus // cpus)
        if not gpus:
            return by_cpu
        by_gpu = int(self.gpus // gpus) if gpus >= 1 else int(self.gpus) * int(1 / gpus + 1e-9)
        return min(by_cpu, by_gpu)

    def run(self, function: Callable[..., T], *values: Any, cpus: float = 0, gpus: float = 0) -> Any:
        """Start a function there, once; returns Ray's reference to what it returns, or yields."""
        place = NodeAffinitySchedulingStrategy(self.id, soft=False)
        remote = ray.remote(function).options(
            num_cpus=cpus, num_gpus=gpus, max_retries=0, scheduling_strategy=place, name=function.__name__
        )
        return remote.remote(*values)


def reply(node: Node, reference: Any) -> Any:
    """Return what a node replies. Raises RayError where the node is lost, and UserError for what it cannot do."""
    try:
        return ray.get(reference, timeout=LOOK_PATIENCE)
    except GetTimeoutError:
        raise UserError(f"Node {node.name} does not answer within {LOOK_PATIENCE:.0f} s: see what it does.") from None
    except RayTaskError as error:
        if isinstance(error.cause, UserError | OSError):
            raise UserError(f"Node {node.name}: {error.cause}") from None
        raise RuntimeError(f"Node {node.name} failed:\n{error}") from None


def address_of(config: Config) -> str:
    """Return the cluster's address, '' where one is started on this machine."""
    return config.ray.address or os.environ.get("RAY_ADDRESS", "")


@dataclass
class Connection:
    """A connection to the cluster that ``config.ray.address`` names, or to one that it starts; ended by ``close``."""

    config: Config
    _folder: str = ""

    def __post_init__(self) -> None:
        address = address_of(self.config)
        if address.startswith("ray://"):
            raise UserError(
                f"ray.address={address} is that of Ray's client: run the line on a machine of the cluster instead, "
                "with ray.address=auto."
            )
        if ":" in address:
            _check_answers(address)
        package = str(Path(competition.__file__).parent)
        options: dict[str, Any] = {"address": address}
        if not address:
            options = {"address": "local", "num_cpus": cores(), "include_dashboard": False}
            self._folder = short_folder()
            options |= {"_temp_dir": self._folder} if self._folder else {}
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(
                **options,
                runtime_env={"py_modules": [package], "excludes": ["**/__pycache__"]},
                logging_level=logging.ERROR,
                log_to_driver=False,
                configure_logging=False,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(
                f"There is no Ray cluster to be used at {address or 'this machine'} ({said}): see `ray status` there, "
                "or leave ray.address= out for a cluster on this machine alone."
            ) from None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray puts its own in their place

    def nodes(self) -> list[Node]:
        """Return the living nodes."""
        return [
            Node(one["NodeID"], _name(one), one["Resources"].get("CPU", 0.0), one["Resources"].get("GPU", 0.0))
            for one in ray.nodes()
            if one["Alive"]
        ]

    def close(self) -> None:
        """End the connection, and with it all that runs for it."""
        ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def short_folder() -> str:
    """Return a new folder for what a cluster of this machine writes, below which its sockets can have names; nothing
    where there is none, and Ray takes its own."""
    places = [place for place in (tempfile.gettempdir(), "/tmp") if len(os.fsencode(place)) <= MAX_TEMPORARY]
    return tempfile.mkdtemp(prefix="ray-", dir=places[0]) if places and os.name == "posix" else ""


def _check_answers(address: str) -> None:
    """Raise UserError where nothing answers at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(
            f"Nothing answers at ray.address={address} ({reason}): start the cluster's head there with `ray start "
            "--head`, or leave ray.address= out for a cluster on this machine alone."
        ) from None


def _name(found: Mapping[str, Any]) -> str:
    return f"{found['NodeManagerHostname']} ({found['NodeManagerAddress']}, {found['NodeID'][:6]})"


def first_line(error: RayError) -> str:
    """Return what a lost node or process was lost of, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
