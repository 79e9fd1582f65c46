import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.core.config import load_config
from competition.core.config_forms import as_yaml, elsewhere, recipe_key
from competition.core.errors import UserError
from competition.core.paths import preset_names
from competition.core.settings import LATER_KEYS, RECIPE_KEYS, Recipe
from competition.core.splits import parse_folds


def test_later_layers_win_and_general_words_undo_members_own_of_layers_below(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\nlr: 3e-4\nmembers: {swin: {lr: 2e-4}}\n")
    config = load_config(["preset=demo", f"config={file}", "epochs=3", "members.convnext.epochs=4"])
    assert (config.members["convnext"].epochs, config.members["swin"].epochs) == (4, 3)
    assert (config.members["convnext"].lr, config.members["swin"].lr) == (3e-4, 2e-4)


def test_settings_for_another_machine_name_nothing_of_this_one_and_train_the_same(tmp_path):
    mine = [
        "data=/home/me/d",
        "cache=/home/me/c",
        "extra=/home/me/e",
        "pseudo=earlier",
        "names=a,b",
        "fold=0",
        "overwrite=true",
        "engine=kaggle",
        "kaggle.upload=true",
        "name=run",
    ]
    weights = ["pretrained=/home/me/w", "members.swin.pretrained=/home/me/v", "members.convnext.pretrained=true"]
    file = tmp_path / "sent.yaml"
    file.write_text(as_yaml(elsewhere(load_config(["preset=wai2025", "size=tiny", "epochs=3", *mine, *weights]))))
    assert not any(word in file.read_text() for word in ("/home/me", "earlier", "a,b"))
    there = ["preset=wai2025", "size=tiny", "epochs=3", "name=run", "members.convnext.pretrained=true"]
    random = ["pretrained=false", "members.swin.pretrained=false", "data="]
    assert load_config([f"config={file}"]) == load_config([*there, *random])


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_resolves_and_its_printed_settings_give_it_back(preset, tmp_path):
    config = load_config([f"preset={preset}"])
    file = tmp_path / "printed.yaml"
    file.write_text(as_yaml(config))
    assert load_config([f"config={file}"]) == config
    assert config.members and all(getattr(m, key) is not None for m in config.members.values() for key in RECIPE_KEYS)


def test_wai2025_has_three_sizes_of_both_families():
    for size in ("tiny", "base", "large"):
        members = load_config(["preset=wai2025", f"size={size}"]).members
        assert size in members["convnext"].backbone and size in members["swin-whole"].backbone


def test_the_diverse_presets_have_members_of_every_view_and_a_frozen_one():
    for words in (["demo-diverse"], *(["wai2025-diverse", f"size={size}"] for size in ("tiny", "base", "large"))):
        members = load_config([f"preset={words[0]}", *words[1:]]).members.values()
        assert {member.view for member in members if not member.frozen} == {"rgb", "residual", "fourier"}
        assert any(member.frozen for member in members)
        assert all(member.augment != "none" for member in members if not member.frozen)


def test_a_member_is_added_with_a_backbone_and_taken_out_with_null():
    config = load_config(["preset=demo", "members.r18.backbone=resnet18", "members.swin=null"])
    assert list(config.members) == ["convnext", "r18"]


def test_the_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config(["preset=demo"]).epochs = 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epoch=3"], "There is no setting 'epoch' (in the command line); did you mean 'epochs'?"),
        (["members.swni.lr=1e-4"], "There is no member 'swni' (in the command line); did you mean 'swin'?"),
        (["members.swin.ler=1"], "There is no setting 'members.swin.ler' (in the command line); did you mean 'lr'?"),
        (["preset=demoo"], "There is no preset 'demoo'; did you mean 'demo'?"),
        (["size=tiny"], "preset=demo has no size 'tiny'"),
        (["preset=wai2025", "size=bse"], "preset=wai2025 has no size 'bse'; did you mean 'base'?"),
        (["epochs=3.5"], "epochs=3.5 (in the command line) is not a whole number."),
        (["members.swin.lr=fast"], "members.swin.lr=fast (in the command line) is not a number."),
        (["compile=maybe"], "compile=maybe is not one of false, true, auto."),
        (["balance=maybe"], "balance=maybe (in the command line) is not true or false."),
        (["view=rbg"], "view=rbg is not one of rgb, residual, fourier."),
        (["demo.world=pryor"], "demo.world=pryor is not one of same, prior, generator, source."),
        (["demo.seed=-1"], "demo.seed=-1 is out of range: give a value from 0"),
        (["epochs=0"], "epochs=0 is out of range: give a value from 1 to 10000."),
        (["fold=7"], "fold=7 asks for a fold outside 0..4 (folds=5)."),
        (["fold=a"], "fold=a is not a list of folds"),
        (["fold"], "'fold' is not a setting: write key=value"),
        (["lr=1", "lr=2"], "'lr' is given twice (1 and 2)"),
        (["config=/no/such.yaml"], "config=/no/such.yaml cannot be read"),
        (["name=a/b"], "name=a/b is not a folder's name"),
        (["members=3"], "members=3 in the command line is not a mapping"),
        (["members.swin=3"], "members.swin=3 (in the command line) is not a mapping: write members.swin.key=value."),
        (["demo=3"], "demo=3 (in the command line) is not a mapping: write demo.key=value."),
        (
            ["folds=by-source"],
            "folds=by-source (in the command line) is not a number of folds: leave whole sources out",
        ),
        (["split=by-source"], "split=by-source needs to know where each image is from: give source=column:NAME"),
        (["split=by-sauce"], "split=by-sauce is not a way to split the data"),
        (["demo.sources=5"], "demo.sources=5"),
        (["demo.seed=x"], "demo.seed=x (in the command line) is not a whole number."),
        (["members.swin={lr: " + "9" * 400 + "}"], "In the command line stands a whole number that is too large"),
        (["evidence_rows" + ".a" * 1000 + "=1"], "'evidence_rows.a.a"),
        (["head={a: 1}"], "In the command line a list stands for a mapping, or a mapping for a list"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_value_and_the_nearest_right_word(words, said):
    words = words if any(word.startswith("preset=") for word in words) else ["preset=demo", *words]
    with pytest.raises(UserError) as error:
        load_config(words)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "folds", "full"),
    [
        ("0..4", [0, 1, 2, 3, 4], False),
        ("0,2", [0, 2], False),
        ("all", [0, 1, 2, 3, 4], False),
        ("3", [3], False),
        ("full", [0, 1, 2, 3, 4], True),
        ("0..1,full", [0, 1], True),
        ("1..2,4", [1, 2, 4], False),
    ],
)
def test_fold_words(text, folds, full):
    assert parse_folds(text, 5) == (folds, full)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_any_list_of_folds_is_read_back(folds):
    assert parse_folds(",".join(map(str, folds)), 10) == (sorted(folds), False)


def test_a_number_is_a_threshold_and_arguments_of_the_backbone_keep_their_types():
    config = load_config(["preset=demo", "threshold=0.5", "members.swin.backbone_args.depths=[2,2,6,2]"])
    assert config.threshold == "0.5"
    assert config.members["swin"].backbone_args["depths"] == [2, 2, 6, 2]
    assert config.members["swin"].backbone_args["embed_dim"] == 48


def test_each_demo_seed_has_data_and_results_of_its_own():
    plain, other = load_config(["preset=demo"]), load_config(["preset=demo", "demo.seed=3"])
    assert (plain.name, plain.data) == ("demo", "data/demo")
    assert other.name != plain.name and other.data != plain.data


@pytest.mark.parametrize(
    ("words", "name", "data"),
    [
        (["demo.world=same"], "demo", "data/demo"),
        (["demo.world=prior"], "demo-prior", "data/demo-prior"),
        (["demo.world=prior", "demo.seed=7"], "demo-prior-7-500-200", "data/demo-prior-7-500-200"),
        (["demo.world=generator", "name=mine"], "mine", "data/demo-generator"),
        (["demo.world=generator", "data=there"], "demo-generator", "there"),
        (["preset=demo-diverse", "demo.world=prior"], "demo-diverse-prior", "data/demo-prior"),
        (["demo.test_scenes=20"], "demo-0-500-20", "data/demo-0-500-20"),
    ],
)
def test_each_world_of_the_demo_has_data_and_results_of_its_own(words, name, data):
    words = words if words[0].startswith("preset=") else ["preset=demo", *words]
    config = load_config(words)
    assert (config.name, config.data) == (name, data)


def test_all_of_a_presets_members_can_be_taken_out_for_one_of_your_own():
    config = load_config(["preset=demo", "members=null", "backbone=resnet18"])
    assert [(name, recipe.backbone) for name, recipe in config.members.items()] == [("model", "resnet18")]


def test_several_mistakes_at_once_are_still_one_sentence():
    with pytest.raises(UserError, match=r"^There is no setting 'demo\.sed' .* did you mean 'seed'\?$"):
        load_config(["preset=demo", "demo.sed=3", "epochs=many"])


def test_settings_that_came_later_name_a_job_only_where_they_are_set():
    first = set(recipe_key(Recipe()))
    assert first == set(RECIPE_KEYS) - LATER_KEYS and "lr" in first
    for key in LATER_KEYS:
        kind = type(getattr(Recipe(), key))
        changed = dataclasses.replace(Recipe(), **{key: "other" if kind is str else kind(3)})
        assert set(recipe_key(changed)) == first | {key}
