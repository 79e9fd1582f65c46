import pytest

from competition.inference.classify import verdict_words


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("REAL", "FAKE"), ("human-made", "AI-made")),
        (("0", "1"), ("human-made", "AI-made")),
        (("human", "ai"), ("human-made", "AI-made")),
        (("FAKE", "REAL"), ("AI-made", "human-made")),
        (("cat", "dog"), ("cat", "dog")),
    ],
)
def test_a_picture_is_called_ai_made_only_where_the_classes_say_so(classes, words):
    assert verdict_words(classes) == words
