"""How many images carry Content Credentials, of which class and kind: a shortcut, where one class alone is signed."""

from collections.abc import Iterator

from competition.audit.findings import Finding
from competition.audit.inputs import AuditInputs
from competition.data.images.credentials import PACKAGE, UNVERIFIED


def credentials_findings(inputs: AuditInputs) -> Iterator[Finding]:
    """Yield the note ``content-credentials``: how many files of each class, and of test, carry them, and of which kind.

    The kinds are the marks of :class:`competition.data.images.credentials.Credentials`. Whether they tell the classes
    apart is for the finding ``credentials``. Nothing is yielded where no file that was looked at carries any.
    """
    if inputs.facts is None:
        return
    marks = inputs.facts["credentials"]
    rows = inputs.rows.loc[marks.index]
    part = rows["label"].map({0: "class 0", 1: "class 1"}).where(rows["set"] == "train", "test")
    carried = marks[marks.map(lambda mark: isinstance(mark, str))]
    if carried.empty:
        return
    counts = {
        name: {str(mark): int(n) for mark, n in carried[part[carried.index] == name].value_counts().items()}
        for name in ("class 1", "class 0", "test")
    }
    told = [_told(name, counts[name], int((part == name).sum())) for name in counts]
    unverified = bool((carried == UNVERIFIED).any())
    yield Finding(
        "content-credentials",
        "note",
        f"Files carry Content Credentials: {'; '.join(filter(None, told))}.",
        (f"Install {PACKAGE} to have them verified. " if unverified else "")
        + "No model sees them; where they hold, they say by themselves how a picture was made (./run.sh predict).",
        counts,
        inputs.select(carried.index, credentials=carried.to_numpy()),
    )


def _told(name: str, marks: dict[str, int], looked_at: int) -> str:
    kinds = f" ({', '.join(f'{mark} {count:,}' for mark, count in marks.items())})" if marks else ""
    return f"{sum(marks.values()):,} of {looked_at:,} of {name}{kinds}" if looked_at else ""
