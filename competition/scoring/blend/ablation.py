"""What each member and each test-time view is worth: the ensemble scored again without it, on the same rows.

Every score is cross-fitted: thresholds, calibrators, and weights where they are fitted, come from the other folds. Each
row of a table stands beside the whole ensemble, with the standard error of the difference, paired and by groups.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Floats, sigmoid
from competition.scoring.blend.average import mean_logit, mean_prob
from competition.scoring.blend.weights import METHODS
from competition.scoring.judge import Judged, compare, judge
from competition.scoring.rows import OofRows, stacked
from competition.scoring.threshold.rules import DEFAULT_RULE, Rule


def leave_one_out(
    members: Mapping[str, OofRows], methods: Sequence[str] = ("equal",), rule: str | Rule = DEFAULT_RULE, seed: int = 0
) -> list[dict[str, Any]]:
    """Return for each of two or more members what the ensemble of their probabilities is worth without it.

    The others are blended by ``methods`` of weights.METHODS, one for each fold or one for all, fitted without the fold
    it blends. Each row holds member, value (the rows' metric), auc and log_loss without it, and by how much the metric
    is better without it (below 0 the member is missed), difference, with its standard error, se. With a single fold
    weights are equal and decisions are those at .5; of a hold-out, weights and threshold come from the rows that are
    not held out. An auc is None where there is one class only, an error where there is one group. Raises ``ValueError``
    for fewer than two members, and what ``mean_prob`` and the rule raise.
    """
    if len(members) < 2:
        raise ValueError(f"leaving one member out needs two or more; there is {', '.join(members) or 'none'}")
    names = sorted(members)
    rows, table = stacked({name: members[name] for name in names})
    whole = _decided(rows, _blends(rows, table, methods, seed), rule, seed)
    found = {}
    for at, name in enumerate(names):
        without = _decided(rows, _blends(rows, np.delete(table, at, axis=0), methods, seed), rule, seed)
        found[name] = {"member": name, **_beside(without, whole)}
    return [found[name] for name in members]


def view_ablation(
    logits: Mapping[str, Mapping[str, Floats]],
    rows: OofRows,
    weights: ArrayLike | None = None,
    rule: str | Rule = DEFAULT_RULE,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return what the ensemble is worth under all test-time views, under each alone, and under all but each.

    ``logits``: of each member under each view (n,); a member's logit is the mean over the views taken, the ensemble the
    mean probability by ``weights``: (m,) for the members in their order, (k, m) for each fold, as in ``Blend.by_fold``,
    or None for equal ones. The probabilities of ``rows`` play no part. What is returned, "all" first, holds views
    ("all", a name, or "all but" a name), value, auc, log_loss, and by how much the metric is better than by all views,
    difference, with its standard error, se. "All but" comes only with three views or more: of two it is the other
    alone. For a single fold and a hold-out, see ``leave_one_out``. Raises ``ValueError`` for members under other views,
    and what ``mean_logit``, ``mean_prob`` and the rule raise.
    """
    views = list(next(iter(logits.values())))
    for name, found in logits.items():
        if list(found) != views:
            raise ValueError(f"logits of {name} must be those under {', '.join(views)}; they are {', '.join(found)}")
    taken = {"all": views}
    if len(views) > 1:
        taken |= {view: [view] for view in views}
    if len(views) > 2:
        taken |= {f"all but {view}": [other for other in views if other != view] for view in views}
    weights = np.full(len(logits), 1 / len(logits)) if weights is None else np.asarray(weights, np.float64)
    by_fold = np.broadcast_to(weights, (rows.folds, len(logits)))
    whole, table = None, []
    for name, kept in taken.items():
        means = [mean_logit(np.stack([found[view] for view in kept])) for found in logits.values()]
        probs = np.stack([sigmoid(mean) for mean in means])
        decided = _decided(rows, np.stack([mean_prob(probs, row) for row in by_fold]), rule, seed)
        whole = whole or decided
        table.append({"views": name, **_beside(decided, whole)})
    return table


def _blends(rows: OofRows, table: Floats, methods: Sequence[str], seed: int) -> Floats:
    """Return the (k, n) blends of (m, n) probabilities, row j by weights fitted without the j-th fold."""
    if rows.held_out is not None:
        outside = [~rows.held_out]
    elif rows.folds > 1:
        outside = [rows.fold != k for k in range(rows.folds)]
    else:
        outside, methods = [np.ones(rows.label.size, bool)], ("equal",)
    methods = list(methods) * (len(outside) if len(methods) == 1 else 1)
    return np.stack(
        [
            mean_prob(table, METHODS[method](table[:, kept], rows.label[kept], rows.group[kept], seed))
            for method, kept in zip(methods, outside, strict=True)
        ]
    )


def _decided(rows: OofRows, crossed: Floats, rule: str | Rule, seed: int) -> Judged:
    return judge(rows.with_prob(crossed[0], crossed), rule, seed)


def _beside(one: Judged, whole: Judged) -> dict[str, float | None]:
    """Return the figures of one blend, and by how much it is better than the whole ensemble."""
    figures = {"value": one.value, **{key: one.figures[key] for key in ("auc", "log_loss")}}
    row = {key: None if math.isnan(value) else value for key, value in figures.items()}
    difference, error = compare(one, whole)
    return {**row, "difference": difference, "se": error if math.isfinite(error) else None}
