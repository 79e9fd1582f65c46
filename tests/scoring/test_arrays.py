import math

import numpy as np
import pytest

from competition.scoring.arrays import sigmoid


def test_sigmoid_holds_at_the_ends_and_answer_in_float64():
    assert sigmoid(np.float32([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]
    assert sigmoid(np.float32([3])).dtype == np.float64
    assert sigmoid(-100.0) == pytest.approx(math.exp(-100))
