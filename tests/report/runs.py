"""What the tests of the report are made of: labelled rows, histories and the facts of a run, drawn in memory."""

import dataclasses
import json

import numpy as np
from PIL import Image

from competition.audit.findings import AuditSummary, FindingSummary
from competition.report.metrics_json import ReportRows, RunFacts
from competition.report.trust import Analysis, ConditionScore, ThresholdChoice
from competition.scoring.blend.select import BlendChoice
from competition.scoring.by_source import SourceScore
from competition.scoring.leaderboard_metric import F1
from competition.scoring.metrics import summary
from competition.scoring.scorecard import Score
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.statistics import Statistic
from competition.scoring.shift.verdict import Shift
from competition.scoring.threshold.auto import RuleScore


def world(rows=400, names=("convnext", "swin", "ensemble"), seed=0):
    """Labels, and for each name probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    return label, {name: 1 / (1 + np.exp(-(label * 3 - 1.5 + rng.normal(size=rows)))) for name in names}


def history(epochs=4, validated=True, seed=0, batches=0):
    """The lines of one fold's history.jsonl."""
    rng = np.random.default_rng(seed)
    lines = []
    for epoch in range(1, epochs + 1):
        line = {"epoch": epoch, "lr": 1e-3, "train_loss": 1 / epoch, "seconds": 2.0, "images_per_second": 800.0}
        if validated:
            line |= {"val_loss": 1.1 / epoch, "val_f1": 0.9 - 0.3 * rng.random(), "val_auc": 0.95}
        if batches:
            line["batch_loss"] = [float(1 / (epoch + part / batches)) for part in range(batches)]
        lines.append(line)
    return lines


def pixels(path):
    """Open a PNG fully and return its pixels, (height, width, 3) uint8."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def ink(path):
    """Return the share of pixels that are not the white of the page."""
    return float((pixels(path) != 255).any(axis=2).mean())


def judged(rows=300, names=("convnext", "swin", "ensemble"), seed=0, images=True, ids="train/{}.jpg"):
    """Rows that the members know something of, each with an image of its own unless told otherwise."""
    label, probs = world(rows, names, seed)
    return ReportRows(
        id=[ids.format(row) for row in range(rows)],
        label=label,
        probs=probs,
        decision=(probs[names[-1]] >= 0.45).astype(int),
        thumbnails=lambda rows: [np.full((8, 12, 3), row % 256, np.uint8) if images else None for row in rows],
    )


REMEDIES = {
    "same world": "Nothing to do: the CV score and the leaderboard range speak for this test set.",
    "label shift": "Let threshold=auto follow the test's class balance, or declare a rate with threshold=prior:P.",
    "another world": "Do not believe the CV score here: features tell test from training rows, AUC 0.97 (0.96-0.98).",
}


def shift(names=("convnext", "swin"), verdict="same world", rng=None):
    """A verdict on the test set with all its evidence."""
    rng = rng or np.random.default_rng(3)
    alarming = {"score mixture": verdict == "another world", "class balance": verdict != "same world"}
    evidence = [
        Statistic(
            name,
            {"auc": rng.random()},
            f"the {name} was {rng.random():.3f}, by chance up to {rng.random():.3f}",
            alarming.get(name, False),
        )
        for name in ("positive rate", "class balance", "score mixture", *(f"features of {n}" for n in names))
    ]
    prior = Prior(value=rng.random(), low=rng.random(), high=rng.random(), train=rng.random())
    return Shift(verdict, REMEDIES[verdict], prior, evidence)


def analysis(names=("convnext", "swin"), verdict="same world", seed=3, **changes):
    """How far a score can be believed, every part of it known; every number in it is another one."""
    rng = np.random.default_rng(seed)
    methods = ("equal", "caruana", "stacking")
    audit = AuditSummary(
        True,
        [
            FindingSummary(
                "row parity",
                "alarm",
                "odd rows are of class 1: AUC 0.998.",
                "Nothing to do where no model sees the row's number.",
            ),
            FindingSummary(
                "exact copies",
                "warning",
                "4 training rows are in the test set too.",
                "Leave them out with copies=drop.",
                "folds/mine/audit/copies.csv",
            ),
            FindingSummary("unreadable", "note", "2 files were unreadable.", ""),
        ],
    )
    found = Analysis(
        shift=shift(names, verdict, rng),
        threshold=ThresholdChoice(
            "auto",
            "bootstrap",
            "the median over 200 resamples of groups varies least, and nothing speaks for another rule.",
            rng.random(),
            {
                rule: RuleScore(rng.random(), (rng.random(), rng.random()), rng.random(), test_rate, rng.random())
                for rule, test_rate in zip(
                    ("argmax", "bootstrap", "calibrated", "em", "prior:0.31"), [*rng.random(4), None], strict=True
                )
            },
        ),
        blend=BlendChoice(
            method="equal",
            why="stacking gains 0.0011, less than one standard error (0.0042).",
            weights={name: 1 / len(names) for name in names},
            value={method: rng.random() for method in methods},
            log_loss={method: rng.random() for method in methods},
            se={method: rng.random() / 100 for method in methods},
        ),
        without=[
            {
                "member": name,
                "value": rng.random(),
                "auc": rng.random(),
                "log_loss": rng.random(),
                "difference": rng.random() / 10 - 0.05,
                "se": rng.random() / 100,
            }
            for name in names
        ],
        views=[
            {"views": views, "value": rng.random(), "auc": rng.random(), "log_loss": rng.random()}
            for views in ("all", "identity alone", "hflip alone", "all but identity", "all but hflip")
        ],
        robustness=[
            ConditionScore(condition, f1, f1 + 0.03, 300, 1 - f1)
            for condition, f1 in (
                ("clean", 0.943),
                ("jpeg95", 0.94),
                ("jpeg85", 0.921),
                ("jpeg75", 0.88),
                ("blur", 0.7),
                ("half", 0.66),
            )
        ],
        audit=audit,
        sources=[_source(name, rng) for name in ("midjourney", "camera", "web")],
    )
    return dataclasses.replace(found, **changes)


def _source(name, rng):
    """The score of a source of the kind that its name says: fakes, photographs, or both."""
    positives = {"midjourney": 120, "camera": 0, "web": 57}[name]
    f1, recall, rate = (rng.random() if wanted else None for wanted in (name == "web", positives, name != "midjourney"))
    return SourceScore(name, 120, positives, rng.random(), f1, recall, rate, rng.random())


def only(part, names=("convnext", "swin")):
    """An analysis of which one part is known alone."""
    return Analysis(**{part: getattr(analysis(names), part)})


def facts(oof, classes=("human", "AI"), test_rows=120, **changes):
    """What a report tells besides of such rows; every number in it is another one."""
    rng = np.random.default_rng(9)
    scores = {
        name: Score(
            metric=F1,
            decision=oof.decision,
            prob=prob,
            figures=summary(oof.label, prob, (prob >= 0.4 + rng.random() / 10).astype(int)),
            interval=(0.8 + rng.random() / 20, 0.9 + rng.random() / 20),
            leaderboard=(0.7 + rng.random() / 20, 0.95 + rng.random() / 20) if test_rows else None,
            threshold=(cut := 0.4 + rng.random() / 10),
            cut=cut,
            test_prob=np.zeros(0),
            used=np.full(len(prob), 0.4),
            how="cross-fitted over 5 folds",
            rule="bootstrap",
            why="as set",
            test_rate=rng.random() if test_rows else None,
        )
        for name, prob in oof.probs.items()
    }
    recipe = {
        "backbone": "convnext_atto.d2_in1k",
        "view": "rgb",
        "image_size": 96,
        "epochs": 4,
        "pretrained": "false",
        "parameters": 3_371_234,
        "trained_parameters": 51_234,
    }
    found = RunFacts(
        name="mine",
        classes=classes,
        scores=scores,
        seconds={name: 7000 * rng.random() for name in oof.probs},
        rows={"train": 1017, "groups": 509, "test": test_rows, "judged": len(oof.label)},
        members={name: recipe for name in list(oof.probs)[:-1] or oof.probs},
        settings={
            "tta": "d4",
            "threshold": "bootstrap",
            "folds": 5,
            "split": "by-source",
            "lr": 3e-4,
            "betas": [0.9, 0.95],
            "ema": None,
            "deterministic": False,
        },
        notes=["2 images are copies of others: 7.jpg and 8.jpg"],
        provenance={"telltale": "0.1.0", "torch": "2.15.0", "git_commit": None},
        analysis=analysis(list(oof.probs)[:-1]) if test_rows and len(oof.probs) > 1 else Analysis(),
        oof_scores=oof.probs[oof.final],
        test_scores=np.stack([world(test_rows, seed=part)[1]["ensemble"] for part in (7, 8)]) if test_rows else None,
    )
    return dataclasses.replace(found, **changes)


def write_histories(folder, names=("convnext", "swin"), folds=2, **kind):
    """Write each member's history.jsonl files and return them by member."""
    paths = {name: [folder / f"{index}-{fold}.jsonl" for fold in range(folds)] for index, name in enumerate(names)}
    for own in paths.values():
        for seed, path in enumerate(own):
            path.write_text("".join(json.dumps(line) + "\n" for line in history(seed=seed, **kind)))
    return paths
