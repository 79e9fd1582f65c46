"""A trained run's verdict on single pictures, whatever computes its members' logits: torch, or onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from competition.data.layouts.labels import is_positive
from competition.data.tta import TTA
from competition.inference.run_record import Record
from competition.scoring.blend.average import mean_logit, mean_prob
from competition.scoring.metrics import sigmoid


@dataclass(frozen=True)
class Verdict:
    """``prob``: of class 1, AI-made; ``positive``: whether it reaches the run's threshold.

    ``members``: each member's probability; ``views``: for each member, that of each of its test-time views alone.
    """

    prob: float
    positive: bool
    members: dict[str, float]
    views: dict[str, dict[str, float]]


class TrainedMember(Protocol):
    """One member of a finished run: pictures in, logits out."""

    def view_logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return float64 (views, n) logits, the mean of the member's models, of n uint8 (H, W, 3) pictures."""


Member = TypeVar("Member", bound=TrainedMember)


def verdict_words(classes: Sequence[str]) -> tuple[str, str]:
    """Return what to call pictures of class 0 and class 1: by which of them is AI's, else by their own names."""
    human, ai = "human-made", "AI-made"
    made_by_ai = [is_positive(name) for name in classes]
    if made_by_ai == [False, True]:
        return human, ai
    return (ai, human) if made_by_ai == [True, False] else (classes[0], classes[1])


class Classifier(Generic[Member]):
    """A finished run as a classifier of single pictures; ``members`` are in the run's order.

    ``words`` say what pictures of class 0 and of class 1 are.
    """

    def __init__(self, record: Record, members: Mapping[str, Member]):
        self.record, self.members, self.words = record, dict(members), verdict_words(record.classes)
        self.weights = {name: record.weights.get(name, 1.0) for name in self.members}  # a run of before had equal ones

    def classify(self, images: Sequence[np.ndarray]) -> list[Verdict]:
        """Return a verdict on each of n uint8 (H, W, 3) RGB pictures of any sizes (see data/images/decode.py)."""
        if not images:
            return []
        logits = {name: member.view_logits(images) for name, member in self.members.items()}
        probs = {name: sigmoid(mean_logit(found)) for name, found in logits.items()}
        blended = mean_prob(np.stack(list(probs.values())), list(self.weights.values()))
        names = [view.name for view in TTA[self.record.tta]]
        return [
            Verdict(
                prob=float(blended[row]),
                positive=bool(blended[row] >= self.record.threshold),
                members={member: float(prob[row]) for member, prob in probs.items()},
                views={
                    member: dict(zip(names, sigmoid(found[:, row]).tolist(), strict=True))
                    for member, found in logits.items()
                },
            )
            for row in range(len(images))
        ]
