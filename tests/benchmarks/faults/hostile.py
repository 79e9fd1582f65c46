"""Words, values and texts that a user, a script or a stranger may hand over, from the usual to the malicious."""

import dataclasses
from typing import Any, get_args

import numpy as np

from competition.core.options import kind_words

LONG, DEEP = 5000, 3000  # characters of a long name, and levels of a deep nesting

# As a value on the command line, or as a name.
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "2",
        "3.5",
        "1e3",
        "1e400",
        "-1e-400",
        "nan",
        "inf",
        "-inf",
        "1_000",
        "0x10",
        "0b1",
        "0o7",
    ),
    *("01", "+5", "1,5", "1e", "9" * 400, "true", "false", "True", "yes", "null", "None", "~", "auto", "none", "all"),
    *("0..4", "4..0", "0..999999999", "0,,1", "0..", "..", "full", "full,0", "-1..1", "0..1..2", "0,0,0"),
    *("/", ".", "..", "../..", "/dev/null", "/dev/zero", "/proc/self/mem", "/etc", "~", "~nobody", "~/x", "//x", "a/b"),
    *("sets/csv", "sets/classes", "sets/pixels", "sets", "sets/csv/train.csv", "sets/tiny.yaml", "submissions"),
    *("tiny", "other", "half", "new", "tiny,other", "tiny,tiny", ",", "a,b,c", "tiny,half", "demo", "small", "wai2025"),
    *(
        "jpeg:96",
        "jpeg:",
        "jpeg:0",
        "jpeg:1e9",
        "prior:0.3",
        "prior:",
        "prior:2",
        "prior:nan",
        "0.5",
        "holdout:0.7,0.3",
    ),
    *(
        "holdout:",
        "holdout:1",
        "holdout:nan,1",
        "holdout:0.5,0.5,0.5",
        "by-source",
        "column:label",
        "column:",
        "column:x",
    ),
    *(
        "pairs",
        "auto+pairs",
        "folders",
        "20x20x3",
        "4x4x3",
        "0x0x0",
        "1x",
        "x",
        "99999x99999x3",
        "resnet18",
        "small_cnn",
    ),
    *("[]", "{}", "[", "{", "[[", "[1,[2,[3]]]", "{a: 1}", "{1: 2}", "{a: {b: [1]}}", "[null]", "[~, {}]", "{null: 1}"),
    *("[2001-99-99]", "[2001-01-01]", "{a: 2001-99-99}", "[&a [*a]]", "&a [*a]", "{a: &x {b: *x}}", "[*unknown]"),
    *(
        "[!!python/object:os.system x]",
        "!!binary aGk=",
        "[!!set {a}]",
        "{? [1]: 2}",
        "[.nan, .inf]",
        "[12:30:45]",
        "{: }",
    ),
    *("${epochs}", "${oc.env:HOME}", "${", "???", "${a.b}", "[${lr}]", "$HOME", "%s", "{0}", "{name}", "\\n", "\\x00"),
    *("a\nb", "a\rb", "a\tb", "\x1b[31mred\x1b[0m", "\x07", "\x7f", "\u202etxt", "\u200b", "\ufeffx", "\u2028", "\x85"),
    *(
        "é",
        "e\u0301",
        "日本",
        "😀",
        "ß",
        "İ",
        "ﬁ",
        "\udcff",
        "a\udc80b",
        "\U0010ffff",
        "'",
        '"',
        "''",
        "`x`",
        "; ls",
        "&&",
    ),
    *("-", "--", "-h", "--x=1", "=", "==", "a=b=c", "#", "# x", "*", "?", "[a-z]", "\\", "%00", "<", "|", "x" * 300),
    *(
        "x" * LONG,
        "é" * 200,
        "[" * DEEP,
        "{a: " * DEEP,
        "[" * DEEP + "]" * DEEP,
        "a." * 500,
        "/".join("x" * 900),
        "9" * LONG,
    ),
    *("http://127.0.0.1:9/x", "file:///etc/passwd", "owner/kernel", "con", "nul.txt", "a" * 255 + "/b", "x/" * 2000),
)

# As a value in a YAML file.
NODES = (
    *(text for text in TEXTS if "\n" not in text and text.isprintable()),
    *(
        "!!timestamp 2001-99-99",
        "2001-99-99",
        "2001-01-01T25:61:00Z",
        "12:30:45",
        "0o17",
        "0x1G",
        ".nan",
        "-.inf",
        "1e999",
    ),
    *("!!float x", "!!int x", "!!bool x", "!!null x", "!!omap [a: 1]", "!!pairs [a: 1]", "!!set {a, b}", "!!binary ]["),
    *(
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "!custom x",
        "! x",
        "!<tag:x> y",
        "@x",
        "`x`",
    ),
    *(
        "&a [*a, *a]",
        "&a {b: *a}",
        "*nothing",
        "{<<: {a: 1}}",
        "{<<: [1]}",
        "{<<: &a {<<: *a}}",
        "{a: 1, a: 2}",
        "{[1, 2]: 3}",
    ),
    *(
        "{{a: 1}: 2}",
        "{true: 1}",
        "{1.5: 1}",
        "{2001-01-01: 1}",
        "{~: 1}",
        "{'': 1}",
        "{a.b: 1}",
        "{é: 1}",
        "{'\u202e': 1}",
    ),
    *(
        "|",
        ">",
        "|\n    text",
        "- a",
        "'unclosed",
        '"unclosed',
        '"\\0"',
        '"\\uD800"',
        '"\\x1b[31m"',
        '"a\\nb"',
        '"\\q"',
    ),
    *(
        "[[[[[[[[[[]]]]]]]]]]",
        "{a: {b: {c: {d: {e: {f: 1}}}}}}",
        "? a\n? b",
        "--- x",
        "...",
        "%TAG",
        "\t",
        "a: b: c",
        "[,]",
        "{,}",
    ),
)

# Whole files that are to be YAML.
DOCUMENTS = (
    *(
        b"",
        b" ",
        b"\n",
        b"# nothing\n",
        b"---\n",
        b"---\n---\n",
        b"a: 1\n---\nb: 2\n",
        b"...\n",
        b"- a\n",
        b"text\n",
        b"1\n",
    ),
    *(
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"%YAML 9.9\n---\na: 1\n",
        b"%BOGUS\n",
        b"\xef\xbb\xbfepochs: 2\n",
        b"epochs: 2\x00\n",
    ),
    *(
        "epochs: 2\n".encode("utf-16"),
        "name: é\n".encode("latin-1"),
        b"\xff\xfe",
        b"\x00" * 100,
        b"\x80\x81",
        b"epochs: 2\r\n",
    ),
    *(
        b"epochs: 2\repochs: 3\r",
        b"epochs:\t2\n",
        b"\tepochs: 2\n",
        b"epochs: 2\n epochs: 3\n",
        b"epochs: 2\nepochs: 3\n",
    ),
    *(b"a: &a [1, 1]\n" + b"".join(b"%c: &%c [*%c, *%c, *%c]\n" % (n + 1, n + 1, n, n, n) for n in range(97, 105)),),
    *(
        b"members: &a\n  plain: *a\n",
        b"backbone_args: &a {b: *a}\n",
        b"1: 2\n",
        b"null: 1\n",
        b"? [a]\n: 1\n",
        b"members: [a]\n",
    ),
    *(
        b"[" * DEEP,
        b"{a: " * DEEP,
        b"a: " + b"[" * DEEP + b"]" * DEEP,
        b"- " * DEEP + b"x",
        b"x" * 100_000,
        b"\x1b[31m: 1\n",
    ),
    *(b"'\\n': 1\n", b'"a\\nb": 1\n', b"<<: 1\n", b"<<: {epochs: 2}\n", b"!!python/object/apply:os.system ['true']\n"),
)


def pick(rng: np.random.Generator, items: Any) -> Any:
    """Return one of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def proper(rng: np.random.Generator, item: dataclasses.Field) -> str:
    """Return a value that a setting's type, choices and bounds allow, its bounds more often than what lies between."""
    kind = next(iter(get_args(item.type)), item.type)
    if choices := item.metadata.get("choices"):
        return str(pick(rng, choices))
    if bounds := item.metadata.get("bounds"):
        value = pick(rng, [*bounds, *bounds, item.default, rng.uniform(*bounds), bounds[0] + 1, bounds[1] * 1.01 + 1])
        return "" if value is None else str(int(value) if kind is int else value)
    words = kind_words(item.type)
    if words == "true or false":
        return pick(rng, ["true", "false"])
    return str(rng.integers(0, 1000)) if words in ("a number", "a whole number") else str(pick(rng, TEXTS))


def drawn(rng: np.random.Generator, item: dataclasses.Field) -> str:
    """Return a value for a setting: proper in one of two cases, anything in the other."""
    return proper(rng, item) if rng.random() < 0.5 else pick(rng, TEXTS)


def misspelt(rng: np.random.Generator, word: str) -> str:
    """Return a word with one character gone, doubled, swapped with the next or exchanged."""
    at = int(rng.integers(len(word))) if word else 0
    before, here, after = word[:at], word[at : at + 1], word[at + 1 :]
    return pick(
        rng, [before + after, before + here * 2 + after, before + after[:1] + here + after[1:], before + "x" + after]
    )
