"""How much each member counts in the mean probability: equal weights, unless fitted ones prove better on other rows.

Promises: weights are non-negative and sum to 1; those that blend a fold, and the very choice of how to fit them, never
saw that fold; and neither the order of the rows nor that of the members matters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from competition.scoring.arrays import Bools, Codes, Floats, check_prob
from competition.scoring.best_threshold import best_threshold
from competition.scoring.blend.average import mean_prob
from competition.scoring.blend.weights import METHODS, equal, recalibrated_loss
from competition.scoring.groups import grouped_error
from competition.scoring.judge import Judged, compare
from competition.scoring.leaderboard_metric import LabelMetric
from competition.scoring.rows import OofRows, stacked

MIN_GAIN = 1e-6  # nats: members that are copies of each other differ by rounding alone, without any error
AS_SET = "as set"
PARTS = 5  # of whole groups, where there are no folds to cross-fit over


@dataclass(frozen=True)
class BlendChoice:
    """How the weights are fitted and why, as a card holds it: ``method``, and the ``weights`` by member that it gives.

    By method: ``value`` of the rows' metric, cross-fitted; ``log_loss``, cross-fitted and recalibrated, in nats;
    ``se``, the standard error, by groups, of its difference from that of equal weights. All three are empty where there
    was nothing to choose from; ``why`` gives the reason.
    """

    method: str
    why: str
    weights: dict[str, float] = field(default_factory=dict)
    value: dict[str, float] = field(default_factory=dict)
    log_loss: dict[str, float] = field(default_factory=dict)
    se: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Blend:
    """How the members are blended. Columns of ``by_fold`` are the members in the order of the weights.

    The weights of ``choice``, for the test set, are fitted by its method on all rows that may be fitted on. Row j of
    ``by_fold`` (k, m) belongs to the j-th of the sorted fold names: fitted on all rows but that fold's, by
    ``fold_methods[j]``, the method which those rows alone choose; row j of ``oof`` (k, n) is all rows blended by it.
    Both have the single row of the weights where there is but one fold, and for a hold-out.
    """

    choice: BlendChoice
    by_fold: Floats
    fold_methods: tuple[str, ...]
    oof: Floats


def choose_blend(members: Mapping[str, OofRows], seed: int = 0, method: str | None = None) -> Blend:
    """Choose how to blend the probabilities of members, who share all else of their rows.

    The rule: of the methods whose cross-fitted, recalibrated log-loss is better than equal weights' by more than one
    standard error, and whose cross-fitted score, by the rows' metric, is not worse by more than one, the one with the
    best score; where there is none, equal weights. Log-loss admits because F1 is too noisy to: simulated at 500 rows
    and five folds, members of equal quality keep equal weights 93 to 98 times of 100 (by F1 77 to 85), and a useless
    one of three is pruned 98 times (by F1 70). The metric decides because it is what is scored. The choice is made once
    for the test set, on all rows, and once for each fold, on all other rows, cross-fitted over the folds among them
    (over PARTS parts of whole groups if that is but one). With one fold there are no rows to fit on, and the weights
    are equal; so they are where rows of one class only are left. Of a hold-out the choice is made on the rows that are
    not held out, over PARTS parts; the others, which judge the blend, take no part, but ``oof`` (1, n) is of all rows.
    A ``method`` that is given, one of weights.METHODS, is taken without a choice. Raises ``ValueError`` for no members,
    members of other rows, and probabilities outside [0, 1].
    """
    chooser = _Chooser(members, seed)
    rows = chooser.rows
    if rows.held_out is None and rows.folds < 2:
        weights = equal(chooser.probs, rows.label, rows.group)
        choice = BlendChoice("equal", "with a single fold no other rows are left to fit any on")
        return _blend(members, choice, weights, weights[None], ("equal",))
    if rows.held_out is None:
        everywhere, outside = np.ones(rows.fold.size, bool), [rows.fold != k for k in range(rows.folds)]
    else:
        everywhere = ~rows.held_out
        outside = [everywhere]
    if method is not None:
        choice, methods = BlendChoice(method, AS_SET), (method,) * len(outside)
    elif rows.held_out is None:
        choice = chooser.choose(everywhere, rows.fold)
        parts = [rows.fold if rows.folds > 2 else chooser.parts(mask) for mask in outside]
        methods = tuple(chooser.choose(mask, part).method for mask, part in zip(outside, parts, strict=True))
    else:
        choice = chooser.choose(everywhere, chooser.parts(everywhere))
        methods = (choice.method,)
    by_fold = np.stack([chooser.weights(method, mask) for method, mask in zip(methods, outside, strict=True)])
    return _blend(members, choice, chooser.weights(choice.method, everywhere), by_fold, methods)


def _blend(
    members: Mapping[str, OofRows], choice: BlendChoice, weights: Floats, by_fold: Floats, methods: tuple[str, ...]
) -> Blend:
    choice = replace(choice, weights=dict(zip(members, weights.tolist(), strict=True)))
    table = stacked(members)[1]
    return Blend(choice, by_fold, methods, np.stack([mean_prob(table, row) for row in by_fold]))


class _Chooser:
    """Fits weights on some of the rows, and chooses a way to; members in the order of their names, so that their own
    says nothing."""

    def __init__(self, members: Mapping[str, OofRows], seed: int) -> None:
        self.rows, self.seed, names = stacked(members)[0], seed, sorted(members)
        self.probs = np.stack([check_prob(f"probs of {name}", members[name].prob) for name in names])
        self._back = [names.index(name) for name in members]
        self._fitted: dict[tuple[str, bytes], Floats] = {}

    def weights(self, method: str, mask: Bools) -> Floats:
        """Return the weights fitted on the masked rows, members in the caller's order."""
        return self._fit(method, mask)[self._back]

    def _fit(self, method: str, mask: Bools) -> Floats:
        # The rows without folds i and j serve the choices for both.
        key = method, mask.tobytes()
        if key not in self._fitted:
            group = np.unique(self.rows.group[mask], return_inverse=True)[1]
            self._fitted[key] = METHODS[method](self.probs[:, mask], self.rows.label[mask], group, self.seed)
        return self._fitted[key]

    def parts(self, mask: Bools) -> Codes:
        """Return (n,) parts: the groups of the masked rows, divided evenly into PARTS at random."""
        part = np.zeros(mask.size, np.intp)
        names, group = np.unique(self.rows.group[mask], return_inverse=True)
        part[mask] = (np.random.default_rng([self.seed, 2]).permutation(names.size) % PARTS)[group]
        return part

    def choose(self, mask: Bools, part: Codes) -> BlendChoice:
        """Return the choice of a method on the masked rows alone, cross-fitted over their parts."""
        turns = [(mask & (part == name), mask & (part != name)) for name in np.unique(part[mask])]
        if len(self.probs) < 2:
            return BlendChoice("equal", "there is nothing to weigh a single member against")
        if not turns or any(np.unique(self.rows.label[others]).size < 2 for _, others in turns):
            return BlendChoice("equal", "too few rows of both classes are left to fit others on")
        rows = self.rows.subset(mask)
        judged = {method: self._judge(method, turns) for method in METHODS}
        losses = {method: loss[mask] for method, (loss, _) in judged.items()}
        return _pick(losses, {method: _answers(rows, losses[method], judged[method][1][mask]) for method in METHODS})

    def _judge(self, method: str, turns: Sequence[tuple[Bools, Bools]]) -> tuple[Floats, Bools]:
        """Return each row's log-loss and decision by the weights, recalibration and threshold of the other parts."""
        loss, decision = np.zeros(self.rows.label.size), np.zeros(self.rows.label.size, bool)
        for inside, others in turns:
            rows = self.rows.with_prob(mean_prob(self.probs, self._fit(method, others)))
            loss[inside] = recalibrated_loss(rows, others, inside, self.seed)
            if isinstance(rows.metric, LabelMetric):
                cut, _ = best_threshold(rows.label[others], rows.prob[others], rows.metric)
                decision[inside] = rows.prob[inside] >= cut
        return loss, decision


def _answers(rows: OofRows, loss: Floats, decision: Bools) -> Judged:
    """Return the answers of rows with these log-losses, each of which tells the recalibrated probability."""
    prob = np.where(rows.label, np.exp(-loss), -np.expm1(-loss))
    return Judged(rows.with_prob(prob), decision.astype(np.int64), np.full(loss.size, 0.5))


def _pick(losses: Mapping[str, Floats], answers: Mapping[str, Judged]) -> BlendChoice:
    """Apply the rule of ``choose_blend`` to each method's losses and answers of the same rows."""
    rows, title = answers["equal"].rows, answers["equal"].rows.metric.title
    scores = {name: float(loss.mean()) for name, loss in losses.items()}
    value = {name: found.value for name, found in answers.items()}
    gain = {name: scores["equal"] - scores[name] for name in losses if name != "equal"}
    se, admitted = {"equal": 0.0}, []
    for name in gain:
        difference = losses["equal"] - losses[name]
        se[name] = grouped_error((difference - difference.mean()) / rows.label.size, rows.group)
        better, error = compare(answers[name], answers["equal"])
        if gain[name] > max(se[name], MIN_GAIN) and better >= -error:
            admitted.append(name)
    gains = ", ".join(f"{name} {gain[name]:+.4f}, standard error {se[name]:.4f}" for name in gain)
    best = max(admitted, key=lambda name: rows.metric.sign * value[name], default="equal")
    if best == "equal":
        why = f"no fitted weights gain clearly in cross-fitted log-loss without losing {title} ({gains})"
    else:
        why = (
            f"the best cross-fitted {title}, {value[best]:.4f} (equal weights {value['equal']:.4f}), of those that "
            f"gain more than a standard error in cross-fitted log-loss ({gains})"
        )
    return BlendChoice(best, why, value=value, log_loss=scores, se=se)
