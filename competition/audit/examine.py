"""The audit: everything that is wrong with the data before a model sees it, as deep as is asked for.

It trains no network, changes nothing, and says what it could not look at.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from competition.audit.duplicates import Copies, clusters, duplicate_findings, find_copies
from competition.audit.findings import Audit, Finding, sorted_findings
from competition.audit.inputs import Evidence, gather, read_pictures
from competition.audit.row_order import order_findings
from competition.audit.shortcuts import domain_shortcut, label_shortcuts
from competition.audit.twins import find_twins, split_finding
from competition.core.errors import UserError, did_you_mean
from competition.core.text import counted
from competition.data.layouts.dataset import Dataset

DEPTHS = ("tables", "quick", "full")


def audit(dataset: Dataset, cache: Path, depth: str, folds: pd.DataFrame | None = None, seed: int = 0) -> Audit:
    """Return what is wrong with ``dataset``.

    depth: ``tables`` opens no file; ``quick`` adds seconds to a run, whose cache remembers the files' contents anyway:
    exact copies among all, headers of at most 5,000 training and 5,000 test files; ``full`` decodes every image once
    and remembers in ``cache`` what it saw.
    folds: columns id and fold, if there are folds: whether copies and twins cross them is then known, not feared.
    seed: of samples, cross-validation and bootstraps; the same gives the same audit.

    Raises ``UserError`` for another depth; missing and broken images are findings.
    """
    if depth not in DEPTHS:
        raise UserError(f"depth={depth} is no depth of an audit{did_you_mean(depth, DEPTHS)}")
    cache = Path(cache)
    evidence = gather(dataset, cache, depth, seed)
    fold = None if folds is None else folds.set_index("id")["fold"]
    found = find_copies(evidence)
    twins, findings, looked = _twins(evidence, cache, seed)
    findings += split_finding(evidence, twins, fold)
    findings += order_findings(evidence, looked)
    links = _links(evidence, found, twins)
    group = _joined(evidence, np.concatenate([found.both, twins]))
    shortcuts, aucs, metadata = label_shortcuts(evidence, group, seed)
    apart, domain = domain_shortcut(evidence, group, seed)
    findings += [*shortcuts, *apart, *duplicate_findings(evidence, found, twins, fold), *_files(evidence)]
    findings += _unchecked(evidence)
    return Audit(depth, sorted_findings(findings), aucs, metadata, domain, links)


def _twins(evidence: Evidence, cache: Path, seed: int):
    """Return what :func:`find_twins` does, as far as there are pictures to look at."""
    if evidence.content is not None and (evidence.hashes is not None or evidence.kind != "pixels"):
        return find_twins(evidence, partial(read_pictures, evidence, cache), seed)
    return np.empty((0, 2), np.int64), [], {}


def linked(dataset: Dataset, cache: Path, seed: int = 0) -> pd.DataFrame:
    """Return the copies and twins among the training rows alone, as ``Audit.links`` has them at depth ``full``."""
    evidence = gather(dataset, Path(cache), "full", seed)
    return _links(evidence, find_copies(evidence), _twins(evidence, Path(cache), seed)[0])


def _joined(evidence: Evidence, pairs: np.ndarray) -> np.ndarray:
    """Return groups (train rows,) that keep ``pairs`` together, so that no classifier learns copies by heart."""
    group = evidence.rows["group"].iloc[: evidence.train].to_numpy(object)
    pairs = pairs[(pairs < evidence.train).all(axis=1)]
    codes = np.unique(group, return_inverse=True)[1]
    return clusters(codes[pairs], int(codes.max()) + 1)[codes]


def _links(evidence: Evidence, found: Copies, twins: np.ndarray) -> pd.DataFrame:
    ids = evidence.rows["id"].to_numpy(object)
    parts = []
    for why, pairs in (("exact", found.exact), ("near", found.near), ("twins", twins)):
        pairs = pairs[(pairs < evidence.train).all(axis=1)]
        parts.append(pd.DataFrame({"id": ids[pairs[:, 0]], "other": ids[pairs[:, 1]], "why": why}, dtype="str"))
    return pd.concat(parts, ignore_index=True)


def _files(evidence: Evidence) -> Iterator[Finding]:
    """Yield missing-files and broken-files."""
    if len(evidence.missing) and evidence.content is not None:
        are = "is" if len(evidence.missing) == 1 else "are"
        yield Finding(
            "missing-files",
            "warning",
            f"{counted(len(evidence.missing), 'listed image')} {are} not there.",
            "Put them there, or name another data=.",
            {"rows": len(evidence.missing)},
            evidence.select(evidence.missing),
        )
    if evidence.faults:
        rows = sorted(evidence.faults)
        yield Finding(
            "broken-files",
            "warning",
            f"{counted(len(rows), 'image file')} cannot be read.",
            "Download them again; bad_images=drop leaves broken training images out.",
            {"rows": len(rows)},
            evidence.select(rows, fault=[evidence.faults[row] for row in rows]),
        )


def _unchecked(evidence: Evidence) -> Iterator[Finding]:
    if evidence.unchecked:
        reasons: dict[str, list[str]] = {}
        for name, why in evidence.unchecked.items():
            reasons.setdefault(why, []).append(name)
        said = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
        yield Finding(
            "unchecked", "note", f"Not checked: {said}.", "Nothing is claimed about these.", dict(evidence.unchecked)
        )
