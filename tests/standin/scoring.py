"""How the stand-in judges a submitted file: what is wrong with it, or F1 of class 1 on both parts of the test set."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence


def judge(
    text: str, solution: Mapping[str, int], columns: tuple[str, str], public_fraction: float
) -> tuple[str, str, str]:
    """Return public score, private score and error of a file; the scores are '' where the error is not.

    The public leaderboard holds a fixed ``public_fraction`` of the solution's ids, whatever their order.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or sorted(rows[0]) != sorted(columns):
        return "", "", f"Submission must contain columns: {', '.join(columns)}"
    at, of = (rows[0].index(name) for name in columns)
    table = [row for row in rows[1:] if row]
    given = {row[at]: row[of] for row in table if len(row) == 2}
    if any(len(row) != 2 for row in table):
        error = "Submission could not be parsed: a row does not have 2 columns"
    elif len(given) != len(table):
        error = "Submission contains duplicate ids"
    elif len(table) != len(solution):
        error = f"Submission must have {len(solution)} rows (it has {len(table)})"
    elif unknown := sorted(set(given) - set(solution)):
        error = f"Submission contains ids that are not in the solution, such as {unknown[0]}"
    elif wrong := sorted(set(given.values()) - {"0", "1"}):
        error = f"Submission contains a value that is not a label: {wrong[0] or 'empty'}"
    else:
        shuffled = sorted(solution, key=lambda name: hashlib.sha256(name.encode()).digest())
        cut = round(public_fraction * len(shuffled))
        return _f1(given, solution, shuffled[:cut]), _f1(given, solution, shuffled[cut:]), ""
    return "", "", error


def _f1(given: Mapping[str, str], solution: Mapping[str, int], ids: Sequence[str]) -> str:
    """Return F1 of class 1 over these ids, with five digits as on Kaggle; 0 where no row is or is called 1."""
    claims = {name for name in ids if given[name] == "1"}
    truths = {name for name in ids if solution[name] == 1}
    return f"{2 * len(claims & truths) / (len(claims) + len(truths)) if claims or truths else 0:.5f}"
