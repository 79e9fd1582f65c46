"""The submission of another test set's folder, by a finished run: ``predict test=FOLDER``."""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.console import console
from competition.core.errors import UserError
from competition.core.files import atomic_write, temporary_folder
from competition.core.paths import nearest_existing, shown
from competition.core.text import counted, printable
from competition.ensemble.new_test import TestAnswer, answer_test_set
from competition.inference.run_inputs import run_settings
from competition.inference.run_record import read_record, without_outside
from competition.inference.test_set import TestPredictions, predict_table
from competition.inference.test_table import read_test_table
from competition.inference.torch_member import open_members
from competition.kaggle.submission.validate import LABELS, form_of, read_submission
from competition.kaggle.submission.write import in_short, submission_bytes
from competition.models.device import choose_device
from competition.report.terminal import analysis_lines, show
from competition.report.trust import Analysis
from competition.scoring.unlikeness import UNLIKE
from competition.training.process import feed_workers, prepare_process


def predict_test(name: str, folder: Path, out: Path, device: str) -> int:
    """Write the submission of the test set in ``folder`` to ``out``, by the run ``name``, and beside it a table of its
    images; returns 1 if some of them could not be read, else 0."""
    record, out = read_record(name), out.expanduser()
    if out.is_dir():
        raise UserError(f"out={out} is a folder: name the file that the submission goes to.")
    config = run_settings(record)
    if note := without_outside(record):
        print(note, file=sys.stderr)
    device = choose_device(device)
    prepare_process(config, device, 1)
    test = read_test_table(folder.expanduser(), record, config)
    _check_replaceable(out, folder.expanduser(), test.header)
    if not os.access(nearest_existing(out.absolute().parent), os.W_OK):
        raise UserError(f"out={out} cannot be written, for want of permission: name a file elsewhere.")
    with temporary_folder() as work:
        members = open_members(record, device, feed_workers(config, device))
        seen = predict_table(config, test, members, work)
        answer = answer_test_set(record, config, test.ids, seen)
    _print_verdict(answer, seen)
    form = form_of(config.metric)
    content = submission_bytes(test.ids, answer.answer, test.header, form)
    read_submission(content, test.ids, test.header, form)
    with atomic_write(out, "wb") as file:
        file.write(content)
    images = _write_images(out.with_name(f"{out.stem}_images.csv"), test.ids, answer, seen)
    given = f"labelled {config.fallback}" if form is LABELS else f"given {record.share:.3f}"
    for one, reason in seen.unreadable.items():
        print(printable(f"Not read, so {given}: {one}: {reason}"), file=sys.stderr)
    show("Submission", f"{shown(out)}, {len(test.ids):,} rows, {in_short(answer.answer, form)}")
    show("Images", f"{shown(images)}, each with its probability and how unlike it is")
    return 1 if seen.unreadable else 0


def _check_replaceable(out: Path, folder: Path, header: tuple[str, str]) -> None:
    """Raise UserError where ``out`` is there and may be something else than a submission: the data's own tables, too,
    can have its columns."""
    if not out.exists():
        return
    first = out.read_bytes()[:10_000].splitlines()[:1]
    if first != [",".join(header).encode()] or out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"out={out} exists and is not an earlier submission: move it away, or name another file.")


def _print_verdict(answer: TestAnswer, seen: TestPredictions) -> None:
    """Print whether the images are of the world that the run was trained on, and what follows for the threshold."""
    if answer.analysis is not None:
        known = Analysis(answer.analysis.shift, threshold=answer.analysis.threshold, metric=answer.analysis.metric)
        for text, style in analysis_lines(known):
            console().print(text, style=style)
    elif seen.own:
        show("World", "the test set that the run had, and its threshold")
    else:
        show("World", "not judged: the rows are too few, or the run kept too little of its own; its threshold is taken")
    if seen.unlike is not None:
        strange, images = int((seen.unlike >= UNLIKE).sum()), counted(len(seen.unlike), "image")
        show("Unlike", f"{strange:,} of {images} are more unlike than {UNLIKE:g} % of those that the models know")


def _write_images(path: Path, ids: list[str], answer: TestAnswer, seen: TestPredictions) -> Path:
    """Write each image's id, its probability of class 1, and the percentile of how unlike it is where that is known."""
    unlike = np.nan if seen.unlike is None else np.round(seen.unlike, 1)
    with atomic_write(path) as file:
        table = pd.DataFrame({"id": ids, "prob": answer.prob, "unlike": unlike})
        table.to_csv(file, index=False, lineterminator="\n")
    return path
