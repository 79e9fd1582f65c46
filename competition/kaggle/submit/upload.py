"""Sending one submission by the Kaggle command line, and believing Kaggle's own list alone about what came of it.

The list is read before every attempt and after every one, so that nothing is submitted twice; the ledger is written
before the first, so that a line that is cut short anywhere is picked up by the next.
"""

import contextlib
import re
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from competition.core.errors import Unfinished, UserError
from competition.core.locks import only_one
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import CliReply, run_cli
from competition.kaggle.client.retry import Unreachable
from competition.kaggle.submission import ledger
from competition.kaggle.submission.figures import Row
from competition.kaggle.submission.fingerprint import marks_in

ATTEMPTS = 3
BACKOFF = 2.0  # seconds before the second attempt, tripled before the next
SECOND_LOOK = 3.0  # seconds after which the list is read again before an attempt counts as failed
LISTED_WITHIN = 60.0  # seconds in which an upload that the command line calls done must appear on the list
ARRIVAL_SECONDS = 10.0  # seconds in which one that was cut short on its way may still appear, before that is left open
ARRIVES_WITHIN = 60.0  # seconds after its end in which one that an earlier line cut short may still appear
PAUSES = 2.0, 15.0  # the first and the longest between two looks at a score in the making, in seconds
MIN_BYTES_PER_SECOND = 20_000  # that an upload makes at least
# What the command line prints where nobody refused: its own failed upload, and errors that may pass.
TROUBLE = re.compile(
    r"Could not submit to competition|Traceback|\b5\d\d Server Error|\b429\b|too many requests|unavailable|internal"
    r"|gateway|timed? ?out|try again|connection",
    re.IGNORECASE,
)
HANGING = re.compile(r"gateway|timed? ?out", re.IGNORECASE)  # Kaggle may be at work on the request all the same


@dataclass(frozen=True)
class Upload:
    """A submission to be made: ``row`` is its line in the ledger of ``folder`` (see ledger.new_row), with its message;
    ``words`` those of the command line after ``competitions submit SLUG``; ``known`` the rows that the fingerprints of
    other files stand for. ``timeout``: seconds that the command line may take."""

    kaggle: Kaggle
    folder: Path
    row: Row
    words: tuple[str, ...]
    known: Mapping[str, Row]
    timeout: float

    @property
    def slug(self) -> str:
        """The competition."""
        return self.row["competition"]

    def look(self) -> list[Row]:
        """Read Kaggle's list into the ledger; return the rows on it that carry this fingerprint, the newest last."""
        found = listed(self.kaggle, self.slug)
        with ledger.open_ledger(self.folder) as rows:
            ledger.settle(rows, self.slug, found, {**self.known, self.row["fingerprint"]: self.row}, ledger.now())
            own = [dict(row) for row in rows if row["ref"] and self._same(row)]
        return sorted(own, key=lambda row: (row["time"], row["ref"]))

    def earlier(self) -> tuple[float | None, set[str]]:
        """Return how many seconds ago an earlier line was last known to upload this, of which it did not live to see
        what came (None where there is no such line), and the references under which the ledger knows this."""
        with ledger.open_ledger(self.folder) as rows:
            own = [row for row in rows if self._same(row)]
        cut = [row for row in own if row["status"] == ledger.UPLOADING and not row["ref"]]
        age = min((ledger.seconds_since(row["time"]) for row in cut), default=None)
        return age, {row["ref"] for row in own if row["ref"]}

    def note(self, **changes: str) -> None:
        """Change the row of this submission, which is not on Kaggle's list yet."""
        with ledger.open_ledger(self.folder) as rows:
            for row in rows:
                if self._same(row) and not row["ref"]:
                    row |= changes

    def _same(self, row: Row) -> bool:
        mark = self.row["fingerprint"]
        marks = {row["fingerprint"]} if row["fingerprint"] else marks_in(row["message"])
        return row["competition"] == self.slug and mark in marks


def listed(kaggle: Kaggle, slug: str) -> list[Row]:
    """Return the user's submissions to a competition, of each the cells of the ledger that Kaggle knows."""
    return [
        {
            "ref": str(one.ref),
            "time": one.date.strftime(ledger.TIME) if one.date else "",
            "message": one.description or "",
            "file": one.file_name or "",
            "status": one.status.name.lower(),
            "public": one.public_score or "",
            "private": one.private_score or "",
            "error": one.error_description or "",
        }
        for one in kaggle.submissions(slug)
    ]


def alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other lines of this folder from uploading meanwhile; UserError where one does."""
    return only_one(
        folder / ".submit.lock",
        patience=0,
        busy="Another ./run.sh submit is uploading from this folder: wait for it to end, then repeat the same line.",
    )


def send(upload: Upload, before: Collection[str]) -> Row:
    """Submit, and return the row that Kaggle's list has of it; ``before`` are references that were on it already.

    What failed is tried again, but for what may still arrive. Raises UserError with Kaggle's reason where it refuses,
    and Unfinished where it is not known what came of it, or nothing did: the same line may then be repeated later, for
    it reads the list first.
    """
    if found := _fresh(upload, before):
        return found
    with ledger.open_ledger(upload.folder) as rows:
        ledger.begin(rows, upload.row, ledger.now())
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                time.sleep(BACKOFF * 3 ** (attempt - 1))
                if found := _fresh(upload, before):
                    return found
            reply = _attempt(upload)
            if found := _read_back(upload, before, reply):
                return found
        except Unreachable as error:
            raise Unfinished(
                "It is not known yet whether Kaggle accepted the submission; the same line finds out, and "
                f"never submits it twice: {error}"
            ) from error
        reason = f"no end of it in {upload.timeout:.0f} seconds" if reply.status is None else reply.last
        _stop_unless_repeatable(upload, reply, reason)
        print(
            f"Attempt {attempt + 1} of {ATTEMPTS} failed ({reason}); Kaggle's list has nothing of it.", file=sys.stderr
        )
    raise Unfinished(
        f"Kaggle took no submission in {ATTEMPTS} attempts ({reason}), and its list has nothing of them: repeat the "
        "same line later, which looks there first."
    )


def _stop_unless_repeatable(upload: Upload, reply: CliReply, reason: str) -> None:
    """Raise Unfinished for an attempt that may still arrive, and UserError for one that Kaggle refused."""
    if _hanging(reply):
        raise Unfinished(
            f"The upload was cut short ({reason}), and Kaggle's list has nothing of it yet, but it may still arrive: "
            "repeat the same line in a minute, which reads the list first."
        )
    if not _trouble(reply):
        upload.note(status=ledger.REFUSED, error=reply.last)
        raise UserError(
            f"Kaggle refuses the submission to {upload.slug}, and nothing was submitted; it says: {reply.last}"
        )


def arrived(upload: Upload, age: float, seen: Collection[str]) -> None:
    """Keep reading Kaggle's list until it has what a line cut short ``age`` seconds ago may have sent, or that can be
    expected no more; ``seen`` are the references that the ledger knew. UserError where that line is still at work."""
    until = time.monotonic() + max(SECOND_LOOK, ARRIVES_WITHIN - age)
    with alone(upload.folder):
        print(
            f"An earlier line was cut short {age:.0f} s ago and may still arrive: looking for "
            f"{until - time.monotonic():.0f} s more.",
            file=sys.stderr,
            flush=True,
        )
        while time.monotonic() < until and not _fresh(upload, seen):
            time.sleep(min(SECOND_LOOK, max(0.0, until - time.monotonic())))


def _attempt(upload: Upload) -> CliReply:
    """Let the command line upload, and keep in the ledger when it was last at work, however that ends."""
    upload.note(time=ledger.now())
    try:
        return run_cli(["competitions", "submit", upload.slug, *upload.words, "--quiet"], upload.timeout)
    finally:
        upload.note(time=ledger.now())


def _fresh(upload: Upload, before: Collection[str]) -> Row | None:
    return next((row for row in reversed(upload.look()) if row["ref"] not in before), None)


def _read_back(upload: Upload, before: Collection[str], reply: CliReply) -> Row | None:
    """Look for the submission on Kaggle's list: once where it was refused, twice in trouble, longer where it may still
    arrive or the command line calls it done; Unfinished where that is not confirmed."""
    done = reply.status == 0 and not _trouble(reply)
    late = min(ARRIVAL_SECONDS, upload.timeout)
    patience = LISTED_WITHIN if done else late if _hanging(reply) else SECOND_LOOK if _trouble(reply) else 0.0
    started = time.monotonic()
    while (found := _fresh(upload, before)) is None:
        if time.monotonic() - started >= patience:
            break
        time.sleep(SECOND_LOOK)
    if found is None and done:
        raise Unfinished(
            f"The Kaggle command line says '{reply.last}', but Kaggle's list does not show the submission "
            f"after {LISTED_WITHIN:.0f} seconds: repeat the same line later, which reads the list first."
        )
    return found


def _trouble(reply: CliReply) -> bool:
    """Return whether an attempt may fare better when repeated: Kaggle has not refused it."""
    return reply.status is None or bool(TROUBLE.search(reply.text))


def _hanging(reply: CliReply) -> bool:
    """Return whether nobody knows if Kaggle is still at work on the attempt."""
    return reply.status is None or bool(HANGING.search(reply.last))


def follow(upload: Upload, row: Row, wait: float) -> Row:
    """Return the row of an accepted submission once Kaggle has scored it, or said why it cannot; Unfinished after
    ``wait`` seconds, over which errors of Kaggle's own are borne."""
    deadline = time.monotonic() + wait
    accepted = f"The submission is accepted (reference {row['ref']}) and not scored yet"
    pause, max_pause = PAUSES
    with tqdm(bar_format="Scoring     {elapsed}", disable=None, leave=False) as bar:
        while row["status"] == ledger.PENDING:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unfinished(f"{accepted} after {wait:.0f} seconds: ./run.sh ledger picks it up later.")
            time.sleep(min(pause, left))
            pause = min(1.5 * pause, max_pause)
            upload.kaggle.patience = max(1.0, deadline - time.monotonic())
            try:
                row = next((one for one in upload.look() if one["ref"] == row["ref"]), row)
            except Unreachable as error:
                raise Unfinished(f"{accepted}; ./run.sh ledger picks it up: {error}") from error
            bar.update()
    return row
