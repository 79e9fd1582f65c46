"""YAML that anyone may have written gives plain data or one line that says why not, soon."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.core.yaml_text import MAX_DEPTH, MAX_VALUES, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [1, 2.5, null, true, b]", {"a": [1, 2.5, None, True, "b"]}),
        ("2001-01-01", "2001-01-01"),
        ("[2001-99-99]", ["2001-99-99"]),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
    ],
)
def test_plain_data_comes_as_it_is_and_a_date_as_text(text, value):
    found = parse_yaml(text)
    assert value is None or found == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{1: 2}", "the key 1 is not text"),
        ("&a [*a]", "within each other"),
        ("[" * 100_000, "within each other"),
        ("- " * 100_000, "within each other"),
        ("!!set {a}", "neither text"),
        ("!!binary aGk=", "neither text"),
        ("!!timestamp x", "NoneType"),
        ("!!int x", "invalid literal"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ('"a\\0b"', "NUL"),
        ("[a", "expected"),
        ("{[1]: 2}", "unhashable"),
        ("9" * 5000, "digits"),
        ("a: 1\nb: {c: 1, c: 2}", "'c' stands there twice"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{new}: &{new} [{', '.join(f'*{old}' for _ in range(10))}]\n"
                for old, new in zip("abcde", "bcdef", strict=True)
            ),
            f"more than {MAX_VALUES:,} values",
        ),
    ],
)
def test_anything_else_is_refused_in_a_line_and_soon(text, reason):
    began = time.process_time()
    with pytest.raises(ValueError, match=reason) as refused:
        parse_yaml(text)
    assert "\n" not in str(refused.value) and time.process_time() - began < 2


@given(st.text(alphabet="[]{}:,&*!?|>-'\"\n #%@`ab1.~<", max_size=40))
def test_any_text_gives_plain_data_or_a_reason(text):
    try:
        parse_yaml(text)
    except ValueError as error:
        assert "\n" not in str(error)
