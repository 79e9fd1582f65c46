import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition import __version__
from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.files import fingerprint, write_json
from competition.data.assemble import assemble
from competition.data.folds import keep_folds
from competition.data.images.decode import read_image
from competition.data.images.joined import JoinedStore
from competition.data.run_data import read_tables
from competition.inference.run_record import Record, write_record
from competition.training.plan import Job, make_plans
from competition.training.pseudo_labels import confident, find_teacher, with_pseudo
from tests.data.drawn import jpeg

WORDS = ["preset=demo", "demo.train_scenes=8", "demo.test_scenes=5", "folds=2", "members.swin=null"]
MEMBERS = ("one", "two")


def opened(*words):
    config = load_config([*WORDS, *words])
    dataset = read_tables(config)
    data = with_pseudo(config, assemble(config, dataset))
    return config, data


def taught(*words):
    return opened("name=student", "pseudo=teacher", *words)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def teacher(home):
    """A finished run of two members and two folds over the same data; its test logits are 0, its OOF's too."""
    _, data = opened("name=teacher")
    folder = home / "folds" / "teacher"
    keep_folds(folder / "folds.csv", data.train)
    for member in MEMBERS:
        for fold in (0, 1):
            place = folder / member / f"fold{fold}"
            place.mkdir(parents=True)
            data.train[data.predicted(fold)][["id", "label", "fold"]].assign(logit=0.0, prob=0.5).to_csv(
                place / "oof.csv", index=False
            )
            say(folder, member, fold, data, {})
            write_json(place / "done.json", {"prediction_key": "k"})
    record([f"fold{fold}" for fold in (0, 1)])
    return folder, data


def record(parts, **other):
    """Write what the teacher is known by: each member's models in these folders."""
    members = {member: [f"{member}/{part}" for part in parts] for member in MEMBERS} | other
    write_record(
        Record(
            name="teacher",
            classes=("0", "1"),
            source="data",
            kind="kaggle",
            rows={},
            members=members,
            tta="flip",
            threshold=0.5,
            telltale=__version__,
        )
    )


def say(folder, member, part, data, probs):
    """Make a teacher's model say these probabilities of test positions, and .5 of all others."""
    prob = np.full(len(data.test), 0.5)
    for position, value in probs.items():
        prob[position] = value
    part = f"fold{part}" if isinstance(part, int) else part
    table = data.test[["id"]].assign(logit=np.log(prob / (1 - prob)), prob=prob)
    table.sample(frac=1, random_state=1).to_csv(folder / member / part / "test.csv", index=False)


def labels(data, fold):
    """The train-only rows of a fold: label by position in the test table."""
    rows = data.learnt(fold)[int(data.fitted(fold).sum()) :]
    place = {one: position for position, one in enumerate(data.test["id"])}
    return {place[one]: label for one, label in zip(rows["id"], rows["label"], strict=True)}


def test_members_are_averaged_and_each_floor_decides_by_itself(teacher):
    folder, data = teacher
    for member, shift in zip(MEMBERS, (-0.01, 0.01), strict=True):
        say(folder, member, 0, data, {0: 0.985 + shift, 1: 0.975 + shift, 2: 0.015 + shift, 3: 0.08 + shift})
        say(folder, member, 1, data, {0: 0.9})
    assert labels(taught()[1], 0) == {0: 1, 2: 0}
    assert labels(taught("pseudo_negative=0.9")[1], 0) == {0: 1, 2: 0, 3: 0}
    config, data = taught("pseudo_positive=0.97")
    assert labels(data, 0) == {0: 1, 1: 1, 2: 0} and labels(data, 1) == {}
    assert "adds 0 to 3 of 10 test images" in data.notes[-2] and "(by fold 3, 0; '1' 66.7%, none)" in data.notes[-2]
    train, test = data.of(config.members["convnext"])
    joined = JoinedStore([train, *data.added_of(config.members["convnext"])])
    for position, row in enumerate(data.learnt(0).tail(3)["row"]):
        assert np.array_equal(joined[row], test[position])


def test_an_image_that_cannot_be_read_today_is_not_learnt_whatever_the_teacher_said(teacher):
    folder, data = teacher
    for member in MEMBERS:
        say(folder, member, 0, data, {0: 0.99, 1: 0.99})
    Path(data.test["path"][0]).write_bytes(b"damaged")
    assert labels(taught()[1], 0) == {1: 1}


def test_a_folds_labels_come_from_the_models_that_never_saw_it_and_the_last_models_from_all(teacher):
    folder, data = teacher
    say(folder, "one", 0, data, {4: 0.99})
    say(folder, "two", 0, data, {4: 0.99})
    before = taught()
    for member in MEMBERS:
        say(folder, member, 1, data, {4: 0.001, 5: 0.999})
    after = taught()
    assert labels(before[1], 0) == labels(after[1], 0) == {4: 1} and labels(after[1], 1) == {4: 0, 5: 1}
    assert labels(after[1], None) == {}  # both models of each member: their mean is not sure
    keys = [
        [plan.key for plan in make_plans(config, data, [Job("convnext", 0), Job("convnext", 1)], "cpu")]
        for config, data in (before, after)
    ]
    assert keys[0][0] == keys[1][0] and keys[0][1] != keys[1][1]


def test_a_teachers_model_on_all_rows_speaks_to_no_fold(teacher):
    folder, data = teacher
    for member in MEMBERS:
        for fold in (0, 1):
            say(folder, member, fold, data, {2: 0.99})
        shutil.copytree(folder / member / "fold0", folder / member / "full")
        (folder / member / "full" / "oof.csv").unlink()
        say(folder, member, "full", data, {2: 1e-9})
    record(["fold0", "fold1", "full"])
    _, data = taught()
    assert labels(data, 0) == labels(data, 1) == {2: 1} and labels(data, None) == {}


def test_a_copy_of_a_judged_image_is_left_out_of_that_fold_alone(teacher, home):
    folder, data = teacher
    held = data.train[data.predicted(1)].iloc[0]
    shutil.copy(held["path"], data.test["path"][0])
    jpeg(home / "again.jpg", read_image(data.train[data.predicted(0)].iloc[2]["path"])[..., ::-1], 60)
    shutil.move(home / "again.jpg", data.test["path"][3])
    for member in MEMBERS:
        for fold in (0, 1):
            say(folder, member, fold, data, {0: 0.99, 3: 0.99, 6: 0.01})
    _, data = taught()
    assert labels(data, 0) == {0: 1, 6: 0} and labels(data, 1) == {3: 1, 6: 0}
    assert labels(data, None) == {0: 1, 3: 1, 6: 0}
    assert data.notes[-1].startswith("2 test images left out of pseudo-labels in the fold that is judged on a copy")


def test_without_a_teacher_nothing_changes_and_with_one_the_key_covers_its_labels(teacher):
    folder, data = teacher
    for member in MEMBERS:
        say(folder, member, 0, data, {1: 0.99})
    config, plain = opened("name=student")
    store = plain.of(config.members["convnext"])[0]
    plan = make_plans(config, plain, [Job("convnext", 0)], "cpu")[0]
    assert plan.settings["training_data"] == fingerprint(plain.table_key, store.digest) and not plain.added
    seen = {plan.key}
    for prob in (0.99, 0.01):
        for member in MEMBERS:
            say(folder, member, 0, data, {1: prob})
        config, student = taught()
        seen.add(make_plans(config, student, [Job("convnext", 0)], "cpu")[0].key)
        assert student.table_key == plain.table_key and student.train.equals(plain.train)
    assert len(seen) == 3


def spoilt_folds(column, value):
    def spoil(folder):
        table = pd.read_csv(folder / "folds.csv", dtype=str)
        table.loc[0, column] = value(table[column][0])
        table.to_csv(folder / "folds.csv", index=False)

    return spoil


def other_test_ids(folder):
    path = folder / "two" / "fold1" / "test.csv"
    path.write_text(path.read_text().replace("test_data", "other_data"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "There is no finished run 'teacher'"),
        (lambda folder: (folder / "one" / "fold1" / "test.csv").unlink(), "is not finished, for .*one/fold1 lacks"),
        (lambda folder: (folder / "one" / "fold0" / "oof.csv").unlink(), "is not finished, for .*one/fold0 lacks"),
        (lambda folder: write_json(folder / "two" / "fold0" / "done.json", {"key": "k"}), "is not finished"),
        (lambda folder: (folder / "folds.csv").unlink(), "has lost its folds.csv"),
        (spoilt_folds("id", lambda one: one + "x"), "was trained on other rows than these"),
        (spoilt_folds("label", lambda label: str(1 - int(label))), "has another label for 1 row, first 'train_data/"),
        (spoilt_folds("fold", lambda fold: str(1 - int(fold))), "has another fold for 1 row, .*: give this run its"),
        (other_test_ids, "predicted another test set than this one"),
        (lambda folder: None, "is sure of no test image: lower pseudo_positive=0.98"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_in_one_sentence(teacher, spoil, said):
    spoil(teacher[0])
    with pytest.raises(UserError, match=said):
        taught()


def test_a_run_cannot_teach_itself_nor_without_a_test_set_nor_with_folds_missing(teacher):
    config = load_config([*WORDS, "name=teacher", "pseudo=teacher"])
    dataset = read_tables(config)
    with pytest.raises(UserError, match="this run itself"):
        find_teacher(config, dataset)
    record(["fold0", "fold1"], two=["two/fold0"])
    with pytest.raises(UserError, match="has no fold 1 of two"):
        taught()
    for name in ("test.csv", "sample_submission.csv"):
        (dataset.root / name).unlink(missing_ok=True)
    config = load_config([f"data={dataset.root}", "name=student", "preset=small", "pseudo=teacher", "folds=2"])
    with pytest.raises(UserError, match="there is no test set in the data"):
        find_teacher(config, read_tables(config))


def test_a_teacher_that_stopped_early_on_the_judged_rows_is_named(teacher):
    folder, data = teacher
    for member in MEMBERS:
        say(folder, member, 0, data, {1: 0.99})
    (folder / "two" / "fold0" / "config.yaml").write_text("patience: 3\n")
    assert "early stopping (patience of two)" in taught()[1].notes[-1]
    (folder / "two" / "fold0" / "config.yaml").write_text("patience: 0\n")
    assert not any("patience" in note for note in taught()[1].notes)


PROB = st.floats(0, 1) | st.just(float("nan"))


@given(st.lists(PROB, max_size=20), st.floats(0.5, 1), st.floats(0.5, 1))
def test_only_rows_beyond_the_floors_are_labelled_and_higher_floors_label_fewer(prob, positive, negative):
    test = pd.DataFrame({"id": [f"i{n}" for n in range(len(prob))], "row": range(len(prob))})
    found = confident(test, np.array(prob, float), positive, negative)
    by_row = {row: prob[row] for row in found["row"]}
    assert all(by_row[row] >= positive for row in found["row"][found["label"] == 1])
    assert all(by_row[row] <= 1 - negative for row in found["row"][found["label"] == 0])
    left = [value for row, value in enumerate(prob) if row not in by_row]
    assert not any(value >= positive or value <= 1 - negative for value in left)
    higher = confident(test, np.array(prob, float), min(1, positive + 0.1), min(1, negative + 0.1))
    assert set(higher["row"]) <= set(found["row"])
    assert (found["id"] == "i" + found["row"].astype(str)).all()
