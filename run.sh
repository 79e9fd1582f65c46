#!/usr/bin/env bash
# Sets Telltale up once, then hands its words to `python -m competition`.
#   ./run.sh fold=0..4              the main job
#   ./run.sh help                   everything else       ./run.sh COMMAND help    a command's options
#   ./run.sh test [all] [pytest words]    the tests, or also the slow ones
#   ./run.sh check                  the linter, the formatter and the types
#   PYTHON=/path/to/python ./run.sh ...    use that environment, untouched, instead of .venv
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" TELLTALE_HOME="${TELLTALE_HOME:-$here}" NO_ALBUMENTATIONS_UPDATE=1

die() { echo "Error: $*" >&2; exit 2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed and none was found on the PATH: install one, or name one with PYTHON=/path/to/python"
}

# What is installed is stamped with the files it was installed from: an interrupted or outdated set-up is done again.
setup() {
    local extra=$1 wanted base
    wanted=$(cat "$here/pyproject.toml" "$here/constraints.txt" | cksum)
    stamped() { [ "$(cat "$here/.venv/.installed$1" 2>/dev/null)" = "$wanted" ]; }
    stamped "${extra:+-$extra}" && return
    mkdir -p "$here/.venv"
    exec 9>"$here/.venv/.lock"
    if command -v flock >/dev/null; then flock 9; fi # a second first run waits for this one
    stamped "${extra:+-$extra}" && return
    base=$(find_python)
    if stamped ""; then
        echo "Adding to .venv what '$extra' needs (once) ..." >&2
    else
        echo "Setting up .venv (once; a few minutes and about 6 GB for torch) ..." >&2
    fi
    stamped "" || rm -f "$here"/.venv/.installed*
    if ! { [ -x "$here/.venv/bin/python" ] && new_enough "$here/.venv/bin/python" &&
        "$here/.venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
        "$base" -m venv --clear "$here/.venv" ||
            die "no virtual environment could be made with $base: install its venv module (python3-venv)"
    fi
    "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$here/constraints.txt" --editable "$here${extra:+[$extra]}" ||
        die "the set-up did not finish (see above): run the same line again once the cause is mended"
    echo "$wanted" >"$here/.venv/.installed"
    [ -z "$extra" ] || echo "$wanted" >"$here/.venv/.installed-$extra"
    exec 9>&-
}

# An environment of the user's own is not touched, only looked at.
check_packages() {
    "$1" - "$here/pyproject.toml" <<'PYTHON' || exit 2
import importlib.metadata, re, sys, tomllib
wanted = tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"]
missing = []
for line in wanted:
    name = re.match(r"[\w-]+", line)[0]
    least = re.search(r"[>=]=([\d.]+)", line)
    names = [name, "opencv-python"] if name.startswith("opencv") else [name]
    found = [v for n in names for v in [next((d.version for d in importlib.metadata.distributions(name=n)), None)] if v]
    number = lambda text: [int(part) for part in re.findall(r"\d+", text)[:2]]
    if not found or (least and number(found[0]) < number(least[1])):
        missing.append(line)
if missing:
    words = " ".join(f"'{line}'" for line in missing)
    sys.exit(f"Error: {sys.executable} lacks what Telltale needs: run {sys.executable} -m pip install {words}")
PYTHON
}

for_help() { # whether help is asked for, which needs no set-up
    local word
    [ "${1:-}" != test ] || return 1
    for word in "$@"; do
        case $word in help | -h | --help) return 0 ;; esac
    done
    return 1
}

command=${1:-}
if [ -n "${PYTHON:-}" ]; then
    python=$PYTHON
    command -v "$python" >/dev/null || die "PYTHON=$PYTHON is no program: give the path of a Python 3.11 or newer"
    new_enough "$python" || die "PYTHON=$PYTHON is older than 3.11: give a newer one"
    check_packages "$python"
elif for_help "$@"; then
    python=$(find_python)
else
    case "$command $*" in
        "test "* | "check "*) setup test ;;
        "app "*engine=onnx* | "app "*pack=*) setup app,onnx ;;
        "app "*) setup app ;;
        "collect "*) setup collect ;;
        "tune "*) setup tune ;;
        "export "* | "predict "*engine=onnx*) setup onnx ;;
        *) setup "" ;;
    esac
    python="$here/.venv/bin/python"
fi

case "$command" in
    test)
        shift
        cd "$here"
        if [ "${1:-}" = all ]; then
            shift
            exec "$python" -m pytest "$@"
        fi
        exec "$python" -m pytest -m "not slow" "$@"
        ;;
    check)
        cd "$here"
        "$python" -m ruff check .
        "$python" -m ruff format --check .
        exec "$python" -m mypy
        ;;
esac
exec "$python" -m competition "$@"
