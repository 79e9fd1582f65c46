"""How far a run's jobs are, as the status command reads it from the run's folder."""

import json

from competition.core.files import write_json
from competition.training.plan import NODES_FILE
from tests.running import TINY, done_inside

NODE = "host (192.0.2.7, 0a1b2c), GPU 0 (H100)"
LINE = ["status", *TINY, "name=run", "fold=0..2", "members.convnext.epochs=10"]


def rows(home) -> dict[str, list[str]]:
    """Return the table's rows by job."""
    printed = done_inside(home, *LINE).splitlines()
    lines = [line for line in printed if " fold " in line]
    return {
        line.split("  ")[0].strip(): [cell.strip() for cell in line.split("  ") if cell.strip()][1:] for line in lines
    }


def test_done_begun_waiting_and_at_work_on_a_node(tmp_path):
    folder = tmp_path / "folds/run"
    assert rows(tmp_path) == {
        f"{member} fold {fold}": ["waits"] for member in ("convnext", "swin") for fold in range(3)
    }
    epoch = {"images_per_second": 1234.5, "elapsed": 120.0}
    for fold, epochs in ((0, 4), (1, 2)):
        (folder / f"convnext/fold{fold}").mkdir(parents=True)
        history = "".join(json.dumps(epoch) + "\n" for _ in range(epochs))
        (folder / f"convnext/fold{fold}/history.jsonl").write_text(history)
    (folder / "swin/fold2").mkdir(parents=True)
    write_json(folder / "swin/fold2/done.json", {"prediction_key": "x", "epochs": 2})
    write_json(folder / NODES_FILE, {"convnext fold 0": {"node": NODE, "note": "epoch 5/10"}})
    found = rows(tmp_path)
    assert found["convnext fold 0"] == ["epoch 5/10", "4 of 10", "1,234", "3 min", NODE]
    assert found["convnext fold 1"] == ["begun", "2 of 10"] and found["swin fold 2"] == ["done", "2"]
    assert "noted 0 s ago" in done_inside(tmp_path, *LINE)
