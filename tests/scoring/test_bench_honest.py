"""The bench of the honest numbers, in small: few draws of few worlds, with bounds that broken code misses."""

import numpy as np
import pytest

from competition.scoring.metrics import auc
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT
from tests.benchmarks.bench_honest import HEADINGS, markdown, promises
from tests.benchmarks.domain_shift import CELLS, domain_promises, domain_table
from tests.benchmarks.outcomes import Finding, measure
from tests.benchmarks.scenarios import WORLDS, draw

SHOWN = ("n=500", "shift .5 to .25", "another generator")


@pytest.fixture(scope="module")
def findings():
    worlds = [world for world in WORLDS if world.name in SHOWN]
    return {finding.world.name: finding for finding in measure(worlds, repeats=4, processes=1)}


@pytest.mark.slow
def test_the_reported_score_is_near_the_leaderboard_and_the_range_holds_it(findings):
    found = findings["n=500"]
    assert abs(found.bias[0]) < 0.01 and found.coverage >= 0.5 and found.verdicts["same world"] >= 0.75


@pytest.mark.slow
def test_label_shift_is_seen_and_auto_follows_it(findings):
    found = findings["shift .5 to .25"]
    assert found.verdicts[LABEL_SHIFT] >= 0.75 and found.rules.get("em", 0) >= 3
    assert found.regret["auto"][0] < found.regret["argmax"][0] / 2 and found.coverage >= 0.5


@pytest.mark.slow
def test_another_generator_is_called_another_world_and_auto_loses_far_less_than_training_rows_would(findings):
    found = findings["another generator"]
    assert found.verdicts[DOMAIN_SHIFT] == 1 and set(found.rules) == {"robust"}
    assert found.regret["em"][0] > found.regret["calibrated"][0] > 3 * found.regret["auto"][0]


def test_a_test_set_from_elsewhere_is_what_its_name_says():
    kind, model = "no power: all in between", "AUC .92"
    found = draw(CELLS[kind, model, 0.9], 1)
    assert found.test_label.mean() == pytest.approx(0.9, abs=0.03)
    assert auc(found.test_label, found.test_prob) == pytest.approx(0.5, abs=0.06)
    lower = draw(CELLS["scores lower", model, 0.9], 1)
    assert auc(lower.test_label, lower.test_prob) == pytest.approx(0.92, abs=0.03)
    assert lower.test_prob.mean() < draw(CELLS["scores higher", model, 0.9], 1).test_prob.mean() - 0.3


def test_what_is_promised_elsewhere_is_judged_in_every_cell():
    def finding(world, auto):
        lost = {"auto": (auto, 0.0), "calibrated": (0.2, 0.0), "all": (0.1, 0.0)}
        return Finding(world, 1, lost, (0.0, 0.0), (0.0, 0.0), 0.5, {DOMAIN_SHIFT: 1.0}, {})

    good = [finding(world, 0.09) for world in CELLS.values()]
    assert all(promise.kept for promise in domain_promises(good))
    one_bad = [*good[:-1], finding(good[-1].world, 0.3)]
    assert [promise.kept for promise in domain_promises(one_bad)] == [True, False, True, True]
    lines = list(domain_table(good))
    assert len(lines) == 2 + len(CELLS) / 5 and all(".200 → 0.090" in line for line in lines[2:])


@pytest.mark.slow
def test_the_promises_and_the_table_speak_of_every_world(findings):
    assert len(promises(list(findings.values()))) == 6
    lines = list(markdown(list(findings.values())))
    assert len(lines) == 2 + len(SHOWN) and all(line.count("|") == len(HEADINGS) + 1 for line in lines)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_a_draw_depends_on_its_seed_alone_and_is_the_world_it_says(world):
    one, again, other = draw(world, 1), draw(world, 1), draw(world, 2)
    assert np.array_equal(one.prob, again.prob) and np.array_equal(one.parts, again.parts)
    assert not np.array_equal(one.prob, other.prob)
    assert one.label.size == world.rows and one.parts.shape == (5, world.test_rows)
    share = world.prior if world.test_prior is None else world.test_prior
    assert one.test_label.mean() == pytest.approx(share, abs=0.07)
    assert all(np.unique(one.fold[one.group == name]).size == 1 for name in np.unique(one.group)[:50])
    models_agree = np.ptp(one.parts, axis=0).max() == 0
    assert models_agree == (world.noise == 0 and world.unlike == 0)
