"""What a competition's submissions must list: the ids in their order and the header, by the data and by its sample."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from competition.core.config import CONFIG_FILE, load_config
from competition.core.errors import Unfinished, UserError
from competition.core.files import temporary_folder
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.data.layouts.test_files import SAMPLES, check_same_ids, read_sample
from competition.data.run_data import data_root, read_tables
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import run_cli

FETCH_SECONDS = 120.0  # that the command line may take for the sample


@dataclass(frozen=True)
class Form:
    """``ids`` in the order that a submission must have and its ``header``; ``sampled``: the competition's own sample
    submission agrees. ``source`` says where they come from."""

    ids: Sequence[str]
    header: tuple[str, str]
    sampled: bool
    source: str


def run_config(name: str, data: str) -> Config | None:
    """Return the settings of the run ``name``, where it is known, with the data folder ``data``, where one is given;
    those of a new run on that folder without a name; None with neither."""
    path = run_folder(name) / CONFIG_FILE
    words = [f"data={data}"] if data else []
    if name and path.is_file():
        return load_config([f"config={path}", "demo.draw=false", *words])
    return load_config(["preset=small", *words]) if data else None


def local_form(config: Config | None) -> Form | None:
    """Return what a run's data asks for; None without a run, or where its data is not on this machine any more.

    Raises UserError for data without a test set, and what reading the data raises.
    """
    if config is None or not (root := data_root(config)).is_dir():
        return None
    dataset = read_tables(config)
    if dataset.test.empty:
        raise UserError(
            f"There is no test set in {root}, so no submission can be checked: name the competition's data "
            "with data=DIR."
        )
    sampled = dataset.kind != "folders" and any((root / name).is_file() for name in SAMPLES)
    return Form(dataset.test["id"].tolist(), dataset.header, sampled, str(root))


def sampled_form(form: Form | None, kaggle: Kaggle, slug: str) -> Form:
    """Return the form with the competition's own sample submission, downloaded: its header, its ids, its order.

    A competition without one leaves ``form`` as it is. Raises UserError where the sample's ids are others than the
    data's, and where there is neither.
    """
    names = [file.name for file in kaggle.files(slug) if Path(file.name).name in SAMPLES]
    if not names:
        if form is None:
            raise UserError(
                f"There is nothing to check the file against, for {slug} has no sample submission: name "
                "the folder of its data with data=DIR."
            )
        return form
    header, ids = _fetch(min(names, key=len), slug)
    if form is not None:
        path, there = Path(slug) / names[0], pd.Series(form.ids, dtype="str")
        check_same_ids(pd.Series(ids, dtype="str"), there, path, form.source)
        return replace(form, ids=ids, header=header, sampled=True)
    return Form(ids, header, True, f"the sample submission of {slug}")


def _fetch(name: str, slug: str) -> tuple[tuple[str, str], list[str]]:
    """Return the header and the ids of a competition's sample submission."""
    with temporary_folder() as folder:
        reply = run_cli(["competitions", "download", slug, "-f", name, "-p", str(folder), "--quiet"], FETCH_SECONDS)
        for path in folder.glob("*.zip"):  # a large file comes zipped
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as zipped:
                    (folder / Path(name).name).write_bytes(zipped.read(zipped.namelist()[0]))
        found = read_sample(folder, None)
    if found is None:
        raise Unfinished(
            f"The sample submission of {slug} could not be downloaded ({reply.last}): repeat the same line "
            "later, or put it into the folder of the data."
        )
    return found
