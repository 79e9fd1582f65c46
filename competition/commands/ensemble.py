"""Blend the members, tune the threshold and write the submission again, from trained results alone.

./run.sh ensemble ...                    blend and tune again from what is trained
./run.sh ensemble names=a,b,c            blend finished runs over the same folds; compare one of random folds with one
                                         of split=by-source
"""

from collections.abc import Sequence

from competition.commands.run import run
from competition.core.settings import Config


def main(config: Config, words: Sequence[str]) -> None:
    """Do the main job's end."""
    run(config, words, train=False)
