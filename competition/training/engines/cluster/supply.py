"""Brings a run's data to the nodes that are to train: once to each that lacks them, in pieces that a memory holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ObjectStoreFullError, RayError
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.paths import cache_folder
from competition.core.settings import Config
from competition.data.run_data import RunData
from competition.training.engines.cluster.connect import Node, first_line, reply
from competition.training.engines.cluster.messages import pieces, write_piece
from competition.training.engines.cluster.node import look, versions
from competition.training.engines.cluster.travel import (
    Parcel,
    draft_name,
    packed,
    publish,
    stores_away,
)


@dataclass
class Supply:
    """What the jobs of a run need on a node: the pixels of ``data``, and ``others``, such as features and weights."""

    config: Config
    data: RunData
    others: list[Parcel] = field(default_factory=list)

    def __post_init__(self) -> None:
        away = packed(self.data)
        self.stores = stores_away(away)
        self.cache = str(cache_folder(self.config).resolve())
        self.tables = ray.put(away)

    def refusals(self, nodes: Sequence[Node]) -> dict[Node, str]:
        """See that these nodes have what the jobs need, having brought them what they lack.

        Returns why nodes cannot be used, of those that cannot. UserError where nothing can be brought from here.
        """
        refused: dict[Node, str] = {}
        for node, there in _replies(nodes, refused, lambda node: node.run(versions)).items():
            if differing := _differences(there):
                refused[node] = f"its versions differ ({differing})"
        fit = [node for node in nodes if node not in refused]
        lacking, caches = {}, {}
        for node, (missing, room, cache, gone) in _replies(fit, refused, self._look).items():
            lacking[node], caches[node] = missing, cache
            if gone:
                refused[node] = (
                    f"it lacks the image {gone}, which is decoded at every access: raise cache_gb (now "
                    f"{self.config.cache_gb:g}), or name the images' folder there with ray.data="
                )
            elif missing and room < 0:
                refused[node] = f"its disk lacks {-room / 1e9:.1f} GB for the data in {cache}"
        for parcel in dict.fromkeys(parcel for missing in lacking.values() for parcel in missing):
            takers = {node: caches[node] for node in fit if node not in refused and parcel in lacking[node]}
            _bring(parcel, takers, refused)
        return refused

    def _look(self, node: Node) -> Any:
        return node.run(look, self.config, self.stores, self.others, self.cache)


def _bring(parcel: Parcel, takers: Mapping[Node, str], refused: dict[Node, str]) -> None:
    """Bring a parcel to nodes, each with its cache; those that are lost on the way are ``refused``."""
    draft, digests, left = draft_name(parcel), dict[str, str](), list(takers)
    title = f"{parcel.name} to {len(takers)} nodes"
    with tqdm(total=parcel.size, unit="B", unit_scale=True, desc=title, disable=None) as bar:
        for place, path, _ in parcel.files:
            for piece in pieces(Path(path), place):
                content = _put(piece.content)

                def write(node: Node, start: int = piece.start, place: str = place, content: Any = content) -> Any:
                    return node.run(write_piece, Path(takers[node], draft, place), start, content)

                left = list(_replies(left, refused, write))
                digests[place] = piece.digest
                bar.update(len(piece.content))

    def put_in_place(node: Node) -> Any:
        return node.run(publish, parcel, digests, f"{takers[node]}/{draft}", takers[node])

    for node, torn in _replies(left, refused, put_in_place).items():
        if torn:
            raise UserError(f"{torn} did not come whole to node {node.name}: run the same line again.")


def _replies(nodes: Sequence[Node], refused: dict[Node, str], ask: Callable[[Node], Any]) -> dict[Node, Any]:
    """Return what each node replies, all of them at work at once; those that are lost meanwhile are ``refused``."""
    asked, found = {node: ask(node) for node in nodes}, {}
    for node, reference in asked.items():
        try:
            found[node] = reply(node, reference)
        except RayError as error:
            refused[node] = f"it was lost ({first_line(error)})"
    return found


def _put(content: bytes) -> Any:
    try:
        return ray.put(content)
    except ObjectStoreFullError:
        raise UserError(
            "Ray's memory for objects is full on this machine: start its cluster with a larger --object-store-memory, "
            "or end what else fills it."
        ) from None


def _differences(there: Mapping[str, str]) -> str:
    """Return in which versions a node differs from this machine, in words."""
    here = versions()
    return ", ".join(
        f"{name} {there.get(name)} there and {own} here" for name, own in here.items() if there.get(name) != own
    )
