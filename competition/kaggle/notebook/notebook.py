"""The notebook of a bundle: installs it without a network, predicts the mounted competition, writes submission.csv."""

import inspect
import json
from collections.abc import Sequence
from typing import Any

from competition import __version__
from competition.data.layouts.class_folders import TEST
from competition.data.layouts.test_files import SAMPLES
from competition.inference.run_record import Record
from competition.kaggle.notebook import session_setup as onkaggle

OUT = "/kaggle/working/submission.csv"
ABOUT = """\
# {record.name}, without a network

Predicts the test set of **{competition}** with the run **{record.name}** of Telltale {version}: {models} models of \
{members}, test-time views *{record.tta}*, threshold {record.threshold:.4f}; {score} on images that \
they had not seen ({record.cv[how]}).
Weights and packages come from the data set `{dataset}`; the submission is `submission.csv`.
"""
# Where the test set is: the folder that holds these files, or folders.
TELLING = {
    "kaggle": ("test.csv", *SAMPLES),
    "folders": (*TEST, *(name.capitalize() for name in TEST)),
    "pixels": ("train.csv", "test.csv"),
}


def notebook_json(record: Record, key: str, competition: str, dataset: str) -> str:
    """Return the notebook (nbformat 4.5) as JSON.

    ``key``: the content of the bundle, so that a data set of another version is not mistaken for it; ``dataset``: where
    the bundle is, as OWNER/SLUG.
    """
    models, members = sum(map(len, record.members.values())), ", ".join(record.members)
    score = "{} {:.4f}".format(*record.score)
    about = ABOUT.format(
        record=record,
        version=__version__,
        models=models,
        members=members,
        competition=competition,
        dataset=dataset,
        score=score,
    )
    name, files = json.dumps(record.name), json.dumps(TELLING[record.kind])
    steps = [
        inspect.getsource(onkaggle),
        f"bundle = find_bundle({name}, {json.dumps(key)})\nlay_out(bundle)\nprint('Installed:', *install(bundle))\n",
        f"test = readable(competition_folder({json.dumps(competition)}, {files}))\nprint('Test set:', test)\n"
        f"predict({name}, test, Path({json.dumps(OUT)}))\n",
        f"print(Path({json.dumps(OUT)}).read_text()[:400])\n",
    ]
    cells = [_cell("markdown", 0, about), *(_cell("code", number, step) for number, step in enumerate(steps, 1))]
    kernel = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def _cell(kind: str, number: int, source: str) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines: Sequence[str] = source.rstrip("\n").splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": list(lines), **more}
