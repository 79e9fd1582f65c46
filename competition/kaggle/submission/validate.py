"""A submission read back as strictly as Kaggle may read it: what is accepted here has one meaning, and the right one.

The bytes are judged, not what a lenient reader makes of them; the first thing wrong is one sentence with its line.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from competition.core.errors import UserError
from competition.core.text import counted, listed
from competition.scoring.leaderboard_metric import LabelMetric, find_metric

BOM = b"\xef\xbb\xbf"
# A cell, quoted or plain, and what follows it: a comma, a line feed, or the end of the text.
CELL = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\r\n]*+))(,|\n|\Z)')
NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class AnswerForm:
    """What may stand beside an id: ``name``, ``rule``, what it must be in words, and ``read``, its value or None."""

    name: str
    rule: str
    read: Callable[[str], float | None]


def _probability(cell: str) -> float | None:
    return value if NUMBER.fullmatch(cell) and 0 <= (value := float(cell)) <= 1 else None


LABELS = AnswerForm("label", "a label is 0 or 1, as a whole number", {"0": 0, "1": 1}.get)
PROBABILITIES = AnswerForm("probability", "a probability is a number from 0 to 1", _probability)


def form_of(metric: str) -> AnswerForm:
    """Return what is submitted for the metric of that name."""
    return LABELS if isinstance(find_metric(metric), LabelMetric) else PROBABILITIES


def read_submission(
    content: bytes, ids: Sequence[str], header: tuple[str, str], form: AnswerForm = LABELS, what: str = "The submission"
) -> list[float]:
    """Return a submission's answers, (m,), having seen that it holds exactly ``ids``, once each, in this order.

    ``header`` names its two columns, ``form`` says what an answer is. Cells may be quoted as CSV quotes them; the last
    line may lack its line feed; anything else is refused: another encoding, a byte-order mark, carriage returns, blank
    lines, further columns, spaces, labels such as 1.0. Raises UserError, which calls the file ``what``, for the first
    thing that is wrong.
    """
    lines = _rows(_text(content, what), what)
    _, found = next(lines)
    if found != list(header):
        raise UserError(
            f"{what} has the columns {listed(found, 8)} and must have {','.join(header)}, in this order "
            "and spelling: write that header."
        )
    wanted, answers = set(ids), []
    seen: dict[str, int] = {}  # the line of each id
    for line, cells in lines:
        where = f"{what}, line {line},"
        if len(cells) != 2:
            wrong = "is blank" if cells == [""] else f"has {counted(len(cells), 'cell')} where the header has 2"
            raise UserError(f"{where} {wrong}: correct that line.")
        one, cell = cells
        if one not in wanted:
            near = " (it has spaces around it)" if one.strip() in wanted else ""
            raise UserError(f"{where} has the id {one!r}, which is not in the test set{near}: correct that line.")
        if one in seen:
            raise UserError(f"{where} repeats the id {one!r} of line {seen[one]}: keep one row for each.")
        value = form.read(cell)
        if value is None:
            wrong = f"the {form.name} {cell!r}, and {form.rule}" if cell else f"no {form.name}"
            raise UserError(f"{where} has {wrong}: correct that line.")
        seen[one] = line
        answers.append(value)
    _check_ids(list(ids), seen, what)
    return answers


def _check_ids(ids: list[str], seen: dict[str, int], what: str) -> None:
    """Raise UserError unless ``seen``, ids of the test set with their lines, is all of it in its order."""
    if not seen:
        raise UserError(f"{what} has a header and no rows: write one row for each of the {len(ids):,} test ids.")
    missing = [one for one in ids if one not in seen]
    if missing:
        raise UserError(
            f"{what} has {counted(len(seen), 'row')} and lacks {counted(len(missing), 'id')} of the test "
            f"set's {len(ids):,}, first {missing[0]!r}: write one row for each."
        )
    for (one, line), due in zip(seen.items(), ids, strict=True):
        if one != due:
            raise UserError(
                f"{what}, line {line}, has the id {one!r} where the test set has {due!r}: all ids are "
                "there, but not in the test set's order, so sort the rows."
            )


def _text(content: bytes, what: str) -> str:
    if content.startswith(BOM):
        raise UserError(
            f"{what} starts with a byte-order mark (BOM), which would become part of its first column's "
            "name: save it as UTF-8 without one."
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{what} is not UTF-8 text (byte {error.start}): save it as a UTF-8 CSV.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{what}, line {line}, holds a zero byte, so it is not text: save it as a UTF-8 CSV.")
    if not text:
        raise UserError(f"{what} is empty: write it again.")
    return text


def _rows(text: str, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line (the header's is 1) and the cells of each row."""
    line, start, place = 1, 1, 0
    cells: list[str] = []
    while place < len(text) or cells:
        match = CELL.match(text, place)
        if match is None:
            raise UserError(_broken(text, place, f"{what}, line {line},"))
        quoted, plain, end = match.groups()
        cells.append(plain if quoted is None else quoted.replace('""', '"'))
        line += match[0].count("\n")
        place = match.end()
        if end != ",":
            yield start, cells
            start, cells = line, []


def _broken(text: str, place: int, where: str) -> str:
    """Return the sentence for a cell, at ``place``, that is no CSV."""
    quoted = text[place] == '"'
    whole = re.compile(r'"(?:[^"]|"")*+"' if quoted else r'[^",\r\n]*+').match(text, place)
    if whole is None:
        return f"{where} has a quote that is not closed: correct that line."
    if text[whole.end()] == "\r":
        return f"{where} ends with a carriage return (CR, as on Windows): save the file with plain line feeds (LF)."
    return f"{where} has a quote in the midst of a cell: put the whole cell in quotes, and double those within."
