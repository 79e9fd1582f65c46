"""A finished run at its visitors' service: what a page and a program ask for is judged here, under the same limits."""

import math
from typing import Any

import numpy as np

from competition.app.answer import Answer, Evidence, answer, verdict_on
from competition.app.limits import Allowance, Limits, Turns
from competition.core.text import counted
from competition.data.images.credentials import short_credentials
from competition.inference.classify import Classifier, verdict_row


class Service:
    """The run's classifier, its limits and, where the engine can tell, the evidence of a verdict.

    ``trust``: certificates of trusted signers, as in :func:`competition.data.images.credentials.read_credentials`.
    Addresses of visitors are None or text; any thread may call.
    """

    def __init__(self, classifier: Classifier, limits: Limits, evidence: Evidence | None = None, trust: str = ""):
        self.classifier, self.limits, self.evidence, self.trust = classifier, limits, evidence, trust
        self.allowance, self.turns = Allowance(limits.per_minute), Turns()

    def warm_up(self) -> None:
        """Read the models now, so that a missing one is an error here and the first answer comes at once."""
        self.classifier.classify([np.zeros((64, 64, 3), np.uint8)])

    def wait(self, address: str | None) -> int:
        """Take an image off a visitor's minute and return 0, or the seconds until the next one is taken."""
        return math.ceil(self.allowance.take(address))

    def too_many(self, seconds: int) -> str:
        """Return the sentence for a visitor who has to wait."""
        most = counted(self.limits.per_minute, "image")
        return f"This was not judged: a visitor has {most} a minute; try again in {counted(seconds, 'second')}."

    def show(self, raw: bytes, name: str) -> Answer:
        """Return the answer to an image file's bytes, with its pictures and facts."""
        with self.turns.next(patient=True):
            return answer(self.classifier, raw, name, self.limits.max_mb, self.evidence, self.trust)

    def judge(self, raw: bytes, name: str, patient: bool) -> dict[str, Any]:
        """Return the verdict on an image file's bytes as `predict` gives it, or ``error``, the sentence why there is
        none. Who is not ``patient`` raises Busy where too many wait."""
        with self.turns.next(patient):
            found = verdict_on(self.classifier, raw, name, self.limits.max_mb)
        if isinstance(found, str):
            return {"error": found}
        return verdict_row(self.classifier, name, found[1], short_credentials(raw, self.trust))
