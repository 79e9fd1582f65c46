"""What a pushed training kernel does in Kaggle's session: sees that everything is there, and trains until a deadline.

It ends normally whatever happens, for Kaggle may keep nothing of a session that does not; why it ended is in
``status.json``. Until Telltale's packages are installed, the standard library has to do.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

from competition.kaggle.notebook.session_setup import INPUT, competition_folder, find, install, readable

WORKING = Path("/kaggle/working")  # what lies here at the end is the kernel's output
OUTPUT_BYTES = 19e9  # Kaggle keeps 20 GB of it
REQUEST, STATUS = "request.json", "status.json"
DEADLINE = "deadline"  # why it ended, where that is all
LOOK = 1.0  # seconds between two looks at the training process


def main(folder: Path) -> None:
    """Train what ``folder``/request.json lists; ``folder`` holds the unpacked kernel and is no part of its output."""
    started = time.time()
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        why = _train(folder, request, started + 3600 * request["hours"])
    except Exception as error:  # the outermost edge: a session that fails may lose all its output
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
    try:
        _close(request["key"], why)
        _keep(folder / "home" / "folds" / request["name"])
    except (OSError, ValueError):
        traceback.print_exc()


def _train(folder: Path, request: dict, deadline: float) -> str:
    """Train in a process of its own, so that not even its death ends the session; returns why it ended."""
    _fetch(request["packages"], folder / "fetched")
    sys.path.insert(0, str(folder / "fetched"))
    install(folder / "wheels", folder / "packages")
    words = [str(folder / REQUEST), f"{deadline:.0f}", str(WORKING)]
    if request["source"] != "drawn":
        mounted = competition_folder(request["slug"], request["contents"])
        words.append(str(readable(mounted, folder / "data")))
    left = find(STATUS, root=INPUT) if request["begun"] else []
    for place, key in request["begun"].items():
        _go_on(place, key, left, folder / "home" / "folds" / request["name"] / place)
    environment = {**os.environ, "TELLTALE_HOME": str(folder / "home"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder / "fetched")]))
    with open(folder / "errors.txt", "w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "competition", "session", *words], env=environment, stderr=errors
        )
        while process.poll() is None and time.time() < deadline:
            time.sleep(LOOK)
        process.kill()
        process.wait()
        time.sleep(LOOK)  # the processes that it trains in end with it, a moment later
        errors.seek(0)
        printed = errors.read().strip()
    print(printed, file=sys.stderr)
    if process.returncode < 0 and time.time() >= deadline:
        return DEADLINE
    last = printed.splitlines()[-1][:300] if printed else "it printed nothing"
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


def _go_on(place: str, key: str, left: list[Path], target: Path) -> None:
    """Copy what the session of request ``key`` left of a job that it began, by the status of it among those ``left`` by
    sessions; without it, the job begins anew."""
    for path in left:
        text = path.read_text(encoding="utf-8", errors="replace")
        if key in text and (path.parent / place).is_dir():
            target.mkdir(parents=True)
            for file in (path.parent / place).iterdir():
                shutil.copyfile(file, target / file.name)
            print(f"{place} goes on from where another session left it", flush=True)
            return
    print(f"{place} begins anew: what was begun of it is not to be found below {INPUT}", flush=True)


def _close(key: str, why: str) -> None:
    """Complete the status that the training process kept; its own last word stands where it ended well."""
    status = _status() if (WORKING / STATUS).exists() else {"request": key, "jobs": {}}
    if why:
        status["why"] = why
    _write(status)
    print(f"Telltale: {len(status['jobs'])} jobs finished ({status['why']}).", flush=True)


def _keep(run: Path) -> None:
    """Leave what is begun of jobs and not finished in the output too, for another session to go on from."""
    status = _status()
    status["begun"] = {}
    for folder in sorted(run.glob("*/*/")):
        place = folder.relative_to(run).as_posix()
        trained = (folder / "done.json").exists()
        if place in status["jobs"] or not (trained or (folder / "resume.pt").exists()):
            continue
        if _bytes(WORKING) + _bytes(folder) > OUTPUT_BYTES:
            print(f"Telltale: no room for what is begun of {place}.", flush=True)
            continue
        shutil.copytree(folder, WORKING / place, dirs_exist_ok=True)
        epochs = (folder / "history.jsonl").read_text(encoding="utf-8").count("\n")
        beside = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.parent.glob("*.json")}
        status["begun"][place] = {"epochs": epochs, "trained": trained, "beside": beside}
        _write(status)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _status() -> dict:
    return json.loads((WORKING / STATUS).read_text(encoding="utf-8"))


def _write(status: dict) -> None:
    half = WORKING / f"{STATUS}.half"
    half.write_text(json.dumps(status, indent=2) + "\n", encoding="utf-8")
    os.replace(half, WORKING / STATUS)
