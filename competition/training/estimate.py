"""What the full run of a dry run would cost: measured steps of each member, scaled to all rows."""

from collections.abc import Sequence

from competition.core.settings import Config
from competition.data.run_data import RunData, gigabytes, store_spec
from competition.data.tta import TTA
from competition.inference.diagnostics import diagnostics_images
from competition.inference.features import feature_bytes
from competition.models.adapt import count_parameters
from competition.models.device import step_seconds
from competition.training.plan import Plan, probe_of

FORWARD_SHARE = 1 / 3  # of a training step's time: the backward pass costs about two forward passes


def print_estimate(config: Config, data: RunData, plans: Sequence[Plan], at_once: int) -> None:
    """Print the hours and gigabytes of the run without ``limit``: training, predictions, cache and checkpoints.

    ``at_once``: how many jobs run side by side.
    """
    train_rows, test_rows = data.full_size
    added = sum(len(one.tables[0]) / len(one) * one.full_size for one in data.added)  # of all there would be, as here
    seconds = alone = 0.0  # of jobs side by side; of what nothing runs beside
    megabytes = features = 0.0
    for member, recipe in config.members.items():
        plan = next(plan for plan in plans if plan.job.member == member)
        build, pixels = probe_of(data, recipe)
        model = build()
        each = step_seconds(plan.placement, model, pixels) / len(pixels)
        models = config.parts * config.seeds
        held = 1 / config.folds if config.shares is None else 1 - config.shares[0]
        trained = (train_rows * (1 - held) + added) * recipe.epochs
        predicted = (train_rows * held + test_rows) * len(TTA[config.tta])
        held_rows = round(train_rows * held)
        featured, swept = diagnostics_images(config.evidence_rows, held_rows, test_rows, data.dataset.floating)
        if recipe.frozen:  # a forward pass is all there is: over every image once, for all folds and epochs
            extra = sum(one.full_size for one in data.added if one.kind == "extra")
            seen = (train_rows + test_rows) * len(TTA[config.tta]) + extra
            seen += recipe.variants * (train_rows + sum(one.full_size for one in data.added))
            alone += each * seen
            features += seen * feature_bytes(model) / 1e9
            seconds += models * each * swept
        else:
            seconds += models * each * (trained + FORWARD_SHARE * (predicted + featured + swept))
        total, learnt = count_parameters(model)
        resumed = total * (1 + bool(recipe.ema)) + 2 * learnt  # weights, the moving average, AdamW's two moments
        megabytes += 4 * (total * models + at_once * (total if recipe.frozen else resumed)) / 1e6
    hours = (alone + seconds / min(at_once, len(plans))) / 3600
    cache = _cache_gigabytes(config, data)
    beside = f"{features:.2f} GB of features, " if features else ""
    print(
        f"  Estimate for all {train_rows:,} + {test_rows:,} images: {hours:.1f} hours of training and prediction, "
        f"{cache:.2f} GB of decoded pixels, {beside}{megabytes / 1000:.2f} GB of weights and resume points."
    )


def _cache_gigabytes(config: Config, data: RunData) -> float:
    """Scale the bytes that this dry run's images take to all of them."""
    if data.dataset.floating:
        return 0.0
    total = 0.0
    for spec in dict.fromkeys(store_spec(recipe) for recipe in config.members.values()):
        extra = [(one.stores[spec], one.full_size) for one in data.added if one.kind == "extra"]
        for store, rows in [*zip(data.stores[spec], data.full_size, strict=True), *extra]:
            total += gigabytes(store) / max(1, len(store) - len(store.bad)) * rows
    return total
