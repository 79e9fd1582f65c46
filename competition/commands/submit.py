"""Submit to Kaggle: what was candidate and checked is shown, uploaded once, and followed until Kaggle has scored it.

./run.sh submit [file=CSV]               check, show, upload once and follow it: message= competition= yes=true
./run.sh submit kernel=OWNER/SLUG        the output of a notebook, for a code competition

Exit status, by Kaggle's list of submissions: 0 scored, 1 the user said no, 2 refused or not to be scored, 3 not known
yet.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from competition.core.console import console
from competition.core.errors import UserError
from competition.core.files import temporary_folder
from competition.core.intact import check_plain
from competition.core.paths import home, shown
from competition.kaggle.client.api import Kaggle
from competition.kaggle.submission.figures import Figures, Row, number, place
from competition.kaggle.submission.fingerprint import describe
from competition.kaggle.submission.ledger import ERROR, LEDGER, known_rows, new_row
from competition.kaggle.submit.admission import room
from competition.kaggle.submit.choose import OUTPUT, Candidate, SubmitOptions, choose, parse_submit
from competition.kaggle.submit.upload import Upload, alone, arrived, follow, send
from competition.report.terminal import analysis_lines, show, span


def main(words: Sequence[str]) -> int:
    """Submit; returns 0 once Kaggle has scored it, 1 where the user says no."""
    options = parse_submit(words)
    folder = home() / "submissions"
    check_plain(folder)
    with temporary_folder() as place:
        kaggle, candidate = choose(options, folder, place / OUTPUT)
        return _submit(options, kaggle, candidate, folder)


def _submit(options: SubmitOptions, kaggle: Kaggle, candidate: Candidate, folder: Path) -> int:
    _show_known(candidate)
    message = _message(options.message, candidate)
    row = new_row(candidate.figures, candidate.slug, candidate.file, candidate.mark) | {"message": message}
    words, known = (*candidate.words, f"--message={message}"), known_rows(folder, candidate.slug)
    upload = Upload(kaggle, folder, row, words, known, candidate.timeout)
    found, before = _already(upload, options.again)
    if found is None:
        for row in (row for row in before if row["status"] == ERROR):
            reason = f"which Kaggle could not score: {row['error'] or 'it gives no reason'}"
            show("Before", f"as {row['ref']} on {row['time']}, {reason}", "warning")
        left = room(kaggle, candidate.slug)
        show("Message", message)
        if not options.yes and not _agreed(f"Submit to {candidate.slug}{f' ({left})' if left else ''}? [y/N] "):
            print("Nothing was submitted.")
            return 1
        with alone(folder):
            found = send(upload, {row["ref"] for row in before})
        show("Accepted", f"as {found['ref']}, {options.wait:.0f} seconds at most for its score")
    else:
        show("Submitted", f"already, as {found['ref']} on {found['time']}, so not again (again=true would)")
    found = follow(upload, found, options.wait)
    if found["status"] == ERROR:
        raise UserError(
            f"Kaggle could not score the submission (reference {found['ref']}); it says: {found['error'] or 'nothing'}"
        )
    _show_score(found, candidate.figures)
    show("Ledger", f"{shown(folder / LEDGER)}; all of it: ./run.sh ledger")
    return 0


def _message(given: str, candidate: Candidate) -> str:
    figures = candidate.figures
    parts = [figures.name or Path(candidate.file).stem]
    parts += [] if figures.cv is None else [f"CV {figures.cv:.4f}"]
    return describe(given, parts + ([figures.commit] if figures.commit else []), candidate.mark)


def _already(upload: Upload, again: bool) -> tuple[Row | None, list[Row]]:
    """Return the submission of the same that counts, if there is one, else all that there are.

    That is one that an earlier line uploaded without seeing what came of it, and, unless the user wants it ``again``,
    any that is not in error.
    """
    age, seen = upload.earlier()
    listed = upload.look()
    if age is not None and all(row["ref"] in seen for row in listed):
        arrived(upload, age, seen)
        listed = upload.look()
    for row in reversed(listed):
        if (age is not None and row["ref"] not in seen) or (not again and row["status"] != ERROR):
            return row, []
    return None, listed


def _agreed(question: str) -> bool:
    """Ask; UserError where there is nobody to answer."""
    if not sys.stdin.isatty():
        raise UserError("Nobody can be asked whether to submit, for this is not a terminal: add yes=true to submit.")
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _show_known(candidate: Candidate) -> None:
    """Print what to see before it is too late."""
    figures = candidate.figures
    show("Submission", candidate.summary)
    if candidate.analysis:
        threshold = "unknown" if figures.threshold is None else f"{figures.threshold:.4f}"
        cv = (
            "CV unknown"
            if figures.cv is None
            else f"CV {figures.scored_by.title} {figures.cv:.4f} ({span(figures.interval)})"
        )
        ends = f"leaderboard range {span(figures.leaderboard)}, threshold {threshold}"
        show("Card", f"{figures.name}: {cv}, {ends}, commit {figures.commit or 'unknown'}")
        for text, style in analysis_lines(candidate.analysis):
            console().print(text, style=style)
    else:
        show("Card", "none, so nothing is known of what this is worth", "warning")
    for warning in candidate.warnings:
        show("Warning", warning, "warning")


def _show_score(row: Row, figures: Figures) -> None:
    """Print the score beside what was known beforehand."""
    public, cv = number(row["public"]), figures.cv
    private = f", private {row['private']}" if row["private"] else ""
    show("Score", f"public {row['public'] or 'not shown'}{private}")
    if where := place(public, figures.leaderboard):
        ends = f"the leaderboard range {span(figures.leaderboard)}"
        if where == "inside":
            show("", f"inside {ends}")
        else:
            show("", f"OUTSIDE, {where} {ends}", "alarm")
    if public is not None and cv is not None:
        show("", f"CV {cv:.4f} ({span(figures.interval)}), gap {public - cv:+.4f}")
