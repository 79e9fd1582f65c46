"""What becomes of single files: bytes flipped, cut, emptied or exchanged, values changed, and things that are no files.

Each function changes one path in place, and returns in words what it did.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.faults.hostile import LONG, TEXTS, pick

Spoiler = Callable[[np.random.Generator, Path], str]

NAMES = (  # a file's, as bytes: all that the system lets pass
    *(
        b" ",
        b".png",
        b"..png",
        b"-rf.png",
        b"a b.png",
        b"a\nb.png",
        b"a\rb.png",
        b"\x1b[2J.png",
        b"\x07.png",
        b"\t.png",
    ),
    *(
        b"a,b.png",
        b'"q".png',
        b"'q'.png",
        b"a;b.png",
        b"a\\b.png",
        b"*.png",
        b"[a].png",
        b"%00.png",
        b"{x}.png",
        b"~.png",
    ),
    *(
        b"\xff\xfe.png",
        b"caf\xe9.png",
        "é.png".encode(),
        "e\u0301.png".encode(),
        "日本.png".encode(),
        "😀.png".encode(),
    ),
    *(
        "\u202egnp.png".encode(),
        "\u2028.png".encode(),
        "\ufeff.png".encode(),
        b"x" * 251 + b".png",
        b"CON.png",
        b"a.PNG",
        b"a.JpG",
    ),
    *(b"=1+1.png", b"#.png", b"?.png", b"train.csv.png", b"-.png", b"\x7f.png", b"[red]x.png", b"0.png", b"007.png"),
)


def flipped(rng: np.random.Generator, path: Path) -> str:
    """Flip one to eight bits."""
    content = bytearray(path.read_bytes() or b"\0")
    places = [int(rng.integers(len(content))) for _ in range(int(rng.integers(1, 9)))]
    for place in places:
        content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return f"{len(places)} bits flipped near byte {min(places)}"


def cut(rng: np.random.Generator, path: Path) -> str:
    """Cut a file's end off."""
    size = int(rng.integers(path.stat().st_size + 1))
    os.truncate(path, size)
    return f"cut to {size} bytes"


def emptied(rng: np.random.Generator, path: Path) -> str:
    """Leave nothing, or zeros alone, as a power cut does."""
    size = path.stat().st_size if rng.random() < 0.5 else 0
    path.write_bytes(b"\0" * size)
    return f"{size} zeros"


def grown(rng: np.random.Generator, path: Path) -> str:
    """Append a copy of the content, or bytes without sense."""
    more = path.read_bytes() if rng.random() < 0.5 else rng.bytes(50)
    path.write_bytes(path.read_bytes() + more)
    return f"{len(more)} bytes appended"


def gone(rng: np.random.Generator, path: Path) -> str:
    """Remove it."""
    path.unlink()
    return "removed"


def exchanged(rng: np.random.Generator, path: Path) -> str:
    """Put something else in its place: a folder, a link to itself, to nowhere or to a device, a pipe, a socket."""
    path.unlink()
    kind = pick(rng, ["folder", "itself", "nowhere", "zero", "pipe", "socket", "above", "huge"])
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path) if len(os.fspath(path)) > 100 else os.fspath(path))
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(200 * 10**9)
    else:
        path.symlink_to({"itself": path.name, "nowhere": "gone", "zero": "/dev/zero", "above": ".."}[kind])
    return f"now a {kind}"


def restricted(rng: np.random.Generator, path: Path) -> str:
    """Take permissions away (which root does not feel)."""
    mode = int(pick(rng, [0o000, 0o200, 0o111, 0o444]))
    path.chmod(mode)
    return f"mode {mode:o}"


def retold(rng: np.random.Generator, path: Path) -> str:
    """Change what a JSON file says: a key gone, new or of another name, a value of another kind."""
    try:
        tree = json.loads(path.read_text())
    except ValueError:
        return flipped(rng, path)
    place, holder, key = _somewhere(rng, tree)
    if holder is None:
        path.write_text(json.dumps(pick(rng, [None, [], {}, 1, "x", [[]]])))
        return "another value altogether"
    kind = pick(rng, ["gone", "other", "other", "other", "new"])
    if kind == "gone":
        del holder[key]
    elif kind == "other":
        holder[key] = pick(rng, [None, [], {}, 0, -1, 1e300, "x", "", True, [1], {"a": 1}, "x" * LONG, *TEXTS[:40]])
    elif isinstance(holder, dict):
        holder[str(pick(rng, TEXTS[:60]))] = 1
    else:
        holder.append(pick(rng, [None, "x", 1, []]))
    path.write_text(json.dumps(tree))
    return f"{place} {kind}"


def _somewhere(rng: np.random.Generator, tree: Any) -> tuple[str, Any, Any]:
    place, holder, key = "", None, None
    while isinstance(tree, dict | list) and tree and (holder is None or rng.random() < 0.7):
        holder = tree
        key = pick(rng, list(tree)) if isinstance(tree, dict) else int(rng.integers(len(tree)))
        place, tree = f"{place}/{key}", tree[key]
    return place, holder, key


def rewritten(rng: np.random.Generator, path: Path) -> str:
    """Do something to the text of a table or of settings, as an editor, a spreadsheet or a script does."""
    content = path.read_bytes()
    lines = content.split(b"\n")
    at = int(rng.integers(len(lines)))
    cells = lines[at].split(b",")
    cell = int(rng.integers(len(cells)))
    odd = str(pick(rng, TEXTS)).encode("utf-8", "surrogateescape")
    kind = pick(rng, ["coding", "ends", "line", "cell", "cell", "cell", "column", "order", "quote", "header"])
    if kind == "coding":
        text = content.decode("utf-8", "replace")
        content = pick(
            rng, [b"\xef\xbb\xbf" + content, b"\xef\xbb\xbf" * 2 + content, text.encode("utf-16"), content + b"\xe9\n"]
        )
    elif kind == "ends":
        content = content.replace(b"\n", pick(rng, [b"\r\n", b"\r", b"\n\n", b"\r\r\n", b" \n", b"\x0b\n", b"\x00\n"]))
    elif kind == "line":
        lines[at : at + 1] = pick(
            rng, [[lines[at]] * 2, [], [b"", lines[at]], [odd, lines[at]], [lines[at] + b",1"], [lines[at] + b","]]
        )
    elif kind == "cell":
        cells[cell] = pick(
            rng,
            [odd, b'"%s"' % odd.replace(b'"', b'""'), cells[cell] + odd, b" " + cells[cell], cells[cell].upper(), b""],
        )
        lines[at] = b",".join(cells)
    elif kind == "column":
        lines = [b",".join(_columns(rng, line.split(b","), kind=at % 4)) for line in lines if line]
    elif kind == "order":
        lines = [lines[0], *(lines[1 + int(index)] for index in rng.permutation(len(lines) - 1))]
    elif kind == "quote":
        lines[at] = pick(
            rng,
            [
                b'"' + lines[at],
                lines[at] + b'"',
                b'"' + lines[at] + b'"',
                lines[at].replace(b",", b";"),
                lines[at].replace(b",", b"\t"),
            ],
        )
    else:
        lines[0] = pick(
            rng,
            [odd, lines[0].upper(), lines[0].replace(b"id", b"file_name"), b"," + lines[0], lines[0] + b",label", b""],
        )
    path.write_bytes(content if kind in ("coding", "ends") else b"\n".join(lines))
    return f"{kind} at line {at + 1} {odd[:40] if kind in ('cell', 'line', 'header') else b''!r}"


def _columns(rng: np.random.Generator, cells: list[bytes], kind: int) -> list[bytes]:
    return [[cells[0], *cells], cells[::-1], cells[:-1] or [b""], [*cells, b"x"]][kind]


def added(rng: np.random.Generator, path: Path) -> str:
    """Put a copy, or a link, under an odd name beside it."""
    name = os.fsdecode(pick(rng, NAMES))
    other = path.with_name(name)
    if os.path.lexists(other):
        return "nothing"
    kind = pick(rng, ["copy", "link", "itself", "hard", "folder"])
    if kind == "copy":
        shutil.copy2(path, other)
    elif kind == "link":
        other.symlink_to(path.name)
    elif kind == "itself":
        other.symlink_to(name)
    elif kind == "hard":
        os.link(path, other)
    else:
        other.mkdir()
        (other / "loop.png").symlink_to("..")
    return f"{kind} beside it called {name!r}"


def renamed(rng: np.random.Generator, path: Path) -> str:
    """Give it an odd name."""
    name = os.fsdecode(pick(rng, NAMES))
    path.replace(path.with_name(name))
    return f"now called {name!r}"


BYTES: Sequence[Spoiler] = (flipped, flipped, cut, cut, emptied, grown)
PLACES: Sequence[Spoiler] = (gone, exchanged, exchanged, restricted)


def spoiler_for(rng: np.random.Generator, path: Path) -> Spoiler:
    """Return what is done to a file: mostly what its kind is prone to."""
    own = {".json": (retold,) * 12, ".csv": (rewritten,) * 12, ".yaml": (rewritten,) * 6}.get(path.suffix, ())
    return pick(rng, [*BYTES, *PLACES, *own])
