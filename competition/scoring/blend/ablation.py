"""What each member and each test-time view is worth: the ensemble scored again without it, on the same rows.

Every F1 is cross-fitted: thresholds, and weights where they are fitted, come from the other folds. Each row of a table
stands beside the whole ensemble, with the standard error of the difference, paired and by groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.blend.average import mean_logit, mean_prob
from competition.scoring.blend.select import f1_difference
from competition.scoring.blend.weights import METHODS
from competition.scoring.metrics import check_binary, check_group, check_same_length, sigmoid, summary
from competition.scoring.threshold.rules import (
    DEFAULT_RULE,
    Rule,
    by_fold,
    choose_threshold,
    cross_fit,
    own_rate,
    own_score,
)


def leave_one_out(
    probs: Mapping[str, ArrayLike],
    label: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike | None,
    methods: Sequence[str] = ("equal",),
    rule: str | Rule = DEFAULT_RULE,
    seed: int = 0,
    tuned: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Return for each of two or more members what the ensemble of (n,) probabilities is worth without it.

    The others are blended by ``methods`` of pooling.METHODS, one for each of the sorted folds or one for all, fitted
    without the fold it blends. Each row holds member, f1, auc and log_loss without it, and the difference in F1
    (without it less with it: below 0 the member is missed) with its standard error, se. With a single fold weights are
    equal and decisions are those at .5. Of a hold-out, ``tuned`` (n,) marks the rows that weights and threshold come
    from; the others are judged. An auc is None where there is one class only, an error where there is one group.
    Raises ``ValueError`` for fewer than two members, and what ``mean_prob`` and the rule raise.
    """
    if len(probs) < 2:
        raise ValueError(f"leaving one member out needs two or more; there is {', '.join(probs) or 'none'}")
    names = sorted(probs)
    table = np.stack([np.asarray(probs[name], np.float64) for name in names])
    judge = _Judge(label, fold, group, rule, seed, tuned)
    whole = judge(judge.blend(table, methods))
    rows = {}
    for left_out, name in enumerate(names):
        without = judge(judge.blend(np.delete(table, left_out, axis=0), methods))
        rows[name] = {"member": name, **without.figures, **judge.difference(without, whole)}
    return [rows[name] for name in probs]


def view_ablation(
    logits: Mapping[str, ArrayLike],
    views: Sequence[str],
    label: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike | None,
    weights: ArrayLike | None = None,
    rule: str | Rule = DEFAULT_RULE,
    seed: int = 0,
    tuned: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Return what the ensemble is worth under all test-time views, under each alone, and under all but each.

    ``logits``: each member's (V, n), a row for each of the V named ``views``; a member's logit is the mean over the
    views taken, the ensemble the mean probability by ``weights``: (m,) for the members in their order, (k, m) for each
    of the sorted folds, as in ``Blend.by_fold``, or None for equal ones. The rows, "all" first, hold views ("all", a
    name, or "all but" a name), f1, auc, log_loss, and the difference in F1 from all views with its standard error, se.
    "All but" comes only with three views or more: of two it is the other alone. For a single fold, and ``tuned``, see
    ``leave_one_out``. Raises ``ValueError`` for logits of another number of views, and what ``mean_logit``,
    ``mean_prob`` and the rule raise.
    """
    tables = {name: np.asarray(found, np.float64) for name, found in logits.items()}
    for name, table in tables.items():
        if table.ndim != 2 or len(table) != len(views):
            raise ValueError(f"logits of {name} must hold a row for each of {len(views)} views; they are {table.shape}")
    every = list(range(len(views)))
    taken = {"all": every}
    if len(views) > 1:
        taken |= {view: [at] for at, view in enumerate(views)}
    if len(views) > 2:
        taken |= {f"all but {view}": [other for other in every if other != at] for at, view in enumerate(views)}
    judge = _Judge(label, fold, group, rule, seed, tuned)
    by_fold = judge.by_fold(np.full(len(tables), 1 / len(tables)) if weights is None else weights)
    whole, rows = None, []
    for name, at in taken.items():
        probs = np.stack([sigmoid(mean_logit(table[at])) for table in tables.values()])
        found = judge(np.stack([mean_prob(probs, row) for row in by_fold]))
        whole = whole or found
        rows.append({"views": name, **found.figures, **judge.difference(found, whole)})
    return rows


@dataclass(frozen=True)
class _Judged:
    decision: NDArray[np.int64]
    figures: dict[str, float | None]


class _Judge:
    """Scores blends of the same rows in the same way."""

    def __init__(self, label, fold, group, rule: str | Rule, seed: int, tuned: ArrayLike | None) -> None:
        self.label, self.fold = check_binary("label", label), np.asarray(fold)
        check_same_length(label=self.label, fold=self.fold)
        self.group, self.rule, self.seed = check_group(group, self.label.size), rule, seed
        self.names, self.code = np.unique(self.fold, return_inverse=True)

        self.tuned = None if tuned is None else np.asarray(tuned, bool)

    def blend(self, table: NDArray[np.float64], methods: Sequence[str]) -> NDArray[np.float64]:
        """Return the (k, n) blends of (m, n) probabilities, row j by weights fitted without the j-th fold."""
        if self.tuned is not None:
            outside = [self.tuned]
        elif self.names.size > 1:
            outside = [self.fold != name for name in self.names]
        else:
            outside, methods = [np.ones(self.label.size, bool)], ("equal",)
        methods = list(methods) * (len(outside) if len(methods) == 1 else 1)
        return np.stack(
            [
                mean_prob(table, METHODS[method](table[:, rows], self.label[rows], self.group[rows], self.seed))
                for method, rows in zip(methods, outside, strict=True)
            ]
        )

    def by_fold(self, weights: ArrayLike) -> NDArray[np.float64]:
        weights = np.asarray(weights, np.float64)
        return np.broadcast_to(weights, (1 if self.tuned is not None else self.names.size, weights.shape[-1]))

    def __call__(self, oof: NDArray[np.float64]) -> _Judged:
        label = self.label
        if self.tuned is not None:
            cut = choose_threshold(
                own_rate(self.rule),
                label[self.tuned],
                oof[0][self.tuned],
                self.group[self.tuned],
                self.seed,
                oof[0][~self.tuned],
            )
            label, prob = label[~self.tuned], oof[0][~self.tuned]
            decision = (prob >= cut).astype(np.int64)
        elif self.names.size > 1:
            decision, _ = cross_fit(self.label, oof, self.fold, self.group, self.rule, self.seed)
            prob = own_score(by_fold(oof, self.names.size, self.label.size), self.code)
        else:
            prob, decision = oof[0], (oof[0] >= 0.5).astype(np.int64)
        figures = summary(label, prob, decision)
        defined = {key: None if np.isnan(figures[key]) else float(figures[key]) for key in ("f1", "auc", "log_loss")}
        return _Judged(decision, defined)

    def difference(self, one: _Judged, other: _Judged) -> dict[str, float | None]:
        judged = slice(None) if self.tuned is None else ~self.tuned
        difference, error = f1_difference(self.label[judged], one.decision, other.decision, self.group[judged])
        return {"difference": difference, "se": error if np.isfinite(error) else None}
