"""Command lines and configs: every command with every option, mutated by the grammar of `key=value` and of YAML."""

import dataclasses
import functools
import importlib
import shlex
from pathlib import Path

import numpy as np
import yaml

from competition.__main__ import COMMANDS, OWN
from competition.core.paths import preset_names
from competition.core.settings import Config, Demo, Recipe, Remote
from tests.benchmarks.faults.campaign import Case
from tests.benchmarks.faults.furnished import SETTINGS
from tests.benchmarks.faults.hostile import DOCUMENTS, NODES, TEXTS, drawn, misspelt, pick
from tests.benchmarks.faults.sandbox import sandbox

NEW = ["config=sets/tiny.yaml", "name=new"]
GUARD = "pretrained=/nowhere/weights.safetensors"  # ends what would train, after all else has been looked at
# Lines that a case starts from, with how often. Each is quick: an answer, or a refusal.
STARTS: tuple[tuple[list[str], int], ...] = (
    (["config"], 6),
    (["config", "name=tiny"], 2),
    (["config", "preset=wai2025"], 2),
    ([*NEW, GUARD], 12),
    (["name=tiny", GUARD], 3),
    (["data=sets/classes", "name=new", GUARD], 3),
    (["data=sets/pixels", "name=new", GUARD], 2),
    (["audit", *NEW], 8),
    (["audit", "data=sets/classes"], 3),
    (["ensemble", "name=tiny"], 1),
    (["ensemble", "names=tiny,other"], 1),
    (["report", "name=tiny"], 1),
    (["track", "name=tiny", "to=tensorboard"], 2),
    (["tune", *NEW, "trials=2", "tune.folds=0", GUARD], 3),
    (["ensemble", "name=tiny", "predictions.theirs=sets"], 1),
    (["predict", "name=tiny", "sets/csv/test/test0.png", "format=csv"], 5),
    (["predict", "name=tiny", "test=sets/csv", "out=answer.csv"], 3),
    (["export", "name=tiny"], 2),
    (["bundle", "name=tiny", "owner=me"], 2),
    (["submit", "competition=contest", "yes=true", "wait=0"], 5),
    (["submit", "kernel=me/notebook"], 2),
    (["ledger", "offline=true"], 2),
    (["download", "competition=contest"], 3),
    (["collect", "urls=sets/addresses.txt", "label=ai", "out=got", "retries=0", "delay=0", "allow_local=true"], 4),
    (["app", "name=missing"], 2),
    (["session", "sets/request.json", "0", "out"], 1),
    (["bench", "nothing"], 1),
    (["help"], 1),
)
USUAL = yaml.safe_dump(SETTINGS | {"name": "new", "pretrained": GUARD.partition("=")[2]}, sort_keys=False).splitlines()
SLOW = ("app", "bench")  # commands that must not do what they are for: these always get a word that they refuse


@functools.cache
def options_of(command: str) -> dict[str, dataclasses.Field]:
    """Return what a command takes, by key: of the main job also settings of members, of the demo and of Kaggle's."""
    if COMMANDS.get(command) == OWN:  # another word is no command, and is to be refused
        module = importlib.import_module(f"competition.commands.{command}")
        (kind,) = (one for name, one in vars(module).items() if name.lower() == f"{command}options")
        return {item.name: item for item in dataclasses.fields(kind) if "positional" not in item.metadata}
    found = {item.name: item for item in dataclasses.fields(Config) if item.name not in ("members", "demo", "kaggle")}
    for member in ("plain", "noise", "third"):
        found |= {f"members.{member}.{item.name}": item for item in dataclasses.fields(Recipe)}
    found |= {f"demo.{item.name}": item for item in dataclasses.fields(Demo)}
    return found | {f"kaggle.{item.name}": item for item in dataclasses.fields(Remote)}


def words_case(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Draw a command line, and in every third case a config file for it, run it, and judge how it ends."""
    home = sandbox()
    words = _start(rng)
    for _ in range(int(rng.integers(1, 4))):
        words = _mutated(rng, words)
    if rng.random() < 0.35 and _command(words) in ("run", "config", "audit"):
        content = _document(rng)
        (home.home / "drawn.yaml").write_bytes(content)
        words = [*(word for word in words if not word.startswith("config=")), "config=drawn.yaml"]
        what = f"{shlex.join(words)} with drawn.yaml {_new_in(content)!r}"
    else:
        what = shlex.join(words)
    line = home.run(_harmless(words))
    findings = home.judge(line)
    home.restore()
    return Case(number, ascii(what[:1000])[1:-1], tuple(findings))


def _start(rng: np.random.Generator) -> list[str]:
    weights = np.array([weight for _, weight in STARTS], float)
    return list(STARTS[int(rng.choice(len(STARTS), p=weights / weights.sum()))][0])


def _command(words: list[str]) -> str:
    return words[0] if words and "=" not in words[0] else "run"


def _mutated(rng: np.random.Generator, words: list[str]) -> list[str]:
    """Return the words with one thing done to them; most often an option is set."""
    known = options_of(_command(words)) or options_of("run")
    key = pick(rng, list(known))
    at = int(rng.integers(len(words))) if words else 0
    kind = rng.choice(
        ["set", "member", "typo", "twice", "drop", "junk", "nest", "shuffle"],
        p=[0.6, 0.08, 0.08, 0.04, 0.05, 0.08, 0.05, 0.02],
    )
    if kind == "set" or not words:
        return [*(word for word in words if not word.startswith(f"{key}=")), f"{key}={drawn(rng, known[key])}"]
    if kind == "member":
        return [
            *words,
            f"members{pick(rng, ['', '.plain', '.noise', '.new', '.' + pick(rng, TEXTS)])}={pick(rng, TEXTS)}",
        ]
    if kind == "typo":
        return [*words[:at], misspelt(rng, words[at]), *words[at + 1 :]]
    if kind == "twice":
        return [*words, words[at]]
    if kind == "drop":
        return [*words[:at], *words[at + 1 :]]
    if kind == "junk":
        return [*words, str(pick(rng, TEXTS)).replace("\0", "")]
    if kind == "nest":
        return [*words, f"{key}.{pick(rng, ['a', 'b.c', *TEXTS])}={pick(rng, TEXTS)}"]
    return [words[index] for index in rng.permutation(len(words))]


def _harmless(words: list[str]) -> list[str]:
    """Return the words so that nothing is trained or served for minutes by them, and no preset's data is drawn."""
    words = [word.replace("\0", "") for word in words]
    command = _command(words)
    if command == "run" and GUARD not in words:
        words = [*(word for word in words if not word.startswith("pretrained=")), GUARD]
    if command in SLOW:
        words = [
            *(word for word in words if not word.startswith("name=")),
            "name=missing" if command == "app" else "nothing",
        ]
    return words


def _document(rng: np.random.Generator) -> bytes:
    """Return a YAML file: one of the odd ones, or the usual settings with some values exchanged for any node."""
    if rng.random() < 0.25:
        return pick(rng, DOCUMENTS)
    lines = list(USUAL)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        key = pick(rng, [*options_of("run"), "members", "demo", "kaggle", "preset", *NODES[:40]])
        node = pick(rng, [*NODES, *preset_names()])
        choice = rng.random()
        if choice < 0.5:
            lines[at] = f"{lines[at].partition(':')[0]}: {node}"
        elif choice < 0.85:
            lines.append(f"{key.rpartition('.')[2]}: {node}")
        elif choice < 0.95:
            lines.insert(at, f"{' ' * int(rng.integers(0, 6))}{pick(rng, NODES)}")
        else:
            del lines[at]
        lines = lines or ["epochs: 2"]
    return "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n"


def _new_in(document: bytes) -> bytes:
    """Return what of a file is not in the usual settings."""
    usual = {line.encode() for line in USUAL}
    return b"\n".join(line for line in document.split(b"\n") if line not in usual)[:400]
