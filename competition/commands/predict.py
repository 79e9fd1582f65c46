"""Classify images and folders of them with a trained run, or write the submission of a test set's folder.

./run.sh predict name=NAME IMAGE ...     a trained run's verdict on images and folders (format=table|csv|json)
./run.sh predict name=NAME test=FOLDER   the submission of a test set's folder (out=FILE)

Exit status 1: some images could not be read.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.options import DEVICES, one_of, parse, positional
from competition.core.text import counted, printable
from competition.data.images.credentials import file_credentials, read_trust
from competition.data.images.decode import UnreadableImage, read_image
from competition.data.layouts.dataset import IMAGE_EXTENSIONS
from competition.inference.classify import Classifier, Verdict
from competition.inference.run_record import without_outside
from competition.kaggle.submission.write import LATEST
from competition.report.terminal import console
from competition.scoring.unlikeness import UNLIKE

CHUNK_IMAGES, CHUNK_BYTES = 64, 60_000_000  # decoded and judged at a time

FileVerdict = tuple[Path, Verdict | str]  # a file, and its verdict or why it cannot be read


@dataclass(frozen=True)
class PredictOptions:
    """What is classified, and how."""

    images: tuple[str, ...] = positional("IMAGE")  # files, and folders of images
    name: str = "demo"  # the run's name
    format: str = one_of("table", "csv", "json")  # how the verdicts are printed
    engine: str = one_of("torch", "onnx")  # onnx: the files that ./run.sh export wrote
    device: str = one_of(*DEVICES)  # auto: the GPU, where there is one
    trust: str = ""  # PEM file of root certificates: Content Credentials that lead to one are trusted
    test: str = ""  # folder of a test set, whose submission is written in place of verdicts
    out: str = ""  # the submission's file; default: submission.csv in this folder


def main(words: Sequence[str]) -> int:
    """Classify the files that ``words`` name and print the answers; returns 1 if some could not be read, else 0."""
    options = parse(words, PredictOptions)
    if options.test or options.out:
        from competition.commands.predict_test import predict_test  # torch takes seconds to import

        if not options.test:
            raise UserError(f"out={options.out} is for the submission of test=FOLDER: give test=, or leave out= out.")
        if options.images or options.engine != "torch" or options.format != "table" or options.trust:
            raise UserError(
                f"test={options.test} writes the submission of that folder, by torch: leave images, engine=, trust= "
                "and format= out."
            )
        return predict_test(options.name, Path(options.test), Path(options.out or LATEST), options.device)
    files, trust = find_images(options.images), read_trust(options.trust)
    classifier = open_engine(options.engine, options.name, options.device)
    if note := without_outside(classifier.record):
        print(note, file=sys.stderr)
    answers = list(tqdm(classify_files(classifier, files), total=len(files), unit="img", disable=None))
    print_answers(classifier, answers, options.format, trust)
    unreadable = [(path, answer) for path, answer in answers if isinstance(answer, str)]
    for path, reason in unreadable:
        print(printable(f"Not read: {path}: {reason}"), file=sys.stderr)
    return 1 if unreadable else 0


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
        if path.is_dir():
            inside = sorted(
                p
                for p in path.rglob("*")
                if p.suffix.lower() in IMAGE_EXTENSIONS
                and p.is_file()
                and not any(part[:1] == "." or part[:2] == "__" for part in p.relative_to(path).parts)
            )
            if not inside:
                raise UserError(f"{word} holds no images: name another folder, or the files themselves.")
            files.update(dict.fromkeys(inside))
        elif path.exists():
            files[path] = None
        else:
            raise UserError(f"There is no file or folder {word}: check the path.")
    return list(files)


def classify_files(classifier: Classifier, files: Sequence[Path]) -> Iterator[FileVerdict]:
    """Yield every file's verdict, or why it cannot be read, in order."""
    chunk: list[tuple[Path, np.ndarray | str]] = []
    held = 0
    for path in files:
        chunk.append((path, _image_or_reason(path)))
        held += getattr(chunk[-1][1], "nbytes", 0)
        if len(chunk) == CHUNK_IMAGES or held > CHUNK_BYTES:
            yield from _classify_chunk(classifier, chunk)
            chunk, held = [], 0
    yield from _classify_chunk(classifier, chunk)


def _image_or_reason(path: Path) -> np.ndarray | str:
    try:
        return read_image(path)
    except UnreadableImage as error:
        return error.reason


def _classify_chunk(classifier: Classifier, chunk: Sequence[tuple[Path, np.ndarray | str]]) -> Iterator[FileVerdict]:
    verdicts = iter(classifier.classify([image for _, image in chunk if not isinstance(image, str)]))
    for path, image in chunk:
        yield path, image if isinstance(image, str) else next(verdicts)


def print_answers(classifier: Classifier, answers: Sequence[FileVerdict], form: str, trust: str = "") -> None:
    """Print the answers to standard output; unreadable files are in the JSON alone.

    ``trust``: certificates of trusted signers, as in :func:`competition.data.images.credentials.read_credentials`.
    """
    threshold = classifier.record.threshold
    rows = [
        {
            "file": str(path),
            "verdict": classifier.words[found.positive],
            "probability": round(found.prob, 6),
            "threshold": round(threshold, 6),
            "unlike": None if found.unlikeness is None else round(found.unlikeness, 1),
            "credentials": file_credentials(path, trust),
            **{name: round(prob, 6) for name, prob in found.members.items()},
        }
        for path, found in answers
        if not isinstance(found, str)
    ]
    if form == "json":
        unreadable = {str(path): found for path, found in answers if isinstance(found, str)}
        print(json.dumps({"run": classifier.record.name, "answers": rows, "unreadable": unreadable}, indent=2))
    elif form == "csv":
        columns = ["file", "verdict", "probability", "threshold", "unlike", "credentials", *classifier.members]
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif rows:
        _print_table(rows)
        (title, value), how = classifier.record.score, classifier.record.cv["how"]
        print(f"{title[:1].upper()}{title[1:]} of these models on images they had not seen: {value:.4f} ({how}).")
        print("A verdict is a score, not proof.")


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the verdicts as a table, and how many of them mean little, their images being unlike the known ones."""
    unknown = {column for column in ("unlike", "credentials") if not any(row[column] not in (None, "") for row in rows)}
    columns = [column for column in rows[0] if column not in unknown]
    left = ("file", "verdict", "credentials")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    console().print(table)
    if strange := sum((row["unlike"] or 0) >= UNLIKE for row in rows):
        print(
            f"{strange} of {counted(len(rows), 'image')}: more unlike than {UNLIKE:g} % of the images that the models "
            "know, so that the verdict means little."
        )


def _cell(column: str, value: Any) -> str:
    if column == "unlike":
        return "-" if value is None else f"{value:.0f} %"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
