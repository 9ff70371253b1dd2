"""画数字的模型：两个引擎相同，越训练越好，补全不动看得见的像素，条件起作用。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.models import vae


def bars(n=96, seed=0):
    """竖条（标签 0）与横条（标签 1），位置随机。"""
    rng = np.random.default_rng(seed)
    images = np.zeros((n, 28, 28), np.float32)
    labels = rng.integers(0, 2, n)
    for image, label, place in zip(images, labels, rng.integers(6, 20, n), strict=True):
        (image.T if label else image)[:, place : place + 3] = 1
    return images, labels


def small(lib, **options):
    dlbook.manual_seed(0)
    return vae.define(lib)(latent=4, width=24, **options)


@pytest.fixture(scope="module")
def trained():
    model = small(dlbook, classes=2)
    images, labels = bars()
    loss = vae.train(
        model, images, labels, steps=300, rng=np.random.default_rng(0), batch_size=32, lr=0.01
    )
    return model, loss


@pytest.mark.parametrize("classes", [0, 2])
def test_both_engines_draw_and_encode_alike(classes):
    ours, theirs = small(dlbook, classes=classes), small(torch, classes=classes)
    state = {name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    images, labels = bars(5)
    labels = labels if classes else None
    codes = [vae.encode(model, images, labels) for model in (ours, theirs)]
    np.testing.assert_allclose(*codes, rtol=1e-4, atol=1e-5)
    drawn = [vae.draw(model, codes[0], labels) for model in (ours, theirs)]
    np.testing.assert_allclose(*drawn, rtol=1e-4, atol=1e-5)
    assert drawn[0].shape == (5, 28, 28) and drawn[0].dtype == np.float32


def test_training_lowers_the_loss(trained):
    _, loss = trained
    assert loss.shape == (300,)
    assert loss[-20:].mean() < 0.5 * loss[:5].mean()


def test_the_label_decides_what_is_drawn(trained):
    z = np.random.default_rng(0).standard_normal((20, 4))
    vertical, horizontal = (vae.draw(trained[0], z, np.full(20, k)) for k in (0, 1))
    # 竖条各行相同，横条各列相同。
    assert vertical.std(axis=1).mean() < 0.7 * vertical.std(axis=2).mean()
    assert horizontal.std(axis=2).mean() < 0.7 * horizontal.std(axis=1).mean()


def test_the_same_seed_trains_the_same_model():
    images, _ = bars(40)
    losses = []
    for _ in range(2):
        model = small(dlbook)
        rng = np.random.default_rng(3)
        losses.append(vae.train(model, images, steps=5, rng=rng, batch_size=8))
    np.testing.assert_array_equal(*losses)


def test_completion_keeps_visible_pixels_and_fills_the_rest():
    model, (images, _) = small(dlbook), bars(200)
    vae.train(model, images, steps=300, rng=np.random.default_rng(0), batch_size=32, lr=0.01)
    visible = np.ones((6, 28, 28), bool)
    visible[:, 14:] = False
    shown = images[:6] * visible
    filled = vae.complete(model, shown, visible, z=np.zeros((6, 4)))
    np.testing.assert_array_equal(filled[visible], images[:6][visible])
    hidden = ~visible
    before = np.abs(shown - images[:6])[hidden].mean()
    assert np.abs(filled - images[:6])[hidden].mean() < 0.5 * before


def test_interpolation_is_a_straight_line_with_both_ends():
    start, stop = np.array([0.0, 2.0]), np.array([4.0, -2.0])
    points = vae.interpolate(start, stop, 5)
    np.testing.assert_array_equal(points[[0, 2, 4]], [start, [2.0, 0.0], stop])


def test_errors_name_what_is_wrong():
    images, labels = bars(3)
    with pytest.raises(ValueError, match="别给 labels"):
        vae.encode(small(dlbook), images, labels)
    with pytest.raises(ValueError, match="请给 labels"):
        vae.draw(small(dlbook, classes=2), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"\(N, 28, 28\)，收到 \(3, 784\)"):
        vae.encode(small(dlbook), images.reshape(3, -1))
    with pytest.raises(ValueError, match=r"\(N, 4\)，收到 \(3, 5\)"):
        vae.draw(small(dlbook), np.zeros((3, 5)))
    with pytest.raises(ValueError, match="0 到 1 的整数，收到 0 到 2"):
        vae.draw(small(dlbook, classes=2), np.zeros((3, 4)), np.array([0, 1, 2]))
    seen = np.ones(images.shape, bool)
    with pytest.raises(ValueError, match=r"应同形.*\(3, 28, 28\)、\(2, 28, 28\)"):
        vae.complete(small(dlbook), images, seen[:2], z=np.zeros((3, 4)))
    with pytest.raises(ValueError, match="不看类别"):
        vae.complete(small(dlbook, classes=2), images, seen, z=np.zeros((3, 4)))
