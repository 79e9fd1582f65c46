import torch
from hypothesis import given
from hypothesis import strategies as st

from competition.training.mixup import mix

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
