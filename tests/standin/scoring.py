"""How the stand-in judges a submitted file: what is wrong with it, or its score on both parts of the test set."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence

F1, ACCURACY, AUC, LOG_LOSS = "F1 Score", "Categorization Accuracy", "Area Under Receiver Operating Curve", "Log Loss"
OF_LABELS = (F1, ACCURACY)


def judge(
    text: str, solution: Mapping[str, int], columns: tuple[str, str], public_fraction: float, metric: str = F1
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
    elif metric in OF_LABELS and (wrong := sorted(set(given.values()) - {"0", "1"})):
        error = f"Submission contains a value that is not a label: {wrong[0] or 'empty'}"
    elif wrong := sorted(cell for cell in set(given.values()) if not _is_probability(cell)):
        error = f"Submission contains a value that is not a probability: {wrong[0] or 'empty'}"
    else:
        shuffled = sorted(solution, key=lambda name: hashlib.sha256(name.encode()).digest())
        cut = round(public_fraction * len(shuffled))
        public, private = (_score(metric, given, solution, ids) for ids in (shuffled[:cut], shuffled[cut:]))
        return public, private, ""
    return "", "", error


def _is_probability(cell: str) -> bool:
    try:
        return 0 <= float(cell) <= 1
    except ValueError:
        return False


def _score(metric: str, given: Mapping[str, str], solution: Mapping[str, int], ids: Sequence[str]) -> str:
    """Return the score over these ids, with five digits as on Kaggle; of none it is 0."""
    from sklearn import metrics  # takes a second

    truth, answer = [solution[name] for name in ids], [float(given[name]) for name in ids]
    scorers = {
        F1: lambda: metrics.f1_score(truth, answer, zero_division=0),
        ACCURACY: lambda: metrics.accuracy_score(truth, answer),
        AUC: lambda: metrics.roc_auc_score(truth, answer),
        LOG_LOSS: lambda: metrics.log_loss(truth, answer, labels=[0, 1]),
    }
    return f"{scorers[metric]() if ids else 0:.5f}"
