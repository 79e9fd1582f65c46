"""What cannot work is refused here, before anything is decoded, trained or written."""

from competition.core.errors import UserError
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.data.augment import train_transform
from competition.data.extra import read_extra
from competition.data.folds import check_possible
from competition.data.layouts.dataset import Dataset, check_files
from competition.data.pairs import check_pairs
from competition.inference.features import variants_gigabytes
from competition.models.build import Detector, check_model
from competition.training.pseudo_labels import find_teacher


def check_inputs(config: Config, dataset: Dataset) -> dict[str, Detector]:
    """Raise UserError for missing images, folds that cannot be, and a recipe that no model, augmentation or pair of
    rows takes, or whose features take more than the disk budget.

    Returns each member's model, its shapes alone.
    """
    check_files(dataset)
    if config.extra:
        read_extra(config, dataset)
    if config.pseudo:
        find_teacher(config, dataset)
    check_possible(dataset.train, config.folds, config.shares)
    models = {}
    for name, recipe in config.members.items():
        train_transform(recipe.augment, recipe.image_size, recipe.fit, dataset.floating)
        models[name] = check_model(recipe, dataset.channels, dataset.floating)
        if not config.group.startswith("auto"):  # which the audit may yet make pairs of
            check_pairs(recipe, dataset.train)
    _check_budget(config, dataset)
    return models


def _check_budget(config: Config, dataset: Dataset) -> None:
    needed = variants_gigabytes(config, dataset)
    if needed > config.cache_gb:
        raise UserError(
            f"The variants' features take {needed:.2f} GB, and cache_gb={config.cache_gb:g} is the disk budget of "
            "features and decoded images together: raise cache_gb, or lower variants."
        )


def has_models(config: Config, member: str) -> bool:
    """Whether a member has a trained model, of whatever settings, in the run's folder."""
    return any((run_folder(config.name) / member).glob("*/model.safetensors"))
