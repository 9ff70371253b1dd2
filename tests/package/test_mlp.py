"""多层感知机：与 PyTorch 逐项比较，梯度检验，训练的记录，以及各种错误输入。"""

import numpy as np
import pytest
import torch

from dlbook.autograd.gradcheck import numerical_gradient
from dlbook.backprop import cross_entropy, cross_entropy_backward
from dlbook.models import mlp


def rng(seed=0):
    return np.random.default_rng(seed)


def toy(m=60, dtype=np.float64):
    """三类，四个特征，能够学会。"""
    x = rng(1).normal(size=(m, 4))
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] * x[:, 2] > 0)
    return x.astype(dtype), y


def torch_twin(params):
    """同样参数的 torch.nn.Sequential。"""
    layers = []
    for weight, bias in params:
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0]).double()
        layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize("sizes", [[4, 3], [4, 5, 3], [4, 6, 5, 3]])
def test_forward_and_backward_agree_with_torch(sizes):
    x, y = toy()
    params = mlp.init(sizes, rng(), dtype=np.float64)
    twin = torch_twin(params)
    logits, caches = mlp.forward(params, x)
    expected = twin(torch.tensor(x))
    np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-10)
    _, cache = cross_entropy(logits, y)
    torch.nn.functional.cross_entropy(expected, torch.tensor(y)).backward()
    grads = mlp.backward(cross_entropy_backward(1.0, cache), caches)
    flat = [grad for layer in grads for grad in layer]
    assert len(flat) == 2 * (len(sizes) - 1)
    for grad, p in zip(flat, twin.parameters(), strict=True):
        assert grad.shape == tuple(p.shape)
        np.testing.assert_allclose(grad, p.grad.numpy(), rtol=1e-9, atol=1e-14)


def test_gradients_pass_finite_differences():
    x, y = toy(8)
    params = mlp.init([4, 5, 3], rng(), dtype=np.float64)
    logits, caches = mlp.forward(params, x)
    grads = mlp.backward(cross_entropy_backward(1.0, cross_entropy(logits, y)[1]), caches)
    for layer in range(2):
        for k in range(2):

            def loss(p, layer=layer, k=k):
                changed = [list(pair) for pair in params]
                changed[layer][k] = p
                return cross_entropy(mlp.forward(changed, x)[0], y)[0]

            numerical = numerical_gradient(loss, params[layer][k])
            np.testing.assert_allclose(grads[layer][k], numerical, atol=1e-8)


def test_init_draws_like_torch_linear():
    params = mlp.init([784, 100, 10], rng())
    for (weight, bias), (n_in, n_out) in zip(params, [(784, 100), (100, 10)], strict=True):
        assert weight.shape == (n_out, n_in) and bias.shape == (n_out,)
        assert weight.dtype == bias.dtype == np.float32
        limit = np.float32(1 / np.sqrt(n_in))
        layer = torch.nn.Linear(n_in, n_out)
        assert 0.98 * limit < np.abs(weight).max() <= limit
        assert 0.98 * limit < layer.weight.abs().max().item() <= limit * (1 + 1e-6)


def test_init_draws_in_the_order_of_the_book():
    """书里直接用随机数造的四个参数，与 mlp.init 抽到的相同。"""
    generator = rng()
    shapes = [(10, 784), (10, 1), (10, 10), (10, 1)]
    by_hand = [generator.uniform(-0.5, 0.5, shape) for shape in shapes]
    (W1, b1), (W2, b2) = mlp.init([784, 10, 10], rng(), bound=0.5, dtype=np.float64)
    for ours, theirs in zip((W1, b1, W2, b2), by_hand, strict=True):
        np.testing.assert_array_equal(ours, theirs.reshape(ours.shape))


def test_full_batch_training_equals_torch_sgd():
    x, y = toy()
    params = mlp.init([4, 8, 3], rng(), dtype=np.float64)
    twin = torch_twin(params)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.3)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    history = mlp.train(params, x, y, lr=0.3, epochs=20)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-9)
    for ours, theirs in zip([p for layer in params for p in layer], twin.parameters(), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-8)


def test_mini_batches_visit_every_sample_once_an_epoch(monkeypatch):
    x, y = toy(10)
    x[:, 0] = np.arange(10)
    seen, forward = [], mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda p, x: (seen.append(x[:, 0]), forward(p, x))[1])
    mlp.train(mlp.init([4, 3], rng(), dtype=np.float64), x, y, lr=0.1, epochs=2, batch_size=4,
              rng=rng())  # fmt: skip
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_training_is_reproducible_and_learns():
    x, y = toy(300, np.float32)
    histories = []
    for _ in range(2):
        params = mlp.init([4, 32, 3], rng())
        histories.append(
            mlp.train(params, x, y, lr=0.5, epochs=60, batch_size=20, rng=rng(), val=(x, y))
        )
    np.testing.assert_array_equal(histories[0], histories[1])
    loss, accuracy = mlp.evaluate(params, x, y)
    assert histories[0].loss[0] > 0.8 and loss < 0.2
    assert accuracy == np.mean(mlp.predict(params, x) == y) > 0.9
    assert histories[0].val_accuracy[-1] == accuracy
    assert params[0][0].dtype == np.float32


def test_decay_shrinks_the_steps_linearly(monkeypatch):
    x, y = toy(8)
    rates = []
    monkeypatch.setattr(mlp, "sgd_step", lambda params, grads, lr: rates.append(lr))
    params = mlp.init([4, 3], rng(), dtype=np.float64)
    mlp.train(params, x, y, lr=1.0, epochs=2, batch_size=4, rng=rng(), decay=True)
    np.testing.assert_allclose(rates, [1.0, 0.75, 0.5, 0.25])


def test_history_without_validation_and_without_epochs():
    x, y = toy()
    params = mlp.init([4, 3], rng(), dtype=np.float64)
    history = mlp.train(params, x, y, lr=0.1, epochs=3)
    assert np.isnan(history.val_loss).all() and history.loss.shape == (3,)
    assert mlp.train(params, x, y, lr=0.1, epochs=0).loss.shape == (0,)


@pytest.mark.parametrize("sizes", [[784], [], [784, 0, 10], [784, 2.5, 10], [784, -1]])
def test_init_rejects_bad_sizes(sizes):
    with pytest.raises(ValueError, match="至少两个正整数"):
        mlp.init(sizes, rng())


def test_init_rejects_negative_bound():
    with pytest.raises(ValueError, match="bound 应不小于 0，收到 -1"):
        mlp.init([3, 2], rng(), bound=-1)


def test_forward_explains_column_samples():
    params = mlp.init([4, 3], rng(), dtype=np.float64)
    with pytest.raises(ValueError, match=r"\(m, 4\).*收到 \(4, 7\).*请传 x.T"):
        mlp.forward(params, np.zeros((4, 7)))
    with pytest.raises(ValueError, match=r"收到 \(7, 5\)$"):
        mlp.forward(params, np.zeros((7, 5)))
    with pytest.raises(ValueError, match=r"收到 \(4,\)$"):
        mlp.predict(params, np.zeros(4))


def test_forward_rejects_mixed_dtypes():
    with pytest.raises(TypeError, match="dtype"):
        mlp.forward(mlp.init([4, 3], rng()), np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0}, "学习率 lr 应为正数，收到 0"),
        ({"lr": float("nan")}, "学习率 lr 应为正数，收到 nan"),
        ({"epochs": -1}, "轮数 epochs 应不小于 0"),
        ({"batch_size": 0, "rng": rng()}, "batch_size 应是正整数，收到 0"),
        ({"batch_size": 5}, "请同时给 rng"),
        ({"y": np.zeros(3, dtype=int)}, "样本数应相等"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, dtype=int)}, "不为零"),
        ({"y": np.full(60, 3)}, "0 到 2 之间"),
    ],
)
def test_train_rejects_bad_arguments(changes, message):
    x, y = toy()
    params = mlp.init([4, 3], rng(), dtype=np.float64)
    arguments = {"x": x, "y": y, "lr": 0.1, "epochs": 1} | changes
    with pytest.raises(ValueError, match=message):
        mlp.train(params, **arguments)
