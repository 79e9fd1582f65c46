"""Print the resolved settings; as a file they give the same run with config=FILE.

./run.sh config ...                      print the resolved settings, and the licences of pretrained weights
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from competition.core.config import CONFIG_FILE, load_config
from competition.core.config_forms import as_yaml
from competition.core.errors import UserError, did_you_mean
from competition.core.paths import home, run_folder, runs_with
from competition.core.settings import Config
from competition.inference.run_record import FILE as RECORD

AUTO = "auto"  # as a preset: the one that suits


def main(config: Config, words: Sequence[str]) -> None:
    """Print the settings as YAML, and the licences of the weights that they name as comments."""
    print(as_yaml(config), end="")
    if any(recipe.pretrained in ("true", "auto") for recipe in config.members.values()):
        from competition.models.pretrained import licence_lines  # torch takes seconds to import

        print("".join(f"# {line}\n" for line in licence_lines(config)), end="")


def resolve(words: Sequence[str], must_exist: bool = False) -> Config:
    """Return the settings that a line of the main job means.

    Where the user names neither preset nor settings, they are those of a run of that name, the preset that suits the
    data that are named or lie in data/, or the demo's. ``must_exist``: a name alone is that of a run. Raises UserError.
    """
    if f"preset={AUTO}" in words:
        words = [word for word in words if word != f"preset={AUTO}"]
        return load_config(words, _suited(words))
    return load_config(words, _defaults(words, must_exist))


def _defaults(words: Sequence[str], must_exist: bool) -> dict[str, str]:
    named = dict(word.partition("=")[::2] for word in words)
    if named.keys() & {"preset", "config"}:
        return {}
    if "names" in named:
        from competition.commands.blend import first_settings  # torch takes seconds to import

        return first_settings(named["names"])
    if "data" in named:
        return _suited(words)
    kept = run_folder(named.get("name", "")) / CONFIG_FILE
    if "name" in named and kept.is_file():
        return {"config": str(kept)}
    if "name" in named and (kept.parent / RECORD).exists():
        raise UserError(
            f"The run '{named['name']}' has lost its settings ({kept} is not a file): name the preset and the data "
            "that it was made of, or another name=."
        )
    if "name" in named and must_exist:
        known = runs_with(CONFIG_FILE)
        hint = did_you_mean(named["name"], known) if known else ": train one first"
        raise UserError(f"There is no run '{named['name']}' in folds/{hint}")
    if found := _competition_data(home() / "data"):
        defaults = _suited([*words, f"data={found}"]) | {"data": str(found)}
        print(f"Data found in {found}: running preset={defaults['preset']} on it (presets: ./run.sh help).")
        return defaults
    print("No data in data/: running the embedded demo (preset=demo). Your own: ./run.sh data=FOLDER fold=0..4")
    return {"preset": "demo"}


def _suited(words: Sequence[str]) -> dict[str, str]:
    """Return the preset that suits the line's data and machine; torch is imported where there may be a choice."""
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return {"preset": "small"}
    from competition.training.suited import suited_preset

    found = suited_preset(words)
    if found["preset"] != "small":
        chosen = " ".join(f"{key}={value}" for key, value in found.items())
        print(f"{chosen} suits this machine's GPU and these images; preset=small and others are there, too.")
    return found


def _competition_data(folder: Path) -> Path | None:
    """Return the folder of a data set in data/ or one level below it; hidden ones and the demo's own are none."""
    below = (path for path in folder.glob("[!.]*/") if not (path / "demo.json").exists())
    candidates = [folder, *sorted(below)]
    for candidate in candidates:
        if (candidate / "train.csv").is_file() or (candidate / "train").is_dir():
            return candidate
    return None
