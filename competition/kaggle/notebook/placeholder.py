"""The submission of a bundle's notebook where Kaggle hides the test set until it scores: the right form, no prediction.

Kaggle runs the notebook of a code competition once with what is public, which must end well, and again to score it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.data.images.decode import UnreadableImage, read_image
from competition.data.layouts.test_files import SAMPLES
from competition.inference.run_inputs import run_settings
from competition.inference.run_record import read_record
from competition.inference.test_table import TestTable, find_test_table
from competition.kaggle.submission.validate import LABELS, form_of
from competition.kaggle.submission.write import submission_bytes

WARNING = """\
******************************************************************************
NO TEST IMAGE CAN BE READ in {root}.
{out} IS A PLACEHOLDER, no prediction: {what}.
Kaggle shows the test set of a code competition when it scores the notebook,
which is when the models predict it. If this one is public, correct the input and
do not submit this file.
******************************************************************************"""


def main(words: Sequence[str]) -> int:
    """Write the placeholder that ``words`` ask for (a run's name, the test set's folder, the submission); returns 0, or
    1 and writes none where there are images to predict, so that the prediction failed of something else."""
    name, root, out = words[0], Path(words[1]), Path(words[2])
    record = read_record(name)
    config = run_settings(record)
    test = find_test_table(root, record, config)
    if not _hidden(test):
        return 1
    sample = next((root / one for one in SAMPLES if (root / one).is_file()), None)
    if sample:
        content, what = sample.read_bytes(), f"a copy of {sample.name}"
    else:
        form = form_of(config.metric)
        answer = config.fallback if form is LABELS else record.share
        content = submission_bytes(test.ids, np.full(len(test.ids), answer), test.header, form)
        what = f"{len(test.ids):,} rows, all of the {form.name} {answer:g}"
    with atomic_write(out, "wb") as file:
        file.write(content)
    print(WARNING.format(root=root, out=out, what=what))
    return 0


def _hidden(test: TestTable) -> bool:
    """Whether nothing of a test table can be seen."""
    if test.pixels is not None:
        return not len(test.pixels)
    for path in test.paths:
        try:
            read_image(path)
        except UnreadableImage:
            continue
        return False
    return True


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))
