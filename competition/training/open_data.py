"""What a run reads: refused before anything is decoded or written where it cannot work, and then opened."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pandas as pd

from competition.audit.run import regroup
from competition.core.errors import UserError
from competition.core.intact import check_plain
from competition.core.paths import cache_folder, run_folder
from competition.core.settings import Config
from competition.data.assemble import assemble
from competition.data.augment import train_transform
from competition.data.extra import read_extra
from competition.data.folds import check_possible
from competition.data.layouts.dataset import Dataset
from competition.data.pairs import check_pairs
from competition.data.run_data import RunData, split_table
from competition.inference.features import variants_gigabytes
from competition.models.adapt import adapt
from competition.models.build import Detector, check_model
from competition.training.pseudo_labels import find_teacher, with_pseudo


def check_inputs(config: Config, dataset: Dataset) -> dict[str, Detector]:
    """Raise UserError for folds that cannot be, and a recipe that no model, augmentation or pair of
    rows takes, or whose features take more than the disk budget.

    Returns each member's model, its shapes alone.
    """
    if config.extra:
        read_extra(config, dataset)
    if config.pseudo:
        find_teacher(config, dataset)
    check_plain(run_folder(config.name))
    if (folder := cache_folder(config)).exists() and not folder.is_dir():
        raise UserError(f"The cache {folder} is a file: name a folder with cache=.")
    check_possible(split_table(config, dataset.train), config.folds, config.shares)
    models = {}
    for name, recipe in config.members.items():
        if dataset.floating and recipe.equalise != "none":
            raise UserError(
                f"equalise={recipe.equalise} (member {name}) is made for image files, but this data's pixels are "
                "standardised floats: leave it out."
            )
        train_transform(recipe.augment, recipe.image_size, recipe.fit, dataset.floating)
        models[name] = adapt(check_model(recipe, dataset.channels, dataset.floating), recipe)
        if not config.group.startswith("auto"):  # which the audit may yet make pairs of
            check_pairs(recipe, dataset.train)
    if (needed := variants_gigabytes(config, dataset)) > config.cache_gb:
        raise UserError(
            f"The variants' features take {needed:.2f} GB, and cache_gb={config.cache_gb:g} is the disk budget of "
            "features and decoded images together: raise cache_gb, or lower variants."
        )
    return models


def has_models(config: Config, member: str) -> bool:
    """Whether a member has a trained model, of whatever settings, in the run's folder."""
    return any((run_folder(config.name) / member).glob("*/model.safetensors"))


def open_data(
    config: Config, dataset: Dataset, folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None = None
) -> RunData:
    """Return the run's pixels, in folds that no group of the data or the audit crosses, and the teacher's labels.

    The same in every process. Raises UserError where the data cannot be used.
    ``folds_from`` returns the folds of rows where they were made elsewhere.
    """
    # Features must lie on disk, and images can be decoded anew: these get what the features leave of the budget.
    left = max(0.0, config.cache_gb - variants_gigabytes(config, dataset))
    data = assemble(dataclasses.replace(config, cache_gb=left), dataset, partial(_regroup, config), folds_from)
    return with_pseudo(config, data)


def _regroup(config: Config, dataset: Dataset) -> Dataset:
    dataset = regroup(config, dataset)
    for recipe in config.members.values():
        check_pairs(recipe, dataset.train)
    return dataset
