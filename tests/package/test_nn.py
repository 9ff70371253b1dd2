"""模块：构造、打印、state_dict、前向、梯度，逐个与 torch.nn 比较。"""

import copy
import inspect
import math
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn as tnn

from dlbook import nn
from dlbook.autograd.tensor import Tensor
from dlbook.nn import init, utils
from dlbook.random import Generator, manual_seed

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def normal(*shape):
    return lambda rng: rng.normal(size=shape)


def uniform(*shape):
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def integers(high, *shape, low=0):
    return lambda rng: rng.integers(low, high, shape)


def constant(make):
    """不求导的输入（如二元交叉熵的 target）。"""

    def draw(rng):
        return make(rng)

    draw.constant = True
    return draw


def probabilities(*shape):
    def draw(rng):
        p = rng.uniform(0.1, 1, shape)
        return p / p.sum(1, keepdims=True)

    return draw


def weights(n):
    return np.linspace(0.5, 2, n, dtype=np.float32)


X, IMAGES = normal(4, 6), normal(2, 3, 8, 7)
# 类名 → 例子（构造的位置参数、关键字参数、各个输入）；每个公开的类都要有。
# 参数里的数组换成两边各自的张量。
CASES = {
    "Identity": [((54,), {"unused": 1}, [X])],
    "Flatten": [((), {}, [IMAGES]), ((0, 1), {}, [IMAGES]), ((-2,), {}, [IMAGES])],
    "Linear": [
        ((6, 3), {}, [X]),
        ((6, 3), {"bias": False}, [X]),
        ((6, 3), {}, [normal(2, 4, 6)]),
        ((6, 3), {}, [normal(6)]),
        ((6, 3), {}, [normal(0, 6)]),
    ],
    "Conv2d": [
        ((3, 5, 3), {}, [IMAGES]),
        ((3, 5, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "bias": False}, [IMAGES]),
        ((3, 6, 3), {"groups": 3, "dilation": 2, "padding": 2}, [IMAGES]),
        ((3, 5, 3), {"padding": "same"}, [IMAGES]),
        ((3, 5, 3), {"padding": "valid"}, [IMAGES]),
        ((3, 5, 3, 2, 1), {}, [normal(3, 8, 7)]),
    ],
    "MaxPool2d": [
        ((2,), {}, [IMAGES]),
        (((3, 2),), {"stride": (2, 1), "padding": 1}, [IMAGES]),
        ((2,), {"dilation": 2}, [IMAGES]),
    ],
    "AvgPool2d": [
        ((2,), {}, [IMAGES]),
        (((3, 2),), {"stride": (2, 1), "padding": 1}, [IMAGES]),
        ((3,), {"padding": 1, "count_include_pad": False}, [IMAGES]),
    ],
    "LayerNorm": [
        ((6,), {}, [X]),
        (((8, 7),), {"eps": 1e-3}, [IMAGES]),
        ((6,), {"bias": False}, [X]),
        ((6,), {"elementwise_affine": False}, [X]),
    ],
    "RMSNorm": [
        ((6,), {}, [X]),
        (([8, 7],), {"eps": 1e-3}, [IMAGES]),
        ((6,), {"elementwise_affine": False}, [X]),
    ],
    "BatchNorm1d": [
        ((6,), {}, [X]),
        ((3,), {"momentum": None, "eps": 1e-3}, [normal(4, 3, 5)]),
        ((6,), {"affine": False}, [X]),
        ((6,), {"bias": False, "momentum": 0.3}, [X]),
        ((6,), {"track_running_stats": False}, [X]),
    ],
    "BatchNorm2d": [((3,), {}, [IMAGES]), ((3,), {"affine": False, "momentum": None}, [IMAGES])],
    "Embedding": [
        ((10, 4), {}, [integers(10, 3, 5)]),
        ((10, 4), {"padding_idx": -3}, [integers(10, 30)]),
        ((3, 2), {"_weight": np.arange(6, dtype=np.float32).reshape(3, 2)}, [integers(3, 4)]),
        ((3, 2), {"_weight": np.ones((3, 2), np.float32), "_freeze": True}, [integers(3, 4)]),
    ],
    "Dropout": [((), {}, [X]), ((0.3,), {}, [X])],
    "ReLU": [((), {}, [X])],
    "GELU": [((), {}, [X]), (("tanh",), {}, [X])],
    "SiLU": [((), {}, [X])],
    "LeakyReLU": [((), {}, [X]), ((0.2,), {}, [X])],
    "ELU": [((), {}, [X]), ((0.5,), {}, [X])],
    "Sigmoid": [((), {}, [X])],
    "Tanh": [((), {}, [X])],
    "Softplus": [((), {}, [X]), ((2.0, 1.0), {}, [X])],
    "Softmax": [((1,), {}, [X]), ((0,), {}, [X]), ((-3,), {}, [IMAGES])],
    "LogSoftmax": [((1,), {}, [X]), ((0,), {}, [X])],
    "CrossEntropyLoss": [
        ((), {}, [normal(5, 4), integers(4, 5)]),
        ((weights(4),), {"reduction": "sum"}, [normal(5, 4), integers(4, 5)]),
        ((), {"ignore_index": 1, "label_smoothing": 0.2}, [normal(9, 4), integers(4, 9)]),
        ((), {"reduction": "none"}, [normal(5, 4), probabilities(5, 4)]),
    ],
    "NLLLoss": [
        ((), {}, [normal(5, 4), integers(4, 5)]),
        ((weights(4), None, 2, None, "sum"), {}, [normal(9, 4), integers(4, 9)]),
    ],
    "MSELoss": [
        ((), {}, [X, X]),
        ((), {"reduction": "sum"}, [X, X]),
        ((None, None, "none"), {}, [X, X]),
    ],
    "L1Loss": [
        ((), {}, [X, X]),
        ((), {"reduction": "sum"}, [X, X]),
        ((None, None, "none"), {}, [X, X]),
    ],
    "BCELoss": [
        ((), {}, [uniform(4, 6), constant(uniform(4, 6))]),
        ((weights(6),), {"reduction": "none"}, [uniform(4, 6), constant(uniform(4, 6))]),
    ],
    "BCEWithLogitsLoss": [
        ((), {}, [X, constant(uniform(4, 6))]),
        ((weights(6),), {"reduction": "sum"}, [X, constant(uniform(4, 6))]),
        ((), {"pos_weight": weights(6)}, [X, constant(uniform(4, 6))]),
    ],
    "MultiheadAttention": [
        ((6, 2), {}, [normal(5, 3, 6), normal(4, 3, 6), normal(4, 3, 6)]),
        ((6, 3), {"batch_first": True}, [normal(3, 5, 6), normal(3, 4, 6), normal(3, 4, 6)]),
        ((6, 1), {"bias": False}, [normal(5, 6), normal(4, 6), normal(4, 6)]),
    ],
}
TRIALS = [(name, *case) for name, cases in CASES.items() for case in cases]
# 这些没有自己的前向，在下面单独检查。
STRUCTURE = {"Module", "Parameter", "Sequential", "ModuleList", "ModuleDict"}


def build(lib, name, args, kwargs, dtype):
    """lib 里的模块；数组参数先变成 lib 的张量。"""
    to_tensor = (
        (lambda a: Tensor(a.copy())) if lib is nn else (lambda a: torch.from_numpy(a.copy()))
    )

    def convert(value):
        return to_tensor(value) if isinstance(value, np.ndarray) else value

    module = getattr(lib, name)(*map(convert, args), **{k: convert(v) for k, v in kwargs.items()})
    return module.to(np.dtype(dtype) if lib is nn else torch.from_numpy(np.zeros(0, dtype)).dtype)


def twins(name, args, kwargs, dtype):
    """参数相同的一对：先把 torch 的参数打乱（免得偏置全是零），再抄过来。"""
    mine, reference = build(nn, name, args, kwargs, dtype), build(tnn, name, args, kwargs, dtype)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in reference.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    mine.load_state_dict(reference.state_dict())
    return mine, reference


def draw_inputs(makers, dtype, seed=0):
    """给两边同样的输入；浮点的要梯度，除非用 constant 标过。"""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(make(rng)) for make in makers]
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    needs = [
        a.dtype.kind == "f" and not hasattr(make, "constant")
        for a, make in zip(arrays, makers, strict=True)
    ]
    pairs = list(zip(arrays, needs, strict=True))
    mine = [Tensor(a.copy(), need) for a, need in pairs]
    theirs = [torch.from_numpy(a.copy()).requires_grad_(need) for a, need in pairs]
    return mine, theirs


def assert_same(found, expected):
    """同 dtype、同形状；误差相对于数组里最大的数来量，因为正负会相消。"""
    want = expected.detach().numpy()
    assert found.array.dtype == want.dtype
    rtol = TOLERANCE.get(found.dtype.type, 0)
    largest = float(np.abs(want).max()) if want.size and want.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(found.array, want, rtol, rtol * max(largest, 0.1), strict=True)


def assert_same_gradients(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            assert_same(a.grad, b.grad)


def run(module, inputs, tensor, **kwargs):
    """前向，再以固定的上游梯度反向；返回输出（元组取第一个）。"""
    output = module(*inputs, **kwargs)
    first = output[0] if isinstance(output, tuple) else output
    upstream = np.random.default_rng(7).normal(size=tuple(first.shape))
    if first.requires_grad:
        first.backward(tensor(upstream.astype(str(first.dtype).replace("torch.", ""))))
    return output


def compare_run(mine, reference, inputs, **kwargs):
    ours, theirs = inputs
    mine_out = run(mine, ours, Tensor, **{k: v[0] for k, v in kwargs.items()})
    expected = run(reference, theirs, torch.from_numpy, **{k: v[1] for k, v in kwargs.items()})
    if not isinstance(expected, tuple):
        mine_out, expected = (mine_out,), (expected,)
    for a, b in zip(mine_out, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert_same(a, b)
            assert a.requires_grad == b.requires_grad
    assert_same_gradients(ours, theirs)
    assert_same_gradients(mine.parameters(), reference.parameters())


def test_every_public_class_has_a_case():
    assert set(nn.__all__) - {"functional", "init", "utils"} == set(CASES) | STRUCTURE


@pytest.mark.parametrize("name", sorted({*CASES, *STRUCTURE} - {"Parameter"}))
def test_constructor_is_torchs(name):
    def parameters(cls):
        return [
            (p.name, p.kind, p.default)
            for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
            if name not in ("Module", "Sigmoid", "Tanh")  # torch 在这里写的是 *args, **kwargs
        ]

    assert parameters(getattr(nn, name)) == parameters(getattr(tnn, name))


@pytest.mark.parametrize("name", CASES)
def test_forward_arguments_are_torchs(name):
    mine, theirs = (list(inspect.signature(getattr(m, name).forward).parameters) for m in (nn, tnn))
    assert mine == theirs


@pytest.mark.parametrize(("name", "args", "kwargs", "makers"), TRIALS)
def test_repr(name, args, kwargs, makers):
    expected = repr(build(tnn, name, args, kwargs, np.float32))
    # torch 的注意力里，输出投影是 Linear 的一个子类，名字不同而已
    expected = expected.replace("NonDynamicallyQuantizableLinear", "Linear")
    assert repr(build(nn, name, args, kwargs, np.float32)) == expected


@dtypes
@pytest.mark.parametrize(("name", "args", "kwargs", "makers"), TRIALS)
def test_state_dict(name, args, kwargs, makers, dtype):
    mine, reference = build(nn, name, args, kwargs, dtype), build(tnn, name, args, kwargs, dtype)
    found, expected = mine.state_dict(), reference.state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].shape == tuple(value.shape)
        assert found[key].array.dtype == value.numpy().dtype
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in reference.named_parameters()]
    assert [p.requires_grad for p in mine.parameters()] == [
        p.requires_grad for p in reference.parameters()
    ]
    # 互通：我们的给 torch，torch 的给我们
    reference.load_state_dict({k: torch.from_numpy(v.array.copy()) for k, v in found.items()})
    mine.load_state_dict(reference.state_dict())


@dtypes
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "args", "kwargs", "makers"), TRIALS)
def test_forward_and_gradients(name, args, kwargs, makers, training, dtype):
    if name == "Dropout":  # 训练时随机，次序与 torch 不同：见 test_dropout_training
        training = False
    mine, reference = twins(name, args, kwargs, dtype)
    assert mine.train(training) is mine and mine.training == training
    reference.train(training)
    for seed in range(3):  # 多跑几次，滑动平均之类的状态才看得出来
        compare_run(mine, reference, draw_inputs(makers, dtype, seed))
        for key, value in reference.state_dict().items():
            assert_same(mine.state_dict()[key], value)


@dtypes
def test_dropout_training(dtype):
    manual_seed(0)
    x = Tensor(np.ones((200, 200), dtype), True)
    y = nn.Dropout(0.3)(x)
    y.backward(Tensor(np.ones_like(x.array)))
    assert y.dtype == dtype and set(np.unique(y.array)) == {0.0, dtype(1 / dtype(0.7))}
    assert abs((y.array == 0).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(x.grad.array, y.array)
    for p in (0.0, 1.0):
        np.testing.assert_array_equal(nn.Dropout(p)(x).array, np.full_like(x.array, 1 - p))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_leaves_inputs_and_graph_of_buffers_alone(training):
    layer = nn.BatchNorm1d(6).train(training)
    x = Tensor(np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    before = x.array.copy()
    layer(x)
    np.testing.assert_array_equal(x.array, before)
    assert all(not b.requires_grad for b in layer.buffers())
    assert layer.num_batches_tracked.item() == training


# 注意力的选项


def both(array):
    return Tensor(array.copy()), torch.from_numpy(array.copy())


MASKS = {
    "因果": {"attn_mask": np.triu(np.ones((5, 5), bool), 1)},
    "浮点": {"attn_mask": np.linspace(-1, 1, 25).reshape(5, 5)},
    "每头不同": {"attn_mask": np.random.default_rng(3).random((6, 5, 5)) < 0.3},
    "填充": {"key_padding_mask": np.arange(5) >= np.array([[5], [3], [2]])},
    "两种": {
        "attn_mask": np.triu(np.ones((5, 5), bool), 1),
        "key_padding_mask": np.arange(5) >= np.array([[5], [3], [2]]),
    },
    "因果的提示": {"attn_mask": np.triu(np.ones((5, 5), bool), 1), "is_causal": True},
}


@dtypes
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_attention_masks(name, average, need_weights, dtype):
    mine, reference = twins("MultiheadAttention", (6, 2), {"batch_first": True}, dtype)
    options = {"need_weights": (need_weights,) * 2, "average_attn_weights": (average,) * 2}
    for key, value in MASKS[name].items():
        if isinstance(value, np.ndarray):
            options[key] = both(value.astype(dtype) if value.dtype.kind == "f" else value)
        else:
            options[key] = (value, value)
    ours, theirs = draw_inputs([normal(3, 5, 6)], dtype)
    compare_run(mine, reference, (ours * 3, theirs * 3), **options)


def test_attention_unbatched_padding_and_dropout():
    mine, reference = twins("MultiheadAttention", (6, 2), {}, np.float64)
    inputs = draw_inputs([normal(4, 6)], np.float64)
    compare_run(
        mine,
        reference,
        tuple(x * 3 for x in inputs),
        key_padding_mask=both(np.array([False, False, True, False])),
    )
    noisy = nn.MultiheadAttention(6, 2, dropout=0.5)
    x = inputs[0][0].detach().to(np.dtype(np.float32))
    manual_seed(1)
    _, weights = noisy(x, x, x, average_attn_weights=False)
    assert (weights.array == 0).any() and (weights.array.sum(-1) > 1.01).any()
    noisy.eval()
    np.testing.assert_allclose(noisy(x, x, x)[1].array.sum(-1), 1, rtol=1e-5)


# 模块的结构


def structure(lib):
    """有共用参数、缓冲、冻结部分的一个模型。"""

    class Block(lib.Module):
        def __init__(self):
            super().__init__()
            self.norm = lib.LayerNorm(4)
            self.layers = lib.ModuleList([lib.Linear(4, 4) for _ in range(3)] + [lib.ReLU()])
            self.branches = lib.ModuleDict({"a": lib.Linear(4, 2), "b": lib.Identity()})
            self.tied = self.layers[0]
            self.nothing = None
            self.register_parameter("absent", None)
            zeros = Tensor(np.zeros(2)) if lib is nn else torch.zeros(2, dtype=torch.float64)
            ones = Tensor(np.ones(2)) if lib is nn else torch.ones(2, dtype=torch.float64)
            self.register_buffer("saved", zeros)
            self.register_buffer("temporary", ones, persistent=False)

        def extra_repr(self):
            return "第一行\n第二行"

        def forward(self, x):
            x = self.norm(x)
            for layer in self.layers:
                x = layer(x)
            return self.branches["a"](x)

    return lib.Sequential(
        OrderedDict(body=Block(), rest=lib.Sequential(lib.Linear(2, 3), lib.Tanh()))
    )


def test_structure_is_torchs():
    mine, reference = structure(nn), structure(tnn)
    assert repr(mine) == repr(reference)
    assert list(mine.state_dict()) == list(reference.state_dict())
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(mine, method)()] == [
            n for n, _ in getattr(reference, method)()
        ]
    assert [n for n, _ in mine.named_parameters(prefix="p", remove_duplicate=False)] == [
        n for n, _ in reference.named_parameters(prefix="p", remove_duplicate=False)
    ]
    assert list(dict(mine.named_parameters(recurse=False))) == []
    assert len(list(mine.parameters())) == len(list(reference.parameters()))
    assert len(list(mine.modules())) == len(list(reference.modules()))
    assert len(list(mine.children())) == 2 and len(list(mine.buffers())) == 2
    mine.load_state_dict(reference.state_dict())
    inputs = draw_inputs([normal(5, 4)], np.float32)
    compare_run(mine, reference, inputs)


def test_state_dict_options_and_sharing():
    model = structure(nn)
    state = model.state_dict(prefix="x.")
    assert all(name.startswith("x.body.") or name.startswith("x.rest.") for name in state)
    weight = model.state_dict()["rest.0.weight"]
    assert not weight.requires_grad and weight.array is model.rest[0].weight.array
    assert model.state_dict(keep_vars=True)["rest.0.weight"] is model.rest[0].weight


def test_load_state_dict_reports_everything_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = model.state_dict()
    good = {k: Tensor(v.array + 1) for k, v in state.items()}
    del good["0.bias"]
    bad = good | {"1.weight": Tensor(np.ones((3, 1))), "extra": Tensor(np.ones(1))}
    before = {k: v.array.copy() for k, v in state.items()}
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(bad)
    for text in ("1.weight", "(1, 3)", "(3, 1)", "缺少 0.bias", "多余 extra"):
        assert text in str(caught.value)
    with pytest.raises(RuntimeError, match="形状"):
        model.load_state_dict(bad, strict=False)
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v.array, before[k])
    result = model.load_state_dict(good | {"extra": Tensor(np.ones(1))}, strict=False)
    assert result.missing_keys == ["0.bias"] and result.unexpected_keys == ["extra"]
    np.testing.assert_array_equal(model[0].weight.array, before["0.weight"] + 1)
    assert repr(model.load_state_dict(state)) == "<All keys matched successfully>"


def test_train_eval_freeze_apply_and_zero_grad():
    model, visited = structure(nn), []
    assert model.eval() is model and not any(m.training for m in model.modules())
    model.rest.train()
    assert model.rest[0].training and not model.body.training
    model.requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())
    model.body.requires_grad_()
    assert model.body.norm.weight.requires_grad and not model.rest[0].weight.requires_grad
    assert model.apply(visited.append) is model and visited[-1] is model
    reference_visited = []
    structure(tnn).apply(reference_visited.append)
    assert [type(m).__name__ for m in visited] == [type(m).__name__ for m in reference_visited]
    model(Tensor(np.ones((1, 4), np.float32))).sum().backward()
    assert model.body.norm.weight.grad is not None and model.rest[0].weight.grad is None
    model.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(model.body.norm.weight.grad.array, np.zeros(4))
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(ValueError, match="True"):
        model.train("yes")


def test_to_changes_floats_only_and_keeps_the_parameters():
    layer = nn.BatchNorm1d(3)
    params = list(layer.parameters())
    layer(Tensor(np.ones((2, 3), np.float32))).sum().backward()
    assert layer.to(np.dtype(np.float64)) is layer
    assert all(a is b for a, b in zip(params, layer.parameters(), strict=True))
    assert {p.dtype for p in params} == {p.grad.dtype for p in params} == {np.dtype(np.float64)}
    assert layer.running_mean.dtype == np.float64 and layer.num_batches_tracked.dtype == np.int64
    assert all(p.requires_grad and p.is_leaf for p in params)
    assert layer.float().weight.dtype == np.float32 and layer.double().bias.dtype == np.float64
    assert layer.to("cpu").to("cpu", np.dtype(np.float32)).weight.dtype == np.float32
    assert layer.to(Tensor(np.ones(1))).weight.dtype == np.float64
    assert layer.to(device="cpu", dtype=np.dtype(np.float32)).weight.dtype == np.float32
    with pytest.raises(NotImplementedError, match="CPU"):
        layer.to("cuda")
    with pytest.raises(TypeError, match="浮点"):
        layer.to(np.dtype(np.int64))
    with pytest.raises(TypeError, match="memory_format"):
        layer.to(memory_format=None)


def test_new_parameters_take_dtype_and_device():
    for name, args in (("Linear", (2, 3)), ("Conv2d", (1, 2, 3)), ("LayerNorm", (3,)),
                       ("RMSNorm", (3,)), ("BatchNorm2d", (3,)), ("Embedding", (3, 2)),
                       ("MultiheadAttention", (4, 2))):  # fmt: skip
        module = getattr(nn, name)(*args, device="cpu", dtype=np.dtype(np.float64))
        assert {p.dtype for p in module.parameters()} == {np.dtype(np.float64)}
        with pytest.raises(NotImplementedError, match="CPU"):
            getattr(nn, name)(*args, device="cuda")
        with pytest.raises(TypeError, match="浮点"):
            getattr(nn, name)(*args, dtype=np.dtype(np.int64))


def test_attributes():
    class Model(nn.Module):
        pass

    model = Model()
    model.weight = nn.Parameter(np.ones(2, np.float32))
    model.child = nn.ReLU()
    model.register_buffer("state", Tensor(np.ones(2)))
    model.number = 3
    assert {"weight", "child", "state", "number"} <= set(dir(model))
    model.weight = nn.Parameter(np.zeros(2, np.float32))
    model.state = Tensor(np.zeros(2))
    assert list(model.state_dict()) == ["weight", "state"]
    model.number = nn.Parameter(np.ones(1, np.float32))  # 普通属性变成参数
    assert list(dict(model.named_parameters())) == ["weight", "number"]
    del model.number
    assert not hasattr(model, "number")
    model.child = None
    assert model.child is None and list(model.children()) == []
    for name in ("weight", "child", "state"):
        with pytest.raises(TypeError, match=name):
            setattr(model, name, 3)
    with pytest.raises(AttributeError, match="nothing"):
        model.nothing  # noqa: B018
    with pytest.raises(AttributeError):
        del model.nothing
    for name in ("", "a.b"):
        with pytest.raises(KeyError, match="名字"):
            model.register_parameter(name, None)
    with pytest.raises(KeyError, match="已经有"):
        model.register_buffer("weight", None)
    for register in (model.register_parameter, model.register_buffer, model.add_module):
        with pytest.raises(TypeError, match=r"[\u4e00-\u9fff]"):
            register("new", 3)
    with pytest.raises(NotImplementedError, match="forward"):
        model(1)
    assert structure(nn).get_submodule("body.layers.1").out_features == 4
    with pytest.raises(AttributeError, match=r"body\.x"):
        structure(nn).get_submodule("body.x")


def test_forgotten_super_init():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match="super"):
        Forgetful()


def test_deepcopy_is_independent_and_keeps_sharing():
    model = structure(nn)
    twin = copy.deepcopy(model)
    assert twin.body.tied is twin.body.layers[0] and twin.body.tied is not model.body.tied
    assert isinstance(twin.rest[0].weight, nn.Parameter)
    twin.rest[0].weight.detach().array[...] = 9
    assert not (model.rest[0].weight.array == 9).any()


def test_parameter():
    data = Tensor(np.ones(2, np.float32))
    p = nn.Parameter(data)
    assert p.requires_grad and p.is_leaf and p.array is data.array and isinstance(p, Tensor)
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
    assert repr(p) == repr(tnn.Parameter(torch.ones(2)))
    with pytest.raises(TypeError, match="list"):
        nn.Parameter([1.0])
    assert type(p * 2) is Tensor


def test_sequential():
    def make(lib):
        return lib.Sequential(lib.Linear(2, 3), lib.ReLU(), lib.Linear(3, 1))

    mine, reference = make(nn), make(tnn)
    assert len(mine) == 3 and mine[0] is next(iter(mine)) and mine[-1].out_features == 1
    assert repr(mine[1:]) == repr(reference[1:]) and list(mine[1:].state_dict()) == [
        "2.weight",
        "2.bias",
    ]
    for model, lib in ((mine, nn), (reference, tnn)):
        model[1] = lib.Tanh()
        model.append(lib.Softmax(-1))
        model.insert(1, lib.Identity())
        del model[0]
        model.extend([lib.ReLU()])
    assert repr(mine) == repr(reference)
    with pytest.raises(IndexError, match="5 个"):
        mine[5]
    assert repr(nn.Sequential()) == repr(tnn.Sequential())


def test_module_list_and_dict():
    mine, reference = nn.ModuleList([nn.ReLU()] * 2), tnn.ModuleList([tnn.ReLU()] * 2)
    for modules, lib in ((mine, nn), (reference, tnn)):
        modules.append(lib.Tanh())
        modules.extend([lib.Linear(1, 2), lib.Linear(1, 2)])
        modules.insert(0, lib.Sigmoid())
        modules[1] = lib.SiLU()
    assert repr(mine) == repr(reference) and repr(mine[1:3]) == repr(reference[1:3])
    assert len(mine) == 6 and [type(m).__name__ for m in mine] == [
        type(m).__name__ for m in reference
    ]
    assert repr(nn.ModuleList()) == repr(tnn.ModuleList())
    with pytest.raises(NotImplementedError):
        mine(1)
    mine, reference = nn.ModuleDict({"a": nn.ReLU()}), tnn.ModuleDict({"a": tnn.ReLU()})
    for modules, lib in ((mine, nn), (reference, tnn)):
        modules["b"] = lib.Tanh()
        modules.update([("c", lib.Identity()), ("a", lib.SiLU())])
        modules.pop("b")
        modules["d"] = lib.ReLU()
        del modules["d"]
    assert repr(mine) == repr(reference)
    assert list(mine) == list(mine.keys()) == ["a", "c"] and "a" in mine and len(mine) == 2
    assert [type(m).__name__ for m in mine.values()] == ["SiLU", "Identity"]
    assert dict(mine.items())["a"] is mine["a"]
    mine.clear()
    assert len(mine) == 0


REFUSED = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="reflect"), NotImplementedError),
    (lambda: nn.Conv2d(3, 4, 3, padding="full"), ValueError),
    (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), ValueError),
    (lambda: nn.BatchNorm1d(3)(Tensor(np.ones((2, 3, 4, 5), np.float32))), ValueError),
    (lambda: nn.BatchNorm2d(3)(Tensor(np.ones((2, 3), np.float32))), ValueError),
    (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError),
    (lambda: nn.Embedding(3, 2, max_norm=1.0), NotImplementedError),
    (lambda: nn.Embedding(3, 2, sparse=True), NotImplementedError),
    (lambda: nn.Embedding(3, 2, scale_grad_by_freq=True), NotImplementedError),
    (lambda: nn.Embedding(3, 2, _weight=Tensor(np.ones((2, 2)))), ValueError),
    (lambda: nn.Embedding.from_pretrained(Tensor(np.ones(3))), ValueError),
    (lambda: nn.Dropout(1.5), ValueError),
    (lambda: nn.Dropout(inplace=True), NotImplementedError),
    (lambda: nn.ReLU(True), NotImplementedError),
    (lambda: nn.SiLU(inplace=True), NotImplementedError),
    (lambda: nn.LeakyReLU(inplace=True), NotImplementedError),
    (lambda: nn.ELU(inplace=True), NotImplementedError),
    (lambda: nn.Linear(-1, 3), RuntimeError),
    (lambda: nn.Linear(2.5, 3), TypeError),
    (lambda: nn.Conv2d(1, 2.0, 3), TypeError),
    (lambda: nn.BatchNorm2d(3)(Tensor(np.ones((2, 4, 2, 2), np.float32))), RuntimeError),
    (lambda: nn.Linear(2, 3).load_state_dict([1]), TypeError),
    (lambda: nn.Linear(1, 1).load_state_dict({"weight": [[1]], "bias": [1]}), RuntimeError),
    (lambda: nn.MSELoss(size_average=False), NotImplementedError),
    (lambda: nn.MultiheadAttention(5, 2), ValueError),
    (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), NotImplementedError),
    (lambda: nn.MultiheadAttention(4, 2, add_zero_attn=True), NotImplementedError),
    (lambda: nn.MultiheadAttention(4, 2, kdim=3), NotImplementedError),
    (lambda: nn.MultiheadAttention(4, 2, vdim=3), NotImplementedError),
]
Q = Tensor(np.ones((3, 2, 4), np.float32))
ATTENTION_REFUSED = [
    ((Q, Q, Q), {"is_causal": True}, RuntimeError),
    ((Q, Q, Q), {"attn_mask": Tensor(np.ones((2, 3), bool))}, RuntimeError),
    ((Q, Q, Q), {"key_padding_mask": Tensor(np.ones((3, 2), bool))}, RuntimeError),
    ((Q, Q, Q), {"attn_mask": Tensor(np.ones((3, 3), np.int64))}, TypeError),
    ((Q, Q[:2], Q), {}, RuntimeError),
    ((Q[0], Q, Q), {}, RuntimeError),
    ((Q[..., :3], Q, Q), {}, RuntimeError),
]


@pytest.mark.parametrize(("make", "error"), REFUSED)
def test_refusals(make, error):
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        make()


@pytest.mark.parametrize(("inputs", "options", "error"), ATTENTION_REFUSED)
def test_attention_refusals(inputs, options, error):
    with pytest.raises(error, match=r"[\u4e00-\u9fff]"):
        nn.MultiheadAttention(4, 2)(*inputs, **options)


def test_embedding_from_pretrained():
    table = Tensor(np.arange(6, dtype=np.float32).reshape(3, 2))
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and layer.weight.array is table.array
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


# 初始化


def test_init_constructors_are_torchs():
    public = {
        n for n, f in vars(init).items() if inspect.isfunction(f) and f.__module__ == init.__name__
    }
    for name in {n for n in public if not n.startswith("_")} - {"fans", "layer_default_"}:
        mine, theirs = (inspect.signature(getattr(m, name)).parameters for m in (init, tnn.init))
        assert [(p.name, p.default) for p in mine.values()] == [
            (p.name, p.default) for p in theirs.values()
        ]


UNIFORM = {
    "uniform_": dict(a=-3.0, b=2.0),
    "xavier_uniform_": dict(gain=2.0),
    "kaiming_uniform_": dict(a=0.5, mode="fan_out"),
}
NORMAL = {
    "normal_": dict(mean=2.0, std=3.0),
    "xavier_normal_": dict(gain=2.0),
    "kaiming_normal_": dict(nonlinearity="relu"),
    "trunc_normal_": dict(mean=0.5, std=2.0, a=-1.0, b=3.0),
}


@dtypes
@pytest.mark.parametrize(("name", "options"), [*UNIFORM.items(), *NORMAL.items()])
def test_initial_distribution(name, options, dtype):
    shape = (100, 40, 5, 5)
    manual_seed(0)
    torch.manual_seed(0)
    mine = nn.Parameter(np.empty(shape, dtype))
    assert getattr(init, name)(mine, **options) is mine and mine.requires_grad and mine.is_leaf
    expected = getattr(tnn.init, name)(torch.empty(shape, dtype=torch.float64), **options).numpy()
    found = mine.array.astype(np.float64)
    assert mine.dtype == dtype
    assert abs(found.mean() - expected.mean()) < 0.05 * expected.std()
    assert found.std() == pytest.approx(expected.std(), rel=0.02)
    if name in UNIFORM or name == "trunc_normal_":
        assert (found.min(), found.max()) == pytest.approx(
            (expected.min(), expected.max()), rel=1e-2
        )
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
        np.quantile(found, quantiles), np.quantile(expected, quantiles), atol=0.06 * expected.std()
    )
    again = getattr(init, name)(
        Tensor(np.empty(shape, dtype)), **options, generator=Generator().manual_seed(5)
    )
    same = getattr(init, name)(
        Tensor(np.empty(shape, dtype)), **options, generator=Generator().manual_seed(5)
    )
    np.testing.assert_array_equal(again.array, same.array)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Linear", (300, 400)),
        ("Conv2d", (24, 50, 5, 1, 0, 1, 2)),
        ("Embedding", (300, 100)),
        ("MultiheadAttention", (200, 4)),
    ],
)
def test_layers_start_as_torchs(name, args):
    manual_seed(0)
    torch.manual_seed(0)
    mine, reference = getattr(nn, name)(*args), getattr(tnn, name)(*args)
    for key, value in reference.state_dict().items():
        found, expected = mine.state_dict()[key].array, value.numpy()
        noise = 6 / math.sqrt(value.numel())  # 六倍标准误
        assert found.std() == pytest.approx(expected.std(), rel=noise, abs=1e-12)
        assert abs(found.mean() - expected.mean()) <= noise * expected.std()
        limit = np.abs(expected).max()
        assert np.abs(found).max() == pytest.approx(limit, rel=0.2 if name == "Embedding" else 0.1)


def test_constant_inits_and_padding_row():
    p = nn.Parameter(np.empty(3, np.float32))
    assert init.zeros_(p).tolist() == [0] * 3 and init.ones_(p).tolist() == [1] * 3
    assert init.constant_(p, 2.5).tolist() == [2.5] * 3 and p.requires_grad
    layer = nn.Embedding(4, 3, padding_idx=1)
    assert not layer.weight.array[1].any() and layer.weight.array[0].any()


def test_gain_and_fans():
    names = [
        "linear",
        "conv2d",
        "conv_transpose3d",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "selu",
    ]
    for name in names:
        assert init.calculate_gain(name) == tnn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == tnn.init.calculate_gain("leaky_relu", 0.3)
    assert init.fans(Tensor(np.empty((2, 3, 4, 5)))) == (60, 40)


@pytest.mark.parametrize(
    "call",
    [
        lambda: init.calculate_gain("gelu"),
        lambda: init.calculate_gain("leaky_relu", True),
        lambda: init.xavier_uniform_(Tensor(np.empty(3))),
        lambda: init.kaiming_normal_(Tensor(np.empty((3, 3))), mode="fan"),
        lambda: init.trunc_normal_(Tensor(np.empty(3)), a=8.0, b=9.0),
        lambda: init.trunc_normal_(Tensor(np.empty(3)), a=2.0, b=-2.0),
    ],
)
def test_init_refusals(call):
    with pytest.raises(ValueError, match=r"[\u4e00-\u9fff]"):
        call()


def test_empty_layers_warn():
    with pytest.warns(UserWarning, match="没有元素"):
        layer = nn.Linear(0, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert layer.bias.array.tolist() == tnn.Linear(0, 3).bias.tolist() == [0, 0, 0]


# 裁剪梯度


def with_gradients(seed=0, scale=3.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.normal(size=s) * scale, dtype) for s in ((3, 4), (), (0,), (5,))]
    ours, theirs = [nn.Parameter(a.copy()) for a in arrays], []
    for p, a in zip(ours, arrays, strict=True):
        p.grad = Tensor(a.copy())
        q = tnn.Parameter(torch.from_numpy(a.copy()))
        q.grad = torch.from_numpy(a.copy())
        theirs.append(q)
    ours.append(nn.Parameter(np.ones(2, dtype)))  # 没有梯度的
    theirs.append(tnn.Parameter(torch.ones(2)))
    return ours, theirs


@dtypes
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clip_grad_norm(norm_type, max_norm, dtype):
    ours, theirs = with_gradients(dtype=dtype)
    if norm_type == math.inf:  # torch 求不了空张量的无穷范数
        ours, theirs = ours[:2] + ours[3:], theirs[:2] + theirs[3:]
    found = utils.clip_grad_norm_(ours, max_norm, norm_type)
    assert_same(found, tnn.utils.clip_grad_norm_(theirs, max_norm, norm_type))
    assert_same_gradients(ours, theirs)


def test_clip_grad_edge_cases():
    ours, theirs = with_gradients()
    assert utils.clip_grad_norm_([ours[-1]], 1.0).item() == 0.0
    assert_same(utils.clip_grad_norm_(ours[0], 1.0), tnn.utils.clip_grad_norm_(theirs[0], 1.0))
    ours[0].grad.array[0, 0] = np.nan
    with pytest.raises(RuntimeError, match="nan"):
        utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_(ours, 1.0).item())
    utils.clip_grad_value_(ours[3], 0.5)
    tnn.utils.clip_grad_value_(theirs[3], 0.5)
    assert_same(ours[3].grad, theirs[3].grad)


def test_parameters_and_vector():
    ours, theirs = with_gradients()
    vector = utils.parameters_to_vector(ours)
    assert_same(vector, tnn.utils.parameters_to_vector(theirs))
    (vector * vector).sum().backward()
    np.testing.assert_allclose(ours[-1].grad.array, [2, 2])
    utils.vector_to_parameters(vector.detach() * 2, ours)
    np.testing.assert_allclose(utils.parameters_to_vector(ours).array, vector.array * 2)
