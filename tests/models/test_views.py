import numpy as np
import pytest
import torch

from competition.core.settings import CHOICES
from competition.models.views import find_view
from competition.models.views.residual import LIMIT

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
torch.manual_seed(0)
PICTURES = torch.rand(2, 3, 16, 20)


def test_rgb_standardises_each_channel():
    seen = find_view("rgb")(MEAN, STD, floating=False)(PICTURES)
    assert torch.allclose(seen[:, 1], (PICTURES[:, 1] - 0.4) / 0.25)


@pytest.mark.parametrize("name", CHOICES["view"])
def test_every_view_keeps_the_shape_and_gives_values_of_order_one(name):
    seen = find_view(name)(MEAN, STD, floating=False)(PICTURES)
    assert seen.shape == PICTURES.shape and seen.dtype == torch.float32
    assert seen.isfinite().all() and 0.3 < seen.std() < 3 and seen.abs().max() < 10


def test_the_residual_of_any_plane_is_nothing_and_of_a_step_is_clipped():
    residual = find_view("residual")(MEAN, STD, floating=False)
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    plane = (0.2 + 0.01 * x + 0.02 * y).expand(1, 3, 16, 16)
    assert residual(plane)[..., 1:-1, 1:-1].abs().max() < 1e-3
    assert residual(torch.rand(1, 3, 16, 16)).abs().max() <= 2
    assert LIMIT < 0.1


def test_the_residual_of_one_channel_ignores_the_others():
    residual = find_view("residual")(MEAN, STD, floating=False)
    changed = PICTURES.clone()
    changed[:, 0] = 0
    assert torch.equal(residual(PICTURES)[:, 1:], residual(changed)[:, 1:])


def test_the_spectrum_is_that_of_numpy_and_does_not_move_with_the_picture():
    fourier = find_view("fourier")(MEAN, STD, floating=False)
    picture = PICTURES[0, 0].double().numpy()
    magnitude = np.fft.fftshift(np.abs(np.fft.fft2(picture - picture.mean(), norm="ortho")))
    expected = (np.log(magnitude + 1e-3) + 3) / 1.5
    assert np.allclose(fourier(PICTURES)[0, 0].numpy(), expected, atol=1e-2)
    assert torch.allclose(fourier(PICTURES), fourier(PICTURES.roll(5, dims=3)), atol=2e-2)
