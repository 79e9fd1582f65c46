"""What the app.py of a packed page runs. It needs what requirements.txt names, and neither torch nor the run."""

import os
import sys
from pathlib import Path

from competition.app.limits import Limits
from competition.app.serve import PASSWORD, PORT, announce, listen, make_server
from competition.app.service import Service
from competition.core.errors import UserError
from competition.core.files import temporary_folder
from competition.core.packages import QUIET
from competition.core.signals import answer_signals
from competition.data.images.credentials import read_trust
from competition.inference.onnx.session import open_onnx_classifier

MODEL = "model"  # the folder of the weights
TRUST = "trust.pem"  # certificates of trusted signers, where `app pack=` was given any
# Where a Space's proxy stands. None but it reaches the Space, so what it says of a visitor's address is believed.
SPACE_PROXIES = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
SPACE_FRAME = "https://huggingface.co"  # where a Space's page is shown in a frame


def main(folder: Path, name: str, max_mb: float, per_minute: int) -> None:
    """Serve the page of the run ``name``, packed in ``folder``, until a signal.

    It listens where Hugging Face expects it, at port 7860 of all addresses; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT
    say otherwise.
    """
    answer_signals()
    os.environ.update(QUIET)
    os.environ["TELLTALE_HOME"] = str(folder)  # where there is no run that the weights could differ from
    try:
        _serve(folder, name, Limits(max_mb, per_minute))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print()


def _serve(folder: Path, name: str, limits: Limits) -> None:
    trust = read_trust(str(folder / TRUST)) if (folder / TRUST).exists() else ""
    classifier = open_onnx_classifier(name, folder / MODEL, remedy="copy the packed page here again")
    service = Service(classifier, limits, trust=trust)
    service.warm_up()
    host, port = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"), os.environ.get("GRADIO_SERVER_PORT", str(PORT))
    if not (port.isdecimal() and 0 < int(port) < 2**16):
        raise UserError(f"GRADIO_SERVER_PORT={port} is not a port: give a number from 1 to 65535.")
    space = "SPACE_ID" in os.environ  # Hugging Face says so
    password = os.environ.get(PASSWORD, "")
    try:
        listener = listen(host, int(port))
    except UserError as error:
        raise UserError(f"{error} (Here host= is GRADIO_SERVER_NAME and port= is GRADIO_SERVER_PORT.)") from None
    with listener, temporary_folder() as uploads:
        frame, proxies = (SPACE_FRAME, SPACE_PROXIES) if space else ("", None)
        server = make_server(service, uploads, password, frame, proxies)
        announce(listener, password)
        server.run(sockets=[listener])
