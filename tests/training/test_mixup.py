import torch
from hypothesis import given
from hypothesis import strategies as st

from competition.training.mixup import mix, mix_pairs, places_of_partners

PIXELS = torch.randint(0, 256, (8, 3, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0.0, 1, 0, 1, 1, 0, 1, 0])


def test_off_means_untouched():
    pixels, target = mix(PIXELS, TARGET, 0, 0, seed=1)
    assert pixels is PIXELS and target is TARGET


@given(st.integers(0, 1000))
def test_cutmix_takes_every_pixel_from_a_row_or_its_partner_in_the_labels_share(seed):
    pixels, target = mix(PIXELS, TARGET, 0, 1.0, seed)
    flat = torch.where(TARGET.bool(), 255, 0).to(torch.uint8)
    plain, _ = mix(flat.view(-1, 1, 1, 1).expand(-1, 3, 12, 10), TARGET, 0, 1.0, seed)
    assert pixels.dtype == torch.uint8
    assert torch.allclose(plain.float().mean(dim=(1, 2, 3)) / 255, target, atol=1e-6)


@given(st.integers(0, 1000))
def test_mixup_mixes_pixels_as_it_mixes_labels(seed):
    flat = (TARGET * 255).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).to(torch.uint8)
    pixels, target = mix(flat, TARGET, 0.4, 0, seed)
    assert torch.allclose(pixels.mean(dim=(1, 2, 3)) / 255, target, atol=1e-5)
    assert ((target >= 0) & (target <= 1)).all()


def test_both_on_takes_one_at_random_and_a_seed_decides_everything():
    kinds = {mix(PIXELS, TARGET, 1.0, 1.0, seed)[0].dtype for seed in range(20)}
    assert kinds == {torch.uint8, torch.float32}
    first, again = (mix(PIXELS, TARGET, 1.0, 1.0, 3) for _ in range(2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


ROWS = torch.tensor([4, 9, 2, 7, 5, 0, 3, 8])
PARTNER = {4: 9, 9: 4, 2: 7, 7: 2, 5: 5, 0: 3, 3: 0, 8: 8}


def test_partners_are_found_in_their_batch_and_a_single_row_finds_itself():
    other = places_of_partners(ROWS, PARTNER)
    assert ROWS[other].tolist() == [PARTNER[row] for row in ROWS.tolist()]
    shuffled = torch.tensor([9, 5, 8, 0, 3, 4, 7, 2])
    assert shuffled[places_of_partners(shuffled, PARTNER)].tolist() == [PARTNER[row] for row in shuffled.tolist()]


@given(st.integers(0, 1000))
def test_pairs_mix_pixels_as_they_mix_labels_and_single_rows_stay(seed):
    flat = (TARGET * 255).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).to(torch.uint8)
    other = torch.tensor([1, 0, 3, 2, 4, 6, 5, 7])
    pixels, target = mix_pairs(flat, TARGET, other, seed)
    assert torch.allclose(pixels.mean(dim=(1, 2, 3)) / 255, target, atol=1e-5)
    assert target[4] == TARGET[4] and target[7] == TARGET[7]
    again, _ = mix_pairs(flat, TARGET, other, seed)
    assert torch.equal(pixels, again)


def test_half_of_the_rows_of_pairs_are_mixed_most_of_them_slightly():
    target = torch.tensor([0.0, 1]).repeat(2000)
    other = torch.arange(4000).view(-1, 2).flip(1).flatten()
    _, mixed = mix_pairs(target.view(-1, 1, 1, 1), target, other, 3)
    moved = (mixed - target).abs()
    assert 0.45 < (moved > 0).float().mean() < 0.55
    assert 0.35 < (moved[moved > 0] > 0.5).float().mean() < 0.65  # Beta(.5, .5) is symmetric ...
    assert ((moved[moved > 0] - 0.5).abs() > 0.35).float().mean() > 0.45  # ... and heaped at both ends
