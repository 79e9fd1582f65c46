"""Files as machines, editors and strangers leave them: data sets, runs, caches, resume points, cards, bundles.

Beyond what every line is held to, a line that ends well over a spoilt run must end in the bytes of an unspoilt one: it
has repaired by doing again, or it refuses.
"""

import fnmatch
import functools
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.faults import spoil
from tests.benchmarks.faults.campaign import DAMAGED, Case, Finding
from tests.benchmarks.faults.furnished import HALF
from tests.benchmarks.faults.hostile import pick
from tests.benchmarks.faults.sandbox import Line, sandbox
from tests.benchmarks.faults.words import GUARD, NEW
from tests.running import HUGE, outcome

DATA = ("tables", "pixel tables", "images", "class folders")  # scenes of data sets


@dataclass(frozen=True)
class Scene:
    """What is spoilt (``where``: globs below the home), and the lines that meet it, with how often each."""

    where: tuple[str, ...]
    lines: tuple[tuple[list[str], int], ...]
    by: tuple[spoil.Spoiler, ...] = ()  # what is done; none: what the kind of file is prone to


def _data(name: str) -> tuple[tuple[list[str], int], ...]:
    data = f"data=sets/{name}"
    return (
        (["audit", *NEW, data], 10),
        ([*NEW, data, GUARD], 5),
        (["audit", *NEW, data, "group=auto", "bad_images=drop"], 1),
        ([*NEW, data, "fold=0", "epochs=1", "bad_images=drop"], 1),
        (["predict", "name=tiny", f"sets/{name}/test", "format=json"], 3),
        (["predict", "name=tiny", f"test=sets/{name}"], 2),
    )


RUN = (
    (["name=tiny"], 5),
    (["ensemble", "name=tiny"], 2),
    (["report", "name=tiny"], 1),
    (["predict", "name=tiny", "sets/csv/test", "format=csv"], 6),
    (["predict", "name=tiny", "test=sets/csv"], 3),
    (["predict", "name=tiny", "engine=onnx", "sets/csv/test"], 1),
    (["config", "name=tiny"], 1),
    (["audit", "name=tiny"], 1),
    (["bundle", "name=tiny", "owner=me"], 2),
    (["export", "name=tiny"], 1),
    (["ensemble", "names=tiny,other"], 1),
    ([*NEW, "pseudo=tiny", GUARD], 1),
)
SCENES: dict[str, tuple[Scene, int]] = {  # with how often
    "tables": (Scene(("sets/csv/*.csv",), _data("csv"), (spoil.rewritten,)), 25),
    "pixel tables": (Scene(("sets/pixels/*.csv",), _data("pixels")[:4], (spoil.rewritten,)), 5),
    "images": (
        Scene(("sets/csv/*/*.png",), _data("csv"), (*spoil.BYTES, spoil.exchanged, spoil.added, spoil.renamed)),
        10,
    ),
    "class folders": (
        Scene(
            ("sets/classes/*/*.png", "sets/classes/*/*/*.png"),
            _data("classes"),
            (*spoil.PLACES, spoil.added, spoil.renamed),
        ),
        10,
    ),
    "run": (Scene(("folds/tiny/*", "folds/tiny/*/*", "folds/tiny/*/fold*/*"), RUN), 25),
    "half": (Scene(("folds/half/noise/fold0/*", "folds/half/*/*", "folds/half/*"), ((HALF, 1),)), 5),
    "cache": (
        Scene(
            ("folds/.cache/**/*",), ((["name=tiny"], 2), ([*NEW, "epochs=1", "fold=0"], 1), (["audit", "name=tiny"], 2))
        ),
        6,
    ),
    "submissions": (
        Scene(
            ("submissions/*.csv", "submissions/tiny/*.json", "submissions/tiny/*.csv"),
            (
                (["name=tiny"], 1),
                (["submit", "yes=true", "wait=0"], 3),
                (["submit", "name=tiny", "yes=true"], 2),
                (["submit", "file=submissions/submission.csv", "competition=contest", "yes=true"], 2),
                (["ledger", "offline=true"], 4),
                (["bundle", "name=tiny", "owner=me"], 1),
            ),
        ),
        10,
    ),
    "bundle": (Scene(("submissions/tiny/bundle/*/*",), ((["bundle", "name=tiny", "owner=me"], 1),)), 4),
    "export": (
        Scene(
            ("folds/tiny/export/*",),
            ((["predict", "engine=onnx", "name=tiny", "sets/csv/test", "format=csv"], 3), (["export", "name=tiny"], 1)),
        ),
        5,
    ),
}


def files_case(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Spoil one to three files of a scene, run a line that meets them, and judge how it ends."""
    box = sandbox()
    weights = np.array([weight for _, weight in SCENES.values()], float)
    name = str(rng.choice(list(SCENES), p=weights / weights.sum()))
    scene = SCENES[name][0]
    weights = np.array([weight for _, weight in scene.lines], float)
    words = scene.lines[int(rng.choice(len(scene.lines), p=weights / weights.sum()))][0]
    undisturbed = _undisturbed(tuple(words))  # before anything is spoilt
    done = [_spoilt(rng, box.home, scene) for _ in range(1 if name == "run" else int(rng.choice([1, 1, 2, 3])))]
    line = box.run(words)
    findings = box.judge(line)
    if line.status == 0 and name not in DATA and not any(one.startswith("folds/tiny/config.yaml") for one in done):
        findings += _other_ends(words, line, undisturbed)  # settings and data are the user's own, and may change
    box.restore()
    what = f"{'; '.join(done)}: {shlex.join(words)}"
    return Case(number, ascii(what[:1000])[1:-1], tuple(findings))


def _spoilt(rng: np.random.Generator, home: Path, scene: Scene) -> str:
    """Spoil one file of a scene, and say in words which and how."""
    found = (path for path in home.glob(pick(rng, scene.where)) if path.is_file() and not path.is_symlink())
    paths = sorted(path for path in found if path.stat().st_size < HUGE)
    if not paths:
        return "nothing"
    path = pick(rng, paths)
    twin = Path(str(path).replace("/folds/tiny/", "/folds/other/"))
    if twin != path and twin.is_file() and rng.random() < 0.15:
        shutil.copyfile(twin, path)
        return f"{path.relative_to(home)}: that of another run"
    spoiler = pick(rng, scene.by) if scene.by else spoil.spoiler_for(rng, path)
    return f"{path.relative_to(home)}: {spoiler(rng, path)}"


@functools.cache
def _undisturbed(words: tuple[str, ...]) -> tuple[str, dict[str, bytes]]:
    """Return what a line prints to its standard output, and the outcome that it leaves, where nothing is spoilt."""
    box = sandbox()
    line = box.run(words)
    found = line.out, _outcome(box.home)
    box.restore()
    return found


def _outcome(home: Path) -> dict[str, bytes]:
    """Return the bytes of every result that is promised to be repeated: predictions, submissions, what is bundled."""
    found = outcome(home, whole=False)
    for path in [
        *home.glob("submissions/tiny/bundle/*/*"),
        *home.glob("folds/tiny/export/*.onnx"),
        *home.glob("*.csv"),
    ]:
        if path.is_file() and path.stat().st_size < HUGE:  # else it is other than any that is promised
            found[os.fspath(path.relative_to(home))] = path.read_bytes()
    return found


def _written_by(words: list[str]) -> tuple[str, ...]:
    """Return patterns of the results that a line is there to write; what else was spoilt may stay so."""
    run = next(word for word in words if word.startswith("name=")).removeprefix("name=") if "=" in words[0] else ""
    written = {
        "predict": ("answer.csv", "submission.csv"),
        "export": ("folds/tiny/export/*",),
        "bundle": ("submissions/tiny/bundle/*",),
        "ensemble": ("submissions/submission.csv",),
    }
    main = (f"folds/{run}/*.csv", f"folds/{run}/*.npz", "submissions/submission.csv")
    return main if run else written.get(words[0], ())


def _other_ends(words: list[str], line: Line, undisturbed: tuple[str, dict[str, bytes]]) -> list[Finding]:
    """Return what is other than without the spoilt files, where a line over results ended well."""
    if "format=csv" in words:
        return [] if line.out == undisturbed[0] else [Finding(DAMAGED, f"other answers: {line.out[:200]!r}")]
    found, expected = _outcome(sandbox().home), undisturbed[1]
    other = sorted(path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path))
    other = [path for path in other if any(fnmatch.fnmatch(path, one) for one in _written_by(words))]
    return [Finding(DAMAGED, f"other than undisturbed: {', '.join(other[:4])}")] if other else []
