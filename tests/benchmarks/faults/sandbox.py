"""One command line at a time in a home folder that is looked at before and after, and made whole again for the next.

What every line is held to, whatever it says and whatever it finds on disk: see :meth:`Sandbox.judge`.
"""

import atexit
import functools
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.faults.campaign import DAMAGED, HUNG, LEFT, PATIENCE, SENTENCE, STATUS, TRACEBACK, Finding
from tests.benchmarks.faults.furnished import furnish
from tests.running import environment
from tests.warm import Warm

NOWHERE = "http://127.0.0.1:9"  # where nobody answers, so that no case depends on the network
SOLITUDE = {name: NOWHERE for name in ("HF_ENDPOINT", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
MEMORY = 10 * 2**30  # bytes that a line may map: what reads without end is stopped before it takes the machine with it
CACHE = "home/folds/.cache"  # what images were found to hold, which is true whatever becomes of the line
DONE_IN_PART = ("predict", "submit", "collect", "bench")  # commands for which exit status 1 means something
SHOUTING = re.compile(r"Traceback \(most recent call last\)|^Exception ignored|^\S*\w+Warning: ", re.MULTILINE)

Tree = dict[str, tuple]  # by path, all that the system tells of a file without opening it


@dataclass(frozen=True)
class Line:
    """A command line that has ended (``status`` None: it had to be ended), what it printed, and the tree around it."""

    words: tuple[str, ...]
    status: int | None
    out: str
    err: str
    before: Tree
    after: Tree

    @property
    def changed(self) -> list[str]:
        """The paths that are new, gone or other than before."""
        paths = self.before.keys() | self.after.keys()
        return sorted(path for path in paths if self.before.get(path) != self.after.get(path))


class Sandbox:
    """A folder with a furnished home (``home``), and its twin that nothing touches (``kept``).

    Its place never changes, for finished runs know their data by where they lie.
    """

    def __init__(self, place: Path):
        self.place, self.home, self.kept = place, place / "open" / "home", place / "kept"
        self.warm = Warm(MEMORY, **SOLITUDE)
        for folder in ("home", "tmp", "user"):
            (place / "open" / folder).mkdir(parents=True)
        furnish(self.home, self.run)
        shutil.copytree(place / "open", self.kept, symlinks=True)
        self._whole = tree(place / "open")

    @functools.cached_property
    def env(self) -> dict[str, str]:
        """What a line finds in its environment: a user of its own, without credentials, and no network."""
        own = {key: value for key, value in environment(self.home).items() if not key.startswith(("KAGGLE_", "HF_"))}
        places = {"HOME": str(self.place / "open/user"), "TMPDIR": str(self.place / "open/tmp")}
        places["MPLCONFIGDIR"] = str(self.place / "fonts")  # where matplotlib keeps what it finds out once a machine
        return own | SOLITUDE | places

    def run(self, words: Sequence[str], patience: float = PATIENCE, code: str = "") -> Line:
        """Run a command line in the home; or ``code`` with the words as its arguments."""
        before = tree(self.place / "open")
        try:
            ended = self.warm.run(words, self.env, self.home, patience, code=code)
        except subprocess.TimeoutExpired as late:
            ended = subprocess.CompletedProcess(words, None, late.stdout, late.stderr)
        return Line(tuple(words), ended.returncode, ended.stdout, ended.stderr, before, tree(self.place / "open"))

    def restore(self) -> None:
        """Make the home what it was at first; as little as possible is written."""
        root, found = self.place / "open", tree(self.place / "open")
        for path in sorted(found.keys() - self._whole.keys(), reverse=True):
            _remove(root / path)
        for path in sorted(self._whole):
            if found.get(path) != self._whole[path]:
                _remove(root / path) if path not in found or not stat.S_ISDIR(found[path][0]) else None
                self._bring_back(root, path)

    def _bring_back(self, root: Path, path: str) -> None:
        source = self.kept / path
        if source.is_dir() and not source.is_symlink():
            _remove(root / path) if not (root / path).is_dir() or (root / path).is_symlink() else None
            (root / path).mkdir(exist_ok=True)
            shutil.copystat(source, root / path)
        else:
            _remove(root / path)
            shutil.copy2(source, root / path, follow_symlinks=False)
        self._whole[path] = _facts(os.lstat(root / path))

    def judge(self, line: Line) -> list[Finding]:
        """Return what is wrong with how a line ended.

        Its status is documented; it shouts no traceback and no warning; a refusal is one sentence on one line, and
        nothing is changed by it but the cache of what was read; nothing stays in the folder for temporary files;
        nobody's data are changed.
        """
        if line.status is None:
            return [Finding(HUNG, f"not at its end after {PATIENCE} seconds: {line.err[-300:]!r}")]
        findings = []
        if shout := SHOUTING.search(line.out + "\n" + line.err):
            last = (line.out + line.err)[shout.start() :].strip().splitlines()[-1]
            findings.append(Finding(TRACEBACK, f"{_innermost(line.out + line.err)}: {last[:300]!r}"))
        elif problem := _unlike_a_sentence(line):
            findings.append(Finding(SENTENCE, problem))
        allowed = {0, 2, 3, *([1] if line.words and line.words[0] in DONE_IN_PART else [])}
        if line.status not in allowed:
            findings.append(Finding(STATUS, f"exit status {line.status}"))
        if line.status == 2 and (kept := [path for path in line.changed if not path.startswith(CACHE)]):
            findings.append(Finding(LEFT, f"refused ({line.err.strip()[:150]!r}), but changed {_shown(kept)}"))
        if left := [path for path in line.changed if path.startswith("tmp/") or path.endswith(".tmp")]:
            findings.append(Finding(LEFT, f"temporary files: {_shown(left)}"))
        if spoilt := [path for path in line.changed if path in line.before and path.startswith("home/sets/")]:
            findings.append(Finding(DAMAGED, f"data that stood: {_shown(spoilt)}"))
        return findings


@functools.cache
def sandbox() -> Sandbox:
    """Return this process's sandbox, which ends with it."""
    folder = tempfile.TemporaryDirectory(prefix="faults-home-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Sandbox(Path(folder.name))


def tree(folder: Path) -> Tree:
    """Return everything below a folder, links not followed: of files their change times, too, of folders their mode."""
    found: Tree = {}
    stack = [(os.fspath(folder), "")]
    while stack:
        place, prefix = stack.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                found[prefix + entry.name] = _facts(entry.stat(follow_symlinks=False))
                if entry.is_dir(follow_symlinks=False):
                    stack.append((entry.path, f"{prefix}{entry.name}/"))
    return found


def _facts(found: os.stat_result) -> tuple:
    if stat.S_ISDIR(found.st_mode):
        return (found.st_mode,)
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _unlike_a_sentence(line: Line) -> str:
    """Return in what way the errors that a line printed are not as they should be, or ""."""
    lines = line.err.removesuffix("\n").split("\n") if line.err else []
    if raw := [text for text in lines if not text.isprintable()]:
        return f"a control character is printed: {raw[0][:200]!r}"
    if line.status not in (2, 3):
        return ""
    if len(lines) != 1 or not lines[0].startswith("Error: "):
        return f"a refusal of {len(lines)} lines: {line.err[:300]!r}"
    if lines[0][-1] not in ".?)":
        return f"a sentence without an end: {lines[0]!r}"
    return ""


def _innermost(text: str) -> str:
    """Return where in the package the last traceback in a text was raised."""
    places = re.findall(r'File "\S*?(competition/\S+)", line (\d+), in (\S+)', text)
    return "{}:{} {}".format(*places[-1]) if places else "somewhere"


def _shown(paths: Sequence[str]) -> str:
    return ", ".join(map(ascii, paths[:4])) + (f" and {len(paths) - 4} more" if len(paths) > 4 else "")
