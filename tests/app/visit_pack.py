"""Starts a packed page where there is no network, asks it for images in three ways, and prints the answers as JSON.

Run in a network namespace of its own: ``unshare -rn python tests/app/visit_pack.py PYTHON PACK IMAGE ...``.
"""

import base64
import json
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from gradio_client import Client, handle_file

from competition.app.api import example_lines
from tests.standin.sandbox import raise_loopback

PORT, PASSWORD = 7860, "geheim"
ADDRESS = f"http://127.0.0.1:{PORT}"


def posted(path: str, password: str) -> dict:
    """Post a file's bytes as curl does, and return the answer, or the status of a refusal."""
    known = {"authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()} if password else {}
    request = urllib.request.Request(f"{ADDRESS}/judge?name={Path(path).name}", Path(path).read_bytes(), known)
    try:
        return json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as error:
        return {"status": error.code}


def run_line(line: str, address: str, image: str, password: str = PASSWORD) -> str:
    """Run a line of the page's examples as its reader does, and return what it prints."""
    words = {"ADDRESS": address, "IMAGE": image, "PASSWORD": password}
    for word, own in words.items():
        line = line.replace(word, own)
    first, *rest = shlex.split(line)
    found = [sys.executable, *rest] if first == "python" else [first, "--silent", "--show-error", *rest]
    return subprocess.run(found, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def main(python: str, pack: str, *images: str) -> None:
    """Start the page with the interpreter ``python`` and ask for the ``images``."""
    raise_loopback()
    home = Path(pack).parent
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "TMPDIR": str(home)}
    with subprocess.Popen(
        [python, "app.py"], cwd=pack, env=env | {"TELLTALE_PASSWORD": PASSWORD}, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            said = server.stdout.readline()
            assert f":{PORT}/" in said and PASSWORD not in said, said
            client = Client(ADDRESS, verbose=False, httpx_kwargs={"auth": ("me", PASSWORD)})
            answers = {
                "gradio": [client.predict(handle_file(path), api_name="/judge") for path in images],
                "posted": [posted(path, PASSWORD) for path in images],
                "stranger": posted(images[0], ""),
                "lines": [run_line(line, ADDRESS, images[0]) for line in example_lines(password=True)],
            }
        finally:
            server.terminate()
            server.wait(20)
    print(json.dumps(answers | {"status": server.returncode, "left": [path.name for path in home.iterdir()]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
