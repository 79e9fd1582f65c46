"""Starts a packed page where there is no network, asks it for images in three ways, and prints the answers as JSON.

Run in a network namespace of its own: ``unshare -rn python tests/app/visit_pack.py PYTHON PACK IMAGE ...``.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from gradio_client import Client, handle_file

from tests.standin.sandbox import raise_loopback

PORT = 7860
ADDRESS = f"http://127.0.0.1:{PORT}"


def by_curl(path: str) -> dict:
    """Post a file's bytes; by the same request of Python's own where there is no curl."""
    if shutil.which("curl"):
        words = [
            "curl",
            "--silent",
            "--show-error",
            "--data-binary",
            f"@{path}",
            f"{ADDRESS}/judge?name={Path(path).name}",
        ]
        return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    request = urllib.request.Request(f"{ADDRESS}/judge?name={Path(path).name}", Path(path).read_bytes())
    return json.load(urllib.request.urlopen(request))


def main(python: str, pack: str, *images: str) -> None:
    raise_loopback()
    home = Path(pack).parent
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(home)}
    with subprocess.Popen([python, "app.py"], cwd=pack, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = server.stdout.readline()
            assert f":{PORT}/" in said, said
            client = Client(ADDRESS, verbose=False, analytics_enabled=False)
            answers = {
                "gradio": [client.predict(handle_file(path), api_name="/judge") for path in images],
                "curl": [by_curl(path) for path in images],
                "page": urllib.request.urlopen(ADDRESS).read().decode(),
            }
        finally:
            server.terminate()
            server.wait(20)
    print(json.dumps(answers | {"status": server.returncode, "left": [path.name for path in home.iterdir()]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
