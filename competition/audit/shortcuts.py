"""Whether something besides the pictures tells the classes apart, or train from test: metadata and file names."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from competition.audit.file_names import container_of, name_facts
from competition.audit.findings import Finding, Separation
from competition.audit.inputs import AuditInputs
from competition.audit.separability import MAX_ROWS, enough, feature_auc, separation, some_rows
from competition.data.images.file_facts import KINDS, NUMBERS

# Each finding, what it is called in words, and its features, the plainest first.
FAMILIES = {
    "container": ("The format of the file", ("container", "extension", "extension_wrong")),
    "exif": ("EXIF", ("exif", "camera", "software", "exif_text", "exif_tags")),
    "embedded-text": ("Text in the file", ("text_keys", "text")),
    "credentials": ("Whether a file has Content Credentials", ("credentials",)),
    "icc": ("The colour profile", ("icc",)),
    "jpeg-quality": ("The JPEG quality", ("jpeg_quality", "jpeg_tables")),
    "jpeg-coding": ("The way of JPEG coding", ("subsampling", "progressive")),
    "image-size": ("The size of the image", ("width", "height", "aspect")),
    "file-size": ("The size of the file", ("bytes", "bits_per_pixel")),
    "colour-mode": ("The colour mode", ("mode", "alpha", "greyscale")),
    "file-name-pattern": ("The file name", ("prefix", "folder", "number", "digit_share", "name_length", "hex")),
}
_REMEDIES = {
    "container": "Re-encode all training images alike (one format, one quality) before anything is trained.",
    "exif": "Strip it from all files; ask why one class has it, for its images may come another way, too.",
    "embedded-text": "Strip it from all files; ask why one class has it, for its images may come another way, too.",
    "credentials": "No model sees them, but ask why one class has them: its images come from few programs or cameras.",
    "icc": "Convert all images to sRGB and strip the profile.",
    "jpeg-quality": "Re-encode all training images at one quality, or draw the quality at random in augmentation.",
    "jpeg-coding": "Re-encode all training images with one setting, or draw it at random in augmentation.",
    "image-size": "Train on crops at native size (fit=crop), not on resized whole images, and compare.",
    "file-size": "Re-encode all training images at one quality; a rest of it is the pictures themselves.",
    "colour-mode": "Bring all images to one mode; leave out what has no counterpart in the other class.",
    "file-name-pattern": "No model sees it, but it tells of data put together class by class: see what else differs.",
}
_JPEG_ONLY = ("jpeg_quality", "jpeg_tables", "subsampling", "progressive")
_ABSENT = ("None", "False", "nan", "")
MIN_VALUE_Z, MIN_PURITY = 4.0, 0.9  # standard errors, and share of one class, that make a value telling


def features_of(inputs: AuditInputs) -> pd.DataFrame:
    """Return all features of rows, by position: of the files that were looked at, or of all names if none was."""
    rows = inputs.rows if inputs.facts is None else inputs.rows.loc[inputs.facts.index]
    train_folders = inputs.rows["path"].iloc[: inputs.train].map(lambda path: path.rpartition("/")[0])
    table = name_facts(rows["path"].tolist(), inputs.kind != "folders" and train_folders.nunique() > 1)
    table = table.set_index(rows.index)
    if inputs.facts is None:
        return table
    table = pd.concat([inputs.facts, table], axis=1)
    claimed = table["extension"].map(container_of)
    return table.assign(extension_wrong=(claimed != table["container"]).astype(object))


def label_shortcuts(
    inputs: AuditInputs, group: np.ndarray, seed: int
) -> tuple[list[Finding], dict[str, float], Separation | None]:
    """Return what tells the classes apart, the AUC of each feature, and how well all metadata together do.

    ``group`` (train rows,) keeps copies in one fold. File names are judged each alone, never by the classifier: no
    model sees them, and names that give the label away make no score dishonest.
    """
    if inputs.kind == "pixels":
        return [], {}, None
    table = features_of(inputs)
    table = table[table.index < inputs.train]
    label = inputs.train_rows["label"].to_numpy()[table.index]
    group = group[table.index]
    if not enough(label, group):
        return [], {}, None
    aucs, strong, some = {}, {}, some_rows(group, 2 * MAX_ROWS, seed)
    for name in table:
        rows = some[(table["container"].iloc[some] == "JPEG").to_numpy()] if name in _JPEG_ONLY else some
        measured = feature_auc(table[name].iloc[rows], label[rows], group[rows], seed)
        if measured is not None:
            aucs[name], strong[name] = measured
    findings = []
    for family, (_, names) in FAMILIES.items():
        flagged = sorted((name for name in names if strong.get(name)), key=lambda name: -round(aucs[name], 3))
        if flagged:
            findings.append(_feature_finding(inputs, family, flagged, table, label, aucs))
    together = None
    if inputs.facts is not None:
        columns = [*NUMBERS, *KINDS, "extension_wrong"]
        together = separation(table[columns], label, group, seed)
        findings += _classifier_finding(together, {name: aucs[name] for name in columns if name in aucs}, len(table))
    return findings, aucs, together


def domain_shortcut(inputs: AuditInputs, group: np.ndarray, seed: int) -> tuple[list[Finding], Separation | None]:
    """Return how well the files' contents, without their names and folders, tell test rows from training rows."""
    if inputs.facts is None or inputs.train == len(inputs.rows):
        return [], None
    table, inside = inputs.facts, inputs.facts.index.to_numpy()
    is_test = (inside >= inputs.train).astype(np.int64)
    names = pd.Series(
        [*(f"train {name}" for name in group), *(f"test {number}" for number in range(len(inputs.rows) - inputs.train))]
    )
    apart = separation(table, is_test, names.to_numpy(object)[inside], seed)
    if apart is None or apart.level is None:
        return [], apart
    return [
        Finding(
            "train-test-metadata",
            apart.level,
            f"Metadata alone tell test files from training files, {apart}: the test images were made or "
            "saved another way.",
            "Expect another score on the leaderboard; re-encode and augment the training images to look like the "
            "test's.",
            apart.rounded(),
        )
    ], apart


def _feature_finding(
    inputs: AuditInputs, family: str, names: list[str], table: pd.DataFrame, label: np.ndarray, aucs: dict[str, float]
) -> Finding:
    best = names[0]
    points = _points_to(table[best], label)
    pure = np.flatnonzero(points >= 0)
    rows = None
    if len(pure):
        rows = inputs.select(table.index[pure], **{best: table[best].to_numpy()[pure], "points_to": points[pure]})
    share = f"; {len(pure):,} of {len(table):,} rows have a value that only one class has" if len(pure) else ""
    also = f" ({', '.join(names[1:])} too)" if names[1:] else ""
    what = f"{FAMILIES[family][0]} predicts the label: {best} alone has AUC {aucs[best]:.3f}{also}{share}."
    figures = {"auc": {name: round(aucs[name], 4) for name in names}, "looked_at": len(table)}
    return Finding(family, "warning", what, _REMEDIES[family], figures, rows)


def _points_to(values: pd.Series, label: np.ndarray) -> np.ndarray:
    """Return the class that each row's value gives away, -1 for a value that tells nothing or is missing.

    A value gives a class away if nine in ten of its rows are of that class, 4 standard errors beyond chance. Numbers of
    many values count by twentieths of the rows.
    """
    if values.dtype == float and values.nunique() > 100:
        values = pd.qcut(values, 20, labels=False, duplicates="drop")
    keys = values.map(str)
    counts = pd.DataFrame({"key": keys.to_numpy(), "label": label}).groupby("key")["label"].agg(["size", "mean"])
    base = label.mean()
    z = (counts["mean"] - base).abs() * np.sqrt(counts["size"] / (base * (1 - base)))
    pure = ((counts["mean"] >= MIN_PURITY) | (counts["mean"] <= 1 - MIN_PURITY)) & (z >= MIN_VALUE_Z)
    pure &= ~counts.index.isin(_ABSENT)
    side = (counts["mean"] > 0.5).astype(int).where(pure, -1)
    return keys.map(side).to_numpy(np.int64)


def _classifier_finding(apart: Separation | None, aucs: dict[str, float], rows: int) -> Iterator[Finding]:
    if apart is None or apart.level is None:
        return
    verdict = "no CV score on these data is honest" if apart.level == "alarm" else "a CV score may owe them something"
    most = sorted(aucs, key=aucs.__getitem__, reverse=True)[:2]
    yield Finding(
        "metadata-shortcut",
        apart.level,
        f"A classifier that sees no pixel tells the classes apart by metadata, {apart}, most by "
        f"{' and '.join(most)}: {verdict}.",
        "Save all images alike (one format, size and quality, no EXIF), then audit again; what the size of a file "
        "tells is in the picture itself.",
        apart.rounded() | {"looked_at": rows},
    )
