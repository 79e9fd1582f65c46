"""Searches whose trials cost nothing: what is found, what is kept, and that the judgement is honest."""

import numpy as np
import pytest

from competition.core.errors import Untrainable, UserError
from competition.training.tuning.search import judge, search
from competition.training.tuning.study import JOURNAL, Study
from tests.training.tuning.simulated import SPACE, Simulated

MIDDLE = {"lr": 10**-3.5, "weight_decay": 0.05}
SEEN, OTHERS = (0, 1), (2, 3, 4)


def study_in(folder, key="key", preset=MIDDLE, seed=0):
    return Study(folder, key, SPACE, preset, seed)


def tune(folder, trials, many=8, preset=MIDDLE, seed=0):
    study = study_in(folder, preset=preset, seed=seed)
    search(study, trials, SEEN, lambda found: len(found) >= many, lambda trial: None)
    return study


def told(study):
    return [(one.number, dict(one.settings), one.loss, one.why) for one in study.trials]


def test_trial_0_is_the_preset_and_the_best_is_better(tmp_path):
    trials = Simulated(0, effect=0.3)
    bad = {"lr": 10**-2.2, "weight_decay": 0.05}
    study = tune(tmp_path, trials, preset=bad)
    assert study.trials[0].settings == bad
    assert trials.margin(study.best().settings) > trials.margin(bad) + 0.2
    found = judge(study, trials, OTHERS)
    assert found.gain.value > 2 * found.gain.error
    assert found.preset - found.best == pytest.approx(found.gain.value)


def test_a_preset_outside_the_space_is_tried_all_the_same(tmp_path):
    class Outside(Simulated):
        def margin(self, settings):
            return super().margin({"lr": 0.1, "weight_decay": 0.05, **settings})

    study = tune(tmp_path, Outside(0, effect=0.3), preset={})
    assert not study.trials[0].settings and study.trials[0].loss is not None and study.best().number > 0


@pytest.mark.parametrize("ended", [1, 3, 6])
def test_a_search_that_is_taken_up_again_ends_with_the_same_trials(tmp_path, ended):
    whole = tune(tmp_path / "whole", Simulated(0, effect=0.3))

    class Killed(Exception):
        pass

    class Dying(Simulated):
        def train(self, number, settings, folds, report):
            if number == ended:
                report(1.0, 1)  # in the middle of a trial
                raise Killed
            return super().train(number, settings, folds, report)

    with pytest.raises(Killed):
        tune(tmp_path / "parts", Dying(0, effect=0.3))
    trials = Simulated(0, effect=0.3)
    assert told(tune(tmp_path / "parts", trials)) == told(whole)
    assert min(number for number, _ in trials.trained) == ended  # none is done again


def test_half_a_line_of_the_journal_is_cut_off(tmp_path):
    whole = tune(tmp_path, Simulated(0, effect=0.3))
    journal = tmp_path / JOURNAL
    content = journal.read_bytes()
    journal.write_bytes(content[:-20])
    (tmp_path / f"{JOURNAL}.lock").touch()  # of a line that was killed while it wrote
    study = study_in(tmp_path)
    assert told(study) == told(whole)[:-1]
    search(study, Simulated(0, effect=0.3), SEEN, lambda found: len(found) >= 8, lambda trial: None)
    assert told(study) == told(whole)


def test_a_damaged_journal_is_a_sentence(tmp_path):
    (tmp_path / JOURNAL).write_text('{"op_code": "x"}\n[]\n')
    with pytest.raises(UserError, match=r"journal.log is damaged"):
        study_in(tmp_path)


def test_another_search_does_not_match(tmp_path):
    assert study_in(tmp_path).matches and study_in(tmp_path).matches
    assert not study_in(tmp_path, key="other").matches


def test_only_the_presets_and_the_best_trials_are_kept(tmp_path):
    trials = Simulated(0, effect=0.3)
    study = tune(tmp_path, trials)
    assert set(trials.removed) == {one.number for one in study.trials} - {0, study.best().number}


def test_what_cannot_be_trained_counts_as_the_worst_but_ends_no_search(tmp_path):
    class Diverging(Simulated):
        def train(self, number, settings, folds, report):
            if settings["lr"] > 1e-3:
                raise Untrainable("The loss is nan.")
            return super().train(number, settings, folds, report)

    study = tune(tmp_path, Diverging(0, effect=0.3))
    failed = [one for one in study.trials if one.why == "The loss is nan."]
    assert failed and all(one.loss is None for one in failed)
    assert study.best().settings["lr"] <= 1e-3


def test_a_preset_that_cannot_be_trained_ends_the_search(tmp_path):
    class Nothing(Simulated):
        def train(self, number, settings, folds, report):
            raise Untrainable("The loss is nan.")

    with pytest.raises(Untrainable):
        tune(tmp_path, Nothing(0, effect=0.3))
    assert not study_in(tmp_path).trials


def test_a_trial_that_is_worse_epoch_for_epoch_is_ended_early(tmp_path):
    seen = {}

    class Watched(Simulated):
        def train(self, number, settings, folds, report):
            def counted(value, step):
                seen[number] = step
                report(value, step)

            return super().train(number, settings, folds, counted)

    study = tune(tmp_path, Watched(0, effect=0.3))
    ended = [one for one in study.trials if one.loss is None]
    assert ended and all(
        one.why == "worse than the best one epoch for epoch" and seen[one.number] == 5 for one in ended
    )
    assert all(seen[one.number] == 6 for one in study.trials if one.loss is not None)


def test_what_matters_is_told_from_enough_trials(tmp_path):
    assert not tune(tmp_path / "few", Simulated(0, effect=0.3), many=3).importances()
    found = tune(tmp_path / "many", Simulated(0, effect=0.3), many=20).importances()
    assert found["lr"] > found["weight_decay"]


@pytest.mark.slow
def test_noise_is_seldom_recommended_and_the_judgement_does_not_flatter(tmp_path):
    seen, others, recommended = [], [], 0
    for seed in range(20):
        trials = Simulated(seed, effect=0.0)
        study = tune(tmp_path / str(seed), trials, many=12, seed=seed)
        if not study.best().number:
            continue
        seen.append(judge(study, trials, SEEN).gain.value)
        found = judge(study, trials, OTHERS).gain
        others.append(found.value)
        recommended += found.is_clear and seed < 10
    assert recommended <= 2
    assert np.mean(seen) > 4 * np.std(seen) / np.sqrt(len(seen))  # the best of twelve was lucky: it flatters
    assert abs(np.mean(others)) < 2 * np.std(others, ddof=1) / np.sqrt(len(others))  # and the others know nothing of it
