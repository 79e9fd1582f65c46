"""What is to be submitted: a file that has been checked, or what a kernel wrote, with what is known of its worth.

Every mistake in the options is one sentence before anything is read or sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.core.options import bounded, parse
from competition.core.paths import run_folder, runs_folder, shown
from competition.data.run_data import data_root
from competition.kaggle.client.api import Kaggle, closed
from competition.kaggle.client.retry import PATIENCE
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.submission.cards import Card, analysis_of, find_card, newest
from competition.kaggle.submission.figures import Figures, figures_of
from competition.kaggle.submission.fingerprint import file_mark, kernel_mark
from competition.kaggle.submission.validate import form_of, read_submission
from competition.kaggle.submission.write import LATEST, in_short
from competition.kaggle.submit.admission import admit, connect, kernel_version
from competition.kaggle.submit.expected_rows import local_form, run_config, sampled_form
from competition.kaggle.submit.upload import MIN_BYTES_PER_SECOND
from competition.report.trust import Analysis
from competition.scoring.leaderboard_metric import F1, FBETA, find_metric

# How Kaggle may call what each metric= is.
KAGGLE_NAMES = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "f1": r"\bf[-_ ]?(beta|score|measure)|f[-_ ]?1",
        FBETA: r"\bf[-_ ]?(beta|score|measure|[0-9])",
        "accuracy": r"accuracy|categorization",
        "balanced_accuracy": r"balanced",
        "mcc": r"mcc|matthews|phi",
        "auc": r"auc|roc|area under",
        "log_loss": r"log[-_ ]?loss|cross[-_ ]?entropy",
        "brier": r"brier|mean squared error|mse",
    }.items()
}
OUTPUT = "submission.csv"  # what a file is called on Kaggle, and what a kernel is to have written


@dataclass(frozen=True)
class SubmitOptions:
    """What is submitted, and how."""

    file: str = ""  # a CSV; default: the newest submission of run `name`, or submissions/submission.csv
    name: str = ""  # the run that it is of, whose card says what is known of it; default: the run that wrote the file
    competition: str = ""  # Kaggle's name of the competition, or its address; default: the run's
    data: str = ""  # folder of the competition's data, which the file is checked against; default: the run's
    metric: str = ""  # what Kaggle scores, which says whether labels or probabilities are submitted; default: the run's
    message: str = ""  # what Kaggle shows beside the submission; default: the run's name and CV
    yes: bool = False  # submit without a question
    again: bool = False  # submit even what was submitted before
    wait: float = bounded(900.0, 0, 1e9)  # seconds to wait for the score
    timeout: float = bounded(120.0, 0, 1e9)  # seconds that one upload may take, besides its size
    kernel: str = ""  # OWNER/SLUG of a notebook whose output is submitted, in place of a file
    version: int | None = bounded(None, 0, 1e9)  # which version of the kernel; default: the current one

    @property
    def patience(self) -> float:
        """Seconds over which errors of Kaggle's own are borne in one question to it."""
        return min(PATIENCE, max(self.wait, 5.0))


def parse_submit(words: Sequence[str]) -> SubmitOptions:
    """Return the options that fit together. Raises UserError."""
    options = parse(words, SubmitOptions)
    if options.metric:
        find_metric(options.metric)
    if options.kernel and not re.fullmatch(r"[\w-]+/[\w-]+", options.kernel):
        raise UserError(f"kernel={options.kernel} does not name a kernel: write kernel=OWNER/SLUG.")
    if options.version is not None and not options.kernel:
        raise UserError(f"version={options.version} is of no kernel: add kernel=OWNER/SLUG, or leave version= out.")
    if options.kernel and options.file:
        raise UserError(f"file={options.file} and kernel={options.kernel} cannot both be given: keep one of them.")
    return replace(options, competition=slug_in(options.competition))


@dataclass(frozen=True)
class Candidate:
    """What may be submitted."""

    summary: str  # of what it is and what it was checked against, in a line
    slug: str  # the competition's
    mark: str
    words: tuple[str, ...]  # that name it to the Kaggle command line
    timeout: float  # seconds that this may take
    figures: Figures
    analysis: Analysis | None  # what its card says of its worth
    file: str  # where it is from, for the ledger
    warnings: tuple[str, ...]


def choose(options: SubmitOptions, folder: Path, copy: Path) -> tuple[Kaggle, Candidate]:
    """Return what is to be submitted, and Kaggle, which takes it; ``folder`` is submissions/.

    A file is checked against the data and the competition's sample, and left in ``copy``: what is uploaded is what was
    checked. Raises UserError for whatever is wrong with it, the credentials or the competition.
    """
    return _kernel(options, folder) if options.kernel else _file(options, folder, copy)


def _file(options: SubmitOptions, folder: Path, copy: Path) -> tuple[Kaggle, Candidate]:
    path = _path(options, folder)
    content, what = path.read_bytes(), shown(path)
    source, card = find_card(folder, content) or (path, {})
    name = options.name or card.get("name", "")
    config = run_config(name, options.data)
    if config and options.data and not data_root(config).is_dir():
        raise UserError(
            f"There is no folder data={options.data}: name that of the competition's data as data=DIR, or leave it out."
        )
    slug = options.competition or card.get("competition") or (config.competition if config else "")
    if not slug:
        raise UserError(f"It is not known which competition {what} is for: name it with competition=SLUG.")
    form = local_form(config)
    metric = options.metric or card.get("metric") or (config.metric if config else "") or F1.name
    answers = form_of(metric)
    if form is not None and form.sampled:  # what is wrong here needs no network to be seen
        read_submission(content, form.ids, form.header, answers, what)
    kaggle = connect(options.patience)
    warnings = _warnings(kaggle, slug, name, metric, by_kernel=False)
    if form is None or not form.sampled:
        form = sampled_form(form, kaggle, slug)
    found = np.array(read_submission(content, form.ids, form.header, answers, what))
    copy.write_bytes(content)
    unknown = Figures(name=options.name, metric=metric, positive_rate=float((found >= 0.5).mean()))
    if found.min() == found.max():
        warnings += (f"all {len(found):,} rows have the {answers.name} {found[0]:g}: is this the file you mean?",)
    return kaggle, Candidate(
        summary=f"{shown(source)}, {len(found):,} rows, {in_short(found, answers)}, checked against {form.source}",
        slug=slug,
        mark=file_mark(content),
        words=("--file", str(copy)),
        timeout=options.timeout + len(content) / MIN_BYTES_PER_SECOND,
        figures=figures_of(card) if card else unknown,
        analysis=analysis_of(card) if card else None,
        file=shown(source),
        warnings=warnings,
    )


def _path(options: SubmitOptions, folder: Path) -> Path:
    """Return the file that is meant; UserError where there is none."""
    path = Path(options.file) if options.file else newest(folder, options.name) if options.name else folder / LATEST
    if options.file and path.is_dir():
        raise UserError(f"file={options.file} is a folder: name a file in it.")
    if not path.is_file():
        hint = "name one with file=" if options.file else "./run.sh fold=0..4 makes one, or name your own with file="
        raise UserError(f"There is no submission {shown(path)}: {hint}.")
    if options.file and options.name and not run_folder(options.name).is_dir():
        known = [entry.name for entry in runs_folder().glob("[!.]*/")]
        hint = did_you_mean(options.name, known) if known else "."
        raise UserError(f"There is no run '{options.name}' in folds/{hint}")
    return path


def _kernel(options: SubmitOptions, folder: Path) -> tuple[Kaggle, Candidate]:
    """Choose what a kernel wrote; the card is that of the run that is named, for the kernel itself names none."""
    card: Card = {}
    if options.name and (found := find_card(folder, newest(folder, options.name).read_bytes())):
        card = found[1]
    kaggle = connect(options.patience)
    version, current, attached = kernel_version(kaggle, options.kernel, options.version)
    slug = options.competition or card.get("competition") or (attached[0] if len(attached) == 1 else "")
    if not slug:
        raise UserError(
            f"It is not known which competition kernel {options.kernel} is for: name it with competition=SLUG."
        )
    if current and attached and slug not in attached:
        raise UserError(
            f"Kernel {options.kernel} is attached to {' and '.join(attached)}, not to {slug}: name that with "
            f"competition=, or attach the kernel to {slug} and push it again."
        )
    name = f"{options.kernel} version {version}"
    return kaggle, Candidate(
        summary=f"{OUTPUT} of kernel {name}",
        slug=slug,
        mark=kernel_mark(options.kernel, version),
        words=("--kernel", options.kernel, "--version", str(version), "--file", OUTPUT),
        timeout=options.timeout,
        figures=figures_of(card) if card else Figures(name=name),
        analysis=analysis_of(card) if card else None,
        file=name,
        warnings=_warnings(kaggle, slug, options.name, options.metric or card.get("metric", F1.name), by_kernel=True),
    )


def _warnings(kaggle: Kaggle, slug: str, name: str, metric: str, by_kernel: bool) -> tuple[str, ...]:
    """Return what to know of a competition that takes such a submission; UserError where it takes none."""
    found = admit(kaggle, slug, by_kernel, name)
    warnings = []
    if closed(found):
        warnings.append(
            f"the deadline of {slug} is past ({found.deadline:%Y-%m-%d %H:%M} UTC): a submission may still "
            "be scored, and no longer counts"
        )
    named, mine = found.evaluation_metric or "", find_metric(metric)
    if named and not KAGGLE_NAMES[FBETA if metric.startswith(FBETA) else metric].search(named):
        warnings.append(
            f"Kaggle scores {slug} by '{named}', and this was made for {mine.title} (metric={metric}): its score and "
            "CV are not the same thing"
        )
    return tuple(warnings)
