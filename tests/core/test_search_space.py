import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.search_space import Dimension, read_space


def read(*words):
    return read_space(load_config(["preset=demo", *words]).tune)


def test_a_space_is_ranges_and_choices_of_the_settings_own_types():
    space = read(
        "tune.lr=[1e-5,1e-3,log]", "tune.batch_size=[16,64]", "tune.augment=[flips,web]", "tune.balance=[true,false]"
    )
    found = {one.key: one for one in space.dimensions}
    assert found["lr"] == Dimension("lr", least=1e-5, most=1e-3, log=True)
    assert found["batch_size"] == Dimension("batch_size", least=16, most=64, whole=True)
    assert found["augment"].choices == ("flips", "web")
    assert found["balance"].choices == (True, False)
    assert 1e-4 in found["lr"] and 1e-2 not in found["lr"] and "web" in found["augment"]


def test_what_is_not_said_is_the_default_and_null_takes_a_setting_out():
    default = read_space({})
    assert [one.key for one in default.dimensions] == ["lr", "weight_decay"] and default.folds == "0,1"
    assert [one.key for one in read("tune.weight_decay=null").dimensions] == ["lr"]
    assert read("tune.folds=2").folds == "2"


def test_three_numbers_are_choices():
    (one,) = read("tune.lr=[1e-3,1e-4,1e-2]", "tune.weight_decay=null").dimensions
    assert one.choices == (1e-3, 1e-4, 1e-2)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tune.lrr=[1e-5,1e-3]", "tune.lrr names no setting of a member that can be searched; did you mean 'lr'?"),
        ("tune.head=[flatten,256]", "names no setting of a member that can be searched"),
        ("tune.lr=1e-4", "is not a list of values: write tune.lr="),
        ("tune.lr=[1e-3]", "needs two values or more that differ"),
        ("tune.lr=[1e-3,1e-3]", "needs two values or more that differ"),
        ("tune.lr=[1e-3,1e-5]", "is not a range from a smaller to a larger number"),
        ("tune.dropout=[0,0.5,log]", "is not a range from a smaller to a larger number"),
        ("tune.lr=[x,1e-5]", "lr=x is not a number"),
        ("tune.lr=[1e-5,99]", "tune.lr=99.0 is out of range"),
        ("tune.augment=[flips,wild]", "tune.augment=wild is not one of"),
        ("tune.augment=[flips,web,log]", "is neither a range nor a list of choices"),
        ("tune.lr=[[1],2]", "give single values"),
        ("tune.folds=[0]", "tune.folds=[0] is not a list of folds"),
        ("tune=3", "tune=3 (in the command line) is not a mapping"),
    ],
)
def test_what_cannot_be_searched_is_a_sentence(word, said):
    with pytest.raises(UserError) as caught:
        read(word)
    assert said in str(caught.value)
