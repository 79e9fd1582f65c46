"""The card: what is known about a submission, as JSON beside it."""

import contextlib
import dataclasses
import math
import platform
import subprocess
from pathlib import Path
from typing import Any

from competition import __version__
from competition.core.files import fingerprint
from competition.core.settings import Config
from competition.data.run_data import RunData
from competition.ensemble.score import Result
from competition.inference.torch_member import job_settings

TRIES = 3  # of asking git, where something kills it


def make_card(config: Config, data: RunData, result: Result) -> dict[str, Any]:
    """Return what is known about a submission; the same results give the same card, whenever they were made."""
    score_of = result.scores[result.final]
    analysis = dataclasses.asdict(result.analysis)
    jobs = [done["prediction_key"] for member in result.members.values() for done in member.done()]
    return {
        "name": config.name,
        "competition": config.competition,
        "metric": config.metric,
        "cv": {name: _rounded(score.figures) for name, score in result.scores.items()},
        "cv_interval": score_of.interval,
        "leaderboard_range": score_of.leaderboard,
        "expected": score_of.expected,  # in another world alone, and then the range is this one's
        "public_fraction": config.public_fraction,
        "threshold": {"value": score_of.threshold, "judged": score_of.how, **analysis["threshold"]},
        "world": analysis["shift"],
        "audit": analysis["audit"],
        "blend": analysis["blend"],
        "without": analysis["without"],
        "tta_views": analysis["views"],
        "robustness": analysis["robustness"],
        "sources": analysis["sources"],
        "predicted_positive_rate": {"oof": score_of.figures["predicted_positive_rate"], "test": score_of.test_rate},
        "members": _members(result),
        "tta": config.tta,
        "rows": {"train": len(data.train), "test": len(data.test)},
        "unreadable_test": data.unreadable_test,
        "fallback": config.fallback,
        "notes": data.notes,
        "fingerprints": {"data": data.table_key, "jobs": fingerprint(sorted(jobs))},
        **({"tuned": config.tuned} if config.tuned else {}),
    }


def _members(result: Result) -> dict[str, Any]:
    trained = {
        name: {
            "weight": result.weights[name],
            "backbone": member.recipe.backbone,
            "view": member.recipe.view,
            "pretrained": job_settings(member.folders[0])["pretrained"],
            "models": len(member.folders),
        }
        for name, member in result.members.items()
    }
    return trained | {
        name: {"weight": result.weights[name], "predictions": one.digest, "folds_known": one.fold is not None}
        for name, one in result.outsiders.items()
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in figures.items() if not math.isnan(value)}


def provenance() -> dict[str, Any]:
    """Return the versions that made this; the commit is None outside of a checkout."""
    commit, git = "", ["git", "rev-parse", "HEAD"]
    with contextlib.suppress(FileNotFoundError):
        for _ in range(TRIES):
            found = subprocess.run(git, cwd=Path(__file__).parent, capture_output=True, text=True)
            commit = found.stdout.strip()
            if found.returncode >= 0:
                break
    return {"git_commit": commit or None, "telltale": __version__, "python": platform.python_version()}
