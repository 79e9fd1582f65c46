"""A finished run's answer to a test table: the same decoder, batches, views, models and averages as the run's own.

Nothing of the training data is needed. On the test set that the run had, the submission is the run's, byte for byte
(same machine and versions, threads pinned).
"""

import dataclasses
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.paths import cache_folder
from competition.core.settings import Config
from competition.core.text import counted
from competition.data.images.cache import SPARE_GB, open_stores
from competition.data.images.decode import DECODER
from competition.data.images.stores import ArrayStore, DataStore, StoreSpec
from competition.data.layouts.dataset import table_of
from competition.data.run_data import store_spec
from competition.inference.diagnostics import FILE as EVIDENCE_FILE
from competition.inference.diagnostics import logits_and_features, read_diagnostics, sample, write_diagnostics
from competition.inference.features import FeaturePass, compute_features, features_path, load_features, weights_origin
from competition.inference.job_files import read_done
from competition.inference.learner import on_features
from competition.inference.oof import prediction_settings, write_predictions
from competition.inference.test_table import TestTable
from competition.inference.torch_member import TorchMember, job_settings, load_model
from competition.scoring.blend.average import mean_logit
from competition.scoring.leaderboard_metric import find_metric


@dataclass(frozen=True)
class TestPredictions:
    """What a run's models make of a test table of m rows.

    ``folders``: for each member, what its jobs would have left had this been the run's test set, in the order of its
    jobs: test.csv, and, unless the table is the run's ``own`` and no probabilities are calibrated for its metric, of
    jobs that hold rows out also oof.csv and evidence.npz as far as the run has them. ``unlike`` (m,) float64: how
    unlike each image is (``Verdict.unlikeness``), NaN where that is not known, and None where it is of none.
    ``unreadable``: ids of images that no model could see, and why.
    ``own``: whether these are the very rows and images that the run has answered already.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    folders: dict[str, list[Path]]
    unlike: np.ndarray | None
    unreadable: dict[str, str]
    own: bool


def predict_table(config: Config, test: TestTable, members: Mapping[str, TorchMember], work: Path) -> TestPredictions:
    """Predict the table with all the run's ``members``, into folders below ``work``.

    A line is printed for each model. Raises UserError where a model is gone, and where no image at all can be read.
    """
    for note in _differences(members):
        print(f"  Note: {note}.")
    stores = _open_stores(config, test, members)
    first = next(iter(members.values()))
    store = stores[store_spec(first.recipe, test.pixels is not None)]
    bad = store.bad
    if len(bad) == len(test.ids):
        row = min(bad)
        raise UserError(
            f"None of the {len(test.ids):,} test images can be read, the first is {test.paths[row]} "
            f"({bad[row]}): name the folder that holds them with test=."
        )
    own = _is_own(config, test, store, first.folders[0])
    folders, unlike = _predict_models(config, test, members, stores, work, own)
    unreadable = {test.ids[row]: reason for row, reason in sorted(bad.items())}
    return TestPredictions(folders, unlike, unreadable, own)


def _is_own(config: Config, test: TestTable, store: DataStore, folder: Path) -> bool:
    """Whether the job in ``folder`` has predicted these very rows of these very images."""
    done, settings = read_done(folder), job_settings(folder)
    views = prediction_settings(config, test.ids, store.digest, settings["fold"])
    return done.get("prediction_key") == fingerprint(done.get("key"), views)


def _differences(members: Mapping[str, TorchMember]) -> list[str]:
    """Say in what this machine differs from the one that made the run: last digits depend on it."""
    first = next(iter(members.values()))
    torch_then = f"torch-{read_done(first.folders[0]).get('torch', torch.__version__)}"
    made = [
        ("decoded its images", first.settings["decoder"], DECODER),
        ("predicted", torch_then, f"torch-{torch.__version__}"),
    ]
    return [
        f"the run {did} with {then}, and here it is {now}: images at the very threshold may fall on its other side"
        for did, then, now in made
        if then not in (now, "none")
    ]


def _open_stores(config: Config, test: TestTable, members: Mapping[str, TorchMember]) -> dict[StoreSpec, DataStore]:
    """Return the test set's pixels in each way that the members want; decoded once, as far as the disk has room."""
    specs = list(dict.fromkeys(store_spec(trained.recipe, test.pixels is not None) for trained in members.values()))
    if test.pixels is not None:
        return dict.fromkeys(specs, ArrayStore(test.pixels, fingerprint(test.pixels)))
    folder = cache_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(folder).free / 1e9 - 2 * SPARE_GB
    return open_stores(test.paths, specs, folder, max(0.0, min(config.cache_gb, room)), "test images")


def _predict_models(
    config: Config,
    test: TestTable,
    members: Mapping[str, TorchMember],
    stores: Mapping[StoreSpec, DataStore],
    work: Path,
    own: bool,
) -> tuple[dict[str, list[Path]], np.ndarray | None]:
    """Return the folders and the percentiles of :class:`TestPredictions`."""
    bad = next(iter(stores.values())).bad
    rows = [row for row in range(len(test.ids)) if row not in bad]
    models, started = sum(len(trained.folders) for trained in members.values()), time.monotonic()
    written: dict[str, list[Path]] = {}
    unlike: list[np.ndarray] = []
    with tqdm(total=models * len(rows), unit="img", disable=None, dynamic_ncols=True) as bar:
        for member, trained in members.items():
            store, percents = stores[store_spec(trained.recipe, test.pixels is not None)], []
            for source, known in zip(trained.folders, trained.known, strict=True):
                views, features = _look(config, trained, source, (store, rows), bar.update)
                folder = work / str(sum(map(len, written.values())))
                logit = _spread(mean_logit(views), rows, len(test.ids))
                write_predictions(folder / "test.csv", table_of(id=test.ids), logit)
                if not own or find_metric(config.metric).calibrated:
                    _leave_evidence(config, source, folder, [test.ids[row] for row in rows], features)
                written.setdefault(member, []).append(folder)
                if known is not None and len(features) == len(rows):
                    percents.append(known.percentile(features))
                done, spent = sum(map(len, written.values())), time.monotonic() - started
                tqdm.write(
                    f"  {member} {source.name}: {counted(len(rows), 'image')}, {done} of {models} models after "
                    f"{spent:.0f} s, about {spent / done * (models - done):.0f} s left",
                    sys.stdout,
                )
                sys.stdout.flush()
            unlike += [np.mean(percents, axis=0)] if percents else []
    return written, _spread(np.median(unlike, axis=0), rows, len(test.ids)) if unlike else None


def _spread(values: np.ndarray, rows: Sequence[int], count: int) -> np.ndarray:
    """Return (count,) with ``values`` at the ``rows``, and NaN where no model could see an image."""
    spread = np.full(count, np.nan)
    spread[rows] = values
    return spread


def _look(
    config: Config,
    trained: TorchMember,
    source: Path,
    images: tuple[DataStore, Sequence[int]],
    on_progress: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray]:
    """Return one model's (views, n) logits of a store's rows and its (n, d) features of them.

    A frozen backbone sees them once for all its heads.
    """
    model, settings, (store, rows) = load_model(source), trained.settings, images
    predictor = dataclasses.replace(trained.predictor, on_progress=on_progress)
    if not predictor.recipe.frozen:
        return logits_and_features(model, store, rows, predictor)
    origin = weights_origin(settings["pretrained"], settings["seed"], settings["member"])
    path = features_path(cache_folder(config), predictor, origin, store)
    compute_features([FeaturePass(path, store, predictor, "test")], model, settings["member"])
    head, reader = on_features(model, predictor)
    seen = [logits_and_features(head, view, rows, reader) for view in load_features(path)]
    on_progress(len(rows))
    return np.concatenate([logits for logits, _ in seen]), seen[0][1]


def _leave_evidence(config: Config, source: Path, folder: Path, ids: Sequence[str], features: np.ndarray) -> None:
    """Write into ``folder`` what the job in ``source`` would have left besides test.csv: its own held-out rows, and
    what its model's last layer sees of the test rows ``ids`` (k,), ``features`` (k, d)."""
    fold = job_settings(source)["fold"]
    if fold is None or not (source / "oof.csv").exists() or not (source / EVIDENCE_FILE).exists():
        return
    shutil.copyfile(source / "oof.csv", folder / "oof.csv")
    chosen = sample(ids if len(features) == len(ids) else [], config.evidence_rows, config.seed, fold)
    kept = dataclasses.replace(
        read_diagnostics(source), test_ids=np.array(ids, dtype=str)[chosen], test=features[chosen]
    )
    write_diagnostics(folder, kept)
