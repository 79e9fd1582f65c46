"""What `tune:` says: which settings of members `./run.sh tune` searches, and over which values.

tune:
  lr: [1e-5, 1e-3, log]        two numbers: all between them, here on a logarithmic scale
  batch_size: [16, 64]         whole numbers where the setting is one
  augment: [flips, web]        anything else: one of these
  weight_decay: null           not this one, whatever a preset says
  folds: 0,1                   no setting of a member: the folds that the search sees; the others judge it
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from competition.core.errors import UserError, did_you_mean
from competition.core.options import check_values, typed_value
from competition.core.settings import Recipe

FOLDS, LOG = "folds", "log"
# Without a word on it, what most depends on the data and nothing else tells.
DEFAULT: dict[str, Any] = {FOLDS: "0,1", "lr": [5e-5, 5e-3, LOG], "weight_decay": [0.005, 0.5, LOG]}
RANGED = (int, float)
Settings = Mapping[str, Any]  # of a member, those that are searched
SEARCHABLE: dict[str, Field[Any]] = {
    item.name: item for item in fields(Recipe) if item.type in (int, float, bool, str) and item.name != "pretrained"
}


@dataclass(frozen=True)
class Dimension:
    """The values that a setting may take: one of ``choices``, or where there are none, any from ``least`` to ``most``,
    ``whole`` numbers alone or all, on a ``log`` scale or not."""

    key: str
    choices: tuple[Any, ...] = ()
    least: float = 0.0
    most: float = 0.0
    log: bool = False
    whole: bool = False

    def __contains__(self, value: Any) -> bool:
        return value in self.choices if self.choices else bool(self.least <= value <= self.most)


@dataclass(frozen=True)
class SearchSpace:
    """``folds``: those that a search sees, as ``fold=`` says them; ``dimensions``: the settings that it varies."""

    folds: str
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class Trial:
    """A finished trial. ``settings``: what was varied, with its values. ``loss``: None of one that was ended early, and
    then ``why`` says for what reason, and ``likely`` what it would have come to, where that can be told. ``seconds``:
    what it took."""

    number: int
    settings: Settings
    loss: float | None
    why: str
    seconds: float
    likely: float | None = None


def read_space(tune: Mapping[str, Any]) -> SearchSpace:
    """Return what ``tune`` says over the default. Raises UserError for a setting that cannot be searched, and for
    values that it cannot take."""
    whole = {**DEFAULT, **tune}
    folds = whole.pop(FOLDS)
    if not isinstance(folds, str | int):
        raise UserError(f"tune.folds={folds} is not a list of folds: write tune.folds=0,1.")
    dimensions = tuple(_dimension(key, values) for key, values in whole.items() if values is not None)
    return SearchSpace(str(folds), dimensions)


def _dimension(key: str, values: Any) -> Dimension:
    if key not in SEARCHABLE:
        near = did_you_mean(key, [*SEARCHABLE, FOLDS])
        raise UserError(f"tune.{key} names no setting of a member that can be searched{near}")
    form = f"write tune.{key}=[least,most], tune.{key}=[least,most,log], or a list of choices"
    if not isinstance(values, list):
        raise UserError(f"tune.{key}={values} is not a list of values: {form}.")
    item, log = SEARCHABLE[key], values[-1:] == [LOG]
    found = [_checked(item, value) for value in (values[:-1] if log else values)]
    if len(set(found)) < max(2, len(found)):
        raise UserError(f"tune.{key}={values} needs two values or more that differ: {form}.")
    if item.type not in RANGED or len(found) > 2:
        if log:
            raise UserError(f"tune.{key}={values} is neither a range nor a list of choices: {form}.")
        return Dimension(key, tuple(found))
    if found[0] > found[1] or (log and found[0] <= 0):
        raise UserError(f"tune.{key}={values} is not a range from a smaller to a larger number: {form}.")
    return Dimension(key, least=found[0], most=found[1], log=log, whole=item.type is int)


def _checked(item: Field[Any], value: Any) -> Any:
    """Return a value as the setting's type; UserError where the setting cannot take it."""
    if isinstance(value, list | dict) or value is None:
        raise UserError(f"tune.{item.name} holds {value}, which the setting cannot be: give single values.")
    found = typed_value(item, str(value))
    check_values(Recipe(**{item.name: found}), "tune.")
    return found
