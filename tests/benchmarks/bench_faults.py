"""Whether anything breaks it: drawn command lines, files, kills and images, each checked against what is promised.

Every case is drawn from ``seed``, the campaign's name and its number alone: ``only=words case=17`` does one again.
500 cases and 10 kills take some minutes on two cores; 10,000 and 200 take hours.
"""

import os
import tempfile
import time
from pathlib import Path

from competition.core.errors import UserError, did_you_mean
from tests.benchmarks.faults.campaign import Campaign, conduct
from tests.benchmarks.faults.endurance import endurance
from tests.benchmarks.faults.files import files_case
from tests.benchmarks.faults.images import images
from tests.benchmarks.faults.kills import kills_case
from tests.benchmarks.faults.words import words_case

# By name: what does a case, and which option says how many are done ("rounds": how long the one case goes on).
CAMPAIGNS: dict[str, tuple[Campaign, str]] = {
    "words": (words_case, "cases"),
    "files": (files_case, "cases"),
    "kills": (kills_case, "kills"),
    "images": (images, "cases"),
    "endurance": (endurance, "rounds"),
}


def main(cases: int = 500, kills: int = 10, seed: int = 0, case: int | None = None, only: str = "") -> bool:
    """Run the campaigns, all or the one that ``only`` names, print a table, and return whether nothing was found."""
    if only and only not in CAMPAIGNS:
        raise UserError(f"There is no campaign '{only}'{did_you_mean(only, CAMPAIGNS)}")
    if case is not None and not only:
        raise UserError(f"case={case} needs only=CAMPAIGN, one of {', '.join(CAMPAIGNS)}.")
    done = {"cases": range(cases), "kills": range(kills), "rounds": [max(5, cases // 100)]}
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        os.environ["OPENCV_TEMP_PATH"] = folder  # what it leaves of images that it could not draw
        for name, (campaign, counted) in CAMPAIGNS.items():
            if only in ("", name):
                start = time.perf_counter()
                numbers = done[counted] if case is None else [case]
                tallies[name] = conduct(name, campaign, numbers, seed, Path(folder)), time.perf_counter() - start
    print(f"{'campaign':<12}{'cases':>8}{'clean':>8}{'minutes':>9}  findings")
    for name, (tally, seconds) in tallies.items():
        kinds = [finding.kind for found in tally.found for finding in found.findings]
        listed = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds)) or "none"
        print(f"{name:<12}{tally.done.total():>8,}{tally.done['clean']:>8,}{seconds / 60:>9.1f}  {listed}")
    return not any(tally.found for tally, _ in tallies.values())
