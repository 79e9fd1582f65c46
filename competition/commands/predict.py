"""Classify images and folders of them with a trained run, or write the submission of a test set's folder.

./run.sh predict name=NAME IMAGE ...     a trained run's verdict on images and folders (format=table|csv|json|jsonl)
./run.sh predict name=NAME test=FOLDER   the submission of a test set's folder (out=FILE)

Exit status 1: some images could not be read.
"""

import codecs
import csv
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from rich.table import Table
from tqdm import tqdm

from competition.core.console import console
from competition.core.errors import UserError
from competition.core.options import DEVICES, one_of, parse, positional
from competition.core.text import counted, printable
from competition.data.images.credentials import read_trust
from competition.data.images.find import image_files
from competition.inference.classify import COLUMNS, Classifier, verdict_row
from competition.inference.classify_files import FileVerdict, classify_files
from competition.inference.run_record import without_outside
from competition.scoring.unlikeness import UNLIKE

STANDARD_INPUT = "-"
STREAMED = ("csv", "jsonl")  # formats whose rows are printed as they come
MAX_WIDTH = 10_000  # characters of the table in a file: as many as it needs
NAMES_AHEAD = 1000  # lines of standard input that are read before their files are decoded
PAUSE = 0.05  # seconds without a line after which those before it are judged


@dataclass(frozen=True)
class PredictOptions:
    """What is classified, and how."""

    images: tuple[str, ...] = positional("IMAGE")  # files, and folders of images; -: files named on standard input
    name: str = "demo"  # the run's name
    format: str = one_of("table", "csv", "json", "jsonl")  # csv and jsonl: each verdict as soon as it is there
    engine: str = one_of("torch", "onnx")  # onnx: the files that ./run.sh export wrote
    device: str = one_of(*DEVICES)  # auto: the GPU, where there is one
    trust: str = ""  # PEM file of root certificates: Content Credentials that lead to one are trusted
    test: str = ""  # a data set's folder, laid out as the run's own: the submission of its test images is written
    # instead of verdicts; where the run had class folders, a folder of images will do
    out: str = ""  # the submission's file; default: submission.csv in this folder


def main(words: Sequence[str]) -> int:
    """Classify the files that ``words`` name and print the answers; returns 1 if some could not be read, else 0."""
    options = parse(words, PredictOptions)
    if options.test or options.out:
        from competition.commands.predict_test import predict_test  # torch takes seconds to import
        from competition.kaggle.submission.write import LATEST

        if not options.test:
            raise UserError(f"out={options.out} is for the submission of test=FOLDER: give test=, or leave out= out.")
        if options.images or options.engine != "torch" or options.format != "table" or options.trust:
            raise UserError(
                f"test={options.test} writes the submission of that folder, by torch: leave images, engine=, trust= "
                "and format= out."
            )
        return predict_test(options.name, Path(options.test), Path(options.out or LATEST), options.device)
    trust = read_trust(options.trust)
    found = None if options.images == (STANDARD_INPUT,) else find_images(options.images)
    classifier = open_engine(options.engine, options.name, options.device)
    if note := without_outside(classifier.record):
        print(note, file=sys.stderr)
    answers = classify_files(classifier, read_names(sys.stdin.buffer) if found is None else found, trust)
    streams = options.format in STREAMED and sys.stdout.isatty()  # the rows show how far it is
    bar = tqdm(answers, total=found and len(found), unit="img", disable=True if streams else None)
    return 1 if print_answers(classifier, bar, options.format) else 0


def open_engine(engine: str, name: str, device: str) -> Classifier:
    """Return the run's classifier: by its weights, or by what `export` wrote."""
    if engine == "torch":
        # Here, for torch takes seconds to import, and the other engine does without.
        from competition.inference.torch_member import open_classifier

        return open_classifier(name, device)
    if device not in ("auto", "cpu"):
        raise UserError(f"engine=onnx runs on the CPU: leave device={device} out, or use engine=torch.")
    from competition.inference.onnx.session import open_onnx_classifier

    return open_onnx_classifier(name)


def find_images(named: Sequence[str]) -> list[Path]:
    """Return the files that are named and the images in the folders that are, each once."""
    if not named:
        raise UserError("There is nothing to judge: name images or folders, as in ./run.sh predict name=demo IMAGE.")
    files: dict[Path, None] = {}
    for word in named:
        path = Path(word).expanduser()
        if word == STANDARD_INPUT:
            raise UserError(f"'{word}' reads the names of the files from standard input: give it alone.")
        if path.is_dir():
            inside = sorted(map(Path, image_files(path)))
            if not inside:
                raise UserError(f"{word} holds no images: name another folder, or the files themselves.")
            files.update(dict.fromkeys(inside))
        elif path.exists():
            files[path] = None
        else:
            raise UserError(f"There is no file or folder {word}: check the path.")
    return list(files)


def read_names(stream: IO[bytes]) -> Iterator[Path | None]:
    """Yield the file that each line names, as the lines come; None where the next one lets itself be waited for."""
    lines: Queue[bytes] = Queue(NAMES_AHEAD)

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=PAUSE)
        except Empty:
            yield None
            line = lines.get()
        if not line:
            return
        if name := line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n"):
            yield Path(os.fsdecode(name))


def print_answers(classifier: Classifier, answers: Iterable[FileVerdict], form: str) -> int:
    """Print the answers to standard output: csv and jsonl as they come, a table and json at the end.

    Files that cannot be read are in both kinds of JSON, and on standard error in any case; returns how many they are.
    """
    kept: list[dict[str, Any]] = []
    unreadable: dict[str, str] = {}
    table = csv.DictWriter(sys.stdout, [*COLUMNS, *classifier.members], lineterminator="\n")
    if form == "csv":
        table.writeheader()
    for path, found, credentials in answers:
        if isinstance(found, str):
            row = {"file": str(path), "unreadable": found}
            unreadable[str(path)] = found
            tqdm.write(printable(f"Not read: {path}: {found}"), file=sys.stderr)
        else:
            row = verdict_row(classifier, str(path), found, credentials)
        if form == "jsonl":
            print(json.dumps(row), flush=True)
        elif form == "csv" and not isinstance(found, str):
            table.writerow(row)
            sys.stdout.flush()
        elif not isinstance(found, str):
            kept.append(row)
    if form == "json":
        print(json.dumps({"run": classifier.record.name, "answers": kept, "unreadable": unreadable}, indent=2))
    elif kept:
        _print_table(kept)
        (title, value), how = classifier.record.score, classifier.record.cv["how"]
        print(f"{title[:1].upper()}{title[1:]} of these models on images they had not seen: {value:.4f} ({how}).")
        print("A verdict is a score, not proof.")
    return len(unreadable)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the verdicts as a table, and how many of them mean little, their images being unlike the known ones."""
    unknown = {column for column in ("unlike", "credentials") if not any(row[column] not in (None, "") for row in rows)}
    columns = [column for column in rows[0] if column not in unknown]
    names = ("file", "credentials")  # go on in the next line where the terminal is too narrow; figures are never cut
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        left = column in (*names, "verdict")
        table.add_column(column, justify="left" if left else "right", no_wrap=column not in names, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    console(file_width=MAX_WIDTH).print(table)
    if strange := sum((row["unlike"] or 0) >= UNLIKE for row in rows):
        print(
            f"{strange} of {counted(len(rows), 'image')}: more unlike than {UNLIKE:g} % of the images that the models "
            "know, so that the verdict means little."
        )


def _cell(column: str, value: Any) -> str:
    if column == "unlike":
        return "-" if value is None else f"{value:.0f} %"
    return f"{value:.4f}" if isinstance(value, float) else printable(str(value))
