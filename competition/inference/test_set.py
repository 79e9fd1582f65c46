"""A finished run's answer to a test table: the same decoder, batches, views, models and averages as the run's own.

Nothing of the training data is needed. On the test set that the run had, the submission is the run's, byte for byte
(same machine and versions, threads pinned).
"""

import dataclasses
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import fingerprint, read_json
from competition.core.paths import cache_folder
from competition.core.settings import Config
from competition.core.text import counted, listed
from competition.data.images.cache import SPARE_GB, open_stores
from competition.data.images.decode import DECODER
from competition.data.images.stores import ArrayStore, DataStore, StoreSpec
from competition.data.layouts.class_folders import TEST, images_to_predict
from competition.data.layouts.csv_text import (
    FILE_COLUMNS,
    ID_COLUMNS,
    csv_rows,
    label_column_of,
    read_table,
    read_text,
    usual_column,
)
from competition.data.layouts.dataset import table_of
from competition.data.layouts.kaggle_csv import read_test
from competition.data.layouts.read import layout_settings, read_dataset
from competition.data.layouts.test_files import SAMPLES
from competition.data.run_data import store_spec
from competition.inference.features import FeaturePass, compute_features, features_path, load_features
from competition.inference.learner import on_features
from competition.inference.oof import blend, collect_member
from competition.inference.predict import predict_logits
from competition.inference.run_record import Record
from competition.inference.torch_member import TorchMember, load_model, open_members
from competition.scoring.blend.average import mean_logit
from competition.scoring.metrics import sigmoid


@dataclass(frozen=True)
class TestTable:
    """``ids`` in the order that the submission must have, with ``paths`` of their images, or ``pixels`` float32
    (m, H, W, C); ``header``: the submission's id column and label column."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    ids: list[str]
    paths: list[str]
    pixels: np.ndarray | None
    header: tuple[str, str]


@dataclass(frozen=True)
class TestLabels:
    """``label`` (m,) 0 and 1 in the table's order; ``unreadable``: ids of images that no model could see, and why."""

    label: np.ndarray
    unreadable: dict[str, str]


def read_test_table(root: Path, record: Record, config: Config) -> TestTable:
    """Return the test table in ``root``, laid out as the run's own data. Raises UserError where there is none."""
    test = find_test_table(root, record, config)
    if not test.ids:
        raise UserError(f"{root} holds no test images: name the folder of the test set with test=.")
    return test


def find_test_table(root: Path, record: Record, config: Config) -> TestTable:
    """Return the test table in ``root`` as :func:`read_test_table` does, or one without rows."""
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: name the folder of the test set with test=.")
    if record.kind != "folders" and (header := _header_alone(root, record, config)):
        return TestTable([], [], None, header)
    if record.kind == "pixels":  # train.csv says which column is which pixel
        dataset = read_dataset(root, dataclasses.replace(layout_settings(config), layout="pixels"))
        pixels = None if dataset.pixels is None else dataset.pixels[1]
        return TestTable(dataset.test["id"].tolist(), [], pixels, dataset.header)
    return (_read_folders if record.kind == "folders" else _read_kaggle)(root, config)


def _header_alone(root: Path, record: Record, config: Config) -> tuple[str, str] | None:
    """Return the submission's columns where the table of what to predict has a header and no rows, else None."""
    path = next((root / name for name in ("test.csv", *SAMPLES) if (root / name).is_file()), None)
    if path is None:
        return None
    rows = csv_rows(read_text(path), path)
    _, columns = next(rows)
    if next(rows, None) is not None:
        return None
    if config.id_column and config.id_column in columns:
        return config.id_column, _label_name(root, config)
    usual = "id" if record.kind == "pixels" else columns[0]
    return usual_column(columns, ID_COLUMNS + FILE_COLUMNS) or usual, _label_name(root, config)


def _label_name(root: Path, config: Config) -> str:
    """Return the label's column, by train.csv where it is there."""
    if not (root / "train.csv").is_file():
        return config.label_column or "label"
    train = read_table(root / "train.csv")
    return label_column_of(train.frame.columns, config.label_column, train.path)


def _read_folders(root: Path, config: Config) -> TestTable:
    found = images_to_predict(root)
    if found is None:
        inside = listed(sorted(path.name for path in root.iterdir() if path.is_dir()), 6) or "no folder"
        raise UserError(f"{root} holds no folder '{TEST[0]}' (it holds {inside}): name one that does with test=.")
    return TestTable([one for one, _ in found], [path for _, path in found], None, ("id", "label"))


def _read_kaggle(root: Path, config: Config) -> TestTable:
    test, header = read_test(root, config.id_column, _label_name(root, config))
    if header is None:
        raise UserError(f"{root} has neither a test.csv nor a {SAMPLES[0]}: name the folder that does with test=.")
    return TestTable(test["id"].tolist(), test["path"].tolist(), None, header)


def predict_table(record: Record, config: Config, test: TestTable, device: str, workers: int) -> TestLabels:
    """Predict the table with all the run's models on ``device`` (cpu or cuda), fed by ``workers`` processes.

    A line is printed for each model. Raises UserError where a model is gone, and where no image at all can be read.
    """
    members = open_members(record, device, workers)
    for note in _differences(members):
        print(f"  Note: {note}.")
    stores = _open_stores(config, test, members)
    bad = next(iter(stores.values())).bad
    if len(bad) == len(test.ids):
        first = min(bad)
        raise UserError(
            f"None of the {len(test.ids):,} test images can be read, the first is {test.paths[first]} "
            f"({bad[first]}): name the folder that holds them with test=."
        )
    with tempfile.TemporaryDirectory() as work:
        folders = _predict_models(config, test, members, stores, Path(work))
        predictions = [collect_member([], own, [], test.ids) for own in folders.values()]
    weights = [record.weights.get(member, 1.0) for member in members]  # a run of before had equal ones
    prob = (blend(predictions, weights) if len(predictions) > 1 else predictions[0]).test
    label = np.where(np.isnan(prob), config.fallback, prob >= record.threshold).astype(int)
    return TestLabels(label, {test.ids[row]: reason for row, reason in sorted(bad.items())})


def _differences(members: Mapping[str, TorchMember]) -> list[str]:
    """Say in what this machine differs from the one that made the run: last digits depend on it."""
    first = next(iter(members.values()))
    torch_then = f"torch-{(read_json(first.folders[0] / 'done.json') or {}).get('torch', torch.__version__)}"
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
) -> dict[str, list[Path]]:
    """Write each model's test.csv into a folder of its own below ``work``; returns the folders by member."""
    bad = next(iter(stores.values())).bad
    rows = [row for row in range(len(test.ids)) if row not in bad]
    models, started = sum(len(trained.folders) for trained in members.values()), time.monotonic()
    written: dict[str, list[Path]] = {}
    with tqdm(total=models * len(rows), unit="img", disable=None, dynamic_ncols=True) as bar:
        for member, trained in members.items():
            store = stores[store_spec(trained.recipe, test.pixels is not None)]
            for source in trained.folders:
                views = _view_logits(config, trained, source, store, rows, bar.update)
                logit = np.full(len(test.ids), np.nan)
                logit[rows] = mean_logit(views)
                folder = work / str(len(list(work.iterdir())))
                folder.mkdir()
                table = table_of(id=test.ids).assign(logit=logit, prob=sigmoid(logit))
                table.to_csv(folder / "test.csv", index=False, lineterminator="\n")
                written.setdefault(member, []).append(folder)
                done = sum(map(len, written.values()))
                spent = time.monotonic() - started
                tqdm.write(
                    f"  {member} {source.name}: {counted(len(rows), 'image')}, {done} of {models} models after "
                    f"{spent:.0f} s, about {spent / done * (models - done):.0f} s left",
                    sys.stdout,
                )
                sys.stdout.flush()
    return written


def _view_logits(
    config: Config,
    trained: TorchMember,
    source: Path,
    store: DataStore,
    rows: Sequence[int],
    on_progress: Callable[[int], None],
) -> np.ndarray:
    """Return one model's (views, n) logits of the rows; a frozen backbone sees them once for all its heads."""
    model, settings = load_model(source), trained.settings
    predictor = dataclasses.replace(trained.predictor, on_progress=on_progress)
    if not predictor.recipe.frozen:
        return predict_logits(model, store, rows, predictor)
    origin = settings["pretrained"]
    origin = origin if origin != "false" else f"random {settings['seed']} {settings['member']}"
    path = features_path(cache_folder(config), predictor, origin, store)
    compute_features([FeaturePass(path, store, predictor, "test")], model, settings["member"])
    head, reader = on_features(model, predictor)
    parts = [predict_logits(head, view, rows, reader) for view in load_features(path)]
    on_progress(len(rows))
    return np.concatenate(parts)
