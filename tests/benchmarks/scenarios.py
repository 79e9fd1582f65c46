"""Worlds drawn from formulas: what a cross-validated run leaves behind, and the test labels that no run ever sees.

A row has a latent position, d higher for an AI image; a fold's model sees it through noise of its own and answers with
the probability that is right for its world, unless the world says otherwise. Every draw is a function of (world, seed).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from competition.scoring.arrays import sigmoid
from competition.scoring.shift.statistics import FoldFeatures

FOLDS = 5
DIMENSIONS = 16
FEATURE_ROWS = 400  # of either side that a fold's features are shown of

SAME, SHIFTED, GENERATOR, LEAK = "same", "label shift", "generator", "leak"


@dataclass(frozen=True)
class World:
    """One scenario. ``kind`` says which promises it is judged by; ``exact`` that OOF and test scores are exchangeable.

    ``prior`` and ``test_prior`` are positive rates; ``gap`` is the distance of the classes in standard deviations.
    ``noise`` is the share of the variance that is each model's own, so that a mean of models is better than one;
    ``tails`` the degrees of freedom of Student's t (``None``: normal); ``confidence`` multiplies the logits, and
    ``unlike`` is how far the models' own scales and offsets differ; ``together`` rows form a group and share the
    ``bond`` share of their variance, with alternating labels (``twins``) or one label.
    ``across`` is the share of training rows that copy one of another fold, ``copied`` that of test rows that copy a
    training row: models know those, which moves them ``KNOWN`` towards the truth. ``collapse`` is the share of the
    gap that the test's AI images lose, ``moved`` how far their features move.

    What else befalls a test set from elsewhere: ``offset`` moves all its positions, in standard deviations; both
    classes lose the ``faded`` share of the gap, towards the middle; scores are ``squeezed`` towards their middle by
    this share, which costs no power; the shares ``fakes_unlike`` and ``photos_unlike`` of a class look like the other
    one; and all features move by ``moved_all``.
    """

    name: str
    kind: str = SAME
    rows: int = 2000
    test_rows: int = 2000
    prior: float = 0.5
    test_prior: float | None = None
    gap: float = 2.0
    noise: float = 0.0
    tails: float | None = None
    confidence: float = 1.0
    unlike: float = 0.0
    together: int = 1
    bond: float = 0.0
    twins: bool = False
    across: float = 0.0
    copied: float = 0.0
    collapse: float = 0.0
    moved: float = 0.0
    offset: float = 0.0
    faded: float = 0.0
    squeezed: float = 0.0
    fakes_unlike: float = 0.0
    photos_unlike: float = 0.0
    moved_all: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether the reported score and the range are promised to be right."""
        return self.kind == SAME and self.noise == 0


KNOWN = 1.5  # standard deviations

WORLDS = (
    World("n=500", rows=500),
    World("n=2000, prior .1", prior=0.1),
    World("n=2000, prior .27", prior=0.27),
    World("n=5000", rows=5000),
    World("n=1000, 400 test rows", rows=1000, test_rows=400, prior=0.3),
    World("heavy tails, n=5000", rows=5000, tails=2.0, gap=4.0, prior=0.2),
    World("pairs of twins", together=2, bond=0.5, twins=True),
    World("clusters of 8", together=8, bond=0.5, prior=0.3),
    World("overconfident models", confidence=3.0, prior=0.3),
    World("mean of 5 models, prior .15", noise=0.4, prior=0.15),
    World("unlike models, prior .3", noise=0.3, unlike=0.5, prior=0.3),
    World("overconfident unlike models", noise=0.3, unlike=0.3, confidence=3.0, prior=0.3),
    World("mean of 5 models, heavy tails", noise=0.4, tails=2.0, gap=4.0, rows=5000, prior=0.2),
    World("mean of 5 models, pairs", noise=0.3, together=2, bond=0.3, twins=True),
    World("shift .5 to .25", SHIFTED, test_prior=0.25),
    World("shift .5 to .75", SHIFTED, test_prior=0.75),
    World("shift .5 to .40", SHIFTED, test_prior=0.4),
    World("shift .3 to .2", SHIFTED, prior=0.3, test_prior=0.2),
    World("overconfident, shift .5 to .25", SHIFTED, test_prior=0.25, confidence=3.0),
    World("heavy tails, shift .5 to .25", SHIFTED, rows=5000, tails=2.0, gap=4.0, test_prior=0.25),
    World("mean of 5 models, shift .5 to .3", SHIFTED, noise=0.4, test_prior=0.3),
    World("copies across folds", LEAK, across=0.3),
    World("copies of train in test", LEAK, copied=0.3),
    World("another generator", GENERATOR, gap=5.05, collapse=0.71, moved=1.0),
    World("another generator, half as far", GENERATOR, gap=3.5, collapse=0.4, moved=0.7),
)


@dataclass(frozen=True)
class Draw:
    """What a run leaves, rows first: the first four (n,), ``parts`` (k, m), the test's (m,); and the truth."""

    label: NDArray[np.int64]
    prob: NDArray[np.float64]
    fold: NDArray[np.int64]
    group: NDArray[np.int64]
    parts: NDArray[np.float64]
    test_prob: NDArray[np.float64]
    test_label: NDArray[np.int64]
    features: list[FoldFeatures] = field(repr=False)


def draw(world: World, seed: int) -> Draw:
    """Return one draw of the world, the same for the same seed."""
    rng = np.random.default_rng([seed, *world.name.encode()])
    test_prior = world.prior if world.test_prior is None else world.test_prior
    label, latent, group = _rows(world, world.rows, world.prior, rng)
    test_label, test_latent, _ = _rows(world, world.test_rows, test_prior, rng)
    fold = rng.permutation(group.max() + 1)[group] % FOLDS
    position = world.gap * label + latent
    if world.across:
        position, label, fold = _copied_across(world, position, label, fold, rng)
    centre = _test_centre(world, test_label, np.random.default_rng([seed, 1, *world.name.encode()]))
    test_position = centre + test_latent
    known = rng.random(world.test_rows) < world.copied
    test_position += known * KNOWN * (2 * test_label - 1)
    own, share = np.sqrt(world.noise), np.sqrt(1 - world.noise)
    # The classes' distance is not noise: only what varies within a class is shared out.
    scale, offset = np.exp(world.unlike * rng.normal(size=FOLDS)), 2 * world.unlike * rng.normal(size=FOLDS)
    seen = _blurred(position, world.gap * label, share, own, rng, 1)[0]
    test_seen = _blurred(test_position, centre, share, own, rng, FOLDS)
    test_seen = test_seen + world.offset - world.squeezed * (test_seen - world.gap / 2)
    logit = scale[fold] * _logit(world, seen) + offset[fold]
    test_logit = scale[:, None] * _logit(world, test_seen) + offset[:, None]
    features = _features(world, label, seen, fold, group, test_label, test_seen, rng)
    return Draw(
        label, sigmoid(logit), fold, group, sigmoid(test_logit), sigmoid(test_logit.mean(axis=0)), test_label, features
    )


def _test_centre(world: World, label, rng: np.random.Generator):
    """Return where the test rows' classes lie, (m,), before all of them move."""
    unlike = rng.random(label.size) < np.where(label, world.fakes_unlike, world.photos_unlike)
    seen_as = np.where(unlike, 1 - label, label)
    centre = world.gap * (1 - world.collapse) * seen_as
    return centre + world.faded * (world.gap / 2 - centre)


def _rows(world: World, rows: int, prior: float, rng: np.random.Generator):
    """Return labels, positions around the class's centre, and groups."""
    group = np.arange(rows) // world.together
    if world.twins:
        label = np.arange(rows) % world.together % 2
    else:
        label = (rng.random(group.max() + 1) < prior)[group].astype(np.int64)
    noise, common = (
        rng.normal(size=rows) if world.tails is None else rng.standard_t(world.tails, rows),
        rng.normal(size=group.max() + 1)[group],
    )
    return label, np.sqrt(world.bond) * common + np.sqrt(1 - world.bond) * noise, group


def _copied_across(world: World, position, label, fold, rng: np.random.Generator):
    """Let some rows be copies of rows of another fold: the models that judge either have learnt the other."""
    order = rng.permutation(label.size)
    half = int(label.size * world.across / 2)
    copy, original = order[:half], order[half : 2 * half]
    position, label, fold = position.copy(), label.copy(), fold.copy()
    label[copy] = label[original]
    position[copy] = position[original]
    fold[copy] = (fold[original] + 1) % FOLDS
    for side in (copy, original):
        position[side] += KNOWN * (2 * label[side] - 1)
    return position, label, fold


def _blurred(position, centre, share: float, own: float, rng: np.random.Generator, models: int):
    """Return (models, rows) positions as each model sees them, of the same variance as before."""
    return centre + share * (position - centre) + own * rng.normal(size=(models, position.size))


def _logit(world: World, seen):
    """Return the log-odds that are right for normal classes: what a model calibrated on its own world answers."""
    right = world.gap * seen - world.gap**2 / 2 + np.log(world.prior / (1 - world.prior))
    return world.confidence * right


def _features(world: World, label, seen, fold, group, test_label, test_seen, rng) -> list[FoldFeatures]:
    """Return each fold model's features: the position among noise, in a basis of the model's own."""
    found = []
    for k in range(FOLDS):
        basis = np.linalg.qr(rng.normal(size=(DIMENSIONS, DIMENSIONS)))[0]
        rows = np.flatnonzero(fold == k)[:FEATURE_ROWS]
        test = np.sort(rng.permutation(test_label.size)[:FEATURE_ROWS])
        validation, shown = (rng.normal(size=(size, DIMENSIONS)) for size in (rows.size, test.size))
        validation[:, 0], shown[:, 0] = seen[rows], test_seen[k, test]
        shown[:, 1:4] += world.moved * test_label[test, None] + world.moved_all
        found.append(FoldFeatures(validation @ basis, label[rows], group[rows], shown @ basis))
    return found
