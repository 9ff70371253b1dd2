"""卷积网络：同一份模型文件在两个引擎上相同；训练、评估、数据增强的约定与错误信息。"""

import numpy as np
import pytest
import torch

import dlbook
from dlbook.data.augment import random_affine, random_shift
from dlbook.models import cnn
from dlbook.plot import cnn as draw


def toy_digits(n=128, seed=0):
    """两类假数字：竖条与横条，位置随机。"""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 0.2, size=(n, 28, 28)).astype(np.float32)
    y = rng.integers(0, 2, n)
    for image, label in zip(x, y, strict=True):
        row, column = rng.integers(4, 16, 2)
        window = np.s_[row : row + 8, column : column + 2]
        (image if label else image.T)[window] = 1
    return x, y.astype(np.int64)


def twins(**options):
    """两个引擎各一个网络，参数相同。"""
    dlbook.manual_seed(0)
    ours, theirs = cnn.build(dlbook, **options), cnn.build(torch, **options)
    state = ours.state_dict()
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in state.items()})
    return ours, theirs


@pytest.mark.parametrize(
    "options", [{}, {"widths": (2, 3, 4)}, {"widths": (2, 3, 4), "repeats": 3}]
)
def test_both_engines_have_the_same_parameters_and_scores(options):
    ours, theirs = twins(**options)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    x, _ = toy_digits(20)
    scores = cnn.predict(dlbook, ours, x)
    assert scores.shape == (20, 10)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, cnn.predict(torch, theirs, x), rtol=1e-4, atol=1e-5)


def test_both_engines_train_alike():
    ours, theirs = twins(widths=(4, 6, 6))
    x, y = toy_digits(256)
    runs = [
        cnn.train(lib, model, x, y, epochs=2, batch_size=32, rng=np.random.default_rng(0))
        for lib, model in ((dlbook, ours), (torch, theirs))
    ]
    assert runs[0].loss.shape == (16,)
    np.testing.assert_allclose(runs[0].loss, runs[1].loss, rtol=1e-2, atol=1e-3)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value, rtol=0.05, atol=0.02)


def test_training_learns_and_records():
    dlbook.manual_seed(0)
    model = cnn.build(dlbook, widths=(4, 6, 6))
    x, y = toy_digits(512)
    val = toy_digits(100, seed=1)
    history = cnn.train(dlbook, model, x, y, epochs=4, batch_size=32,
                        rng=np.random.default_rng(0), val=val)  # fmt: skip
    assert history.loss.shape == (64,)
    assert history.val_accuracy.shape == (4,)
    assert history.loss[-5:].mean() < 0.1 < history.loss[0]
    assert history.val_accuracy[-1] > 0.95
    assert history.val_accuracy[-1] == cnn.accuracy(dlbook, model, *val)


def test_training_is_reproducible():
    x, y = toy_digits()
    losses = []
    for _ in range(2):
        dlbook.manual_seed(5)
        model = cnn.build(dlbook, widths=(2, 2, 2), dropout=0.5)
        losses.append(cnn.train(dlbook, model, x, y, epochs=1, batch_size=32, augment=random_shift,
                                rng=np.random.default_rng(3)).loss)  # fmt: skip
    np.testing.assert_array_equal(*losses)


def test_predict_uses_evaluation_mode_and_leaves_the_statistics_alone():
    model, _ = twins(widths=(2, 2, 2), dropout=0.5)
    x, _ = toy_digits(30)
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    first = cnn.predict(dlbook, model, x)
    np.testing.assert_array_equal(first, cnn.predict(dlbook, model, x))
    np.testing.assert_allclose(first, cnn.predict(dlbook, model, x, batch_size=7), rtol=1e-4,
                               atol=1e-6)  # fmt: skip
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


@pytest.mark.parametrize(("n", "labels"), [(10, 10), (64, 63)])
def test_bad_training_data_is_refused(n, labels):
    model = cnn.build(dlbook, widths=(1, 1, 1))
    with pytest.raises(ValueError, match="图与标签应一样多，且不少于一批 64 个"):
        cnn.train(dlbook, model, np.zeros((n, 28, 28), np.float32), np.zeros(labels, np.int64),
                  epochs=1, rng=np.random.default_rng(0))  # fmt: skip


# 数据增强


def test_random_shift_moves_whole_pixels():
    image = np.arange(1, 26, dtype=np.float32).reshape(1, 5, 5)
    shifted = random_shift(np.repeat(image, 200, axis=0), np.random.default_rng(0), 1)
    assert shifted.shape == (200, 5, 5)
    assert shifted.dtype == np.float32
    padded = np.pad(image[0], 1)
    possible = {padded[i : i + 5, j : j + 5].tobytes() for i in range(3) for j in range(3)}
    assert {s.tobytes() for s in shifted} == possible


def test_random_shift_by_zero_is_the_identity_and_negative_is_refused():
    x, _ = toy_digits(5)
    np.testing.assert_array_equal(random_shift(x, np.random.default_rng(0), 0), x)
    with pytest.raises(ValueError, match="不小于 0"):
        random_shift(x, np.random.default_rng(0), -1)


def test_random_affine_without_change_is_the_identity():
    x, _ = toy_digits(5)
    same = random_affine(x, np.random.default_rng(0), degrees=0, scale=0, shear=0, pixels=0)
    np.testing.assert_array_equal(same, x)
    assert same.dtype == np.float32


def test_random_affine_matches_torch_grid_sample():
    """同一个旋转交给 PyTorch 的双线性采样。"""
    x = np.random.default_rng(2).uniform(size=(4, 28, 28))
    turned = random_affine(x, np.random.default_rng(1), degrees=30, scale=0, shear=0, pixels=0)
    angle = np.deg2rad(np.random.default_rng(1).uniform(-30, 30, 4))
    zero = np.zeros(4)
    theta = np.stack(
        [np.stack([np.cos(angle), -np.sin(angle), zero], axis=1),
         np.stack([np.sin(angle), np.cos(angle), zero], axis=1)], axis=1
    )  # fmt: skip
    grid = torch.nn.functional.affine_grid(torch.tensor(theta), (4, 1, 28, 28), align_corners=False)
    expected = torch.nn.functional.grid_sample(torch.tensor(x[:, None]), grid, align_corners=False)
    np.testing.assert_allclose(turned, expected.numpy()[:, 0], atol=1e-9)


def test_random_affine_stays_in_range_and_leaves_the_input_alone():
    x, _ = toy_digits(20)
    kept = x.copy()
    moved = random_affine(x, np.random.default_rng(0), degrees=180, scale=0.5, pixels=20)
    np.testing.assert_array_equal(x, kept)
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-6
    with pytest.raises(TypeError, match="浮点"):
        random_affine((255 * x).astype(np.uint8), np.random.default_rng(0))


# 画图函数里算出来的东西


def test_window_product_computes_the_cross_correlation():
    image = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    fig = draw.window_product(image, np.array([[1.0, 0], [0, -1]]), corner=(0, 1))
    texts = [text.get_text() for text in fig.axes[2].texts]
    assert texts[:4] == ["−4"] * 4


def test_strides_marks_one_centre_per_window():
    cases = [(0, 1, 4), (1, 1, 6), (1, 2, 3), (0, 2, 2)]
    fig = draw.strides(6, 3, [(padding, stride) for padding, stride, _ in cases])
    for ax, (_, _, count) in zip(fig.axes, cases, strict=True):
        assert sum(len(line.get_xdata()) for line in ax.lines) == count**2
