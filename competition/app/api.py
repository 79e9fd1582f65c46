"""The page for programs: an image's bytes posted to /judge are answered with its verdict as JSON."""

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from competition.app.guard import refused
from competition.app.limits import JUDGE, Busy
from competition.app.service import Service

CURL = "curl --data-binary @IMAGE ADDRESS/judge"
CLIENT = """\
python -c 'from gradio_client import Client, handle_file as file; \
print(Client("ADDRESS").predict(file("IMAGE"), api_name="/judge"))'"""


def example_lines(password: bool) -> list[str]:
    """Return the lines that ask a page for its verdict; for PASSWORD, ADDRESS and IMAGE the reader's are to be put."""
    if not password:
        return [CURL, CLIENT]
    known = 'Client("ADDRESS", httpx_kwargs={"auth": ("me", "PASSWORD")})'
    return [CURL.replace("curl", "curl --user me:PASSWORD"), CLIENT.replace('Client("ADDRESS")', known)]


def add_api(site: FastAPI, service: Service) -> None:
    """Let ``site`` answer a POST to ``JUDGE``, whose body is an image file, and ``?name=`` what to call it.

    Status 200: the verdict; 413: too many bytes; 415: a form; 422: no image that can be judged; 429: the visitor's
    minute is full; 503: too many wait. All but the first hold ``error``, a sentence.
    """

    @site.post(JUDGE)
    async def judge(request: Request, name: str = "image") -> JSONResponse:
        if request.headers.get("content-type", "").startswith("multipart/"):
            return refused(415, f"Send the image alone, as in {CURL}, for a form is not read.")
        if wait := service.wait(request.client.host if request.client else None):
            return refused(429, service.too_many(wait), {"retry-after": str(wait)})
        raw, most = bytearray(), service.limits.max_mb * 2**20
        async for part in request.stream():
            raw += part
            if len(raw) > most:
                return refused(413, f"This was not judged: it exceeds the limit of {service.limits.max_mb:g} MB.")
        try:
            found = await run_in_threadpool(service.judge, bytes(raw), name, patient=False)
        except Busy:
            return refused(503, "This was not judged: too many images wait already, so try again in a minute.")
        return JSONResponse(found, 422 if "error" in found else 200)
