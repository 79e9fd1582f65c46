"""What is accepted is the submission that the test set asks for, and nothing else; what is refused says why."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.kaggle.submission.validate import LABELS, PROBABILITIES, form_of, read_submission
from competition.kaggle.submission.write import submission_bytes

HEADER = ("id", "label")
IDS = ["a", "b", "c"]
GOOD = b"id,label\na,0\nb,1\nc,1\n"

# Python before 3.13 writes a lone carriage return without quotes, so that no reader can tell it from the end of a line.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=6)
TRICKY = st.text(st.sampled_from('a,"\n 01é.'), min_size=1, max_size=4)
SETS = st.lists(TEXT | TRICKY, min_size=1, max_size=6, unique=True)

DAMAGED = {
    "missing id": (b"id,label\na,0\nc,1\n", "has 2 rows and lacks 1 id of the test set's 3, first 'b'"),
    "extra id": (b"id,label\na,0\nb,1\nd,1\nc,1\n", "line 4, has the id 'd', which is not in the test set"),
    "permuted": (b"id,label\nb,1\na,0\nc,1\n", "line 2, has the id 'b' where the test set has 'a'"),
    "duplicated": (b"id,label\na,0\nb,1\nb,1\nc,1\n", "line 4, repeats the id 'b' of line 3"),
    "float labels": (b"id,label\na,0.0\nb,1.0\nc,1.0\n", "line 2, has the label '0.0', and a label is 0 or 1"),
    "probabilities": (b"id,label\na,0\nb,0.7\nc,1\n", "line 3, has the label '0.7'"),
    "another class": (b"id,label\na,0\nb,2\nc,1\n", "line 3, has the label '2'"),
    "NaN": (b"id,label\na,0\nb,nan\nc,1\n", "line 3, has the label 'nan'"),
    "empty label": (b"id,label\na,0\nb,\nc,1\n", "line 3, has no label"),
    "wrong header": (b"id,target\na,0\nb,1\nc,1\n", "has the columns id, target and must have id,label"),
    "header in another case": (b"ID,Label\na,0\nb,1\nc,1\n", "has the columns ID, Label"),
    "columns the other way round": (b"label,id\n0,a\n1,b\n1,c\n", "has the columns label, id"),
    "no header": (b"a,0\nb,1\nc,1\n", "has the columns a, 0"),
    "row index": (b",id,label\n0,a,0\n1,b,1\n2,c,1\n", "has the columns (unnamed), id, label"),
    "BOM": (b"\xef\xbb\xbf" + GOOD, "byte-order mark"),
    "CRLF": (GOOD.replace(b"\n", b"\r\n"), "line 1, ends with a carriage return"),
    "CRLF in one line": (GOOD.replace(b"b,1\n", b"b,1\r\n"), "line 3, ends with a carriage return"),
    "CR": (GOOD.replace(b"\n", b"\r"), "line 1, ends with a carriage return"),
    "quoted CRLF": (b'"id","label"\r\n"a",0\r\n', "line 1, ends with a carriage return"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "is not UTF-8 text (byte 0)"),
    "zero byte": (GOOD.replace(b"b,", b"b\0,"), "line 3, holds a zero byte"),
    "spaces around an id": (GOOD.replace(b"b,", b"b ,"), "line 3, has the id 'b ', which is not in the test set (it"),
    "space before a label": (GOOD.replace(b"b,1", b"b, 1"), "line 3, has the label ' 1'"),
    "blank line": (GOOD.replace(b"b,1\n", b"b,1\n\n"), "line 4, is blank"),
    "blank last line": (GOOD + b"\n", "line 5, is blank"),
    "three cells": (GOOD.replace(b"b,1", b"b,1,1"), "line 3, has 3 cells where the header has 2"),
    "semicolons": (GOOD.replace(b",", b";"), "has the columns id;label"),
    "no rows": (b"id,label\n", "a header and no rows"),
    "empty": (b"", "is empty"),
    "cut short": (GOOD[:-3], "line 4, has 1 cell where"),
    "open quote": (GOOD.replace(b"b,", b'"b,'), "line 3, has a quote that is not closed"),
    "stray quote": (GOOD.replace(b"b,", b'b",'), "line 3, has a quote in the midst of a cell"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_submission_is_refused_with_its_line_and_value(damage):
    content, reason = DAMAGED[damage]
    with pytest.raises(UserError) as refused:
        read_submission(content, IDS, HEADER, what="mine.csv")
    assert str(refused.value).startswith("mine.csv") and reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_last_line_may_lack_its_line_feed_and_cells_may_be_quoted():
    assert read_submission(GOOD, IDS, HEADER) == [0, 1, 1]
    assert read_submission(GOOD[:-1], IDS, HEADER) == [0, 1, 1]
    assert read_submission(b'"id","label"\n"a",0\n"b","1"\n"c",1\n', IDS, HEADER) == [0, 1, 1]


@given(SETS, st.data())
def test_no_valid_submission_is_refused_whatever_its_ids(ids, data):
    label = data.draw(st.lists(st.integers(0, 1), min_size=len(ids), max_size=len(ids)))
    content = submission_bytes(ids, np.array(label), HEADER)
    assert read_submission(content, ids, HEADER) == label
    text = io.StringIO()
    pd.DataFrame({"id": ids, "label": label}).to_csv(text, index=False, lineterminator="\n")
    assert read_submission(text.getvalue().encode(), ids, HEADER) == label


EDIT = st.tuples(
    st.integers(0, 200),
    st.integers(0, 8),
    st.binary(max_size=3)
    | st.sampled_from([b"\r", b"\r\n", b"\n", b'"', b",", b" ", b"1.0", b"nan", b"\xef\xbb\xbf", b"id", b"a,1\n"]),
)


@given(SETS, st.lists(EDIT, min_size=1, max_size=3))
@example(["a", "b"], [(10, 0, b'"'), (14, 0, b"\r"), (16, 0, b'"')])
def test_no_invalid_submission_is_accepted(ids, edits):
    """Where changed bytes are accepted, they are those of a valid submission, quotes and the last line feed aside."""
    content = submission_bytes(ids, np.arange(len(ids)) % 2, HEADER)
    for place, gone, put in edits:
        place %= len(content) + 1
        content = content[:place] + put + content[place + gone :]
    try:
        found = read_submission(content, ids, HEADER)
    except UserError:
        return
    valid = submission_bytes(ids, np.array(found), HEADER)
    assert bare(content) == bare(valid)
    read = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    assert list(read.columns) == list(HEADER) and read["id"].tolist() == ids
    assert read["label"].tolist() == [str(one) for one in found]


def bare(content):
    return content.removesuffix(b"\n").replace(b'"', b"")


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), min_size=0, max_size=6))
def test_rows_in_any_other_order_or_number_are_refused(order, rows):
    ids = ["a", "b", "c", "d"]
    for chosen in (list(order), rows):
        content = b"id,label\n" + b"".join(f"{ids[row]},1\n".encode() for row in chosen)
        if chosen == [0, 1, 2, 3]:
            assert read_submission(content, ids, HEADER) == [1, 1, 1, 1]
        else:
            with pytest.raises(UserError):
                read_submission(content, ids, HEADER)


@pytest.mark.parametrize("cell", ["0", "1", "0.5", ".25", "1e-05", "0.123456789"])
def test_probabilities_are_numbers_from_0_to_1(cell):
    content = GOOD.replace(b"b,1", f"b,{cell}".encode())
    assert read_submission(content, IDS, HEADER, PROBABILITIES) == [0, float(cell), 1]


@pytest.mark.parametrize("cell", ["-0.1", "1.5", "nan", "inf", " 0.5", "0,5", "1e5", "1_0", "0x1", "", "half"])
def test_what_is_no_probability_is_named_with_its_line(cell):
    content = GOOD.replace(b"b,1", b'b,"' + cell.encode() + b'"')
    with pytest.raises(UserError, match=r"line 3, has (no probability|the probability .*, and a probability is a num)"):
        read_submission(content, IDS, HEADER, PROBABILITIES, "mine.csv")


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_probabilities_that_are_written_are_read_back(prob):
    content = submission_bytes(IDS, np.array(prob), HEADER, PROBABILITIES)
    assert read_submission(content, IDS, HEADER, PROBABILITIES) == pytest.approx(prob, rel=1e-8)


def test_a_metric_says_what_is_submitted():
    assert [form_of(name) for name in ("f1", "fbeta:2", "mcc", "accuracy")] == [LABELS] * 4
    assert [form_of(name) for name in ("auc", "log_loss", "brier")] == [PROBABILITIES] * 3
