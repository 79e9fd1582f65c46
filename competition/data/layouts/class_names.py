"""What the two classes are called, and which of them is class 1."""

from competition.core.errors import UserError, did_you_mean
from competition.core.text import listed

# Names that say "made by AI", in lower case and without spaces, hyphens or underscores: class 1 unless positive= says
# otherwise. A data set in which two classes, or none, carry such a name needs positive=.
POSITIVE_NAMES = frozenset(
    "1 true yes fake fakes fakeimages 1fake ai aigenerated aigeneratedimages aiimages aiart aimade artificial deepfake "
    "deepfakes diffusion gan generated machine machinegenerated synthetic synthesized".split()
)


def is_positive(name: str) -> bool:
    """Whether a label or folder of this name is usually that of images made by AI."""
    return "".join(filter(str.isalnum, name.lower())) in POSITIVE_NAMES


def two_classes(names: list[str], positive: str | None, where: object) -> tuple[str, str]:
    """Return the names of class 0 and class 1.

    ``names`` are the distinct labels or folders found in ``where``. Class 1 is ``positive`` (any case), else the only
    one of the two in :data:`POSITIVE_NAMES`. Raises ``UserError`` unless there are two and class 1 is beyond doubt.
    """
    if len(names) != 2:
        raise UserError(
            f"{where} must have exactly two classes and has {len(names)} ({listed(sorted(names), 6)}): leave two."
        )
    if positive is not None:
        exact = [name for name in names if name == positive]
        found = exact or [name for name in names if name.lower() == positive.strip().lower()]
    else:
        found = [name for name in names if is_positive(name)]
    if len(found) != 1:
        first, second = sorted(names)
        if positive is None:
            raise UserError(
                f"The names '{first}' and '{second}' in {where} do not tell which is class 1 (made by AI): "
                f"give positive='{first}' or positive='{second}'."
            )
        raise UserError(f"positive={positive} is not a class of {where}{did_you_mean(positive, names)}")
    one = found[0]
    return next(name for name in names if name != one), one
