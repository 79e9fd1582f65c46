"""Serve the web page of a trained run until Ctrl-C, or pack it into a folder that runs elsewhere.

./run.sh app name=NAME                   the same as a web page on this machine
./run.sh app name=NAME pack=FOLDER       the page as a Hugging Face Space and for Docker, without torch

Images are given in the browser; they live in a private folder that goes with the server.
"""

import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.options import DEVICES, bounded, one_of, parse
from competition.core.packages import check_packages
from competition.core.paths import shown
from competition.data.images.credentials import read_trust

if TYPE_CHECKING:
    from competition.app.limits import Limits
    from competition.app.service import Service

PACKAGES = {"torch": ("gradio", "captum"), "onnx": ("gradio", "onnxruntime")}


@dataclass(frozen=True)
class AppOptions:
    """Which run is served, and where."""

    name: str = "demo"  # the run's name
    port: int | None = bounded(None, 1, 65535)  # default: the first free one from 7860 on
    host: str = "127.0.0.1"  # the address to listen on; with 0.0.0.0 anyone on the network can send images
    password: str = ""  # what visitors must know (any user name); better: TELLTALE_PASSWORD in the environment
    engine: str = one_of("torch", "onnx")  # onnx: the files that ./run.sh export wrote, without the map of the evidence
    device: str = one_of(*DEVICES)  # auto: the GPU, where there is one
    max_mb: float = bounded(20.0, 0.1, 1000)  # 2^20 bytes that one image may have
    per_minute: int | None = bounded(None, 0, 100_000)  # images a minute of one visitor, 0 = any number; by default 0
    # where this machine alone is served, else 30
    trust: str = ""  # PEM file of root certificates: Content Credentials that lead to one are trusted
    open: bool = True  # open the page in the browser
    pack: str = ""  # the folder to pack the page into; it is not served then


def main(words: Sequence[str]) -> None:
    """Serve the page until Ctrl-C, or pack it."""
    if named := [word for word in words if "=" not in word]:
        raise UserError(f"'{named[0]}' is not a setting of app, which takes its images in the browser: leave it out.")
    options = parse(words, AppOptions)
    if options.pack:
        return _pack(options)
    check_packages("The web page", PACKAGES[options.engine])
    from competition.app.serve import listen

    listener = listen(options.host, options.port)
    try:
        with listener, tempfile.TemporaryDirectory(prefix="telltale-", ignore_cleanup_errors=True) as folder:
            _serve(options, listener, Path(folder))
    except KeyboardInterrupt:
        print()
    print("Stopped; nothing was kept.")


def _serve(options: AppOptions, listener: socket.socket, folder: Path) -> None:
    from competition.app.limits import PER_MINUTE, Limits
    from competition.app.serve import PASSWORD, address_of, announce, make_server, serves_alone

    usual = 0 if serves_alone(listener) else PER_MINUTE
    per_minute = usual if options.per_minute is None else options.per_minute
    service = _open(options, Limits(options.max_mb, per_minute))
    password = options.password or os.environ.get(PASSWORD, "")
    server = make_server(service, folder, password)
    announce(listener, password)
    if options.open and _has_screen():
        webbrowser.open(address_of(listener))  # the socket listens already: the browser waits until it is answered
    server.run(sockets=[listener])


def _open(options: AppOptions, limits: "Limits") -> "Service":
    """Return the run at its visitors' service, with its models read."""
    trust = read_trust(options.trust)
    # Here, for torch takes seconds to import, and mistakes in the options are reported before that.
    from competition.app.service import Service
    from competition.commands.predict import open_engine
    from competition.inference.run_record import without_outside

    classifier, evidence = open_engine(options.engine, options.name, options.device), None
    if note := without_outside(classifier.record):
        print(note, file=sys.stderr)
    if options.engine == "torch":
        from competition.app.evidence import heat_picture

        evidence = partial(heat_picture, classifier)
    print(f"Reading the models of '{options.name}' ...", flush=True)
    service = Service(classifier, limits, evidence, trust)
    service.warm_up()
    return service


def _pack(options: AppOptions) -> None:
    """Write the page into a folder, and print what it holds and how it is used."""
    if options.port or options.host != AppOptions.host or options.password:
        raise UserError(
            f"pack={options.pack} writes a page that runs elsewhere, and its README.md says how to set port, host and "
            "password there: leave port=, host= and password= out."
        )
    check_packages("A packed page", PACKAGES["onnx"])
    from competition.app.limits import PER_MINUTE, Limits
    from competition.app.pack import check_place, make_pack

    folder, trust = Path(options.pack).expanduser().absolute(), read_trust(options.trust)
    check_place(folder)
    from competition.inference.onnx.export import export
    from competition.inference.run_record import read_record, without_outside

    if note := without_outside(read_record(options.name)):
        print(note, file=sys.stderr)
    with tqdm(bar_format="  {desc}", disable=None) as bar:
        exported = export(options.name, device=options.device, on_progress=bar.set_description_str)
    per_minute = PER_MINUTE if options.per_minute is None else options.per_minute
    limits = Limits(options.max_mb, per_minute)
    required, new = make_pack(exported.folder, exported.manifest, folder, limits, trust)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"Packed      {shown(folder)}, {size / 1e6:,.1f} MB" + ("" if new else " (unchanged)"))
    print(f"  needs     {', '.join(required)}")
    print("  try it    python app.py, in that folder, where these are installed")
    print(f"  share it  hf upload USER/SPACE {shown(folder)} --repo-type space")


def _has_screen() -> bool:
    """Whether a browser has somewhere to show itself: without a screen, Python would start one in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
