"""The page: a drop zone, the answers as cards, and what the run knows. Importing this imports Gradio.

Promises: a dropped file is read once and is off the disk before it is judged; one image is judged at a time; memory
holds what the last few pages showed and no more; the browser may fetch nothing from anywhere else.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from competition.app.answer import MAX_PIXELS, Answer, answer
from competition.app.cards import about, card, text
from competition.app.style import CSS, FONTS, MONO
from competition.inference.classify import Classifier
from competition.inference.torch_member import TorchMember

MAX_FILES = 12  # of one drop
MAX_WAITING = 8  # drops
MAX_IDLE_SECONDS = 900  # seconds after which an upload that no page asks for is removed
LOST = "This file was taken away before it could be read: drop it again."
TITLE = (
    '<header class="tt-title"><h1>AI-made or <span>human-made?</span></h1>'
    "<p>Drop an image to see what a trained ensemble makes of it, how its members voted, and where in the image "
    "they found their evidence.</p></header>"
)

# Gradio's own scripts are inline and build functions from text; what matters here is that all of it is ours.
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; form-action 'self'"
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' "
    "fill='%230072b2'/%3E%3Cpath d='M8 1a7 7 0 0 1 0 14z' fill='%23d55e00'/%3E%3C/svg%3E"
)


class Guarded:
    """Sends ``HEADERS`` with every response."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, sending)


def make_site(classifier: Classifier[TorchMember], uploads: Path, max_mb: float, trust: str = "") -> FastAPI:
    """Return the web application. ``uploads`` is the folder that GRADIO_TEMP_DIR names: nothing stays in it.

    ``trust``: certificates of the signers of Content Credentials that count as trusted, as PEM text.
    """
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    site.add_middleware(Guarded)
    page = _page(classifier, uploads, max_mb, trust)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    page.state_session_capacity = MAX_WAITING + 1  # Gradio keeps what each session last showed, of 10,000 by default
    return gr.mount_gradio_app(
        site,
        page,
        path="/",
        max_file_size=int(max_mb * 2**20),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        show_error=False,
        theme=_theme(),
        css=CSS,
        head=f'<link rel="icon" href="{ICON}"><meta name="color-scheme" content="light">',
    )


def _theme() -> gr.themes.Base:
    """Return a theme of system fonts that is light, whatever the browser prefers."""
    theme = gr.themes.Base(font=FONTS, font_mono=MONO)
    for name in [name for name in vars(theme) if name.endswith("_dark")]:
        light = getattr(theme, name.removesuffix("_dark"), None)
        if light is not None:
            setattr(theme, name, light)
    return theme


def _page(classifier: Classifier[TorchMember], uploads: Path, max_mb: float, trust: str) -> gr.Blocks:
    recipes = {name: member.recipe for name, member in classifier.members.items()}

    def answers(dropped: Any) -> Iterator[tuple[Any, str, str]]:
        named = uploaded(dropped)
        files = take(named, uploads)
        cards, left = "", len(named) - len(files)
        for number, (name, raw) in enumerate(files, 1):
            count = f"{number} of {len(files)}: " if len(files) > 1 else ""
            yield None, status(f"Looking at {count}{name}"), cards
            answered = Answer(name, LOST) if raw is None else answer(classifier, raw, name, max_mb, trust)
            cards += card(answered, classifier.record, recipes)
        more = f"{left} more were not looked at: drop at most {MAX_FILES} at once." if left else ""
        yield None, status(more, done=True), cards

    with gr.Blocks(title="Telltale: AI-made or human-made?", analytics_enabled=False) as page:
        gr.HTML(TITLE, apply_default_css=False)
        drop = gr.File(file_count="multiple", file_types=["image"], label="Images", show_label=False, elem_id="tt-drop")
        gr.HTML(_limits(max_mb), apply_default_css=False)
        shown = gr.HTML("", apply_default_css=False, elem_id="tt-status")
        results = gr.HTML("", apply_default_css=False, elem_id="tt-results")
        gr.HTML(about(classifier.record, recipes), apply_default_css=False)
        # Gradio's own preprocessing of a file leaves an empty temporary file behind, hence none.
        drop.upload(
            answers,
            drop,
            [drop, shown, results],
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=1,
            api_visibility="private",
            preprocess=False,
        )
    return page


def uploaded(dropped: Any) -> list[tuple[str, Path]]:
    """Return the (name, path) pairs in what the browser says it uploaded, whatever it says."""
    files = [file for file in dropped if isinstance(file, dict)] if isinstance(dropped, list) else []
    return [(str(file.get("orig_name") or "image"), Path(str(file.get("path")))) for file in files]


def take(named: list[tuple[str, Path]], uploads: Path) -> list[tuple[str, bytes | None]]:
    """Read the first ``MAX_FILES`` files, take all of them off the disk, and return (name, bytes) of those read.

    The bytes are None for a file that is not in ``uploads``: of two drops of one file, the first takes it away. Other
    uploads that are older than ``MAX_IDLE_SECONDS`` go too: their page was closed before it could ask.
    """
    own = [(name, path if uploads.resolve() in path.resolve().parents else None) for name, path in named]
    try:
        return [(name, _bytes(path)) for name, path in own[:MAX_FILES]]
    finally:
        now = time.time()
        old = [path for path in uploads.rglob("*") if path.is_file() and now - path.lstat().st_mtime > MAX_IDLE_SECONDS]
        for path in [*(path for _, path in own if path), *old]:
            with contextlib.suppress(OSError):  # gone already, or its folder holds another's upload
                path.unlink(missing_ok=True)
                if path.parent != uploads:
                    path.parent.rmdir()


def _bytes(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


def status(words: str, done: bool = False) -> str:
    """Return the line between the drop zone and the answers; nothing where there is nothing to say."""
    return f'<p class="tt-status{" tt-done" if done else ""}" role="status">{text(words)}</p>' if words else ""


def _limits(max_mb: float) -> str:
    kinds = "JPEG, PNG, WebP, GIF, BMP or TIFF"
    return (
        f'<p class="tt-limits">{kinds}; up to {MAX_FILES} images at once, each of at most {max_mb:g} MB and '
        f"{MAX_PIXELS / 1e6:.0f} million pixels. They stay on the machine that serves this page and are not kept."
        "</p>"
    )
