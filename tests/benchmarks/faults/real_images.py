"""The same hostile files through the real commands: predict with both engines, audit, the main job, a test folder."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tests.benchmarks.faults.campaign import DISAGREE, STATUS, TRACEBACK, Finding
from tests.benchmarks.faults.judge import MEMBERS, NAME, judge_home
from tests.benchmarks.faults.ways import Answer
from tests.running import environment, warm


def by_commands(paths: Sequence[Path], answers: dict[str, list[Answer]], folder: Path) -> list[Finding]:
    """Return what is wrong when the files, of which the ways gave these answers, go through the real commands."""
    reasons = {
        str(path): answer
        for path, answer in zip(paths, answers.get("decoder", []), strict=True)
        if isinstance(answer, str)
    }
    found: list[Finding] = []
    for engine in ("torch", "onnx"):
        words = ["predict", f"name={NAME}", f"engine={engine}", "format=json", *map(str, paths)]
        said = _run(judge_home(), words, (1 if reasons else 0,), found)
        if said and json.loads(said)["unreadable"] != reasons:
            found.append(Finding(DISAGREE, f"{' '.join(words)}: {json.loads(said)['unreadable']}, not {reasons}"))
    data, home, submission = folder / "data", folder / "home", folder / "answer.csv"
    names = _mixed(data, paths)
    home.mkdir()
    _run(judge_home(), ["audit", f"data={data}", f"cache={folder / 'cache'}"], (0, 3), found, folder)
    line = [*(word for word in MEMBERS if not word.startswith("demo.")), "demo.draw=false", f"data={data}"]
    if _run(home, [*line, "bad_images=drop", "name=mixed"], (0,), found):
        kept = set(pd.read_csv(home / "folds/mixed/folds.csv", dtype=str)["id"])
        lost = {path for path in map(str, paths) if names["train", path] not in kept}
        if lost != set(reasons):
            found.append(Finding(DISAGREE, f"the main job left out {sorted(lost)}, not {sorted(reasons)}"))
    _run(judge_home(), ["predict", f"name={NAME}", f"test={data}", f"out={submission}"], (bool(reasons),), found)
    if submission.exists():
        images = pd.read_csv(submission.with_name("answer_images.csv"), dtype={"id": str}).set_index("id")["prob"]
        for path, prob in zip(map(str, paths), answers["predict"], strict=True):
            own = images[names["test", path]]
            if isinstance(prob, float) and abs(own - prob) > 1e-4:
                found.append(Finding(DISAGREE, f"predict test= gave {path} {own}, not {prob}"))
    return found


def _mixed(data: Path, paths: Sequence[Path]) -> dict[tuple[str, str], str]:
    """Lay out a data set of the judge's own images with these files among the training and the test rows.

    Returns the id of each file in each of the two, by (part, path).
    """
    (own,) = [path.parent for path in (judge_home() / "data").glob("*/train.csv")]
    shutil.copytree(own, data)
    (data / "test_labels.csv").unlink()
    names = {}
    for part in ("train", "test"):
        table = data / f"{part}.csv"
        rows = pd.read_csv(table, dtype=str)
        column = "file_name" if part == "train" else "id"
        images = Path(rows[column][0]).parent
        for path in paths:
            shutil.copyfile(path, data / images / f"hostile-{path.name}")
        hostile = [f"{images.as_posix()}/hostile-{path.name}" for path in paths]
        names |= {(part, str(path)): name for path, name in zip(paths, hostile, strict=True)}
        more = pd.DataFrame({column: hostile} | ({"label": ["0", "1"] * (len(paths) // 2)} if part == "train" else {}))
        pd.concat([rows[more.columns], more]).to_csv(table, index=False)
    return names


def _run(
    home: Path, words: Sequence[str], allowed: Sequence[int], found: list[Finding], cwd: Path | None = None
) -> str:
    """Run a line, note what is wrong with how it ended, and return what it printed where it ended well."""
    result = warm().run(words, environment(home), cwd or home)
    line = " ".join(words)
    if "Traceback" in result.stderr:
        found.append(Finding(TRACEBACK, f"{line}: {result.stderr[-600:]}"))
    elif result.returncode not in allowed:
        found.append(Finding(STATUS, f"{line}: {result.returncode}, {result.stderr[-300:]}"))
    else:
        return result.stdout
    return ""
