"""Where a picture comes from by the Content Credentials of its file: who or what made it, with what, and the edits.

A manifest holds the actions of one program; it names the manifests of the pictures that this program began from
(``parentOf``) or put in (``componentOf``). All of it is the word of who signed: read it only where the signature holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from competition.core.text import listed, one_line

AI, PARTLY_AI, HUMAN = "AI", "partly AI", "human"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
MAX_MANIFESTS = 200  # one for each program that saved the picture, or a part of it
MAX_EDITS = 5  # named in a sentence
_MADE, _NO_EDITS = "c2pa.created", ("c2pa.created", "c2pa.opened", "c2pa.published", "c2pa.unknown")
# IPTC's digital source types (cv.iptc.org/newscodes/digitalsourcetype): who made a picture of it, and words for it.
SOURCES = {
    "trainedAlgorithmicMedia": (AI, "made by AI"),
    "trainedAlgorithmicData": (AI, "made by AI"),
    COMPOSITE: (PARTLY_AI, "made in part by AI"),
    "compositeSynthetic": (PARTLY_AI, "put together with synthetic parts"),
    "digitalCapture": (HUMAN, "taken by a camera"),
    "computationalCapture": (HUMAN, "taken by a camera, of several exposures"),
    "compositeCapture": (HUMAN, "put together from photographs"),
    "negativeFilm": (HUMAN, "scanned from a negative"),
    "positiveFilm": (HUMAN, "scanned from a slide"),
    "print": (HUMAN, "scanned from a print"),
    "humanEdits": (HUMAN, "edited by a person"),
    "minorHumanEdits": (HUMAN, "edited by a person"),
    "digitalCreation": (HUMAN, "drawn by a person"),
    "digitalArt": (HUMAN, "drawn by a person"),
    "algorithmicallyEnhanced": ("", "enhanced by a program"),
    "algorithmicMedia": ("", "drawn by a formula"),
    "dataDrivenMedia": ("", "drawn from data"),
    "screenCapture": ("", "taken from a screen"),
    "virtualRecording": ("", "recorded in a virtual world"),
    "composite": ("", "put together from several pictures"),
}


@dataclass(frozen=True)
class Origin:
    """``source``: IPTC's digital source type; ``generator``: the program that made it; ``actions``: what was done
    since; ``when``: the time of the making, as the signer wrote it. Empty is not stated.
    """

    source: str = ""
    generator: str = ""
    actions: tuple[str, ...] = ()
    when: str = ""

    @property
    def maker(self) -> str:
        """Return ``AI``, ``PARTLY_AI`` or ``HUMAN``, empty for any other source and for none."""
        return _maker(self.source)

    def words(self) -> str:
        """Return how it was made, as in "made by AI with Firefly"."""
        unknown = f"of source type {self.source}" if self.source else "of unstated origin"
        made = SOURCES[self.source][1] if self.source in SOURCES else unknown
        return made + (f" with {self.generator}" if self.generator else "")

    def edits(self) -> str:
        """Return what was done to it since, to be added to a sentence."""
        return f", then {listed(self.actions, MAX_EDITS)}" if self.actions else ""


NO_ORIGIN = Origin()


@dataclass(frozen=True)
class _Action:
    name: str
    origin: Origin
    own: bool  # of this picture, not of one that was put in


def origin_of(store: Mapping[str, Any], trusted: bool) -> Origin:
    """Return the origin of the picture of a manifest store, as the library's JSON has it.

    The earliest making counts; AI in anything done later or put in makes it partly AI. A picture that a program began
    from counts where that program found its credentials to hold, and, if ``trusted``, those of a trusted signer.
    """
    actions = list(_actions(store, str(store.get("active_manifest")), trusted, set()))
    own = [action for action in actions if action.own]
    stated = [action for action in own if action.origin.source]
    made = next((a for a in stated if a.name == _MADE), stated[0] if stated else None)
    first = made or (own[0] if own else _Action("", NO_ORIGIN, True))
    by_ai = [action for action in actions if action is not first and _maker(action.origin.source) in (AI, PARTLY_AI)]
    found = first.origin
    if by_ai and found.maker not in (AI, PARTLY_AI):
        found = Origin(COMPOSITE, by_ai[0].origin.generator, when=found.when)
    names = dict.fromkeys(action.name for action in own if action.name not in _NO_EDITS)
    edits = tuple(one_line(name.removeprefix("c2pa.").replace("_", " "), 40) for name in names)
    return Origin(found.source, found.generator, edits, found.when)


def _maker(source: str) -> str:
    return SOURCES.get(source, ("", ""))[0]


def _actions(
    store: Mapping[str, Any], label: str, trusted: bool, seen: set[str], own: bool = True
) -> Iterator[_Action]:
    """Yield the actions of a manifest, after those of the pictures that it began from: the earliest is first."""
    manifest = _mapping(_mapping(store.get("manifests")).get(label))
    if not manifest or label in seen or len(seen) >= MAX_MANIFESTS:
        return
    seen.add(label)
    for ingredient in _mappings(manifest.get("ingredients")):
        if _sound(ingredient, trusted):
            is_parent = ingredient.get("relationship") == "parentOf"
            yield from _actions(store, str(ingredient.get("active_manifest")), trusted, seen, own and is_parent)
    generator = _program(next(iter(_mappings(manifest.get("claim_generator_info"))), manifest.get("claim_generator")))
    for assertion in _mappings(manifest.get("assertions")):
        if str(assertion.get("label")).startswith("c2pa.actions"):
            for action in _mappings(_mapping(assertion.get("data")).get("actions")):
                source = one_line(action.get("digitalSourceType"), 200).rpartition("/")[2][:60]
                program = _program(action.get("softwareAgent")) or generator
                origin = Origin(source, program, when=one_line(action.get("when"), 40))
                yield _Action(str(action.get("action")), origin, own)


def _sound(ingredient: Mapping[str, Any], trusted: bool) -> bool:
    """Whether the credentials of a picture held when it was put in, by what the program then wrote."""
    results = _mapping(_mapping(ingredient.get("validation_results")).get("activeManifest"))
    faults = [*_mappings(results.get("failure")), *_mappings(ingredient.get("validation_status"))]
    return all(fault.get("code") == "signingCredential.untrusted" and not trusted for fault in faults)


def _program(value: Any) -> str:
    """Return the name of a program, given as a text or with its name and version apart."""
    if not isinstance(value, Mapping):
        return one_line(value, 60)
    return one_line(" ".join(str(value[key]) for key in ("name", "version") if value.get(key)), 60)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
