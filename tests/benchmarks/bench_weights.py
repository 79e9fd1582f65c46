"""What pretrained weights are worth by how much of them is trained: all, the norms, low-rank additions, or the head.

`./run.sh bench weights weights=FILE data=FOLDER` trains one run of five folds with a member for each way and prints
them side by side. ``weights`` is a file of tf_efficientnet_lite0's weights, ``data`` a folder of labelled images. The
run is kept in folds/bench-weights, so that a killed one goes on, and ``ways=full,norms`` measures some first and the
others later. On 1,600 images each way that trains the backbone takes some five minutes on an idle core.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from competition.commands.run import run
from competition.core.config import load_config
from competition.core.errors import UserError, did_you_mean
from competition.core.paths import run_folder
from competition.data.run_data import read_tables
from competition.inference.diagnostics import CLEAN, collect_sweep

NAME = "bench-weights"
BACKBONE, IMAGE_SIZE = "tf_efficientnet_lite0", 64
COMMON = (
    f"name={NAME}",
    "fold=0..4",
    "device=cpu",
    "threads=1",
    "memory_format=channels_last",
    "augment=flips",
    "epochs=5",
    "warmup=0.2",
    "head_lr=2e-3",
    "evidence_rows=1000",
    "report=false",
)
FROZEN = ("frozen=true", "epochs=40", "head_lr=0", "lr=2e-3")
WAYS: Mapping[str, Sequence[str]] = {  # the fewer weights, the higher the rate; not tuned further
    "full": ("lr=5e-4",),
    "norms": ("adapt=norms", "lr=5e-3"),
    "lora": ("adapt=lora", "lr=2e-3"),
    "frozen": (*FROZEN, "augment=none"),
    "frozen-variants": (*FROZEN, "augment=web", "variants=6"),
}


def main(weights: str = "", data: str = "", ways: str = "") -> None:
    """Train what is missing, then print a line for each way: its AUC clean, and over the run's own conditions."""
    if not (weights and data):
        print("needs a file of weights and images: ./run.sh bench weights weights=FILE data=FOLDER")
        return
    names = ways.split(",") if ways else list(WAYS)
    for name in names:
        if name not in WAYS:
            raise UserError(f"There is no way '{name}' to train{did_you_mean(name, WAYS)}")
    words = [f"members.{name}.{word}" for name in names for word in (f"backbone={BACKBONE}", *WAYS[name])]
    general = [f"pretrained={Path(weights).resolve()}", f"data={Path(data).resolve()}", f"image_size={IMAGE_SIZE}"]
    config = load_config([*COMMON, *general, *words])
    result = run(config, submit=False)
    train = read_tables(config).train
    print(f"\n{'':<16}{'clean':>8}{'mean':>8}{'worst':>8}  {'':<12}{'trained':>12}{'minutes':>9}")
    for name, member in result.members.items():
        label = train["label"].to_numpy()
        swept = conditions_auc(collect_sweep(member.by_fold, train["id"]), label)
        clean = roc_auc_score(label, result.predictions[name].oof)
        worst = min(swept, key=lambda condition: swept[condition])
        print(
            f"{name:<16}{clean:>8.3f}{np.mean(list(swept.values())):>8.3f}{swept[worst]:>8.3f}  {worst:<12}"
            f"{member.done()[0]['trained_parameters']:>12,}{result.seconds[name] / 60:>9.1f}"
        )
    print(f"AUC by pooled out-of-fold rows; mean and worst over {', '.join(swept)}; kept in {run_folder(NAME)}")


def conditions_auc(swept: Mapping[str, NDArray[np.float64]], label: NDArray) -> dict[str, float]:
    """Return the AUC under each condition but the clean one, of the rows that were sampled for it."""
    found = {}
    for condition, logit in swept.items():
        seen = ~np.isnan(logit)
        if condition != CLEAN:
            found[condition] = float(roc_auc_score(label[seen], logit[seen]))
    return found or {"none": math.nan}
