"""What cannot work is refused here, before anything is decoded, trained or written."""

from competition.core.errors import UserError
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.data.augment import train_transform
from competition.data.extra import read_extra
from competition.data.folds import check_possible
from competition.data.layouts.dataset import Dataset, check_files
from competition.models.build import Detector, check_model
from competition.training.pseudo_labels import find_teacher


def check_inputs(config: Config, dataset: Dataset) -> dict[str, Detector]:
    """Raise UserError for missing images, folds that cannot be, and a recipe that no model or augmentation takes.

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
        if dataset.floating and recipe.equalise != "none":
            raise UserError(
                f"equalise={recipe.equalise} (member {name}) is made for image files, but this data's pixels are "
                "standardised floats: leave it out."
            )
        train_transform(recipe.augment, recipe.image_size, recipe.fit, dataset.floating)
        models[name] = check_model(recipe, dataset.channels, dataset.floating)
    return models


def has_models(config: Config, member: str) -> bool:
    """Whether a member has a trained model, of whatever settings, in the run's folder."""
    return any((run_folder(config.name) / member).glob("*/model.safetensors"))
