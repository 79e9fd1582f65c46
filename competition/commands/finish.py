"""The end of a run: its table, its report, its record for `predict` and `app`, and its submission with the card."""

import dataclasses
import math
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition import __version__
from competition.core.config import CONFIG_FILE
from competition.core.config_forms import as_yaml, with_weights
from competition.core.console import console
from competition.core.files import write_changed
from competition.core.paths import home, run_folder, shown
from competition.core.settings import Config
from competition.core.splits import chosen_folds
from competition.data.folds import read_folds
from competition.data.images.decode import UnreadableImage, read_image
from competition.data.run_data import RunData, data_root
from competition.ensemble.card import make_card, provenance
from competition.ensemble.member import Member
from competition.ensemble.outside import Outsider
from competition.ensemble.score import Result, labelled
from competition.inference.run_inputs import folds_mark, folds_path
from competition.inference.run_record import Record, write_record
from competition.kaggle.submission.figures import place
from competition.kaggle.submission.validate import form_of, read_submission
from competition.kaggle.submission.write import LATEST, in_short, submission_bytes, write_submission
from competition.report.gallery import visible
from competition.report.metrics_json import ReportRows, RunFacts
from competition.report.terminal import analysis_lines, closing_tables, show, span
from competition.report.write import write_report
from competition.scoring.metrics import summary
from competition.scoring.scorecard import Score


def finish_run(config: Config, data: RunData, result: Result, words: Sequence[str], submit: bool) -> None:
    """Print the closing table, write the report and the submission, or say what is missing for one."""
    out, score_of = console(), result.scores[result.final]
    out.print()
    title = f"{config.name}: {score_of.metric.about}, {score_of.how}"
    for table in closing_tables(result.scores, result.seconds, title, out.width):
        out.print(table)
    out.print()
    for text, style in analysis_lines(result.analysis):
        out.print(text, style=style)
    answer = result.answers(config) if not result.missing and len(data.test) else None
    out.print()
    last = ""
    if submit:
        _remember(config, data, result)
        last = _submit(config, data, result, answer, words)
    if config.report or not submit:  # after the submission, so that no picture can cost it
        show("Report", shown(_report(config, data, result)))
    if last:
        out.print(last)


def _report(config: Config, data: RunData, result: Result) -> Path:
    """Write the run's report."""
    judged = data.train[result.judged]
    oof = ReportRows(
        judged["id"].tolist(),
        judged["label"].to_numpy(),
        {name: score.prob for name, score in result.scores.items()},
        result.scores[result.final].decision,
        _thumbnails(data, judged, 0),
    )
    test = None
    if not result.missing and len(data.test) and (truth := _truth(data)) is not None:
        probs = {name: _known(score.test_prob) for name, score in result.scores.items()}
        final = result.scores[result.final]
        label = labelled(config, final.test_prob, final.cut)
        test = ReportRows(data.test["id"].tolist(), truth, probs, label, _thumbnails(data, data.test, 1))
    histories = {name: [folder / "history.jsonl" for folder in one.folders] for name, one in result.members.items()}
    return write_report(run_folder(config.name) / "report", oof, test, histories, _facts(config, data, result))


def _thumbnails(data: RunData, rows: pd.DataFrame, side: int) -> Callable[[Sequence[int]], list[np.ndarray | None]]:
    """Return what turns positions in ``rows``, of the train set (side 0) or the test set (1), into pictures."""

    def picture(position: int) -> np.ndarray | None:
        row = rows.iloc[position]
        if data.dataset.pixels is not None:
            return visible(data.dataset.pixels[side][row["row"]])
        try:
            return read_image(row["path"])
        except UnreadableImage:
            return None

    return lambda positions: [picture(position) for position in positions]


def _facts(config: Config, data: RunData, result: Result) -> RunFacts:
    rows = {
        "train": len(data.train),
        "groups": int(data.train["group"].nunique()),
        "test": len(data.test),
        "judged": int(result.judged.sum()),
        "leaderboard": round(len(data.test) * config.public_fraction),
    }
    settings = {
        "data": data.dataset.root.name,
        "split": config.split,
        "source": config.source,
        "folds": config.parts,
        "seed": config.seed,
        "seeds": config.seeds,
        "tta": config.tta,
        "metric": config.metric,
        "threshold rule": config.threshold,
    }
    parts = result.predictions[result.final].parts
    seen = parts[:, ~np.isnan(parts).any(axis=0)]
    return RunFacts(
        name=config.name,
        classes=data.dataset.classes,
        scores=result.scores,
        seconds=result.seconds,
        rows=rows,
        members={name: _member_facts(member) for name, member in result.members.items()}
        | {name: _outsider_facts(one) for name, one in result.outsiders.items()},
        settings=settings,
        notes=data.notes,
        provenance=provenance(),
        analysis=result.analysis,
        oof_scores=result.predictions[result.final].oof[result.judged],
        test_scores=seen if seen.size and not result.missing else None,
    )


def _member_facts(member: Member) -> dict[str, Any]:
    recipe, done = member.recipe, member.done()
    return {
        "backbone": recipe.backbone,
        "view": recipe.view,
        "image_size": recipe.image_size,
        "epochs": max(line["epochs"] for line in done),
        "parameters": done[0]["parameters"],
        "trained_parameters": done[0]["trained_parameters"],
        "pretrained": recipe.pretrained,
    }


def _outsider_facts(one: Outsider) -> dict[str, Any]:
    unknown = dict.fromkeys(("image_size", "epochs", "parameters", "trained_parameters", "pretrained"))
    return {"backbone": f"read from {one.folder.name}", "view": None, **unknown}


def _remember(config: Config, data: RunData, result: Result) -> None:
    """Write down what `predict`, `app`, `export` and a later line with this name alone need to know."""
    score_of, folder, members = result.scores[result.final], run_folder(config.name), result.members.items()
    rows = {"train": len(data.train), "groups": int(data.train["group"].nunique()), "test": len(data.test)}
    cv = {
        "metric": score_of.metric.name,
        "value": score_of.value,
        "interval": list(score_of.interval),
        "leaderboard": score_of.leaderboard and list(score_of.leaderboard),
        "how": score_of.how,
        "members": {name: score.value for name, score in result.scores.items()},
    }
    root = data_root(config)
    write_record(
        Record(
            name=config.name,
            classes=data.dataset.classes,
            source=root.name,
            kind=data.dataset.kind,
            rows=rows,
            members={name: [os.path.relpath(path, folder) for path in one.folders] for name, one in members},
            tta=config.tta,
            threshold=score_of.threshold,
            cv=cv,
            telltale=__version__,
            weights=dict(result.weights),
            share=result.share,
            trained_on_test=result.trained_on_test,
            outside=list(result.outsiders),
            folds=folds_mark(read_folds(folds_path(config.name, config))),
        )
    )
    write_changed(folder / CONFIG_FILE, as_yaml(lasting_settings(config)))


def lasting_settings(config: Config) -> Config:
    """Return the settings as a file keeps them: for all folds, and with places that mean the same wherever it is
    read."""
    fold = "full" if chosen_folds(config)[1] else "all"
    config = with_weights(config, lambda path: str(Path(path).expanduser().absolute()))
    return dataclasses.replace(config, data=str(data_root(config)), fold=fold, overwrite=False)


def _line(words: Sequence[str], missing: Sequence[int]) -> str:
    ends = f"{missing[0]}..{missing[-1]}"
    text = ends if len(missing) > 1 and len(missing) == missing[-1] - missing[0] + 1 else ",".join(map(str, missing))
    full = any(word.startswith("fold=") and "full" in word for word in words)
    kept = [word for word in words if not word.startswith("fold=")]
    return shlex.join([*kept, f"fold={text}" + (",full" if full else "")])


def _known(prob: np.ndarray) -> np.ndarray:
    """Return probabilities with one half where no model could see the image, for figures over all rows."""
    return np.where(np.isnan(prob), 0.5, prob)


def _submit(config: Config, data: RunData, result: Result, answer: np.ndarray | None, words: Sequence[str]) -> str:
    """Write the submission, where there can be one, and return the line that says what to do next."""
    if result.missing:
        return f"To complete the submission: ./run.sh {_line(words, result.missing)}"
    if answer is None:
        return "There is no test set in the data, so there is no submission."
    header = data.dataset.header
    ids, form = data.test["id"].tolist(), form_of(config.metric)
    content = submission_bytes(ids, answer, header, form)
    read_submission(content, ids, header, form)
    card = make_card(config, data, result)
    path, new = write_submission(home() / "submissions", config.name, content, card, provenance())
    latest = shown(home() / "submissions" / LATEST)
    show("Submission", f"{latest}, {len(answer):,} rows, {in_short(answer, form)}")
    show("Card", shown(path.with_suffix(".json")) + ("" if new else " (unchanged)"))
    if (truth := _truth(data)) is not None:
        final = result.scores[result.final]
        _reveal(truth, answer, labelled(config, final.test_prob, final.cut), final)
    return "Upload      ./run.sh submit" + ("" if config.competition else " competition=SLUG")


def _truth(data: RunData) -> np.ndarray | None:
    """Return the labels that were kept aside until now, in the test table's order; None where there are none."""
    kept = data.dataset.test_label
    return None if kept is None else kept.set_index("id")["label"][data.test["id"]].to_numpy()


def _reveal(truth: np.ndarray, answer: np.ndarray, label: np.ndarray, score: Score) -> None:
    """Print the submission's score on labels that were kept aside until now."""
    value, ends = score.metric.value(truth, answer, label), score.leaderboard
    where = "inside" if place(value, ends) == "inside" else "OUTSIDE"
    beside = f", {where} the range {span(ends)}" if ends else ", where no range is promised"
    show("Leaderboard", f"{score.metric.title} {value:.4f} on the labels kept aside{beside}")
    figures = summary(truth, _known(score.test_prob), label)
    names = {key: key for key in ("accuracy", "precision", "recall")} | {"auc": "AUC", "pr_auc": "average precision"}
    names |= {"f1": "F1", "log_loss": "log-loss"}
    names.pop(score.metric.name, None)
    known = [f"{name} {figures[key]:.4f}" for key, name in names.items() if not math.isnan(figures[key])]
    show("", ", ".join(known))
