"""The offline bundle of a finished run, for code competitions: a data set of weights and wheels, and the notebook that
predicts with them where there is no network.

A bundle is there whole or not at all, and is left alone where nothing changed.
"""

import dataclasses
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition import __version__
from competition.core.config import CONFIG_FILE
from competition.core.config_forms import as_yaml, elsewhere
from competition.core.errors import UserError
from competition.core.files import fingerprint, read_json, write_json, write_text
from competition.core.intact import check_plain, read_record_file, write_record_file
from competition.core.paths import FOLDS_FILE, nearest_existing
from competition.core.settings import Config
from competition.data.folds import keep_folds, read_folds
from competition.inference.job_files import DONE_FILE, check_intact, read_done
from competition.inference.run_inputs import folds_path, run_folds
from competition.inference.run_record import FILE, Record
from competition.kaggle import datasets, kernels
from competition.kaggle.notebook.notebook import notebook_json
from competition.kaggle.notebook.session_setup import MANIFEST, sha256
from competition.kaggle.wheels import PREDICTION, installed_wheel, telltale_wheel

DATASET, KERNEL, PUSHED = "dataset", "kernel", "pushed.json"
JOB_FILES = ("model.safetensors", "config.yaml", DONE_FILE)
KEPT_FILES = ("oof.csv", "evidence.npz")  # what a verdict on the test set takes, of jobs that hold rows out


@dataclass(frozen=True)
class Bundle:
    """A bundle in ``folder``: ``dataset`` and ``kernel`` are OWNER/SLUG on Kaggle, ``accelerator`` its word for the GPU
    or ``none``."""

    folder: Path
    dataset: str
    kernel: str
    competition: str
    accelerator: str = "NvidiaTeslaT4"
    internet: bool = False

    @property
    def key(self) -> str:
        """The fingerprint of its content."""
        return read_json(self.folder / DATASET / MANIFEST)["key"]

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file that belongs to the bundle."""
        own = [path for part in (DATASET, KERNEL) for path in sorted((self.folder / part).glob("*"))]
        return {
            path.relative_to(self.folder).as_posix(): path.stat().st_size
            for path in own
            if not path.match(datasets.MARK.format("*"))
        }


def bundle_of(name: str, owner: str, folder: Path, **more: Any) -> Bundle:
    """Return the bundle of run ``name``, as ``owner``'s on Kaggle, which need not be there yet."""
    dataset, kernel = (kernels.slug_of(f"{name}-{part}") for part in ("bundle", "predict"))
    return Bundle(folder, f"{owner}/{dataset}", f"{owner}/{kernel}", **more)


def make_bundle(bundle: Bundle, record: Record, config: Config) -> bool:
    """Write the bundle of a finished run; returns whether it is new or has changed.

    Raises UserError where a model is gone, a wheel cannot be made, or the folder is a file or holds something else.
    """
    there = nearest_existing(bundle.folder)
    if not there.is_dir():
        raise UserError(f"{there} is a file where the bundle's folder is to be: name another folder with out=.")
    if bundle.folder.exists() and any(bundle.folder.iterdir()) and not (bundle.folder / DATASET / MANIFEST).is_file():
        raise UserError(f"{bundle.folder} holds something else than a bundle: name another folder with out=.")
    check_plain(bundle.folder)
    fresh = dataclasses.replace(bundle, folder=bundle.folder.with_name(f".{bundle.folder.name}-building"))
    shutil.rmtree(fresh.folder, ignore_errors=True)  # of a killed one
    try:
        _write_dataset(fresh, record, config)
        _write_kernel(fresh, record)
        if bundle.folder.exists() and _same(fresh, bundle):
            return False
        old = bundle.folder.with_name(f".{bundle.folder.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if bundle.folder.exists():
            bundle.folder.rename(old)
        fresh.folder.rename(bundle.folder)
        shutil.rmtree(old, ignore_errors=True)
        return True
    finally:
        shutil.rmtree(fresh.folder, ignore_errors=True)


def _write_dataset(bundle: Bundle, record: Record, config: Config) -> None:
    """Write weights, settings and wheels under names of one level, for Kaggle may flatten folders or zip them."""
    folder, files = bundle.folder / DATASET, {}
    folder.mkdir(parents=True)
    for place, source in _sources(record, config).items():
        files[_flat(place)] = place
        _put(source, folder / _flat(place))
    place = f"folds/{record.name}/{CONFIG_FILE}"
    files[_flat(place)] = place
    write_text(folder / _flat(place), as_yaml(elsewhere(dataclasses.replace(config, name=record.name))))
    telltale_wheel(folder)
    for name in PREDICTION:
        installed_wheel(name, folder)
    packed = {path.name: {"sha256": sha256(path)} for path in sorted(folder.iterdir())}
    for flat, place in files.items():
        packed[flat]["place"] = place
    manifest = {"name": record.name, "telltale": __version__, "files": packed}
    write_json(folder / MANIFEST, {"key": fingerprint(manifest), **manifest})
    datasets.write_metadata(folder, bundle.dataset)


def _sources(record: Record, config: Config) -> dict[str, Path]:
    """Return the files of the run that prediction reads, by their place below TELLTALE_HOME; UserError for one that is
    gone or damaged."""
    folds = folds_path(record.name, config)
    found = {f"folds/{record.name}/{FILE}": record.folder / FILE, f"folds/{record.name}/{FOLDS_FILE}": folds}
    for part in (part for parts in record.members.values() for part in parts):
        kept = [file for file in KEPT_FILES if file in read_done(record.folder / part).get("files", {})]
        for file in (*JOB_FILES, *kept):
            found[os.path.normpath(f"folds/{record.name}/{part}/{file}")] = record.folder / part / file
    for path in found.values():
        if not path.is_file():
            raise UserError(f"{path} is gone: run the line that trained '{record.name}' again.")
        check_intact(path)
    run_folds(record, config)
    return found


def _flat(place: str) -> str:
    """Return a name of one level, another for each place: only the run's name, its first part, may hold dots."""
    return place.removeprefix("folds/").replace("/", ".")


def _put(source: Path, target: Path) -> None:
    """Bring a file into the dataset: folds and records as Telltale writes them, whatever saved them last."""
    if source.name == FOLDS_FILE:
        keep_folds(target, read_folds(source).sort_values("id"))
    elif source.name in (FILE, DONE_FILE):
        write_record_file(target, read_record_file(source) or {})
    else:
        _link(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)  # gigabytes: nothing in a run's folder is ever written in place
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _write_kernel(bundle: Bundle, record: Record) -> None:
    folder, code = bundle.folder / KERNEL, f"{bundle.kernel.split('/')[1]}.ipynb"
    write_text(folder / code, notebook_json(record, bundle.key, bundle.competition, bundle.dataset))
    sources = {"dataset_sources": [bundle.dataset], "competition_sources": [bundle.competition]}
    gpu = {"enable_gpu": "false"} if bundle.accelerator == "none" else {"machine_shape": bundle.accelerator}
    internet = str(bundle.internet).lower()
    kernels.write_metadata(folder, bundle.kernel, code, enable_internet=internet, **sources, **gpu)


def _same(one: Bundle, other: Bundle) -> bool:
    """Whether two bundles hold the same; ``one`` has just been made."""
    if one.sizes() != other.sizes():
        return False
    pairs = [(one.folder / name, other.folder / name) for name in one.sizes()]
    return all(made.samefile(there) or sha256(made) == sha256(there) for made, there in pairs)  # weights are links
