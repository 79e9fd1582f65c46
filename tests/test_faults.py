"""The fault campaign in small: drawn command lines and spoilt files, each checked against what is promised."""

import pytest

from tests.benchmarks.bench_faults import CAMPAIGNS
from tests.benchmarks.faults.campaign import conduct, described

CASES = {"words": 300, "files": 200}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_found_in_a_campaign_of_a_few_hundred_cases(tmp_path, name):
    tally = conduct(name, CAMPAIGNS[name][0], range(CASES[name]), 0, tmp_path)
    assert tally.done.total() == CASES[name]
    assert not tally.found, "\n".join(described(name, case) for case in tally.found)
