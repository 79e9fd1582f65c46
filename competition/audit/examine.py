"""The audit: everything that is wrong with the data before a model sees it, to the depth that is requested.

It trains no network, changes nothing, and says what it could not look at.
"""

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from competition.audit.composition import composition_findings
from competition.audit.credentials import credentials_findings
from competition.audit.duplicates import Copies, clusters, duplicate_findings, find_copies
from competition.audit.findings import Audit, Finding, sorted_findings
from competition.audit.inputs import AuditInputs, gather, read_pictures
from competition.audit.row_order import Comparison, order_findings
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
    folds: columns id and fold, if there are folds: only then is it known whether copies and twins cross them.
    seed: of samples, cross-validation and bootstraps; the same gives the same audit.

    Raises ``UserError`` for another depth; missing and broken images are findings.
    """
    if depth not in DEPTHS:
        raise UserError(f"depth={depth} is not a depth of an audit{did_you_mean(depth, DEPTHS)}")
    inputs = gather(dataset, cache, depth, seed)
    fold = None if folds is None else folds.set_index("id")["fold"]
    found = find_copies(inputs)
    twins, findings, compared = _twins(inputs, cache, seed)
    findings += split_finding(inputs, twins, fold)
    findings += order_findings(inputs, compared)
    links = _links(inputs, found, twins)
    group = _joined(inputs, np.concatenate([found.both, twins]))
    shortcuts, aucs, metadata = label_shortcuts(inputs, group, seed)
    apart, domain = domain_shortcut(inputs, group, seed)
    findings += [
        *shortcuts,
        *apart,
        *composition_findings(inputs, group, seed),
        *credentials_findings(inputs),
        *duplicate_findings(inputs, found, twins, fold),
        *_files(inputs),
    ]
    findings += _unchecked(inputs)
    return Audit(depth, sorted_findings(findings), aucs, metadata, domain, links)


def _twins(inputs: AuditInputs, cache: Path, seed: int) -> tuple[np.ndarray, list[Finding], dict[str, Comparison]]:
    """Return what :func:`find_twins` does, as far as there are pictures to look at."""
    if inputs.content is not None and (inputs.decoded or inputs.kind != "pixels"):
        return find_twins(inputs, partial(read_pictures, inputs, cache), seed)
    return np.empty((0, 2), np.int64), [], {}


def linked(dataset: Dataset, cache: Path, seed: int = 0) -> pd.DataFrame:
    """Return the copies and twins among the training rows alone, as ``Audit.links`` has them at depth ``full``."""
    inputs = gather(dataset, cache, "full", seed)
    return _links(inputs, find_copies(inputs), _twins(inputs, cache, seed)[0])


def _joined(inputs: AuditInputs, pairs: np.ndarray) -> np.ndarray:
    """Return groups (train rows,) that keep ``pairs`` together: no classifier is then judged on copies it has seen."""
    group = inputs.rows["group"].iloc[: inputs.train].to_numpy(object)
    pairs = pairs[(pairs < inputs.train).all(axis=1)]
    codes = np.unique(group, return_inverse=True)[1]
    return clusters(codes[pairs], int(codes.max()) + 1)[codes]


def _links(inputs: AuditInputs, found: Copies, twins: np.ndarray) -> pd.DataFrame:
    ids = inputs.rows["id"].to_numpy(object)
    parts = []
    for why, pairs in (("exact", found.exact), ("near", found.near), ("twins", twins)):
        pairs = pairs[(pairs < inputs.train).all(axis=1)]
        parts.append(pd.DataFrame({"id": ids[pairs[:, 0]], "other": ids[pairs[:, 1]], "why": why}, dtype="str"))
    return pd.concat(parts, ignore_index=True)


def _files(inputs: AuditInputs) -> Iterator[Finding]:
    """Yield missing-files and broken-files."""
    missing, broken = inputs.missing, sorted(inputs.faults)
    if len(missing) and inputs.content is not None:
        what = f"{counted(len(missing), 'listed image')} {'is' if len(missing) == 1 else 'are'} not there."
        remedy = "Put them there, or name another data=."
        yield Finding("missing-files", "warning", what, remedy, {"rows": len(missing)}, inputs.select(missing))
    if broken:
        what = f"{counted(len(broken), 'image file')} cannot be read."
        remedy = "Download them again; bad_images=drop leaves broken training images out."
        rows = inputs.select(broken, fault=[inputs.faults[row] for row in broken])
        yield Finding("broken-files", "warning", what, remedy, {"rows": len(broken)}, rows)


def _unchecked(inputs: AuditInputs) -> Iterator[Finding]:
    if inputs.unchecked:
        reasons = groupby(inputs.unchecked, inputs.unchecked.__getitem__)
        listed = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons)
        remedy = "Nothing is claimed about these."
        yield Finding("unchecked", "note", f"Not checked: {listed}.", remedy, dict(inputs.unchecked))
