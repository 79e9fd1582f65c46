"""A loopback web site for each test that wants one."""

import pytest

from tests.collect.site import Site


@pytest.fixture
def site():
    with Site() as server:
        yield server
