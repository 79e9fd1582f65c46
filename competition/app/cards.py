"""The page's HTML: an answer as a card, and what the run knows. Every text is escaped, every picture a data URI."""

import html
from collections.abc import Mapping

from competition.app.answer import Answer
from competition.app.pictures import Picture
from competition.core.text import counted
from competition.data.images.credentials import TAMPERED, UNKNOWN
from competition.data.images.origin import AI, HUMAN
from competition.inference.classify import Network, Verdict, verdict_words
from competition.inference.run_record import Record, metric_and_value
from competition.report.style import decimals
from competition.scoring.leaderboard_metric import find_metric
from competition.scoring.unlikeness import UNLIKE

VIEWS = {
    "identity": "as it is",
    "hflip": "mirrored",
    "vflip": "upside down",
    "rot180": "turned 180°",
    "rot90": "turned 90°",
    "rot270": "turned 270°",
    "transpose": "transposed",
    "antitranspose": "antitransposed",
}


def text(value: object) -> str:
    """Return any text as HTML that neither a browser nor the page's own templates (``${}``, ``{{}}``) act upon."""
    escaped = html.escape(str(value))
    return escaped.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;").replace("`", "&#96;")


def card(answer: Answer, record: Record, networks: Mapping[str, Network]) -> str:
    """Return the answer as HTML."""
    if answer.verdict is None:
        return (
            f'<article class="tt-card tt-refused"><p class="tt-file">{text(answer.name)}</p>'
            f"<h2>No verdict</h2><p>{text(answer.refusal)}</p></article>"
        )
    verdict, words = answer.verdict, verdict_words(record.classes)
    sides = ("ai", "human") if words[0] == "AI-made" else ("human", "ai")  # AI's look is one, whichever class it is
    return (
        f'<article class="tt-card tt-{sides[verdict.positive]}">'
        f'<p class="tt-file">{text(answer.name)}</p>{_credentials(answer)}'
        f'<h2 class="tt-verdict">{text(words[verdict.positive])}</h2>'
        f'<p class="tt-near">{text(nearness(verdict.prob, record.threshold))} '
        f"{text(agreement(verdict, record.threshold))}</p>{_unlike(verdict)}"
        f"{_bar(verdict.prob, record.threshold, words)}"
        f'<div class="tt-pictures">{"".join(map(_figure, answer.pictures))}</div>'
        f"{_votes(verdict, record.threshold, networks, sides)}{_facts(answer)}</article>"
    )


def _credentials(answer: Answer) -> str:
    """Return what the file proves of its origin, or that it was tampered with; nothing where neither is known."""
    found = answer.credentials
    if found is None or not (found.holds or found.state == TAMPERED):
        return ""
    look = {AI: "tt-ai", HUMAN: "tt-human"}.get(found.mark, "")
    doubt = "Anyone can sign under any name: that this signer is who it says is not known." * (found.state == UNKNOWN)
    more = f"<small>{doubt or 'What the models see in the picture stands below.'}</small>"
    return f'<p class="tt-signed {look}"><b>Content Credentials</b> {text(found.sentence())}{more}</p>'


def nearness(prob: float, threshold: float) -> str:
    """Return in words how far the probability is from the threshold, measured on its own side of it."""
    room = 1 - threshold if prob >= threshold else threshold
    part = abs(prob - threshold) / room if room else 0.0
    if part < 0.1:
        return "At the threshold: it could as well have gone the other way."
    if part < 0.35:
        return "Near the threshold: a weak answer."
    if part < 0.75:
        return "Some way from the threshold."
    return "Far from the threshold."


def agreement(verdict: Verdict, threshold: float) -> str:
    """Return how many members are on the verdict's side of the threshold."""
    same = sum((prob >= threshold) == verdict.positive for prob in verdict.members.values())
    count = len(verdict.members)
    if count == 1:
        return "One member judged it."
    if same == count:
        return f"{'Both' if count == 2 else f'All {count}'} members are on this side."
    return f"{same} of {count} members {'is' if same == 1 else 'are'} on this side."


def _unlike(verdict: Verdict) -> str:
    """Return how far the image is from those that the models know; nothing where they cannot tell."""
    percent = verdict.unlikeness
    if percent is None:
        return ""
    told = f"It is more unlike than {min(percent, 99.9):.3g} % of the images these models know"
    strange = percent >= UNLIKE
    look = "tt-unlike" if strange else "tt-small"
    return f'<p class="{look}">{told}{": the verdict means little." if strange else "."}</p>'


def _bar(prob: float, threshold: float, words: tuple[str, str]) -> str:
    return (
        '<div class="tt-bar" role="img" '
        f'aria-label="Probability {decimals(prob)}, threshold {decimals(threshold)}">'
        f'<span class="tt-fill" style="width:{prob:.2%}"></span>'
        f'<span class="tt-mark" style="left:{threshold:.2%}"></span></div>'
        f'<p class="tt-scale"><span>{text(words[0])}</span>'
        f'<span class="tt-figures">probability of “{text(words[1])}” <b class="tt-prob">{decimals(prob)}</b>, '
        f"threshold <b>{decimals(threshold)}</b></span>"
        f"<span>{text(words[1])}</span></p>"
    )


def _figure(picture: Picture) -> str:
    look = ' class="tt-tiny"' if picture.tiny else ""
    return (
        f'<figure><img{look} src="{html.escape(picture.uri)}" alt="{text(picture.title)}">'
        f"<figcaption><b>{text(picture.title)}</b> {text(picture.caption)}</figcaption></figure>"
    )


def _votes(verdict: Verdict, threshold: float, networks: Mapping[str, Network], sides: tuple[str, str]) -> str:
    """Return the table of members and their views; a vote's colour and arrow say on which side it is."""

    def cell(prob: float) -> str:
        reaches = prob >= threshold
        return f'<td class="tt-vote-{sides[reaches]}">{decimals(prob)} <i>{"▽▲"[reaches]}</i></td>'

    views = list(next(iter(verdict.views.values())))
    head = "".join(f"<th>{text(VIEWS.get(view, view.replace('_', ' ')))}</th>" for view in views)
    rows = "".join(
        f'<tr><th scope="row">{text(member)}<small>{text(networks[member].sees)}</small></th>'
        f"{cell(prob)}{''.join(map(cell, verdict.views[member].values()))}</tr>"
        for member, prob in verdict.members.items()
    )
    return (
        '<h3>Who voted how</h3><div class="tt-scroll"><table><thead><tr><th>member</th><th>its mean</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="tt-small">Each column is the same image, shown differently; ▲ reaches the threshold, ▽ does not. '
        "Votes that differ between columns are a reason for doubt.</p>"
    )


def _facts(answer: Answer) -> str:
    rows = "".join(f"<tr><th scope='row'>{text(what)}</th><td>{text(value)}</td></tr>" for what, value in answer.facts)
    return (
        "<details><summary>What the file itself says</summary>"
        f'<table class="tt-facts">{rows}</table>'
        '<p class="tt-small">Hints beside the verdict, which does not use them: metadata is easily removed or forged.'
        "</p></details>"
    )


def about(record: Record, networks: Mapping[str, Network]) -> str:
    """Return what the run knows and what it is worth, as HTML."""
    rows = record.rows
    members = "".join(
        f"<li><b>{text(name)}</b>: {text(networks[name].backbone)} on {text(networks[name].sees)}, "
        f"{networks[name].image_size} px, the mean of {counted(len(folders), 'model')}</li>"
        for name, folders in record.members.items()
    )
    groups = f" in {rows['groups']:,} groups" if rows.get("groups", rows["train"]) != rows["train"] else ""
    words = verdict_words(record.classes)
    named = [
        text(name) if name == word else f"{text(name)} ({word})"
        for name, word in zip(record.classes, words, strict=True)
    ]
    return (
        '<section class="tt-about"><h2>What these models know</h2>'
        f"<p>They were trained on <b>{text(record.source)}</b>: {rows['train']:,} images{groups}, of the classes "
        f"{' and '.join(named)}. They know what sets these two apart, and nothing else: on images from other cameras, "
        "other generators or after other processing, they can be confidently wrong.</p>"
        f"<p>{_score(record)} An image counts as “{text(words[1])}” from a probability of "
        f"{record.threshold:.3f}.</p>"
        f"<ul>{members}</ul>"
        "<p><b>A verdict is a score, not proof.</b> Do not accuse anyone on the strength of it.</p>"
        f'<p class="tt-small">Run “{text(record.name)}”, Telltale {text(record.telltale)}. Images are judged on the '
        "machine that serves this page, sent nowhere else, and not kept.</p></section>"
    )


def _score(record: Record) -> str:
    cv = record.cv
    if not cv:
        return "What they are worth was not measured."
    title, value = record.score
    how = f" ({text(cv['how'])})" if cv.get("how") else ""
    interval = ", with a 95 % interval of {:.3f} to {:.3f}".format(*cv["interval"]) if cv.get("interval") else ""
    return (
        f"On images of that data set which they had not seen, their {title} is <b>{value:.3f}</b>{how}{interval}; "
        f"{0 if find_metric(metric_and_value(cv)[0]).sign < 0 else 1} is perfect."
    )
