"""What a pushed training kernel does in Kaggle's session: sees that everything is there, and trains until a deadline.

It ends normally whatever happens, for Kaggle may keep nothing of a session that does not; why it ended is in
``status.json``. Until Telltale's packages are installed, the standard library has to do.
"""

import contextlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from competition.kaggle.onkaggle import competition_folder, install

WORKING = Path("/kaggle/working")  # what lies here at the end is the kernel's output
LOOK = 1.0  # seconds between two looks at the training process
GRACE = 30.0  # seconds it has for ending by itself


def main(folder: Path) -> None:
    """Do what ``folder``/request.json asks for; ``folder`` holds the unpacked kernel and is no part of its output."""
    started = time.time()
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    try:
        why = _train(folder, request, started + 3600 * request["hours"])
    except Exception as error:  # the outermost edge: a session that fails may lose all its output
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
    _close(why)


def _train(folder: Path, request: dict, deadline: float) -> str:
    """Train in a process of its own, so that not even its death ends the session; returns why it ended."""
    _fetch(request["packages"])
    install(folder / "wheels", folder / "packages")
    words = [str(folder / "request.json"), f"{deadline:.0f}", str(WORKING)]
    if request["source"] != "drawn":
        words.append(str(competition_folder(request["slug"], request["contents"])))
    environment = {**os.environ, "TELLTALE_HOME": str(folder / "home"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    with open(folder / "errors.txt", "w+", encoding="utf-8") as errors:
        process = subprocess.Popen([sys.executable, "-m", "competition", "session", *words], env=environment,
                                   stderr=errors)  # fmt: skip
        while process.poll() is None and time.time() < deadline + GRACE:
            time.sleep(LOOK)
        process.kill()
        process.wait()
        errors.seek(0)
        said = errors.read().strip()
    print(said, file=sys.stderr)
    if time.time() >= deadline + GRACE:
        return "deadline"
    last = said.splitlines()[-1][:300] if said else "it said nothing"
    return "" if process.returncode == 0 else f"training ended with exit status {process.returncode}: {last}"


def _fetch(packages: dict[str, str]) -> None:
    """Bring packages to the versions that the run's own machine has, where the session has others or none."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    wanted = [f"{name}=={version}" for name, version in packages.items() if found.get(name) != version]
    if wanted and subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *wanted]).returncode:
        lacking = [name for name in packages if name not in found]
        if lacking:
            raise RuntimeError(f"this image lacks {', '.join(lacking)} and cannot fetch them: switch the internet on")
        print(f"Going on without {', '.join(wanted)}: the image has {found}.")


def _close(why: str) -> None:
    """Complete the status that the training process kept; its own last word stands where it ended well."""
    path = WORKING / "status.json"
    status = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"jobs": {}}
    if why:
        status["why"] = why
    path.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
    print(f"Telltale: {len(status['jobs'])} jobs finished ({status['why']}).")
