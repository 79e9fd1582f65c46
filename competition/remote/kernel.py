"""What a pushed training kernel does in Kaggle's session: sees that everything is there, and trains until a deadline.

It ends normally whatever happens, for Kaggle may keep nothing of a session that does not; why it ended is in
``status.json``. Until Telltale's packages are installed, the standard library has to do.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from competition.kaggle.onkaggle import competition_folder, install, readable

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
    try:
        _close(request["key"], why)
    except (OSError, ValueError):
        traceback.print_exc()


def _train(folder: Path, request: dict, deadline: float) -> str:
    """Train in a process of its own, so that not even its death ends the session; returns why it ended."""
    _fetch(request["packages"], folder / "fetched")
    sys.path.insert(0, str(folder / "fetched"))
    install(folder / "wheels", folder / "packages")
    words = [str(folder / "request.json"), f"{deadline:.0f}", str(WORKING)]
    if request["source"] != "drawn":
        mounted = competition_folder(request["slug"], request["contents"])
        words.append(str(readable(mounted, folder / "data")))
    environment = {**os.environ, "TELLTALE_HOME": str(folder / "home"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder / "fetched")]))
    with open(folder / "errors.txt", "w+", encoding="utf-8", errors="replace") as errors:
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


def _fetch(packages: dict[str, str], target: Path) -> None:
    """Bring packages to the versions that the run's own machine has, where the session has others or none."""
    there = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    wanted = [f"{name}=={version}" for name, version in packages.items() if there.get(name) != version]
    if wanted:
        print("Fetching", *wanted, flush=True)
        words = ["install", "--quiet", "--no-deps", "--no-warn-script-location", "--target", str(target), *wanted]
        if subprocess.run([sys.executable, "-m", "pip", *words]).returncode:
            found = ", ".join(f"{name} {there.get(name, '(none)')}" for name in packages)
            raise RuntimeError(f"this image has {found}, and {', '.join(wanted)} could not be fetched")


def _close(key: str, why: str) -> None:
    """Complete the status that the training process kept; its own last word stands where it ended well."""
    path = WORKING / "status.json"
    status = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"request": key, "jobs": {}}
    if why:
        status["why"] = why
    half = path.with_suffix(".half")
    half.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
    os.replace(half, path)
    print(f"Telltale: {len(status['jobs'])} jobs finished ({status['why']}).")
