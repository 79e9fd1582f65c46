"""Write the evaluation report of what is trained, be it some folds only.

./run.sh report [name=NAME]              the evaluation report of what is trained

It is folds/<name>/report/report.html, with its figures as files beside it; nothing is trained and nothing submitted.
"""

from collections.abc import Sequence

from competition.commands.run import run
from competition.core.settings import Config


def main(config: Config, words: Sequence[str]) -> None:
    """Do the main job's end as far as the report."""
    run(config, words, train=False, submit=False)
