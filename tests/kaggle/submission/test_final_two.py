"""The written rule: which of CV and the public leaderboard chooses the final two."""

import dataclasses

import numpy as np
import pytest

from competition.kaggle.submission.figures import Figures, place
from competition.kaggle.submission.final_two import CV, LEADERBOARD, choose_final_two, f1_error, public_error
from competition.scoring.metrics import f1
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME


def entrant(key, cv, public, error=0.005, rows=2000, world=SAME, reach=0.03):
    """A submission whose leaderboard range reaches ``reach`` to either side of its CV."""
    ends = 1.959964 * error
    return Figures(
        key=key,
        cv=cv,
        cv_low=cv - ends,
        cv_high=cv + ends,
        range_low=cv - reach,
        range_high=cv + reach,
        public=public,
        public_rows=rows,
        positive_rate=0.5,
        world=world,
    )


def history(cvs, publics, **more):
    return [entrant(f"s{k}", cv, public, **more) for k, (cv, public) in enumerate(zip(cvs, publics, strict=True))]


def test_an_f1s_standard_error_is_that_of_drawn_leaderboards():
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(3000):
        truth = random.random(400) < 0.3
        drawn.append(f1(truth, np.where(random.random(400) < 0.1, ~truth, truth)))
    called = 0.3 * 0.9 + 0.7 * 0.1
    assert f1_error(np.mean(drawn), 400, (0.3 + called) / 2) == pytest.approx(np.std(drawn), rel=0.1)
    assert f1_error(1.0, 50, 0.5) > 0 and f1_error(0.0, 50, 0.0) > 0


def test_a_range_holds_its_ends():
    assert [place(value, (0.2, 0.4)) for value in (0.1, 0.2, 0.4, 0.5)] == ["below", "inside", "inside", "above"]


def test_the_only_score_there_is_decides():
    hand_made = [Figures("a", public=0.7), Figures("b", public=0.8)]
    assert choose_final_two(hand_made).by == LEADERBOARD and choose_final_two(hand_made).keys == ("b", "a")
    unseen = [Figures("a", cv=0.8), Figures("b", cv=0.9)]
    assert choose_final_two(unseen).by == CV and choose_final_two(unseen).keys == ("b", "a")
    assert choose_final_two([]).keys == ()
    assert choose_final_two(hand_made[:1]).keys == ("a",)


def test_few_submissions_leave_cv_in_charge_unless_all_fell_outside_or_the_world_is_another():
    assert choose_final_two(history([0.90, 0.92], [0.91, 0.90])).by == CV
    assert choose_final_two(history([0.90, 0.92], [0.80, 0.90])).by == CV  # one of two
    outside = choose_final_two(history([0.90, 0.92], [0.80, 0.70]))
    assert outside.by == LEADERBOARD and "2 of 2" in outside.why and outside.keys == ("s0", "s1")
    for world in (DOMAIN_SHIFT, LABEL_SHIFT):
        told = choose_final_two(history([0.90, 0.92], [0.91, 0.90], world=world))
        assert told.by == LEADERBOARD and world in told.why


CVS = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95]


def test_one_common_offset_leaves_cv_in_charge_however_large_it_is():
    chosen = choose_final_two(history(CVS, [0.70, 0.72, 0.71, 0.74, 0.73, 0.75], world=DOMAIN_SHIFT))
    assert chosen.by == CV and "one common offset" in chosen.why and chosen.keys[0] == "s5"


def test_of_two_that_order_alike_a_far_finer_leaderboard_knows_better():
    publics = [0.905, 0.906, 0.93, 0.92, 0.95, 0.945]
    assert choose_final_two(history(CVS, publics, error=0.02, rows=20_000)).by == LEADERBOARD
    assert choose_final_two(history(CVS, publics, error=0.02, rows=500)).by == CV


def test_gaps_that_differ_beyond_chance_ask_the_order():
    same_order = choose_final_two(history(CVS, [0.60, 0.65, 0.70, 0.75, 0.80, 0.85]))
    assert same_order.by == CV and "15 pairs" in same_order.why and "order 15 alike" in same_order.why
    reversed_order = choose_final_two(history(CVS, [0.85, 0.80, 0.75, 0.70, 0.65, 0.60]))
    assert reversed_order.by == LEADERBOARD and reversed_order.keys[0] == "s0"


def test_public_scores_within_their_own_error_are_not_believed_against_cv():
    chosen = choose_final_two(history([0.80, 0.84, 0.88, 0.92, 0.96], [0.804, 0.803, 0.802, 0.801, 0.80], rows=300))
    assert chosen.by == CV and "own error" in chosen.why


def test_submissions_made_by_hand_count_for_no_history():
    made = history(CVS[:4], [0.85, 0.80, 0.75, 0.70], reach=0.5)
    by_hand = [Figures(f"hand{k}", public=0.5) for k in range(9)]
    assert choose_final_two(made + by_hand).by == CV
    unsized = [Figures("no rows", cv=0.9, cv_low=0.89, cv_high=0.91, public=0.1)]
    assert choose_final_two(made + unsized).by == CV


def test_the_second_choice_is_the_other_scores_favourite_if_it_is_as_good_within_an_error():
    rows = history([0.950, 0.949, 0.946, 0.80], [0.94, 0.945, 0.96, 0.97])
    chosen = choose_final_two(rows)
    assert chosen.by == CV and chosen.keys == ("s0", "s2") and LEADERBOARD in chosen.second
    far = choose_final_two(history([0.950, 0.90, 0.85], [0.94, 0.90, 0.96], reach=0.2))
    assert far.keys == ("s0", "s1") and "next best" in far.second
    lone = choose_final_two([*history([0.9], [0.9], reach=0.2), Figures("h", public=0.5), Figures("i", public=0.6)])
    assert lone.by == CV and lone.keys == ("s0", "i")
    assert lone.second == "none other has a CV score; the best of the rest by the leaderboard"


def drawn(random, cv_error, public_rows, misled, count=8):
    """Draw the true scores of submissions and what CV and leaderboard make of them: ``misled`` is how far CV errs on
    each submission for reasons that no interval knows."""
    true = 0.85 + 0.015 * random.standard_normal(count)
    cv = true + 0.08 + cv_error * random.standard_normal(count) + misled * random.standard_normal(count)
    sampled = [f1_error(value, public_rows, 0.5) * random.standard_normal() for value in true]
    return true, history(cv, true + sampled, error=cv_error, rows=public_rows)


@pytest.mark.parametrize(
    ("cv_error", "rows", "misled", "better"),
    [(0.003, 300, 0.0, CV), (0.003, 5000, 0.06, LEADERBOARD), (0.03, 50_000, 0.0, LEADERBOARD)],
)
def test_over_drawn_histories_the_rule_follows_the_score_that_chooses_better(cv_error, rows, misled, better):
    random = np.random.default_rng(1)
    lost = {"rule": [], CV: [], LEADERBOARD: []}
    for _ in range(150):
        true, entrants = drawn(random, cv_error, rows, misled)
        chosen = {
            "rule": choose_final_two(entrants).keys[0],
            CV: max(entrants, key=lambda e: e.cv).key,
            LEADERBOARD: max(entrants, key=lambda e: e.public).key,
        }
        for name, key in chosen.items():
            lost[name].append(true.max() - true[int(key[1:])])
    worse = LEADERBOARD if better == CV else CV
    loss = {name: np.mean(values) for name, values in lost.items()}
    assert loss[better] < loss[worse]
    assert loss["rule"] - loss[better] < 0.35 * (loss[worse] - loss[better]), loss


def test_the_second_choice_is_not_the_first_submitted_twice():
    twice = [entrant("file", 0.95, 0.94), entrant("notebook", 0.95, 0.94), entrant("other", 0.90, 0.91)]
    assert choose_final_two(twice).keys == ("file", "other")
    assert choose_final_two(twice[:2]).keys == ("file", "notebook")


def test_where_less_is_better_the_least_is_the_best():
    losses = [dataclasses.replace(one, metric="log_loss") for one in history([0.30, 0.20, 0.25], [0.31, 0.22, 0.24])]
    assert choose_final_two(losses).keys[0] == "s1"


def test_a_cv_score_by_another_metric_than_the_newest_says_nothing():
    old, new = dataclasses.replace(entrant("old", 0.99, 0.20), metric="f1"), entrant("new", 0.30, 0.31)
    found = choose_final_two([old, dataclasses.replace(new, metric="log_loss")])
    assert found.keys[0] == "new" and found.by == CV


def test_the_error_of_a_public_score_by_another_metric_is_what_its_range_has_beyond_cvs():
    one = dataclasses.replace(entrant("a", 0.8, 0.8, error=0.003, reach=1.959964 * 0.005), metric="accuracy")
    assert public_error(one) == pytest.approx(0.004)
    assert public_error(dataclasses.replace(one, range_low=None)) == 0
