"""Write a trained run's members as ONNX files, each checked against torch; `predict engine=onnx` then needs no torch.

./run.sh export name=NAME                the members as ONNX; then predict engine=onnx
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from tqdm import tqdm

from competition.core.console import console
from competition.core.options import DEVICES, one_of, parse
from competition.core.paths import shown
from competition.inference.onnx.export import CHECK_BATCHES, STAGES, Exported, export
from competition.inference.run_record import read_record, without_outside


@dataclass(frozen=True)
class ExportOptions:
    """Which run, and where it is checked."""

    name: str = "demo"  # the run's name
    device: str = one_of(*DEVICES)  # of the torch models that ONNX is compared with; auto: the GPU, where there is one


def main(words: Sequence[str]) -> None:
    """Export a run and print what came of it."""
    options = parse(words, ExportOptions)
    record = read_record(options.name)
    if note := without_outside(record):
        print(note, file=sys.stderr)
    stages = len(record.members) * len(STAGES)
    with tqdm(total=stages, unit="step", bar_format="{desc} {bar} {n_fmt}/{total_fmt} {elapsed}", disable=None) as bar:
        begun = itertools.count()

        def show(note: str) -> None:
            bar.n = next(begun)
            bar.set_description_str(note)

        exported = export(options.name, device=options.device, on_progress=show)
        bar.update(stages - bar.n)
    print_export(exported)


def print_export(exported: Exported) -> None:
    """Print each member's file, its size, and the largest differences from torch on the check images."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("member", "file", "MB", "logit", "prob", "precision", "logit", "prob"):
        table.add_column(column, justify="left" if column in ("member", "file", "precision") else "right", no_wrap=True)
    for name, member in exported.manifest.members.items():
        size = sum((exported.folder / file).stat().st_size for file in member.digests)
        found = [f"{member.difference[key]:.1e}" for key in ("logit", "prob", "own_logit", "own_prob")]
        table.add_row(name, member.file, f"{size / 1e6:.1f}", *found[:2], member.precision, *found[2:])
    console().print(table)
    print(
        f"The largest differences on {2 * sum(CHECK_BATCHES)} check images: from torch in fp32, then from the run's "
        "own precision."
    )
    where = shown(exported.folder)
    if exported.written:
        print(
            f"Written to {where}: {', '.join(exported.written)}. Use it: ./run.sh predict engine=onnx "
            f"name={exported.manifest.record.name} IMAGE"
        )
    else:
        print(f"Nothing to do: {where} is of these weights already.")
