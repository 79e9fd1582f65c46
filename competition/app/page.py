"""The page: a drop zone, the answers as cards, and what the run knows. Importing this imports Gradio.

Promises: a dropped file is read once and is off the disk before it is judged; one image is judged at a time; memory
holds what the last few pages showed and no more; the browser may fetch nothing from anywhere else.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio import FileData

from competition.app.answer import MAX_PIXELS, Answer
from competition.app.api import add_api, example_lines
from competition.app.cards import about, card, text
from competition.app.guard import Guarded
from competition.app.limits import JUDGE, MAX_FILES, MAX_WAITING
from competition.app.service import Service
from competition.app.style import CSS, FONTS, MONO

LOST = "This file was taken away before it could be read: drop it again."
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' "
    "fill='%230072b2'/%3E%3Cpath d='M8 1a7 7 0 0 1 0 14z' fill='%23d55e00'/%3E%3C/svg%3E"
)


def make_site(service: Service, uploads: Path, password: str = "", framed_by: str = "") -> FastAPI:
    """Return the web application. ``uploads`` is the folder that GRADIO_TEMP_DIR names: nothing stays in it.

    For ``password`` and ``framed_by`` see Guarded.
    """
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    site.add_middleware(Guarded, limits=service.limits, uploads=uploads, password=password, framed_by=framed_by)
    add_api(site, service)
    page = _page(service, uploads, bool(password))
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    page.state_session_capacity = MAX_WAITING + 1  # Gradio keeps what each session last showed, of 10,000 by default
    return gr.mount_gradio_app(
        site,
        page,
        path="/",
        max_file_size=int(service.limits.max_mb * 2**20),
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


def _page(service: Service, uploads: Path, password: bool) -> gr.Blocks:
    record, networks = service.classifier.record, service.classifier.networks

    def answers(dropped: Any, request: gr.Request) -> Iterator[tuple[Any, str, str]]:
        named = uploaded(dropped)
        files = take(named, uploads)
        cards, left = "", len(named) - len(files)
        for number, (name, raw) in enumerate(files, 1):
            count = f"{number} of {len(files)}: " if len(files) > 1 else ""
            yield None, status(f"Looking at {count}{name}"), cards
            cards += card(_answered(service, name, raw, _address(request)), record, networks)
        more = f"{left} more were not looked at: drop at most {MAX_FILES} at once." if left else ""
        yield None, status(more, done=True), cards

    with gr.Blocks(title="Telltale: AI-made or human-made?", analytics_enabled=False) as page:
        gr.HTML(_title(service), apply_default_css=False)
        drop = gr.File(file_count="multiple", file_types=["image"], label="Images", show_label=False, elem_id="tt-drop")
        gr.HTML(_limits(service), apply_default_css=False)
        shown = gr.HTML("", apply_default_css=False, elem_id="tt-status")
        results = gr.HTML("", apply_default_css=False, elem_id="tt-results")
        gr.HTML(about(record, networks) + _programs(password), apply_default_css=False)
        # Gradio's own preprocessing of a file leaves an empty temporary file behind, hence none.
        drop.upload(
            answers,
            drop,
            [drop, shown, results],
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=1,
            concurrency_id=JUDGE,
            api_visibility="private",
            preprocess=False,
        )
        gr.api(_judge(service, uploads), api_name=JUDGE.strip("/"), concurrency_limit=1, concurrency_id=JUDGE)
    return page


def _judge(service: Service, uploads: Path) -> Callable[..., dict[str, Any]]:
    """Return what a program calls through Gradio's client."""

    def judge(image: FileData, request: gr.Request) -> dict[str, Any]:
        """Judge one image file; `error` says why there is no verdict."""
        ((name, raw),) = take(uploaded([image]), uploads) or [("image", None)]
        if raw is None:
            return {"error": LOST}
        wait = service.wait(_address(request))
        return {"error": service.too_many(wait)} if wait else service.judge(raw, name, patient=True)

    return judge


def _answered(service: Service, name: str, raw: bytes | None, address: str | None) -> Answer:
    if raw is None:
        return Answer(name, LOST)
    wait = service.wait(address)
    return Answer(name, service.too_many(wait)) if wait else service.show(raw, name)


def _address(request: gr.Request) -> str | None:
    return request.client.host if request.client else None


def uploaded(dropped: Any) -> list[tuple[str, Path]]:
    """Return the (name, path) pairs in what the browser says it uploaded, whatever it says."""
    files = [file for file in dropped if isinstance(file, dict)] if isinstance(dropped, list) else []
    return [(str(file.get("orig_name") or "image"), Path(str(file.get("path")))) for file in files]


def take(named: list[tuple[str, Path]], uploads: Path) -> list[tuple[str, bytes | None]]:
    """Read the first ``MAX_FILES`` files, take all of them off the disk, and return (name, bytes) of those read.

    The bytes are None for a file that is not in ``uploads``: of two drops of one file, the first takes it away.
    """
    own = [(name, path if uploads.resolve() in path.resolve().parents else None) for name, path in named]
    try:
        return [(name, _bytes(path)) for name, path in own[:MAX_FILES]]
    finally:
        for path in [path for _, path in own if path]:
            with contextlib.suppress(OSError):  # a folder
                path.unlink(missing_ok=True)


def _bytes(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


def status(words: str, done: bool = False) -> str:
    """Return the line between the drop zone and the answers; nothing where there is nothing to say."""
    return f'<p class="tt-status{" tt-done" if done else ""}" role="status">{text(words)}</p>' if words else ""


def _title(service: Service) -> str:
    where = ", how its members voted, and where in the image they found their evidence"
    said = where if service.evidence else " and how its members voted"
    return (
        '<header class="tt-title"><h1>AI-made or <span>human-made?</span></h1>'
        f"<p>Drop an image to see what a trained ensemble makes of it{said}.</p></header>"
    )


def _limits(service: Service) -> str:
    kinds, limits = "JPEG, PNG, WebP, GIF, BMP or TIFF", service.limits
    minute = f" and {limits.per_minute} a minute" if limits.per_minute else ""
    return (
        f'<p class="tt-limits">{kinds}; up to {MAX_FILES} images at once{minute}, each of at most {limits.max_mb:g} MB '
        f"and {MAX_PIXELS / 1e6:.0f} million pixels. They stay on the machine that serves this page and are not kept."
        "</p>"
    )


def _programs(password: bool) -> str:
    lines = "".join(f"<pre>{text(line)}</pre>" for line in example_lines(password))
    return (
        '<details class="tt-programs"><summary>From a program</summary>'
        f"{lines}<p>ADDRESS is that of this page (of a Hugging Face Space https://USER-SPACE.hf.space). The answer is "
        "JSON: the verdict with its probability and each member's, or <code>error</code>, a sentence that says why "
        "there is none. The limits are those of the page.</p></details>"
    )
