"""What travels to Kaggle installs there without a network, whole, and only where the image is not good enough."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from competition import __version__
from competition.core.errors import UserError
from competition.kaggle.notebook import session_setup as onkaggle
from competition.kaggle.wheels import FOR_READERS, PACKAGE, PURE, installed_wheel, telltale_wheel
from tests.standin import image as kaggle_image

# Prints where packages would be imported from.
WHERE = """import sys
from importlib.util import find_spec
print(*(find_spec(name).origin for name in ("competition", "timm", "omegaconf")))"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for path in [telltale_wheel(folder), *(installed_wheel(name, folder) for name in PURE)]:
        assert path.parent == folder
    return folder


def python(*words, **env):
    """Run Python with nothing of the tests' own on its path; the environment's packages are there."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "TELLTALE_HOME")}
    return subprocess.run(
        [sys.executable, *map(str, words)], env={**clean, **env}, cwd="/", capture_output=True, text=True
    )


def test_the_wheels_install_without_network_or_dependencies_and_telltale_runs_from_there(wheels, tmp_path):
    target = tmp_path / "target"
    done = python("-m", "pip", "install", "--no-deps", "--no-index", "--target", target, *sorted(wheels.iterdir()))
    assert done.returncode == 0, done.stderr
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".pyc", *FOR_READERS)]
    own = {path.relative_to(PACKAGE) for path in files}
    there = {
        path.relative_to(target / "competition")
        for path in (target / "competition").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert there == own and Path("presets/demo.yaml") in own
    said = python(
        "-c",
        f"{WHERE}\nfrom importlib.metadata import version\nprint(version('telltale'), *map(version, sys.argv[1:]))",
        *PURE,
        PYTHONPATH=str(target),
    )
    files, versions = said.stdout.splitlines()
    assert all(file.startswith(str(target)) for file in files.split())
    assert versions.split() == [__version__, *map(version, PURE)]
    printed = python("-m", "competition", "config", "preset=demo", PYTHONPATH=str(target))
    assert printed.returncode == 0 and "convnext_atto" in printed.stdout


def test_the_same_files_give_the_same_bytes(wheels, tmp_path):
    for again in (telltale_wheel(tmp_path), installed_wheel("omegaconf", tmp_path)):
        assert again.read_bytes() == (wheels / again.name).read_bytes()


@pytest.mark.parametrize(
    ("name", "said"), [("numpy", "is not pure Python here"), ("no-such-package", "is not installed here")]
)
def test_what_cannot_be_carried_is_refused_in_a_sentence(tmp_path, name, said):
    with pytest.raises(UserError, match=said):
        installed_wheel(name, tmp_path)
    assert not list(tmp_path.iterdir())


def install_on(image, wheels, target):
    """Install on an image as a session does: from the source text, with the standard library alone."""
    script = f"{Path(onkaggle.__file__).read_text()}\nprint(*install(Path({str(wheels)!r}), Path({str(target)!r})))\n"
    script += f"sys.stdout.flush()\nsubprocess.run([sys.executable, '-c', {WHERE!r}], check=True)\n"
    env = {"PATH": os.environ["PATH"], "HOME": str(target.parent)}
    return subprocess.run([image / "bin/python", "-c", script], env=env, cwd="/", capture_output=True, text=True)


def pretend(image, **versions):
    """Have an image say that it holds these versions."""
    site = next((image / "lib").glob("python*")) / "site-packages"
    for name, old in versions.items():
        for there in site.glob(f"{name}-*.dist-info"):
            there.unlink()
        (site / f"{name}-{old}.dist-info").mkdir()
        (site / f"{name}-{old}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {old}\n")


@pytest.mark.slow
def test_an_image_is_given_what_it_lacks_and_what_is_too_old_and_keeps_the_rest(wheels, tmp_path):
    image = kaggle_image.build(tmp_path / "image", without=("albucore",))
    pretend(image, albumentations="2.0.9", omegaconf="2.3.0")  # pinned exactly, and from 2.4 on
    pretend(image, numpy="1.26.4", scikit_learn="1.2.2")  # as Kaggle has them at times
    for _ in range(2):  # a cell may be run again
        done = install_on(image, wheels, tmp_path / "target")
        assert done.returncode == 0, done.stderr
        chosen, files = done.stdout.splitlines()
        names = [name.split("-")[0] for name in chosen.split()]
        assert names == ["albucore", "albumentations", "omegaconf", "telltale"]
        places = [Path(file).is_relative_to(tmp_path / "target") for file in files.split()]
        assert places == [True, False, True]  # timm is the image's own


def test_what_wheels_cannot_bring_is_one_sentence(wheels, tmp_path):
    image = kaggle_image.build(tmp_path / "image", without=("albucore", "stringzilla", "torch"))
    pretend(image, opencv_python_headless="4.10.0.84")
    done = install_on(image, wheels, tmp_path / "target")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and last.startswith(
        "RuntimeError: This image lacks torch, stringzilla, opencv-python-headless>=4.11 (it has 4.10.0.84), which "
    )
    assert not (tmp_path / "target").exists()


def test_the_wheel_says_what_pyproject_says(wheels):
    with zipfile.ZipFile(next(wheels.glob("telltale-*.whl"))) as archive:
        told = archive.read(f"telltale-{__version__}.dist-info/METADATA").decode().splitlines()
    assert "Requires-Dist: omegaconf>=2.4" in told and "Requires-Python: >=3.11" in told
