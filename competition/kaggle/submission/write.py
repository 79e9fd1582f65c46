"""An atomic submission CSV, the card that says how it was made, and a copy under a constant name."""

import datetime
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.core.files import atomic_write, fingerprint, holds
from competition.core.intact import kept_record, write_record_file
from competition.kaggle.submission.validate import LABELS, PROBABILITIES, AnswerForm

LATEST = "submission.csv"


def submission_bytes(
    ids: Sequence[str], answer: np.ndarray, header: tuple[str, str], form: AnswerForm = LABELS
) -> bytes:
    """Return the CSV of a submission: one row an id, in this order, with its label as an integer, or its probability.

    ``answer`` (m,) holds what ``form`` says. Raises ValueError when ids repeat or are not as many as answers, a label
    is neither 0 nor 1, or a probability is outside [0, 1].
    """
    answer = np.asarray(answer)
    if len(ids) != len(answer) or len(set(ids)) != len(ids):
        raise ValueError(f"{len(ids)} ids ({len(set(ids))} distinct) and {len(answer)} answers are not one-to-one")
    floating = form is PROBABILITIES
    right = (answer >= 0) & (answer <= 1) if floating else np.isin(answer, (0, 1))
    if not right.all():
        raise ValueError(f"{'probabilities lie in [0, 1]' if floating else 'labels are 0 or 1'}: {answer[~right][0]}")
    cells = [f"{value:.9g}" for value in answer] if floating else answer.astype(int)  # more than float32 tells apart
    text = io.StringIO()
    pd.DataFrame({header[0]: list(ids), header[1]: cells}).to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def in_short(answer: np.ndarray, form: AnswerForm) -> str:
    """Return what a submission's answers (m,) are like, in a few words."""
    if form is PROBABILITIES:
        return f"probabilities from {answer.min():.4f} to {answer.max():.4f}, {answer.mean():.1%} on average"
    return f"{answer.mean():.1%} positive"


def write_submission(
    folder: Path, name: str, content: bytes, card: dict[str, Any], provenance: dict[str, Any]
) -> tuple[Path, bool]:
    """Put a submission and its card into ``folder``/<name>/, and a copy into ``folder``/submission.csv.

    A submission with the same bytes and an equal card that stands already is not written again, whatever its
    ``provenance`` (versions, commit). Returns the CSV's path and whether it is new. The card is written last: a CSV
    without one was cut short and is completed by the next run.
    """
    key = fingerprint(content, card)
    for path in sorted((folder / name).glob("*.json"), reverse=True):
        stored = kept_record(path)
        csv = path.with_suffix(".csv")
        if stored.get("fingerprint") == key and holds(csv, content):
            _copy_latest(content, folder / LATEST)
            return csv, False
    csv = _unfinished(folder / name, content) or _fresh_path(folder / name)
    with atomic_write(csv, "wb") as file:
        file.write(content)
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    made = {"fingerprint": key, "created": created, "sha256": hashlib.sha256(content).hexdigest()}
    write_record_file(csv.with_suffix(".json"), {**made, **card, **provenance})
    _copy_latest(content, folder / LATEST)
    return csv, True


def _unfinished(folder: Path, content: bytes) -> Path | None:
    """Find the CSV with these bytes that a killed run left without its card."""
    left = (csv for csv in folder.glob("*.csv") if not csv.with_suffix(".json").exists())
    return next((csv for csv in left if holds(csv, content)), None)


def _fresh_path(folder: Path) -> Path:
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    path, count = folder / f"{stamp}.csv", 1
    while path.exists():
        path, count = folder / f"{stamp}-{count}.csv", count + 1
    return path


def _copy_latest(content: bytes, latest: Path) -> None:
    if not holds(latest, content):
        with atomic_write(latest, "wb") as file:
            file.write(content)
