"""Time to equal quality: Telltale beside what people use otherwise, on the same images, in one run.

`./run.sh bench peers data=FOLDER` splits a folder of labelled images into three quarters to learn from and a quarter
whose labels are kept aside, and lets each peer of tests/benchmarks/peers/ train on the one and predict the other, in a
process of its own and from random weights. Telltale does the same by its command line, in a fifth of the time that the
usual notebook took (``hours=``), and in all of it. Printed are the seconds of each, its AUC and F1 on the labels kept
aside, at .5 and at the cut that it tuned, the images it trained on a second, and the most memory of all its processes
together. A peer whose packages are not installed is left out with the reason. With the faces the notebook alone takes
over half an hour on two cores, and the whole some two hours.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import GroupShuffleSplit

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.run_data import read_tables

CHECKOUT = Path(__file__).parents[2]
KEPT_ASIDE = 0.25
NOTEBOOK = "notebook"
OTHERS: Mapping[str, Sequence[str]] = {  # each with the packages that it needs beyond Telltale's own
    "timm_recipe": (),
    "fastai_recipe": ("fastai",),
}
SHARES = {"telltale, a fifth of the notebook's time": 0.2, "telltale, the notebook's time": 1.0}
LOOK = 0.5  # seconds between two looks at the memory


@dataclass(frozen=True)
class Outcome:
    """What one way came to; ``label``: its verdicts at the cut that it tuned."""

    seconds: float
    prob: np.ndarray
    label: np.ndarray
    images: int
    gigabytes: float


def main(data: str = "", preset: str = "small") -> bool:
    """Print the table, and return whether Telltale kept its two promises beside the notebook."""
    if not data:
        print("needs a folder of labelled images: ./run.sh bench peers data=FOLDER")
        return True
    train, test = _split(data)
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        _write(folder, train, test)
        print(f"{len(train):,} images to learn from, {len(test):,} whose labels are kept aside; random weights")
        print(f"{'':<44}{'seconds':>8}{'AUC':>7}{'F1 .5':>7}{'F1 cut':>7}{'img/s':>7}{'GB':>6}")
        found: dict[str, Outcome] = {}
        found[NOTEBOOK] = _peer(NOTEBOOK, folder)
        _show(NOTEBOOK, found[NOTEBOOK], test)
        for title, share in SHARES.items():
            try:
                found[title] = _telltale(folder, preset, share * found[NOTEBOOK].seconds)
                _show(title, found[title], test)
            except UserError as error:  # too little time for one fold
                print(f"{title:<44}left out: {error}")
        for peer, packages in OTHERS.items():
            if missing := [one for one in packages if importlib.util.find_spec(one) is None]:
                print(f"{peer:<44}left out: {', '.join(missing)} is not installed")
                continue
            _show(peer, _peer(peer, folder), test)
    if missing := [title for title in SHARES if title not in found]:
        print(f"Nothing is known of {' and '.join(missing)}.")
        return False
    truth, notebook = test["label"], found[NOTEBOOK]
    auc = {title: roc_auc_score(truth, one.prob) for title, one in found.items()}
    fifth, whole = (found[title] for title in SHARES)
    ahead = [auc[title] - auc[NOTEBOOK] for title in SHARES]
    times = [one.seconds / notebook.seconds for one in (fifth, whole)]
    print(f"AUC above the notebook's: {ahead[0]:+.3f} in {times[0]:.2f} of its time, {ahead[1]:+.3f} in {times[1]:.2f}")
    return ahead[0] >= 0 and ahead[1] >= 0.05


def _split(data: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return path and label of the rows to learn from, and of those kept aside: whole groups."""
    table = read_tables(load_config([f"data={Path(data).resolve()}", "preset=small"])).train
    if (table["path"] == "").any():
        raise UserError(f"data={data} holds no image files, which the peers read: give a folder of images.")
    learnt, aside = next(GroupShuffleSplit(1, test_size=KEPT_ASIDE, random_state=0).split(table, groups=table["group"]))
    return tuple(table[["path", "label"]].iloc[rows].reset_index(drop=True) for rows in (learnt, aside))  # type: ignore[return-value]


def _write(folder: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Write the tables for the peers, and the same as a data set for Telltale, its images as links."""
    train.to_csv(folder / "train.csv", index=False)
    test[["path"]].to_csv(folder / "test.csv", index=False)
    for part, table in (("train", train), ("test", test)):
        (folder / "data" / part).mkdir(parents=True)
        names = [f"{part}/{row:06d}{Path(path).suffix}" for row, path in enumerate(table["path"])]
        for name, path in zip(names, table["path"], strict=True):
            os.symlink(path, folder / "data" / name)
        columns = {"id": names} | ({"label": table["label"]} if part == "train" else {})
        pd.DataFrame(columns).to_csv(folder / "data" / f"{part}.csv", index=False)


def _run(words: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a program; return its seconds and the most memory that it and its processes held, in 10^9 bytes."""
    start, most = time.monotonic(), 0
    process = psutil.Popen(words, cwd=CHECKOUT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        total = 0
        for one in [process, *_children(process)]:
            try:
                total += one.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        most = max(most, total)
        time.sleep(LOOK)
    if process.returncode:
        raise UserError(f"'{' '.join(words[1:4])} ...' ended with exit status {process.returncode}: see above.")
    return time.monotonic() - start, most / 1e9


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _peer(peer: str, folder: Path) -> Outcome:
    files = [str(folder / name) for name in ("train.csv", "test.csv", "result.json")]
    module = f"tests.benchmarks.peers.{peer}"
    seconds, gigabytes = _run([sys.executable, "-W", "ignore", "-m", module, *files], {"PYTHONPATH": str(CHECKOUT)})
    result = json.loads(Path(files[-1]).read_text())
    prob = np.array(result["prob"])
    return Outcome(seconds, prob, prob >= result["cut"], result["images"], gigabytes)


def _telltale(folder: Path, preset: str, seconds: float) -> Outcome:
    """Run the command line on the data set as a user would who has so many ``seconds``."""
    home = Path(tempfile.mkdtemp(dir=folder))
    words = [f"preset={preset}", f"data={folder / 'data'}", "name=peer", f"hours={seconds / 3600:.6f}", "fold=all"]
    place = {"PYTHONPATH": str(CHECKOUT), "TELLTALE_HOME": str(home)}
    taken, gigabytes = _run([sys.executable, "-m", "competition", *words], place)
    verdict = pd.read_csv(home / "submissions" / "submission.csv")
    weights, run = json.loads((home / "folds/peer/run.json").read_text())["weights"], home / "folds/peer"
    logits = {one: [pd.read_csv(path)["logit"] for path in run.glob(f"{one}/fold*/test.csv")] for one in weights}
    probs = [1 / (1 + np.exp(-np.mean(logits[one], axis=0))) for one in weights]
    prob = np.average(probs, axis=0, weights=list(weights.values()))
    histories = [path.read_text().splitlines() for path in run.glob("*/fold*/history.jsonl")]
    lines = [json.loads(line) for history in histories for line in history]
    images = round(sum(line["images_per_second"] * line["seconds"] for line in lines))
    return Outcome(taken, prob, verdict["label"].to_numpy() == 1, images, gigabytes)


def _show(title: str, one: Outcome, test: pd.DataFrame) -> None:
    truth = test["label"]
    figures = [roc_auc_score(truth, one.prob), f1_score(truth, one.prob >= 0.5), f1_score(truth, one.label)]
    shown = "".join(f"{figure:>7.3f}" for figure in figures)
    print(f"{title:<44}{one.seconds:>8.0f}{shown}{one.images / one.seconds:>7.0f}{one.gigabytes:>6.1f}", flush=True)
