"""The closing table: every member and the ensemble, one line each; and the lines that say whether to believe it."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from competition.audit.findings import AuditSummary
from competition.core.console import FILE_WIDTH, console
from competition.report.trust import METHODS, Analysis, ConditionScore, in_short
from competition.scoring.by_source import SourceScore
from competition.scoring.leaderboard_metric import LabelMetric, find_metric
from competition.scoring.scorecard import Score
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, Shift

WORTH = ("CV\ninterval", "leaderboard\nrange", "AUC", "log-loss", "threshold")
DETAIL = ("F1", "precision", "recall", "positive\nOOF", "positive\ntest", "time")
LABEL_WIDTH = 12  # of the word that a line below the table starts with
MAX_UNCERTAINTY = 0.4  # width of the interval of the test's positive rate, beyond which no number is printed
STYLES = {"alarm": "red", "warning": "yellow", DOMAIN_SHIFT: "bold red", LABEL_SHIFT: "yellow"}
MAX_SOURCES = 3  # that are named in the closing lines


def closing_tables(scores: Mapping[str, Score], seconds: Mapping[str, float], title: str, width: int) -> list[Table]:
    """Return each name's score, the last set apart: in one table, or in two where ``width`` columns are too few.

    Rates are shares of rows called positive; times are the sums of the jobs' own.
    """
    last = list(scores)[-1]
    cells = [
        ({"": name, **_cells(score, seconds[name])}, "bold" if name == last else None) for name, score in scores.items()
    ]
    metric = scores[last].metric.title
    worth, detail = ([column for column in half if column != metric] for half in (WORTH, DETAIL))
    return in_halves(cells, (["", metric, *worth], ["", *detail]), title, width, left=("",))


def in_halves(
    rows: Sequence[tuple[Mapping[str, str], str | None]],
    halves: tuple[Sequence[str], Sequence[str]],
    title: str,
    width: int,
    left: Sequence[str],
) -> list[Table]:
    """Return rows (cells by column, and rich's style) as one table, or as two where ``width`` columns are too few.

    Both ``halves`` of the columns start with the one that names a row; those in ``left`` start at the left.
    """
    first, second = halves
    tables = []
    for index, columns in enumerate([(*first, *second[1:])] if width >= FILE_WIDTH else halves):
        table = Table(title=None if index else title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
        for cells, style in rows:
            table.add_row(*(cells[column] for column in columns), style=style)
        tables.append(table)
    return tables


def _cells(score: Score, seconds: float) -> dict[str, str]:
    figures = score.figures
    return {
        score.metric.title: f"{score.value:.4f}",
        "F1": f"{figures['f1']:.4f}",
        "CV\ninterval": span(score.interval),
        "leaderboard\nrange": span(score.leaderboard),
        "AUC": f"{figures['auc']:.4f}",
        "log-loss": f"{figures['log_loss']:.4f}",
        "threshold": f"{score.threshold:.4f}",
        "precision": f"{figures['precision']:.4f}",
        "recall": f"{figures['recall']:.4f}",
        "positive\nOOF": f"{figures['predicted_positive_rate']:.1%}",
        "positive\ntest": "-" if score.test_rate is None else f"{score.test_rate:.1%}",
        "time": _duration(seconds),
    }


def span(ends: tuple[float, float] | None) -> str:
    """Return a range as it is printed."""
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def analysis_lines(analysis: Analysis) -> list[tuple[str, str | None]]:
    """Return what to print below the table, each line with rich's style or None.

    The verdict on the test set, how the threshold and the blend were chosen, F1 on changed images, the worst sources,
    and the audit's warnings and alarms. What is not known has no line.
    """
    lines: list[tuple[str, str | None]] = []
    if shift := analysis.shift:
        lines += [(line, STYLES.get(shift.verdict)) for line in _verdict(shift)]
    elif analysis.unjudged:
        lines.append((_labelled("World", "not judged", analysis.unjudged), None))
    if threshold := analysis.threshold:
        tuned = ", tuned on clean and degraded images" if threshold.on == "web" else ""
        if isinstance(find_metric(analysis.metric), LabelMetric):
            head = f"{threshold.rule} ({_short(threshold.value, 4)}){tuned}"
            lines.append((_labelled("Threshold", head, threshold.why), None))
        else:
            lines.append((_labelled("Submitted", f"probabilities {threshold.rule}", threshold.why), None))
    if blend := analysis.blend:
        weights = ", ".join(f"{member} {_short(weight, 2)}" for member, weight in blend.weights.items())
        fitted = "" if blend.method == "equal" else f" ({weights})"
        lines.append((_labelled("Blend", f"{METHODS[blend.method]}{fitted}", blend.why), None))
    lines += [(line, None) for line in _robustness(analysis.robustness)]
    if analysis.sources:
        lines.append((_labelled("Sources", _worst_sources(analysis.sources)), None))
    return lines + (list(_findings(analysis.audit)) if analysis.audit else [])


def _verdict(shift: Shift) -> list[str]:
    """Return the verdict, what it rests on where that is an alarm, and what to do."""
    if shift.verdict == DOMAIN_SHIFT:
        reasons = [item.sentence.rstrip(".") for item in shift.evidence if item.alarming]
        return [f"{shift.verdict.upper()}: {shift.remedy}", *(_labelled("", f"- {reason}") for reason in reasons)]
    seen, prior = "", shift.prior
    if prior and prior.high - prior.low > MAX_UNCERTAINTY:
        seen = "as far as can be told, for these scores hardly tell the classes apart"
    elif prior:
        shares = prior.value, prior.low, prior.high, prior.train
        value, low, high, train = (f"{100 * share:.{0 if max(shares) >= 0.1 else 1}f}" for share in shares)
        seen = f"test rows look like {value} % positive ({low}-{high} %), the training rows were {train} %"
    remedy = [_labelled("", shift.remedy)] if shift.verdict == LABEL_SHIFT and shift.remedy else []
    return [_labelled("World", shift.verdict, seen), *remedy]


def _robustness(suite: Sequence[ConditionScore]) -> list[str]:
    """Return what changed images cost in short, with the worst condition named, then F1 under each."""
    short = in_short(suite)
    if short is None:
        return []
    clean = f"{_short(short.clean.f1)} clean, " if short.clean else ""
    mean = f"{_short(short.mean_f1)} on average over {len(suite) - bool(short.clean)} conditions"
    lines = [f"F1 {clean}{mean}, {_short(short.worst.f1)} at worst ({short.worst.condition})"]
    if (most := short.most_false_positives) and most.false_positive_rate is not None:
        before = short.clean and short.clean.false_positive_rate
        rates = f"{before:.1%} clean, " if before is not None else ""
        lines.append(f"false positives {rates}{most.false_positive_rate:.1%} at worst ({most.condition})")
    each = ", ".join(f"{_short(score.f1)} {score.condition}" for score in suite if score is not short.clean)
    return [_labelled("Robustness", lines[0]), *(_labelled("", line) for line in [*lines[1:], f"F1 {each}"])]


def _worst_sources(sources: Sequence[SourceScore]) -> str:
    """Return the worst source's figure, and those of the next ones."""
    words = []
    for score in sources[:MAX_SOURCES]:
        name, value = source_figure(score)
        words.append(f"{score.source} ({name} {_short(value)})")
    return f"worst of {len(sources):,} at the submission's cut: {', '.join(words)}"


def source_figure(score: SourceScore) -> tuple[str, float]:
    """Return the figure that a source is told by: F1 of both classes, recall of class 1, false-positive rate of class
    0."""
    if score.f1 is not None:
        return "F1", score.f1
    if score.recall is not None:
        return "recall", score.recall
    return "false-positive rate", score.false_positive_rate or 0.0


def _findings(audit: AuditSummary) -> Iterator[tuple[str, str | None]]:
    """Yield a line for each alarm, and one that names the warnings, which stood in full at the run's start."""
    for finding in audit.findings:
        if finding.level == "alarm":
            text = f"{finding.what.rstrip('.')}. {finding.remedy}".strip()
            yield _labelled("Audit", f"ALARM {finding.name}", text), STYLES["alarm"]
    warnings = [finding.name for finding in audit.findings if finding.level == "warning"]
    if warnings:
        yield _labelled("Audit", f"warned of {', '.join(warnings)}"), STYLES["warning"]


def _labelled(label: str, head: str, rest: str = "") -> str:
    return f"{label:<{LABEL_WIDTH}}{head}" + (f": {rest}" if rest else "")


def _short(value: float, places: int = 3) -> str:
    """Return a figure below 1 without its leading zero: many of them stand in one line."""
    return f"{value:.{places}f}".removeprefix("0")


def show(label: str, text: str, style: str = "") -> None:
    """Print a line that starts with a label, in one of ``STYLES``."""
    console().print(_labelled(label, text), style=STYLES.get(style))
