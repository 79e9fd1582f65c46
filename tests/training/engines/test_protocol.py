"""An engine is its own file and a row of the settings: nothing else knows which there are."""

import re
from pathlib import Path

import pytest

import competition
from competition.core.config import load_config
from competition.core.settings import CHOICES, ENGINES
from competition.training.engines.protocol import open_engine

PACKAGE = Path(competition.__file__).parent


@pytest.mark.parametrize("word", ENGINES)
def test_every_engine_of_the_settings_opens_and_does_all_that_the_main_job_calls(word):
    engine = open_engine(load_config(["preset=demo", f"engine={word}"]))
    assert engine.device in ("cpu", "cuda") and engine.where
    for name in ("connect", "place", "check_weights", "print_estimate", "finish"):
        assert callable(getattr(engine, name))


def test_the_rows_of_the_table_are_the_choices():
    assert CHOICES["engine"] == tuple(ENGINES)


def test_no_code_asks_which_engine_a_run_has():
    named = [path for path in PACKAGE.rglob("*.py") if re.search(r"config\.engine\b", path.read_text())]
    assert named == [PACKAGE / "training/engines/protocol.py"]
