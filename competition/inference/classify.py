"""A trained run's verdict on single pictures, whatever computes its members' logits: torch, or onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from competition.data.layouts.class_names import is_positive
from competition.data.tta import TTA
from competition.inference.run_record import Record
from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_logit, mean_prob

# Of a verdict's row, in order; each member's probability follows under its name.
COLUMNS = ("file", "verdict", "probability", "threshold", "unlike", "credentials")


@dataclass(frozen=True)
class Verdict:
    """``prob``: of class 1, AI-made; ``positive``: whether it reaches the run's threshold.

    ``members``: each member's probability; ``views``: for each member, that of each of its test-time views alone.
    ``unlike``: for each member that knows, how far the picture is from those it knows of, in percent of them
    (:class:`competition.scoring.unlikeness.KnownFeatures`).
    """

    prob: float
    positive: bool
    members: dict[str, float]
    views: dict[str, dict[str, float]]
    unlike: dict[str, float] = field(default_factory=dict)

    @property
    def unlikeness(self) -> float | None:
        """The median of the members' percentiles, None where no member knows: where it is ``UNLIKE`` or more, the
        verdict means little."""
        return float(np.median(list(self.unlike.values()))) if self.unlike else None


@dataclass(frozen=True)
class Seen:
    """What a member makes of n pictures: ``logits`` float64 (views, n), the mean of its models', and ``unlike`` float64
    (n,), the mean of their percentiles (see ``Verdict``), None where none of them kept images to compare with."""

    logits: np.ndarray
    unlike: np.ndarray | None


@dataclass(frozen=True)
class Network:
    """What a member is, for people: its ``backbone``, what its view ``sees`` of a picture in words, and the side of the
    square that it sees, in pixels."""

    backbone: str
    sees: str
    image_size: int


class TrainedMember(Protocol):
    """One member of a finished run. ``batch``: the pictures that it is best given at a time, where there are many."""

    batch: int

    @property
    def network(self) -> Network:
        """What the member is."""

    def see(self, images: Sequence[np.ndarray]) -> Seen:
        """Return what the member's models make of n uint8 (H, W, 3) pictures."""


AnyMember = TypeVar("AnyMember", bound=TrainedMember)


def verdict_words(classes: Sequence[str]) -> tuple[str, str]:
    """Return what to call pictures of class 0 and class 1: by which of them is AI's, else by their own names."""
    human, ai = "human-made", "AI-made"
    made_by_ai = [is_positive(name) for name in classes]
    if made_by_ai == [False, True]:
        return human, ai
    return (ai, human) if made_by_ai == [True, False] else (classes[0], classes[1])


class Classifier(Generic[AnyMember]):
    """A finished run as a classifier of single pictures; ``members`` are in the run's order.

    ``words`` say what pictures of class 0 and of class 1 are.
    """

    def __init__(self, record: Record, members: Mapping[str, AnyMember]):
        self.record, self.members, self.words = record, dict(members), verdict_words(record.classes)
        self.batch = max((member.batch for member in self.members.values()), default=1)
        self.weights = {name: record.weights.get(name, 1.0) for name in self.members}  # a run of before had equal ones

    @property
    def networks(self) -> dict[str, Network]:
        """What each member is."""
        return {name: member.network for name, member in self.members.items()}

    def classify(self, images: Sequence[np.ndarray]) -> list[Verdict]:
        """Return a verdict on each of n uint8 (H, W, 3) RGB pictures of any sizes (see data/images/decode.py)."""
        if not images:
            return []
        seen = {name: member.see(images) for name, member in self.members.items()}
        probs = {name: sigmoid(mean_logit(found.logits)) for name, found in seen.items()}
        blended = mean_prob(np.stack(list(probs.values())), list(self.weights.values()))
        names = [view.name for view in TTA[self.record.tta]]
        return [
            Verdict(
                prob=float(blended[row]),
                positive=bool(blended[row] >= self.record.threshold),
                members={member: float(prob[row]) for member, prob in probs.items()},
                views={
                    member: dict(zip(names, sigmoid(found.logits[:, row]).tolist(), strict=True))
                    for member, found in seen.items()
                },
                unlike={
                    member: float(found.unlike[row])
                    for member, found in seen.items()
                    if found.unlike is not None and np.isfinite(found.unlike[row])
                },
            )
            for row in range(len(images))
        ]


def verdict_row(classifier: Classifier[AnyMember], file: str, verdict: Verdict, credentials: str) -> dict[str, Any]:
    """Return what is told of a file in JSON and CSV: probabilities to six decimals, and each member's by its name.

    ``credentials``: its Content Credentials in a few words, an empty text where it has none.
    """
    values = (
        file,
        classifier.words[verdict.positive],
        round(verdict.prob, 6),
        round(classifier.record.threshold, 6),
        None if verdict.unlikeness is None else round(verdict.unlikeness, 1),
        credentials,
    )
    members = {name: round(prob, 6) for name, prob in verdict.members.items()}
    return dict(zip(COLUMNS, values, strict=True)) | members
