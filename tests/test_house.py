"""The house stays as it was built: what tests/house.py measures in the source stays within its limits."""

import pytest

from tests import house


@pytest.fixture(scope="module")
def files():
    return house.sources()


@pytest.fixture(scope="module")
def known():
    return house.rooms()


def planted(folder, files):
    """A package of these files, given as path: text."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return house.sources(folder), house.rooms(folder)


def test_few_rooms_stand_at_the_top(known):
    assert len(known) <= house.MAX_ROOMS, known


def test_rooms_stand_on_few_floors_and_in_no_circle(files, known):
    floors = house.floors(known, house.arrows(files, known))  # which names a circle
    assert 1 + max(floors.values()) <= house.MAX_FLOORS, floors


def test_every_room_has_its_storey_and_imports_nothing_from_above_or_beside_it(files, known):
    assert sorted(known) == sorted(room for storey in house.STOREYS for room in storey)
    assert not house.upward(house.arrows(files, known))


@pytest.mark.parametrize(
    "measure",
    [
        house.long_parameter_lists,
        house.long_functions,
        house.long_files,
        house.class_names_twice,
        house.without_docstring,
        house.format_skips,
    ],
)
def test_no_file_function_or_class_breaks_a_rule_of_the_house(files, measure):
    offences = measure(files)
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(
    "line",
    [
        "from competition.upper import thing",
        "from competition import upper",
        "import competition.upper.deep",
        "from ..upper import thing",
        "def inside():\n    from competition.upper.deep import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import competition.upper",
    ],
)
def test_an_import_is_seen_wherever_it_stands_and_however_it_is_written(tmp_path, line):
    files, known = planted(tmp_path, {"lower/a.py": line, "upper/deep.py": "", "presets/demo.yaml": ""})
    assert known == ["lower", "presets", "upper"]
    assert list(house.arrows(files, known)) == [("lower", "upper")]
    assert house.floors(known, house.arrows(files, known)) == {"upper": 0, "presets": 0, "lower": 1}


def test_a_circle_of_rooms_is_named(tmp_path):
    circle = {"a/x.py": "import competition.b", "b/x.py": "import competition.c", "c.py": "from competition.a import x"}
    files, known = planted(tmp_path, circle)
    with pytest.raises(ValueError, match="a -> b -> c -> a"):
        house.floors(known, house.arrows(files, known))


def test_an_import_from_above_or_beside_is_named(tmp_path):
    wrong = {"core/x.py": "import competition.data", "data/x.py": "import competition.models", "models/x.py": ""}
    files, known = planted(tmp_path, wrong)
    up, beside = house.upward(house.arrows(files, known))
    assert "core" in up and "core/x.py:1" in up
    assert "data" in beside and "models" in beside


def test_every_exception_is_drawn_in_the_tree_of_errors(files):
    assert house.drawn_exceptions(files) == house.exceptions(files)


def test_offences_in_a_file_are_found(tmp_path):
    text = """
class Twice: ...
def many(a, b, /, c, *d, e, f, **g): ...
class Kind:
    def few(self, a, b, c, d, e, f): ...
    class Twice: ...
x = 1  # fmt: skip
"""
    files, _ = planted(tmp_path, {"core/x.py": text + "\n" * 250, "core/y.py": "def long():\n" + "    x = 1\n" * 40})
    assert len(house.long_parameter_lists(files)) == 1
    assert len(house.class_names_twice(files)) == 1
    assert len(house.format_skips(files)) == 1
    assert len(house.long_files(files)) == 1
    assert len(house.long_functions(files)) == 1
    assert len(house.without_docstring(files)) == 2 + 4  # the files, and Twice, many, Kind and long
