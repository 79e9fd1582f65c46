"""What a file proves of its origin: Content Credentials (C2PA), verified by the C2PA project's own library.

Promises: nothing is fetched from anywhere; whatever the bytes are, no exception, ``MAX_SECONDS`` at most, and nothing
but short printable texts. A file without a manifest costs a search for a mark, .45 ms a MB (decoding: 11); one with a
manifest 1 ms more at .3 MB, 4 ms at 1.5 MB. The library is optional (the extra ``c2pa``): without it a manifest is
present, not verified.
"""

import functools
import importlib.metadata
import io
import json
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition.core.deadline import within
from competition.core.errors import UserError
from competition.core.text import one_line
from competition.data.images.origin import NO_ORIGIN, Origin, origin_of

PACKAGE = "c2pa-python"
MARKS = (b"c2pa", b"jumb")  # in every embedded manifest: the name of its store, and the type of its boxes (JUMBF)
MAX_SECONDS = 10.0  # of one file
MAX_BOXES = 2_000  # of a manifest store: the library takes .1 s for 1,000 and 2.5 s for 4,000; a camera writes ten
MAX_JSON = 8_000_000  # characters of a report on a manifest; those of cameras and generators have some 10,000
MAX_UNPACKED_MB = 1  # of a compressed manifest, whose boxes cannot be counted before
TRUSTED, UNKNOWN = "trusted", "unknown signer"  # signatures that hold
TAMPERED, INVALID, UNVERIFIED = "tampered", "invalid", "not verified"
_UNTRUSTED = "signingCredential.untrusted"
# What a certificate must be for, as the C2PA project lists it (the library by itself knows the first alone): e-mail,
# documents, timestamps, OCSP, Microsoft's signing, C2PA's own.
_PURPOSES = "1.3.6.1.5.5.7.3.4 1.3.6.1.5.5.7.3.36 1.3.6.1.5.5.7.3.8 1.3.6.1.5.5.7.3.9 1.3.6.1.4.1.311.76.59.1.9 "
_PURPOSES += "1.3.6.1.4.1.62558.2.1"
_OFFLINE = {
    "core": {
        "allowed_network_hosts": [],  # none
        "decode_identity_assertions": False,  # would ask web sites for keys
        "max_decompressed_manifest_size_in_mb": MAX_UNPACKED_MB,
    },
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


@dataclass(frozen=True)
class Credentials:
    """What a file's manifest says, and whether it may be believed.

    ``state``: ``TRUSTED`` where the signature holds and the signer's certificate leads to one that the user trusts,
    ``UNKNOWN`` where it holds and the certificate does not: anyone can make such a one under any name; ``TAMPERED``
    where the file or the manifest is not what was signed; ``INVALID`` for any other fault, which ``fault`` names;
    ``UNVERIFIED`` where the library is not installed. ``signer`` is by the certificate; ``origin`` is what the signer
    says; both are empty where the signature does not hold. ``date`` is of the signature, or else of the first action.
    """

    state: str
    signer: str = ""
    origin: Origin = NO_ORIGIN
    date: str = ""
    fault: str = ""

    @property
    def holds(self) -> bool:
        """Whether the file is, to the last bit, what was signed; by whom is another question."""
        return self.state in (TRUSTED, UNKNOWN)

    @property
    def mark(self) -> str:
        """Return one or two words: AI, partly AI, human or signed where the signature holds, else the state."""
        return (self.origin.maker or "signed") if self.holds else self.state

    def short(self) -> str:
        """Return a few words for a table's cell."""
        if not self.holds:
            return self.state
        return f"{self.mark} ({self.signer}{', unknown signer' if self.state == UNKNOWN else ''})"

    def sentence(self) -> str:
        """Return all of it as one sentence."""
        if self.state == UNVERIFIED:
            return f"A manifest is present, not verified: that needs the package {PACKAGE}."
        if self.state == TAMPERED:
            return "Tampered with: this is not the file that was signed, so that what its manifest says proves nothing."
        if self.state == INVALID:
            return f"Invalid, so that what the manifest says proves nothing: {self.fault}."
        worth = "valid, trusted" if self.state == TRUSTED else "valid, unknown signer"
        date = f" on {self.date}" if self.date else ""
        return f"Signed by {self.signer} ({worth}): {self.origin.words()}{date}{self.origin.edits()}."


def read_credentials(raw: bytes, trust: str = "") -> Credentials | None:
    """Return what the image file of these bytes proves of its origin; None for one without an embedded manifest.

    ``trust``: certificates, as PEM text, of those who vouch for the signers that count as trusted (roots).
    """
    if not all(mark in raw for mark in MARKS):
        return None
    if not library():
        return Credentials(UNVERIFIED)
    if raw.count(b"jumd") > MAX_BOXES:  # what each begins with
        return Credentials(INVALID, fault=f"it has more than {MAX_BOXES:,} boxes")
    try:
        return within(MAX_SECONDS, lambda: _verified(raw, trust))
    except TimeoutError:
        return Credentials(INVALID, fault=f"to verify it takes more than {MAX_SECONDS:g} s")


def short_credentials(raw: bytes, trust: str = "") -> str:
    """Return what :func:`read_credentials` does in a few words, an empty text for None."""
    found = read_credentials(raw, trust)
    return found.short() if found else ""


def read_trust(path: str) -> str:
    """Return the certificates in a PEM file for ``trust``; raise UserError where there is none, or no library."""
    if not path:
        return ""
    if not library():
        raise UserError(
            f"trust={path} needs {PACKAGE}, which this Python lacks: run {sys.executable} -m pip install {PACKAGE} and "
            "then the same line again."
        )
    try:
        text = Path(path).expanduser().read_text()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        return text
    except (ssl.SSLError, ValueError):  # the latter: no text, or an empty one
        reason = "it does not hold whole certificates and nothing else"
    except OSError as error:
        reason = error.strerror or str(error)
    raise UserError(f"trust={path} cannot be used ({reason}): name a PEM file of certificates.")


@functools.cache
def library() -> str:
    """Return the version of the library that verifies, empty where it is not installed or does not load."""
    try:
        import c2pa  # noqa: F401
    except (ImportError, OSError, RuntimeError):  # the latter two: its native half is not for this machine
        return ""
    return importlib.metadata.version(PACKAGE)


@functools.lru_cache(maxsize=4)
def _context(trust: str) -> Any:
    import c2pa

    anchors = {"user_anchors": trust} if trust else {}  # an empty text is refused
    return c2pa.Context.from_dict(_OFFLINE | {"trust": {"trust_config": "\n".join(_PURPOSES.split()), **anchors}})


def _verified(raw: bytes, trust: str) -> Credentials | None:
    import c2pa

    try:
        reader = c2pa.Reader.try_create(None, io.BytesIO(raw), context=_context(trust))
        if reader is None:
            return None  # the marks were there by chance
        with reader:
            text = reader.json()
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.NotSupported) or str(error).startswith("Remote"):
            return None  # a format that holds no manifest, or a manifest that is elsewhere
        return Credentials(INVALID, fault="it is damaged")
    if len(text) > MAX_JSON:
        return Credentials(INVALID, fault=f"it has more than {MAX_JSON:,} characters")
    try:
        return _judged(json.loads(text))
    except (ValueError, RecursionError):
        return Credentials(INVALID, fault="it is damaged")


def _judged(store: Mapping[str, Any]) -> Credentials:
    """Return what the library's report comes to."""
    state = {"Trusted": TRUSTED, "Valid": UNKNOWN}.get(str(store.get("validation_state")))
    if state is None:
        faults = [fault for fault in store.get("validation_status", []) if fault.get("code") != _UNTRUSTED]
        if any("mismatch" in str(fault.get("code")) for fault in faults):
            return Credentials(TAMPERED)
        named = [one_line(fault.get("explanation") or fault.get("code"), 80) for fault in faults]
        return Credentials(INVALID, fault=", ".join(named[:3]) or "its signature does not hold")
    signature = store["manifests"][store["active_manifest"]].get("signature_info") or {}
    name = re.sub("[();:]", " ", str(signature.get("issuer") or signature.get("common_name") or ""))  # our punctuation
    signer = one_line(name, 60) or "a signer without a name"
    origin = origin_of(store, state == TRUSTED)
    date = one_line(signature.get("time") or origin.when, 40)[:10]  # of ISO 8601
    return Credentials(state, signer, origin, date)
