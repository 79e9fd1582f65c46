"""The command lines that are disturbed, each with what it needs, how it is run, and what it promises to repeat."""

import contextlib
import functools
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from tests.benchmarks.faults.disturbances import CHANGES, COUNT
from tests.kaggle_world import World
from tests.running import TINY, environment, warm
from tests.warm import Line

UNDISTURBED_PATIENCE = 1800.0  # seconds, for the busiest of machines
NAME = "demo-0-30-12"
SLUG = "cats"
RUN = (*(word for word in TINY if word not in ("jobs=1", "folds=3")), "folds=2", "fold=0..1", "evidence_rows=8")
ONE = "members.swin=null"  # where processes are started, which takes seconds each
# Kaggle's list is believed after a shorter time than on the network, or a case would wait for a minute.
IMPATIENT = """
from competition.kaggle.submit import upload
upload.BACKOFF, upload.SECOND_LOOK, upload.ARRIVES_WITHIN, upload.PAUSES = 0.2, 0.3, 2.0, (0.2, 1.0)
"""
SCRIPT = """
import sys
from competition.__main__ import script
status = script()
if "count" in globals():
    print(f"changes: {count[0]}")
sys.exit(status)
"""
# Files whose bytes tell when and where they were made; all others are promised, and these by name and number.
DATED = re.compile(
    r"(history\.jsonl|done\.json|placement\.json|ledger\.csv|metrics\.json|submissions/[^/]+/[^/]+\.json|\.html"
    r"|tune/trials\.csv|tune/journal\.log"
    r"|folds/\.cache/\w+/manifest\.json)$"
)
# The memory of which files are in the cache goes by their places and dates.
PLACED = re.compile(r"^folds/\.cache/lists/")
TIME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True)
class Disturbed:
    """A command line, or several at once, in a home of its own.

    ``words``: of each line. ``after``: the line whose end is its beginning, None for an empty home.
    ``kaggle``: whether it talks to Kaggle, where a competition of the demo's data stands.
    ``lead``: whether the others may be refused because the first one is at work. ``changed``: whether the training
    images are others under the same names since the line before, whose results are gone, but whose cache is there.
    """

    name: str
    words: tuple[tuple[str, ...], ...]
    after: "Disturbed | None" = None
    kaggle: bool = False
    lead: bool = False
    changed: bool = False


def _run(*words: str) -> tuple[str, ...]:
    return (*RUN, *words)


# What other lines begin with: not disturbed itself.
FINISHED = Disturbed("finished run", (_run("workers=0", "jobs=1", ONE),))
LINES = (  # what takes longest last, for campaigns of a few cases
    Disturbed("run", (_run("workers=0", "jobs=1"),)),
    Disturbed("run with workers", (_run("workers=2", "jobs=1", ONE),)),
    Disturbed("report", (("report", f"name={NAME}"),), after=FINISHED),
    Disturbed("submit", (("submit", f"competition={SLUG}", "yes=true"),), after=FINISHED, kaggle=True),
    Disturbed("download", (("download", f"competition={SLUG}"),), kaggle=True),
    Disturbed("two of one name", (_run("workers=0", "jobs=1", ONE),) * 2, lead=True),
    Disturbed("bundle", (("bundle", f"name={NAME}", f"competition={SLUG}", "owner=alice"),), after=FINISHED),
    Disturbed("two of one cache", tuple(_run("workers=0", "jobs=1", ONE, f"name={name}") for name in ("one", "other"))),
    Disturbed("audit", (("audit", *RUN, ONE),), after=FINISHED),
    Disturbed("run on changed images", (_run("workers=0", "jobs=1", ONE),), after=FINISHED, changed=True),
    Disturbed("export", (("export", f"name={NAME}", "device=cpu"),), after=FINISHED),
    Disturbed("run of two jobs", (_run("workers=0", "jobs=2", ONE),)),
    Disturbed("run of two jobs with workers", (_run("workers=2", "jobs=2", ONE),)),
    Disturbed("tune", (("tune", *_run("workers=0", "jobs=1", ONE, "trials=3", "tune.folds=0", "lr=1e-5")),)),
)


class Place:
    """Where a line is run: its home, its folder for temporary files, and its Kaggle where it needs one."""

    def __init__(self, line: Disturbed, folder: Path, home: Path, world: World | None):
        self.line, self.folder, self.home, self.world = line, folder, home, world
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)

    def start(self, code: str = "") -> list[Line]:
        """Start the line, or the lines; ``code`` is run first."""
        return [self._start(words, code) for words in self.line.words]

    def _start(self, words: Sequence[str], code: str) -> Line:
        printed = Path(tempfile.mkdtemp(prefix="printed-", dir=self.folder))
        own = {"TELLTALE_HOME": str(self.home), "TMPDIR": str(self.temporary)}
        if self.world is None:
            return warm().start(words, environment(self.home) | own, self.home, printed, code=code + SCRIPT)
        env = self.world.environment(own)
        return warm().start(words, env, self.home, printed, code=code + IMPATIENT + SCRIPT, beside=self.world.server)

    def files(self) -> Counter[str]:
        """Return the names of all files, a time in one as ``TIME``, with how many there are of each."""
        names = [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if not path.is_dir()]
        names = ["submitted" for _ in self.world.submissions(SLUG)] + names if self.world else names
        return Counter(TIME.sub("TIME", name) for name in names if not self._passed_over(name))

    def _passed_over(self, name: str) -> bool:
        """Tell whether a file is there or not as it happens."""
        if self.line.changed and name.startswith("folds/.cache/"):  # what was of the images before is still there
            return not re.search(r"/\.", name.removeprefix("folds/.cache"))
        return PLACED.match(name) is not None

    def promised(self) -> dict[str, bytes]:
        """Return the content of each file that is promised to the byte; the home's own name does not count."""
        found = {}
        for path in self.home.rglob("*"):
            name = path.relative_to(self.home).as_posix()
            if path.is_file() and not self._passed_over(name) and not DATED.search(name):
                found[TIME.sub("TIME", name)] = path.read_bytes().replace(str(self.home).encode(), b"HOME")
        return found


@contextlib.contextmanager
def place(line: Disturbed, folder: Path, home: Path) -> Iterator[Place]:
    """Prepare what a line needs in ``home``, which exists; ``folder`` has room for what else there is."""
    if line.changed:  # after the line before in this very place, for the cache that it leaves must know the files
        warm().run(line.after.words[0], environment(home), home, timeout=UNDISTURBED_PATIENCE)
        change_images(home)
    elif line.after:
        shutil.copytree(undisturbed(line.after, folder.parent).home, home, dirs_exist_ok=True)
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World()) if line.kaggle else None
        if world:
            world.add_demo(SLUG)
        yield Place(line, folder, home, world)


def change_images(home: Path) -> None:
    """Mirror the training images in place, and remove what was made of them but for the cache."""
    for path in sorted((home / "data" / NAME / "train_data").iterdir()):
        with Image.open(path) as image:
            mirrored = ImageOps.mirror(image)
        mirrored.save(path, quality=90)
    shutil.rmtree(home / "folds" / NAME)
    shutil.rmtree(home / "submissions")


@dataclass(frozen=True)
class Undisturbed:
    """The end that a line comes to: its home, all files by name, the content of those that are promised, the seconds
    and the changes on the disk that it takes (of the first line alone, where there are several)."""

    home: Path
    files: Counter[str]
    promised: dict[str, bytes]
    seconds: float
    changes: int


class Failed(Exception):
    """A line does not come to its end even without a disturbance."""


@functools.cache
def undisturbed(line: Disturbed, folder: Path) -> Undisturbed:
    """Run a line to its end in a home of its own below ``folder``, once, and return what came of it.

    Raises Failed where it does not get there.
    """
    work = folder / f"undisturbed {line.name}"
    shutil.rmtree(work, ignore_errors=True)  # of one that failed
    home = work / "home"
    home.mkdir(parents=True)
    with place(line, work, home) as there:
        if line.changed:  # what comes out without a cache is right
            shutil.rmtree(home / "folds" / ".cache")
        start = time.perf_counter()
        started = there.start(CHANGES + COUNT)
        ended = [warm().wait(one, UNDISTURBED_PATIENCE) for one in started]
        seconds = time.perf_counter() - start
        for one in ended:
            if one.returncode:
                raise Failed(f"{line.name} fails without a disturbance: exit {one.returncode}, {one.stderr[-500:]}")
        changes = int(ended[0].stdout.rpartition("changes: ")[2])
        return Undisturbed(home, there.files(), there.promised(), seconds, changes)
