"""How often the heat's maximum lies in the planted patch: the networks of tests/app/test_heat.py, five seeds each.

By chance it would be 1 in 5. `./run.sh bench heat` takes some ten minutes on one core.
"""

from tests.app.test_heat import TRAINING, hit_rate, trained
from tests.benchmarks.workload import threads

SEEDS = 5
IMAGES = 60


def main() -> None:
    """Print the hit rate of each network, the mean and the worst seed."""
    with threads(1):
        for name in TRAINING:
            rates = [hit_rate(trained(name, seed), IMAGES) for seed in range(SEEDS)]
            print(f"{name:20} {sum(rates) / SEEDS:.3f} mean, {min(rates):.2f} worst of {SEEDS} seeds", flush=True)
