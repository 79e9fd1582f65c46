"""Print every submission as Kaggle has it now, beside its CV, and say which of both to go by.

./run.sh ledger                          every submission: CV beside the leaderboard, and which of them to trust

Exit status 3: Kaggle could not be reached, and the ledger is printed as it was.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.console import console
from competition.core.errors import Unfinished, UserError
from competition.core.intact import check_plain
from competition.core.options import bounded, parse
from competition.core.paths import home, shown
from competition.kaggle.client.retry import Unreachable
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.submission import ledger
from competition.kaggle.submission.figures import Row, figures_in, place
from competition.kaggle.submission.final_two import FinalTwo, choose_final_two
from competition.kaggle.submission.ledger_table import called, leaderboard_figure, ledger_tables, points_of
from competition.kaggle.submit.admission import connect
from competition.kaggle.submit.upload import listed
from competition.report.terminal import STYLES, show, span
from competition.scoring.leaderboard_metric import F1

PICTURE = "ledger.png"


@dataclass(frozen=True)
class LedgerOptions:
    """Which submissions, and whether Kaggle is asked about them."""

    competition: str = ""  # Kaggle's name of a competition, or its address; default: all that were submitted to
    offline: bool = False  # print what is known without asking Kaggle
    wait: float = bounded(120.0, 0, 1e9)  # seconds over which Kaggle's errors are borne


def main(words: Sequence[str]) -> None:
    """Bring the ledger up to date, print it and draw it. Raises Unfinished, after printing what there is, where Kaggle
    cannot be reached, and UserError where it cannot be asked."""
    options = parse(words, LedgerOptions)
    folder = home() / "submissions"
    check_plain(folder)
    rows = ledger.read_ledger(folder / ledger.LEDGER)
    known = list(dict.fromkeys(row["competition"] for row in rows if row["competition"]))
    named_slug = slug_in(options.competition)
    slugs = [named_slug] if named_slug else known
    if not slugs:
        print("Nothing is submitted yet: ./run.sh submit does. Made elsewhere: ./run.sh ledger competition=SLUG")
        return
    trouble: UserError | None = None
    if not options.offline:
        try:
            _refresh(folder, slugs, options.wait)
        except UserError as error:
            trouble = error
    rows = ledger.read_ledger(folder / ledger.LEDGER)
    for slug in slugs:
        own = [row for row in rows if row["competition"] == slug]
        if own or trouble is None:  # of one that could not be asked nothing is known
            _print(own, slug)
    if trouble is not None and not isinstance(trouble, Unreachable):
        raise trouble  # a refusal leaves no picture
    _draw(rows, slugs, folder / PICTURE)
    if trouble is not None:
        raise Unfinished(f"This is the ledger as it was: {trouble}") from trouble


def _refresh(folder: Path, slugs: Sequence[str], wait: float) -> None:
    kaggle = connect(wait)
    for slug in slugs:
        found, known = listed(kaggle, slug), ledger.known_rows(folder, slug)
        with ledger.open_ledger(folder) as rows:
            ledger.settle(rows, slug, found, known, ledger.now())


def _ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["time"], row["ref"]))


def _decided(rows: Sequence[Row]) -> tuple[FinalTwo, dict[str, Row]]:
    """Return which score to go by, and the scored submissions by key, of a file submitted twice the newest."""
    by_key = {figures_in(row).key: row for row in rows if row["status"] == ledger.COMPLETE}
    return choose_final_two([figures_in(row) for row in by_key.values()]), by_key


def _print(rows: Sequence[Row], slug: str) -> None:
    out, rows = console(), _ordered(rows)
    if not rows:
        out.print(f"{slug}: nothing is submitted yet.")
        return
    for table in ledger_tables(rows, slug, out.width):
        out.print(table)
    out.print()
    for text, style in map(_remark, rows):
        if text:
            out.print(text, style=STYLES.get(style))
    _print_choice(rows)


def _remark(row: Row) -> tuple[str, str]:
    """Return what is to be said of one submission, or "", and in which style."""
    one, name = figures_in(row), called(row)
    if row["status"] == ledger.ERROR:
        return f"{name} could not be scored: {row['error'] or 'Kaggle gives no reason'}", "alarm"
    if row["status"] == ledger.REFUSED:
        return f"{name} was refused: {row['error']}", "alarm"
    if row["status"] == ledger.UPLOADING:
        why = "its upload was cut short, and may be repeated"
        return f"{name} is not on Kaggle's list: {why}: {_again(row)}", "warning"
    if row["status"] == ledger.PENDING:
        return f"{name} is not scored yet", ""
    ranges = {"CV interval": one.interval, "leaderboard range": one.leaderboard}
    outside = [
        f"{place(one.public, ends)} its {what} {span(ends)}"
        for what, ends in ranges.items()
        if ends and one.public is not None and place(one.public, ends) != "inside"
    ]
    if not outside:
        return "", ""
    style = "alarm" if "leaderboard" in outside[-1] else "warning"
    return f"{name}: public {one.public:.4f} is {' and '.join(outside)}", style


def _again(row: Row) -> str:
    """Return the line that submits what a row is about."""
    kernel = re.fullmatch(r"([\w-]+/[\w-]+) version (\d+)", row["file"])
    words = [f"kernel={kernel[1]}", f"version={kernel[2]}"] if kernel else [f"file={row['file']}"]
    return f"./run.sh {shlex.join(['submit', *words, 'competition=' + row['competition']])}"


def _print_choice(rows: Sequence[Row]) -> None:
    chosen, by_key = _decided(rows)
    if by_key:
        show("Trust", f"{chosen.by}: {chosen.why}")
        first, *second = [called(by_key[key]) for key in chosen.keys]
        show("Final two", f"{first}, the best by {chosen.by}")
        for name in second:
            show("", f"{name}, {chosen.second}")


def _draw(rows: Sequence[Row], slugs: Sequence[str], path: Path) -> None:
    """Draw the competition that was submitted to last, of those asked for with both scores, if there is one."""
    for row in reversed(_ordered([row for row in rows if row["competition"] in slugs])):
        slug = row["competition"]
        own = [one for one in _ordered(rows) if (one["competition"], one["status"]) == (slug, ledger.COMPLETE)]
        metric = figures_in(own[-1]).scored_by if own else F1
        if points := points_of([one for one in own if figures_in(one).scored_by.name == metric.name]):
            leaderboard_figure(points, _decided(own)[0].keys, metric.title, path)
            show("Picture", shown(path) + (f" ({slug})" if len(slugs) > 1 else ""))
            return
