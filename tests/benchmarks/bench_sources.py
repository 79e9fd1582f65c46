"""Which cross-validation foretells the score on a source that no model has seen: random folds, or folds by source?

Each seed draws a demo data set of four sources (a simulated camera and generator each) with a test set from a fifth,
and runs the main job on it twice with one cheap member: in random folds, and with `split=by-source`. What each said
before it saw the labels kept aside is compared with what its own submission scores on them.
`./run.sh bench sources` takes about 45 s of one core for each of its ten seeds.
"""

import contextlib
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from competition.commands.run import run
from competition.core.config import load_config
from competition.data.run_data import read_tables
from competition.scoring.metrics import auc, f1
from tests.benchmarks.bench_worlds import elsewhere

FRESH = 100  # the first seed: the sources' parameters were chosen on draws with seeds below
SPLITS = {"random folds": "folds", "leave-source-out": "by-source"}
RECIPE = (
    "preset=demo",
    "demo.sources=4",
    "demo.world=source",
    "demo.train_scenes=320",
    "demo.test_scenes=100",
    "source=column:source",
    "folds=4",
    "members.swin=null",
    "device=cpu",
    "jobs=1",
    "epochs=8",
    "lr=2e-3",
    "tta=none",
    "evidence_rows=0",
    "threshold_on=clean",
    "threshold=calibrated",
    "report=false",
    "members.convnext.backbone_args={patch_size: 4, depths: [1, 1, 1, 1], dims: [16, 32, 64, 128], ls_init_value: 0.1}",
)


@dataclass(frozen=True)
class Foretold:
    """What one way of splitting said, and what came of it on the unseen source: F1 at the run's cut, and ROC AUC."""

    cv_f1: float
    f1: float
    cv_auc: float
    auc: float


def main(seeds: int = 10, first: int = FRESH) -> None:
    """Print a line for every seed and way of splitting, then how far each was off."""
    found: dict[str, list[Foretold]] = {name: [] for name in SPLITS}
    start = time.perf_counter()
    print(f"{'seed':>4}  {'':<18}{'CV F1':>7}{'F1':>7}{'CV AUC':>9}{'AUC':>7}")
    for number, seed in enumerate(range(first, first + seeds), start=1):
        with elsewhere():
            for name, split in SPLITS.items():
                found[name].append(run_seed(seed, split))
                one = found[name][-1]
                print(
                    f"{seed:>4}  {name:<18}{one.cv_f1:>7.3f}{one.f1:>7.3f}{one.cv_auc:>9.3f}{one.auc:>7.3f}", flush=True
                )
        elapsed = time.perf_counter() - start
        print(f"      {elapsed / 60:.1f} min, {elapsed / number * (seeds - number) / 60:.1f} min to go", flush=True)
    print("\n".join(summary(found)))


def run_seed(seed: int, split: str) -> Foretold:
    """Run the main job on the data set of ``seed``, which the first run at this home draws, in folds of ``split``."""
    config = load_config([*RECIPE, f"demo.seed={seed}", f"seed={seed}", f"split={split}", f"name={split}"])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = run(config)
    score, prob, tables = result.scores[result.final], result.predictions[result.final].test, read_tables(config)
    truth = tables.test_label.set_index("id")["label"][tables.test["id"]].to_numpy()
    figures = score.figures
    return Foretold(figures["f1"], f1(truth, prob >= score.threshold), figures["auc"], auc(truth, prob))


def summary(found: dict[str, Sequence[Foretold]]) -> list[str]:
    """Return, for F1 and for AUC, how far each way of splitting was off, and by how much less the second one was."""
    lines = []
    for what in ("f1", "auc"):
        off = {
            name: np.array([getattr(one, f"cv_{what}") - getattr(one, what) for one in ones])
            for name, ones in found.items()
        }
        lines += [
            f"{what.upper():<4}{name:<18}mean absolute error {_mean(np.abs(errors))}; CV minus truth {_mean(errors)}"
            for name, errors in off.items()
        ]
        first, second = map(np.abs, off.values())
        lines.append(f"{'':<4}{'difference':<18}{_mean(first - second)}")
    return lines


def _mean(values: np.ndarray) -> str:
    error = values.std(ddof=1) / np.sqrt(values.size) if values.size > 1 else float("nan")
    return f"{values.mean():.3f} (standard error {error:.3f})"


if __name__ == "__main__":
    main()
