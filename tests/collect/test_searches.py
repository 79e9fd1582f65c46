"""Searches by words and plans of them, against stand-ins that answer in the form that the APIs document."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from competition.collect.folder import read_rows
from competition.collect.gather import collect
from competition.collect.options import CollectOptions
from competition.core.errors import UserError
from competition.data.layouts.dataset import LayoutSettings
from competition.data.layouts.read import read_dataset
from tests.collect.site import Answer, collected, images_in, outcome_of, png, send


def asked(handler):
    return {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}


def serve_api(site, path, answer):
    """Have ``path`` answer with the JSON of what ``answer`` makes of a query."""
    site.routes[path] = lambda handler: send(handler, Answer(json.dumps(answer(asked(handler))).encode()))


def serve_pictures(site, *seeds):
    for seed in seeds:
        site.pages[f"/{seed}.png"] = Answer(png(seed))


def openverse(site, seeds, licence="by", pages=1):
    def answer(query):
        page = int(query.get("page", 1))
        found = [
            {
                "id": f"{seed}",
                "url": f"{site.root}/{seed}.png",
                "license": licence,
                "license_version": "4.0",
                "creator": f"painter {seed}",
                "foreign_landing_url": f"https://example.org/{seed}",
            }
            for seed in seeds[page - 1 :: pages]
        ]
        return {"result_count": len(seeds), "page_count": pages, "page_size": 20, "page": page, "results": found}

    serve_api(site, "/v1/images/", answer)
    serve_pictures(site, *seeds)


def wikimedia(site, seeds):
    def answer(query):
        first = int(query.get("gsroffset", 0))
        pages = [
            {
                "title": f"File:{seed}.png",
                "imageinfo": [
                    {
                        "url": f"{site.root}/{seed}.png",
                        "descriptionurl": f"https://commons.example/wiki/File:{seed}.png",
                        "extmetadata": {
                            "License": {"value": "cc-by-sa-4.0" if seed % 2 else "cc0", "source": "commons-templates"},
                            "Artist": {"value": f'<a href="//x">User:{seed}</a>', "source": "commons-desc-page"},
                        },
                    }
                ],
            }
            for seed in seeds[first : first + 2]
        ]
        more = {"continue": {"gsroffset": first + 2, "continue": "gsroffset||"}} if first + 2 < len(seeds) else {}
        return {"batchcomplete": True, **more, "query": {"pages": pages}}

    serve_api(site, "/w/api.php", answer)
    serve_pictures(site, *seeds)


def civitai(site, seeds):
    def answer(query):
        last = query.get("cursor") == "next|1"
        images = [{"url": f"{site.root}/{seed}.png", "type": "image"} for seed in seeds[len(seeds) // 2 * last :]]
        film = {"url": f"{site.root}/film.mp4", "type": "video"}
        model = {"id": 7, "creator": {"username": "maker"}, "modelVersions": [{"images": [*images, film]}]}
        return {"items": [model], "metadata": {} if last else {"nextCursor": "next|1"}}

    serve_api(site, "/api/v1/models", answer)
    serve_pictures(site, *seeds)


def search(tmp_path, site, **changes):
    return collected(tmp_path, **{"search": "city at night", "source": "openverse", "api": f"{site.root}/", **changes})


def test_openverse_is_asked_page_by_page_and_says_licence_author_and_page(site, tmp_path):
    openverse(site, [1, 2, 3], pages=2)
    summary, rows = search(tmp_path, site, licence="cc0,by")
    assert summary.counts["saved"] == 3
    row = rows[f"{site.root}/2.png"]
    assert (row.licence, row.author, row.page) == ("by-4.0", "painter 2", "https://example.org/2")
    query = parse_qs(urlsplit(next(path for path in site.asked if path.startswith("/v1"))).query)
    assert query == {"q": ["city at night"], "page_size": ["20"], "license": ["cc0,by"]}
    again, _ = search(tmp_path, site)
    assert (again.counts["saved"], again.finished) == (0, 3)


def test_a_licence_without_a_version_is_one_too(site, tmp_path):
    one = {"url": f"{site.root}/1.png", "license": "cc0", "license_version": None, "creator": None}
    serve_api(site, "/v1/images/", lambda query: {"results": [one, {**one, "license": "by"}], "page": 1})
    serve_pictures(site, 1)
    _, rows = search(tmp_path, site, licence="cc0")
    assert [row.licence for row in rows.values()] == ["cc0"]


def test_wikimedia_is_asked_on_and_its_licences_are_chosen_from(site, tmp_path):
    wikimedia(site, [1, 2, 3, 4, 5])
    _, rows = search(tmp_path, site, source="wikimedia", licence="by-sa")
    assert set(rows) == {f"{site.root}/{seed}.png" for seed in (1, 3, 5)}
    row = rows[f"{site.root}/3.png"]
    assert (row.licence, row.author) == ("by-sa-4.0", "User:3") and row.page.endswith("File:3.png")


def test_civitai_is_asked_for_models_and_gives_their_images(site, tmp_path):
    civitai(site, [1, 2, 3, 4])
    summary, rows = search(tmp_path, site, source="civitai")
    assert summary.counts["saved"] == 4 and "film" not in " ".join(rows)
    assert rows[f"{site.root}/1.png"].page == "https://civitai.com/models/7"
    assert {row.author for row in rows.values()} == {"maker"}


def test_max_images_of_a_class_are_enough_also_over_two_runs(site, tmp_path):
    openverse(site, list(range(1, 13)))
    for most, saved in ((3, 3), (5, 2), (5, 0)):
        summary, _ = search(tmp_path, site, max=most, connections=1)
        assert summary.counts["saved"] == saved
        assert summary.lines[0].endswith(f"{most} images in all, as many as max= wants.")
    assert len(images_in(tmp_path / "data" / "ai")) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sorry</html>",
        b"",
        b"null",
        b"[1, 2]",
        b'{"results": 5}',
        b'{"results": [{"url": 3}]}',
        b'{"results": [null], "page": 1}',
        b'{"results": [], "page": "x", "page_count": 7}',
        b"[" * 200_000,
        b"\xff\xfe\xfd",
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("source", ["openverse", "wikimedia", "civitai"])
def test_an_answer_that_is_none_is_one_sentence_and_nothing_is_written(site, tmp_path, body, source):
    site.routes.update(dict.fromkeys(("/v1/images/", "/w/api.php", "/api/v1/models"), Answer(body)))
    with pytest.raises(UserError, match=r"search=city at night of \w+ cannot be read \(refused: it ") as error:
        search(tmp_path, site, source=source)
    assert "\n" not in str(error.value) and not (tmp_path / "data").exists()


def test_an_api_that_gives_the_same_page_for_ever_is_left(site, tmp_path, monkeypatch):
    monkeypatch.setattr("competition.collect.sources.MAX_ANSWERS", 11)
    openverse(site, [1])

    def endless(handler):
        one = {"url": f"{site.root}/1.png", "license": "by", "license_version": "4.0", "creator": None}
        page = {"results": [one], "page": int(asked(handler).get("page", 1)), "page_count": 10**9}
        send(handler, Answer(json.dumps(page).encode()))

    site.routes["/v1/images/"] = endless
    summary, _ = search(tmp_path, site)
    assert summary.counts["saved"] == 1 and sum(path.startswith("/v1") for path in site.asked) == 11


def test_addresses_of_an_api_that_are_none_are_rows(site, tmp_path):
    bad = ["not an address", "file:///etc/passwd", "http://a:b@c.example/", {"a": 1}, "http://127.0.0.1:1/x\n"]
    plain = {"license": "by", "license_version": None, "creator": {"x": 1}, "foreign_landing_url": 5}
    found = [{"url": one, **plain} for one in bad]
    serve_api(site, "/v1/images/", lambda query: {"results": found, "page": 1, "page_count": 1})
    summary, rows = search(tmp_path, site, retries=0)
    assert len(rows) == 5 and summary.counts["saved"] == 0
    assert all(row.status.startswith("refused") for row in rows.values())


def test_images_of_a_search_may_not_lie_on_a_private_address(site, tmp_path):
    """The API itself is on loopback here: so the answer is read by itself, and its images by a run that is guarded."""
    with pytest.raises(UserError, match=r"refused by allow_local: it is not at a public address"):
        search(tmp_path, site, allow_local=False)
    assert site.asked == []


def plan(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    return CollectOptions(
        plan=str(tmp_path / "plan.yaml"), out=str(tmp_path / "data"), allow_local=True, delay=0.0, robots=False
    )


def test_a_plan_keeps_the_classes_balanced_and_makes_each_entry_a_source(site, tmp_path):
    openverse(site, list(range(1, 41)))
    civitai(site, list(range(101, 107)))
    site.pages["/gallery"] = Answer(b'<img src="201.png"><img src="202.png">')
    serve_pictures(site, 201, 202)
    settings = plan(
        tmp_path,
        f"human:\n- {{search: city at night, source: openverse, api: '{site.root}'}}\n"
        f"- {{page: '{site.root}/gallery', name: gallery}}\n"
        f"ai:\n- {{search: city, source: civitai, api: '{site.root}'}}\n",
    )
    run = collect(settings)
    assert "There are no more images of ai, so the other class stops there, too." in outcome_of(run).lines
    human, ai = (outcome_of(run, label).counts["saved"] for label in ("human", "ai"))
    assert ai == 6 and abs(human - ai) <= settings.connections
    folders = {path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").glob("*/*/")}
    assert folders == {"human/openverse-city-at-night", "human/gallery", "ai/civitai-city"}
    data = read_dataset(tmp_path / "data", LayoutSettings(source="folders"))
    assert set(data.train["source"]) == {"openverse-city-at-night", "gallery", "civitai-city"}
    assert len(read_rows(tmp_path / "data/ai/provenance.csv")) == 6
    assert sum(collect(settings).counts[label]["finished"] for label in ("ai", "human")) >= 6


def test_a_search_of_a_plan_that_cannot_be_read_ends_neither_the_others_nor_in_silence(site, tmp_path):
    openverse(site, [1, 2])
    site.routes["/api/v1/models"] = Answer(b"nonsense")
    run = collect(
        plan(
            tmp_path,
            f"ai:\n- {{search: x, source: civitai, api: '{site.root}'}}\n"
            f"- {{search: y, source: openverse, api: '{site.root}'}}\n",
        )
    )
    found = outcome_of(run)
    assert found.counts["saved"] == 2
    assert any(
        line.startswith("search=x of civitai cannot be read (refused: it does not answer as") for line in found.lines
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ai: [", "is not YAML"),
        ("just words", "holds no settings"),
        ("ai: {search: x}", "ai, entry 1: It is not a mapping: write entries as [{urls: FILE}]"),
        ("ai: []", "ai, entry 1: It is not a mapping"),
        ("ai: [5]", "ai, entry 1: It is not a mapping"),
        ("ai: [{search: x, source: openverse}, {serch: x}]", "ai, entry 2: There is no setting 'serch'"),
        ("ai: [{search: x}]", "ai, entry 1: search=x and source= go together"),
        ("ai: [{search: x, source: google}]", "ai, entry 1: source=google is not one of"),
        ("ai: [{search: x, source: openverse, licence: free}]", "ai, entry 1: licence=free is not one of by"),
        ("ai: [{name: ../up, urls: x}]", "ai, entry 1: name=../up is not a folder's name"),
        ("../up: [{urls: x}]", "../up, entry 1: label=../up is not a folder's name"),
        ("ai: [{page: x.example}]", "ai, entry 1: page=x.example is not a web address"),
        ("ai: [{urls: a/x}, {urls: b/x}]", "ai, entry 2: Another entry goes to ai/x, too: give this one a name: of"),
        ("ai: [{urls: x}]\nai: [{urls: y}]", "'ai' stands there twice"),
        ("ai: [{urls: x, browser: 5}]", "ai, entry 1: browser=5 is not true or false"),
    ],
)
def test_a_mistake_in_a_plan_is_one_sentence_that_names_file_and_entry(tmp_path, text, said):
    settings = plan(tmp_path, text)
    with pytest.raises(UserError) as error:
        collect(settings)
    assert said in str(error.value) and settings.plan in str(error.value) and "\n" not in str(error.value)


def test_an_older_file_with_other_columns_is_read(site, tmp_path):
    openverse(site, [1, 2])
    search(tmp_path, site, max=1, connections=1)
    path = tmp_path / "data/ai/provenance.csv"
    header, row = path.read_text().splitlines()
    path.write_text(f"{header.rsplit(',', 3)[0]},setting\n{row.rsplit(',', 3)[0]},\n")
    summary, rows = search(tmp_path, site)
    assert (summary.counts["saved"], summary.finished, len(rows)) == (1, 1, 2)
    assert path.read_text().startswith(header)
