import pytest

from competition.core.config import load_config
from competition.data.assemble import assemble
from competition.data.run_data import read_tables


@pytest.mark.parametrize(
    ("words", "flattered"),
    [
        ([], False),
        (["patience=2"], True),  # whatever its folds are called: there is always one that is number 1
        (["patience=2", "split=holdout:0.6,0.4"], True),
        (["patience=2", "split=holdout:0.5,0.3,0.2"], False),
    ],
)
def test_scores_of_rows_that_chose_the_epoch_are_said_to_be_flattered(tmp_path, monkeypatch, words, flattered):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    config = load_config(["preset=demo", "demo.train_scenes=10", "demo.test_scenes=2", "folds=2", *words])
    data = assemble(config, read_tables(config))
    assert any("early stopping" in note for note in data.notes) == flattered
