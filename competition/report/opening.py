"""What a run prints before it trains: what is trained, on what, and where."""

from collections.abc import Mapping, Sequence

from competition import __version__
from competition.core.settings import Config
from competition.core.text import counted
from competition.data.run_data import RunData
from competition.models.adapt import count_parameters
from competition.models.build import Detector


def opening_lines(
    config: Config, data: RunData, models: Mapping[str, Detector], where: str, notes: Sequence[str]
) -> list[str]:
    """Return the run, its rows, each member's model, and what the user should know of them; ``where`` it trains."""
    ones = int(data.train["label"].sum())
    parts = f"x {config.folds} folds" if config.shares is None else f"on one split ({config.split})"
    lines = [
        f"Telltale {__version__}: {config.name}, {counted(len(models), 'member')} {parts} on {where}",
        f"  {len(data.train):,} training images in {data.train['group'].nunique():,} groups, "
        f"{ones / len(data.train):.1%} of them '{data.dataset.classes[1]}'; {len(data.test):,} test images",
    ]
    for name, model in models.items():
        total, trained = count_parameters(model)
        recipe = config.members[name]
        frozen = "" if total == trained else f", {trained:,} trainable parameters"
        lines.append(
            f"  {name}: {recipe.backbone}, {recipe.view} at {recipe.image_size} px, {total / 1e6:.2f} million "
            f"parameters{frozen}"
        )
    tuned = [f"these settings are from {config.tuned}"] if config.tuned else []
    return lines + [f"  Note: {note}." for note in [*tuned, *notes, *data.notes]]
