"""A run's verdict by its export alone: an ONNX file for each member, and telltale.json, which says how to feed them.

Needs onnxruntime, but neither torch nor the run's folder. What is damaged is refused, and so is an export that is not
of the run as it is now, where that run is still there.
"""

import dataclasses
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from competition.core.errors import UserError
from competition.core.files import cores, file_digest
from competition.core.intact import kept_record
from competition.core.paths import run_folder
from competition.data.images.stores import StoreSpec
from competition.data.tta import TTA, eval_crops, turn
from competition.inference.classify import Classifier, Network, Seen
from competition.inference.job_files import read_done
from competition.inference.run_record import FILE, Record, read_record

MOST = 2**34  # bytes that a graph or its weights may have: what claims more is not read
MANIFEST = "telltale.json"
FORMAT = 1  # raise it when the meaning of the manifest or of the graphs changes: older exports are made again
BATCH = 16  # pictures in one pass; each is seen under several views
PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class MemberFile:
    """One member's graph: uint8 ``pixels`` (n, 3, image_size, image_size) in, float32 ``logit`` (n,) out.

    ``digests``: by name, of the graph's file and of its weights' where they lie beside it. ``store_size``,
    ``store_cap``, ``store_quality``, ``fit``: see StoreSpec and eval_crops. ``models``: for each model averaged inside,
    by its folder, the job's key and the digest of its weights. ``difference``: the largest measured on the check
    images, of ``logit`` and ``prob``, from torch in fp32, and as ``own_logit`` and ``own_prob`` from torch in
    ``precision``, the member's own. ``backbone`` and ``sees``: see Network; exports of earlier versions have none.
    """

    file: str
    digests: dict[str, str]
    image_size: int
    fit: str
    store_size: int
    store_cap: int
    precision: str
    models: dict[str, dict[str, str]]
    difference: dict[str, float]
    store_quality: int = 0  # exports of earlier versions have none
    backbone: str = ""
    sees: str = ""

    @property
    def spec(self) -> StoreSpec:
        """How an image is stored before it is seen."""
        return StoreSpec(self.store_size, self.store_cap, self.store_quality)


@dataclass(frozen=True)
class Manifest:
    """What telltale.json holds: the run's record as it was, and its members in the record's order."""

    record: Record
    members: dict[str, MemberFile]

    def as_dict(self) -> dict[str, Any]:
        record = dataclasses.asdict(self.record) | {"classes": list(self.record.classes)}
        members = {name: dataclasses.asdict(member) for name, member in self.members.items()}
        return {"format": FORMAT, "run": record, "members": members}


class OnnxMember:
    """A member by its exported graph, in which its models are averaged; see TrainedMember."""

    batch = BATCH

    def __init__(self, path: Path, member: MemberFile, tta: str):
        self.path, self.member, self.tta = path, member, tta

    @property
    def network(self) -> Network:
        member = self.member
        return Network(member.backbone or "a network", member.sees or "its view", member.image_size)

    @cached_property
    def session(self) -> Any:
        """The graph, loaded when first needed."""
        return open_session(self.path)

    def see(self, images: Sequence[np.ndarray]) -> Seen:
        """Return the logits of n uint8 (H, W, 3) pictures; the graph does not show how unlike they are."""
        views, member = TTA[self.tta], self.member
        crops = list(dict.fromkeys(view.crop for view in views))
        logits = np.empty((len(views), len(images)))
        for start in range(0, len(images), BATCH):
            stored = [member.spec.stored(image) for image in images[start : start + BATCH]]
            seen = np.stack([eval_crops(image, member.image_size, member.fit, crops) for image in stored])
            seen = np.moveaxis(seen, -1, -3)  # (n, crops, 3, size, size)
            for row, view in enumerate(views):
                turned = turn(seen[:, crops.index(view.crop)], view.turn)
                logits[row, start : start + BATCH] = run_session(self.session, turned)
        if not np.isfinite(logits).all():
            raise UserError(f"{self.path} gives no number for some images: train the run again with precision=fp32.")
        return Seen(logits, None)


def open_session(path: Path) -> Any:
    """Return onnxruntime's session of a graph, on all the cores this process may use."""
    onnxruntime = need_package("onnxruntime")
    options = onnxruntime.SessionOptions()
    # Left out, onnxruntime pins a thread to every core of the machine, and complains where some are not this process's.
    options.intra_op_num_threads = cores()
    options.log_severity_level = 3  # errors alone
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: Any, pixels: np.ndarray) -> np.ndarray:
    """Return the graph's float32 (n,) logits of uint8 (n, 3, size, size) pixels."""
    return session.run(["logit"], {"pixels": np.ascontiguousarray(pixels)})[0]


def need_package(name: str) -> ModuleType:
    """Import one of the optional packages, or raise UserError saying how to install them."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"ONNX needs the package {name}, which is not installed: run {sys.executable} -m pip install "
            f"{' '.join(PACKAGES)}, or let ./run.sh export install it."
        ) from error


def export_folder(name: str) -> Path:
    """Return folds/<name>/export."""
    return run_folder(name) / "export"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in ``folder``, or None where there is none, or none that can be used."""
    try:
        found = kept_record(folder / MANIFEST)
        if found.get("format") != FORMAT:
            return None
        record = Record(**found["run"] | {"classes": tuple(found["run"]["classes"])})
        return Manifest(record, {name: MemberFile(**member) for name, member in found["members"].items()})
    except (ValueError, KeyError, TypeError):  # no JSON, or other keys
        return None


def _is_graph(path: Path, digest: str) -> bool:
    return path.is_file() and path.stat().st_size < MOST and file_digest(path) == digest


def is_whole(folder: Path, member: MemberFile) -> bool:
    """Whether the member's files stand in ``folder`` as they were written."""
    try:
        return all(_is_graph(folder / name, digest) for name, digest in member.digests.items())
    except OSError:
        return False


def open_onnx_classifier(name: str, folder: Path | None = None, remedy: str = "") -> Classifier[OnnxMember]:
    """Return the classifier of the run ``name`` by its export in ``folder`` (default: the run's own).

    Raises UserError where there is no export, or one that is damaged or not of the run as it is now; ``remedy`` says
    what to do then (default: to export it again).
    """
    need_package("onnxruntime")
    own, folder = folder is None, folder or export_folder(name)
    remedy = remedy or f"run ./run.sh export name={name} again"
    manifest = read_manifest(folder)
    if manifest is None:
        if own and not (folder / MANIFEST).exists():
            read_record(name)  # refuses a name that is not a run's
            raise UserError(f"The run '{name}' has no export in {folder}: run ./run.sh export name={name}.")
        raise UserError(f"{folder / MANIFEST} is damaged or of another version: {remedy}.")
    if changed := _what_changed(name, manifest):
        raise UserError(f"The export in {folder} is not of '{name}' as it is now ({changed}): {remedy}.")
    for member in manifest.members.values():
        if not is_whole(folder, member):
            raise UserError(f"{folder / member.file} is missing or damaged: {remedy}.")
    record = manifest.record
    return Classifier(
        record, {member: OnnxMember(folder / file.file, file, record.tta) for member, file in manifest.members.items()}
    )


def _what_changed(name: str, manifest: Manifest) -> str:
    """Return in what the run, where it is still there, differs from what was exported; nothing where it does not."""
    run = run_folder(name)
    if (run / FILE).exists() and read_record(name) != manifest.record:
        return "its members, threshold or views changed"
    for member in manifest.members.values():
        for part, model in member.models.items():
            done = read_done(run / part)
            if done and done.get("key") != model["key"]:
                return f"{part} was trained again"
    return ""
