"""All ways in which the program reads an image file, each as a function of paths, so that they can be held together.

Each returns one answer a file: the reason why it cannot be read, or what it was read as: digests of pixels, or a
probability. They run in forked processes, in which threads of before are gone: graphs and pools are opened there.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from competition.app.answer import answer
from competition.app.evidence import heat_picture
from competition.app.page import take
from competition.audit.scan import scan
from competition.core.errors import UserError
from competition.core.settings import CHOICES, Recipe
from competition.data.augment import train_transform
from competition.data.duplicates.perceptual_hash import perceptual_hash
from competition.data.images.cache import open_stores
from competition.data.images.decode import UnreadableImage, header_size, read_bytes, read_image
from competition.data.images.stores import StoreSpec, bytes_digest
from competition.data.run_data import store_spec
from competition.inference.classify import Classifier
from competition.inference.classify_files import classify_files
from competition.inference.onnx.session import open_onnx_classifier
from competition.inference.test_set import predict_table
from competition.inference.test_table import TestTable
from tests.benchmarks.faults.drawn_images import fill_memory
from tests.benchmarks.faults.judge import NAME, judge, judge_home

SPECS = (StoreSpec(32), StoreSpec(0, 64))

ANEW = "decoder anew"  # the one way that touches memory which is only claimed, so that it takes more of it

Answer = str | float | tuple[str, ...]
Way = Callable[[Sequence[Path]], list[Answer]]


def decoded(paths: Sequence[Path]) -> list[Answer]:
    """Read each file with the decoder."""
    return [_or_reason(_digests_of, path) for path in paths]


def decoded_anew(paths: Sequence[Path]) -> list[Answer]:
    """Read each file with the decoder in memory that holds other things before: what nobody wrote would differ."""
    fill_memory(165)
    try:
        return decoded(paths)
    finally:
        fill_memory(0)


def _digests_of(path: Path) -> tuple[str, ...]:
    image = read_image(path)
    return (*(_digest(spec.stored(image)) for spec in SPECS), str(perceptual_hash(image)))


def cached(paths: Sequence[Path]) -> list[Answer]:
    """Read each file from the cache."""
    return _stored(paths, 50.0)


def uncached(paths: Sequence[Path]) -> list[Answer]:
    """Read each file from the store that a budget of nothing gives."""
    return _stored(paths, 0.0)


def _stored(paths: Sequence[Path], budget: float) -> list[Answer]:
    with tempfile.TemporaryDirectory() as folder:
        stores = open_stores(paths, SPECS, Path(folder), budget, "images", workers=2)
        found = []
        for row in range(len(paths)):
            reasons = {store.bad.get(row) for store in stores.values()}
            if reasons == {None}:
                shapes = [store.shape(row) == store[row].shape for store in stores.values()]
                found.append((*(_digest(stores[spec][row]) for spec in SPECS), *(["shape"] * (not all(shapes)))))
            else:
                found.append(" and ".join(map(str, reasons)))
        return found


def audited(paths: Sequence[Path]) -> list[Answer]:
    """Read each file as the audit does: its facts, its fault, its hash."""
    digests = np.array([np.frombuffer(bytes_digest(read_bytes(path)), np.uint8) for path in paths])
    with tempfile.TemporaryDirectory() as folder:
        looked = scan([str(path) for path in paths], digests, Path(folder), True, "images", 2)
    return [
        str(fault) if isinstance(fault, str) else (str(value), *(["no size"] * bool(np.isnan(width))))
        for fault, value, width in zip(looked.facts["fault"], looked.hashes, looked.facts["width"], strict=True)
    ]


def trained(paths: Sequence[Path]) -> list[Answer]:
    """Make a training image of each file in every fit and augmentation, as it is stored for them."""
    found: list[Answer] = []
    for path in paths:
        image = _or_reason(read_image, path)
        if isinstance(image, np.ndarray):
            for fit in CHOICES["fit"]:
                stored = store_spec(Recipe(image_size=32, fit=fit)).stored(image)
                for name in CHOICES["augment"]:
                    made = train_transform(name, 32, fit)(stored, (0, 1, 2))
                    assert made.shape == (32, 32, 3) and made.dtype == np.uint8, (path, name, fit, made.shape)
        found.append(image if isinstance(image, str) else ())
    return found


def by_torch(paths: Sequence[Path]) -> list[Answer]:
    """Classify each file as ``predict`` does."""
    return _classified(judge()[0], paths)


def by_onnx(paths: Sequence[Path]) -> list[Answer]:
    """Classify each file as ``predict engine=onnx`` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(judge_home()))
        return _classified(open_onnx_classifier(NAME), paths)


def _classified(classifier: Classifier, paths: Sequence[Path]) -> list[Answer]:
    found = list(classify_files(classifier, paths))
    assert [path for path, _, _ in found] == list(paths)
    return [verdict if isinstance(verdict, str) else verdict.prob for _, verdict, _ in found]


def by_page(paths: Sequence[Path]) -> list[Answer]:
    """Drop each file on the page: it is read, taken off the disk and answered."""
    with tempfile.TemporaryDirectory() as folder:
        uploads = Path(folder)
        found: list[Answer] = []
        for number, path in enumerate(paths):
            upload = uploads / str(number) / path.name
            upload.parent.mkdir()
            shutil.copyfile(path, upload)
            ((name, raw),) = take([(path.name, upload)], uploads)
            assert raw is not None and not upload.exists()
            answered = answer(judge()[0], raw, name, evidence=partial(heat_picture, judge()[0]))
            found.append(answered.verdict.prob if answered.verdict else _own_limit(path, answered.refusal))
        return found


def _own_limit(path: Path, refusal: str) -> str:
    """Return the reason for which the page refused, without its words around it; of a limit of its own, that alone."""
    height, width = header_size(read_bytes(path), path) if "too few" in refusal or "this page's" in refusal else (0, 0)
    if height * width > 50_000_000 or 0 < min(height, width) < 8 or path.stat().st_size > 20 * 2**20:
        return "the page's own limit"
    return refusal.removeprefix("This file was not judged: ").removesuffix(".")


def by_test_folder(paths: Sequence[Path]) -> list[Answer]:
    """Classify the files as the test set of ``predict test=FOLDER``, which is what a bundle runs."""
    classifier, _, config = judge()
    ids = [str(row) for row in range(len(paths))]
    table = TestTable(ids, [str(path) for path in paths], None, ("id", "label"))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", folder)
        try:
            seen = predict_table(config, table, classifier.members, Path(folder) / "work")
        except UserError as error:
            assert str(error).startswith(f"None of the {len(paths)} test images can be read")
            return ["" for _ in paths]
        members = []
        for jobs in seen.folders.values():
            logits = [pd.read_csv(job / "test.csv", dtype={"id": str}).set_index("id")["logit"] for job in jobs]
            members.append(1 / (1 + np.exp(-np.mean(logits, axis=0))))
        weights = [classifier.weights[name] for name in seen.folders]
        probs = np.average(members, axis=0, weights=weights)
        return [seen.unreadable.get(one, float(prob)) for one, prob in zip(ids, probs, strict=True)]


WAYS: dict[str, Way] = {
    "decoder": decoded,
    ANEW: decoded_anew,
    "cache": cached,
    "cache_gb=0": uncached,
    "audit": audited,
    "training": trained,
    "predict": by_torch,
    "engine=onnx": by_onnx,
    "page": by_page,
    "predict test=": by_test_folder,
}


def _or_reason(read: Callable, path: Path):
    try:
        return read(path)
    except UnreadableImage as error:
        return error.reason


def _digest(pixels: np.ndarray) -> str:
    return f"{pixels.shape}{hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).hexdigest()}"
