"""A run's members as ONNX graphs, each checked against torch before it takes its place.

One graph holds all of a member's models and averages their logits; telltale.json beside the graphs (see onnx.py) holds
the rest of the run. Nothing is half-written, and an export that would change nothing writes nothing.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from competition.core.errors import UserError
from competition.core.files import draft_folder, file_digest
from competition.core.intact import stands, write_record_file
from competition.core.locks import only_one
from competition.data.images.decode import fit_store
from competition.data.run_data import store_spec
from competition.inference.job_files import read_done
from competition.inference.onnx.graph import MeanLogit, write_onnx
from competition.inference.onnx.session import (
    MANIFEST,
    PACKAGES,
    Manifest,
    MemberFile,
    export_folder,
    is_whole,
    need_package,
    open_session,
    read_manifest,
    run_session,
)
from competition.inference.torch_member import TorchMember, load_model, open_classifier
from competition.models.build import Detector
from competition.models.device import Placement
from competition.scoring.arrays import sigmoid

MAX_DIFFERENCE = 1e-3  # of a logit, or of the largest logit where that is more than 1
CHECK_BATCHES = (5, 1)  # the sizes of the batches of check images of each kind
STAGES = ("loading", "tracing", "checking")
LOCK_SECONDS = 15


@dataclass(frozen=True)
class Exported:
    """What lies in ``folder`` now, and the names of the files that were ``written`` for it, if any had to be."""

    folder: Path
    manifest: Manifest
    written: tuple[str, ...]


def export(
    name: str, folder: Path | None = None, device: str = "auto", on_progress: Callable[[str], None] = lambda note: None
) -> Exported:
    """Write the run ``name`` as ONNX into ``folder`` (default: folds/<name>/export); members that stand are kept.

    Graphs are float32. On ``device`` the run answers the check images in the precision it was trained in, for the
    comparison. ``on_progress(note)`` is called ``len(STAGES)`` times a member. Raises UserError for a run that is not
    there or not of images, missing packages, and a graph whose logits on the check images differ from those of torch in
    fp32 by more than ``MAX_DIFFERENCE`` (times the largest logit, where that is more than 1); nothing is changed then.
    """
    for package in PACKAGES:
        need_package(package)
    classifier = open_classifier(name, device)
    folder = export_folder(name) if folder is None else folder
    with only_one(classifier.record.folder / ".lock", LOCK_SECONDS), draft_folder(folder) as site:
        before = read_manifest(folder)
        members = {}
        for member, trained in classifier.members.items():
            models = _identify(classifier.record.folder, trained.folders)
            kept = before and before.members.get(member)
            if kept and kept.models == models and is_whole(folder, kept):
                members[member] = _described(kept, trained)
                for _ in STAGES:
                    on_progress(f"{member}: stands")
            else:
                members[member] = _export_member(member, trained, models, site, on_progress)
        manifest = Manifest(classifier.record, members)
        return Exported(folder, manifest, _put_in_place(site, folder, manifest))


def _identify(run: Path, folders: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Return what tells each model from any other: its job's key, and the digest of its weights."""
    models = {}
    for folder in folders:
        weights, done = folder / "model.safetensors", read_done(folder)
        if not weights.exists():
            raise UserError(f"{folder} holds no trained model any more: run the line that trained it again.")
        models[folder.relative_to(run).as_posix()] = {"key": done.get("key", ""), "weights": file_digest(weights)}
    return models


def _export_member(
    member: str, trained: TorchMember, models: dict[str, dict[str, str]], site: Path, on_progress: Callable[[str], None]
) -> MemberFile:
    recipe, placement, path = trained.recipe, trained.predictor.placement, site / f"{member}.onnx"
    on_progress(f"{member}: {STAGES[0]}")
    loaded = [load_model(folder).eval() for folder in trained.folders]
    checks = check_images(recipe.image_size)
    own = _torch_logits(loaded, placement, checks)
    exact = _torch_logits(loaded, Placement("cpu", "fp32", "contiguous", 1), checks)
    on_progress(f"{member}: {STAGES[1]}")
    try:
        write_onnx(MeanLogit(loaded, recipe.image_size), recipe.image_size, path)
    except torch.onnx.OnnxExporterError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"Member '{member}' ({recipe.backbone}) cannot be written as ONNX ({reason}): predict with engine=torch."
        ) from error
    on_progress(f"{member}: {STAGES[2]}")
    session = open_session(path)
    found = np.concatenate([run_session(session, batch) for batch in checks])
    difference = _differences(found, exact) | {f"own_{key}": value for key, value in _differences(found, own).items()}
    limit = MAX_DIFFERENCE * max(1.0, float(np.abs(exact).max()))
    if not difference["logit"] <= limit:  # holds for what is not a number, too
        raise UserError(
            f"Member '{member}' ({recipe.backbone}) gives other logits as ONNX than in torch (by up to "
            f"{difference['logit']:.2g}; {limit:.2g} is allowed), so nothing is exported: predict with engine=torch."
        )
    spec = store_spec(recipe)
    digests = {file.name: file_digest(file) for file in sorted(site.glob(f"{member}.onnx*"))}
    stored = recipe.image_size, recipe.fit, spec.size, spec.cap
    written = MemberFile(path.name, digests, *stored, placement.precision, models, difference, spec.quality)
    return _described(written, trained)


def _described(member: MemberFile, trained: TorchMember) -> MemberFile:
    return dataclasses.replace(member, backbone=trained.network.backbone, sees=trained.network.sees)


@torch.no_grad()
def _torch_logits(models: Sequence[Detector], placement: Placement, checks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the models' mean logits (n,) of all check images, and leave the models where ``placement`` says."""
    parts = []
    for model in models:
        placement.place(model)
        with placement.autocast():
            parts.append(torch.cat([model(placement.move(torch.from_numpy(batch))) for batch in checks]))
    return torch.stack(parts).cpu().double().mean(dim=0).numpy()


def _differences(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """Return the largest differences of logits, and of the probabilities they stand for."""
    return {"logit": float(np.abs(found - wanted).max()), "prob": float(np.abs(sigmoid(found) - sigmoid(wanted)).max())}


def check_images(size: int) -> list[np.ndarray]:
    """Return batches of uint8 (n, 3, size, size): as many of soft shapes with a little noise as of noise alone."""
    random = np.random.default_rng(0)
    batches = []
    for count in CHECK_BATCHES:
        coarse = random.integers(0, 256, (count, 4, 4, 3)).astype(np.float32)
        soft = np.stack([fit_store(image, size) for image in coarse]) + random.normal(0, 3, (count, size, size, 3))
        noise = random.integers(0, 256, (count, size, size, 3))
        batches += [np.moveaxis(kind.clip(0, 255).astype(np.uint8), -1, 1).copy() for kind in (soft, noise)]
    return batches


def _put_in_place(site: Path, folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Move what was built into ``folder``, the manifest last; return the names of what was written.

    Until the manifest is there, the old one's digests refuse the new files.
    """
    folder.mkdir(exist_ok=True)
    written = sorted(path.name for path in site.iterdir())
    for path in (folder / name for name in (*written, MANIFEST)):
        if path.is_dir():
            raise UserError(f"{path} is a folder, where a file of the export is to be: move it, and repeat the line.")
    for name in written:
        with open(site / name, "rb") as file:
            os.fsync(file.fileno())
        os.replace(site / name, folder / name)
    if written or not stands(folder / MANIFEST, manifest.as_dict()):
        write_record_file(folder / MANIFEST, manifest.as_dict())
        written.append(MANIFEST)
    current = {name for member in manifest.members.values() for name in member.digests}
    for path in folder.glob("*.onnx*"):
        if path.name not in current:
            path.unlink()  # of a member that the run has no more
    return tuple(written)
