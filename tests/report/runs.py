"""What the tests of the report are made of: labelled rows, histories and the story of a run, drawn in memory."""

import json

import numpy as np
from PIL import Image

from competition.report.figures import Judged, Story
from competition.scoring.metrics import summary


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
    return Judged(
        id=[ids.format(row) for row in range(rows)],
        label=label,
        probs=probs,
        decision=(probs[names[-1]] >= 0.45).astype(int),
        thumbnails=lambda rows: [np.full((8, 12, 3), row % 256, np.uint8) if images else None for row in rows],
    )


def story(oof, classes=("human", "AI"), test_rows=120, **changes):
    """What the page tells besides of such rows; every number in it is another one."""
    rng = np.random.default_rng(9)
    scores = {
        name: {
            "figures": summary(oof.label, prob, (prob >= 0.4 + rng.random() / 10).astype(int)),
            "interval": (0.8 + rng.random() / 20, 0.9 + rng.random() / 20),
            "leaderboard": (0.7 + rng.random() / 20, 0.95 + rng.random() / 20) if test_rows else None,
            "threshold": 0.4 + rng.random() / 10,
            "test_rate": rng.random() if test_rows else None,
            "seconds": 7000 * rng.random(),
        }
        for name, prob in oof.probs.items()
    }
    recipe = {"backbone": "convnext_atto.d2_in1k", "view": "rgb", "image_size": 96, "epochs": 4, "pretrained": "false",
              "parameters": 3_371_234, "trained_parameters": 51_234}  # fmt: skip
    told = {
        "name": "mine",
        "classes": classes,
        "how": "cross-fitted over 5 folds",
        "scores": scores,
        "rows": {"train": 1017, "groups": 509, "test": test_rows, "judged": len(oof.label)},
        "members": {name: recipe for name in list(oof.probs)[:-1] or oof.probs},
        "settings": {"tta": "d4", "threshold": "bootstrap", "folds": 5, "lr": 3e-4, "betas": [0.9, 0.95], "ema": None,
                     "deterministic": False},
        "notes": ["2 images are copies of others: 7.jpg and 8.jpg"],
        "provenance": {"telltale": "0.1.0", "torch": "2.15.0", "git_commit": None},
    }  # fmt: skip
    return Story(**{**told, **changes})


def write_histories(folder, names=("convnext", "swin"), folds=2, **kind):
    """Write each member's history.jsonl files and return them by member."""
    paths = {name: [folder / f"{index}-{fold}.jsonl" for fold in range(folds)] for index, name in enumerate(names)}
    for own in paths.values():
        for seed, path in enumerate(own):
            path.write_text("".join(json.dumps(line) + "\n" for line in history(seed=seed, **kind)))
    return paths
