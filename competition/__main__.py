"""The command line: `./run.sh [command] [key=value …]`; no command means the main job."""

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from competition.core.config import CONFIG_FILE, Config, as_yaml, load_config
from competition.core.errors import UserError, did_you_mean
from competition.core.help import usage
from competition.core.paths import home

BENCHMARKS = Path("tests") / "benchmarks"


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit status: 0 done, 2 a user's mistake, in one sentence, 3 not finished yet."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    if any(word in ("-h", "--help", "help") for word in words):
        print(usage())
        return 0
    command, words = (words[0], words[1:]) if words and "=" not in words[0] else ("run", words)
    try:
        if command not in COMMANDS:
            raise UserError(f"There is no command '{command}'{did_you_mean(command, COMMANDS)}")
        return COMMANDS[command](words) or 0
    except UserError as error:
        sentence = str(error)
        print(f"Error: {sentence}" + ("" if sentence[-1] in ".?)" else "."), file=sys.stderr)
        return error.status
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST):
            raise
        print(
            f"Error: {error.filename or home()} cannot be written ({error.strerror}): make room there, or put the "
            "results elsewhere with TELLTALE_HOME=FOLDER.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: the same line goes on from where it stopped.", file=sys.stderr)
        return 130


def _load(words: Sequence[str], must_exist: bool = False) -> Config:
    return load_config(words, _defaults(words, must_exist))


def _defaults(words: Sequence[str], must_exist: bool) -> dict[str, str]:
    """Choose preset and data where the user names neither: a run of that name, what lies in data/, or the demo.

    ``must_exist``: a name alone is that of a run.
    """
    named = dict(word.partition("=")[::2] for word in words)
    if named.keys() & {"preset", "config"}:
        return {}
    if "names" in named:
        from competition.commands.blend import first_settings

        return first_settings(named["names"])
    if "data" in named:
        return {"preset": "small"}
    kept = home() / "folds" / named.get("name", "") / CONFIG_FILE
    if "name" in named and kept.is_file():
        return {"config": str(kept)}
    if "name" in named and must_exist:
        known = sorted(path.parent.name for path in (home() / "folds").glob(f"*/{CONFIG_FILE}"))
        hint = did_you_mean(named["name"], known) if known else ": train one first"
        raise UserError(f"There is no run '{named['name']}' in folds/{hint}")
    if found := _competition_data(home() / "data"):
        print(f"Data found in {found}: running preset=small on it (presets: ./run.sh help).")
        return {"preset": "small", "data": str(found)}
    print("No data in data/: running the embedded demo (preset=demo). Your own: ./run.sh data=FOLDER fold=0..4")
    return {"preset": "demo"}


def _competition_data(folder: Path) -> Path | None:
    """Return the folder of a data set in data/ or one level below it, the demo's own aside."""
    candidates = [folder, *sorted(path for path in folder.glob("*/") if not (path / "demo.json").exists())]
    for candidate in candidates:
        if (candidate / "train.csv").is_file() or (candidate / "train").is_dir():
            return candidate
    return None


def run_command(words: Sequence[str]) -> None:
    """Train what is missing and write the submission."""
    config = _load(words)
    from competition.commands.run import run  # torch takes seconds to import: other commands do without

    run(config, words)


def ensemble_command(words: Sequence[str]) -> None:
    """Blend, tune and write the submission from trained results alone."""
    config = _load(words, must_exist=True)
    from competition.commands.run import run

    run(config, words, train=False)


def predict_command(words: Sequence[str]) -> int:
    """Judge images with a trained run; 1 if some could not be read."""
    from competition.commands.predict import predict

    return predict(words)


def report_command(words: Sequence[str]) -> None:
    """Write the evaluation report of what is trained."""
    config = _load(words, must_exist=True)
    from competition.commands.run import run

    run(config, words, train=False, submit=False)


def app_command(words: Sequence[str]) -> int:
    """Serve the web page of a trained run."""
    from competition.commands.app import app_command as serve

    return serve(words)


def export_command(words: Sequence[str]) -> int:
    """Write a trained run's members as ONNX."""
    from competition.commands.export import export_command as export

    return export(words)


def bundle_command(words: Sequence[str]) -> int:
    """Pack a trained run as an offline Kaggle notebook, and push it on request."""
    from competition.commands.bundle import bundle_command as bundle

    return bundle(words)


def collect_command(words: Sequence[str]) -> int:
    """Download images into a class folder; 1 if some addresses could not be had."""
    from competition.collect.gather import collect, parse_settings

    summary = collect(parse_settings(words))
    print("\n".join(summary.lines()))
    return 1 if summary.failed else 0


def download_command(words: Sequence[str]) -> None:
    """Bring a competition's files from Kaggle."""
    from competition.commands.download import download_command as download

    download(words)


def config_command(words: Sequence[str]) -> None:
    """Print the resolved settings; as a file they give the same run with config=FILE."""
    print(as_yaml(_load(words)), end="")


def audit_command(words: Sequence[str]) -> None:
    """Look for what is wrong with the data before a model sees it."""
    config = _load(words)
    from competition.commands.audit import full_audit

    print("\n".join(full_audit(config)))


def session_command(words: Sequence[str]) -> None:
    """Train what a request asks for: what `engine=kaggle` runs in Kaggle's sessions."""
    from competition.commands.session import run_session
    from competition.kaggle.sessions.request import read_request

    request, deadline, output, *data = words
    settings = [f"config={Path(request).parent / CONFIG_FILE}", *(f"data={folder}" for folder in data)]
    run_session(load_config(settings), read_request(Path(request)), Path(output), float(deadline))


def submit_command(words: Sequence[str]) -> int:
    """Submit to Kaggle, once, and wait for the score; 1 if the user says no."""
    from competition.commands.submit import submit_command as submit

    return submit(words)


def ledger_command(words: Sequence[str]) -> int:
    """Print every submission with its scores as Kaggle has them now."""
    from competition.commands.ledger import ledger_command as ledger

    return ledger(words)


def bench_command(words: Sequence[str]) -> None:
    """Run the benchmarks, or the ones named."""
    known = sorted(path.stem.removeprefix("bench_") for path in (home() / BENCHMARKS).glob("bench_*.py"))
    for name in words:
        if name not in known:
            raise UserError(f"There is no benchmark '{name}'{did_you_mean(name, known)}")
    sys.path.insert(0, str(home()))
    for name in words or known:
        print(f"== {name}")
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()


COMMANDS: dict[str, Callable[[Sequence[str]], int | None]] = {
    "run": run_command,
    "ensemble": ensemble_command,
    "report": report_command,
    "predict": predict_command,
    "app": app_command,
    "export": export_command,
    "bundle": bundle_command,
    "collect": collect_command,
    "download": download_command,
    "config": config_command,
    "audit": audit_command,
    "submit": submit_command,
    "ledger": ledger_command,
    "bench": bench_command,
    "session": session_command,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
