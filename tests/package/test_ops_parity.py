"""张量的每个公开名字都与 PyTorch 比较：值、形状、dtype、梯度、报错、参数的名字与缺省值。

CASES 是一张表：名字 → 若干种用法，同一段代码在两个库上各跑一遍。名字写作 ``add``（dlbook.add）、
``Tensor.add``（方法）、``F.linear``（nn.functional）。公开的名字没有用法，测试就不通过。
每个可导的用法还用有限差分核对（float64）：那不靠 PyTorch，只靠函数值。
"""

import inspect
import itertools
import math
import re
import warnings
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

import dlbook
import dlbook.nn.functional as F
from dlbook import backprop
from dlbook.autograd.gradcheck import numerical_gradient

warnings.filterwarnings("ignore", category=UserWarning, module="torch")
repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=60)

TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-9, "atol": 1e-11}}

# 输入：同一个说明，在两个库里各造一个张量。


class X:
    """浮点输入，dtype 随用例；缺省求导。fill 给定数值，layout 决定内存的排列。"""

    def __init__(self, *shape, fill=None, low=None, high=None, layout="C", grad=True, sep=False):
        self.shape, self.fill, self.low, self.high = shape, fill, low, high
        self.layout, self.grad, self.sep = layout, grad, sep

    def array(self, dtype, seed):
        rng = np.random.default_rng(seed)
        if self.fill is not None:
            a = np.array(self.fill, dtype)
        elif self.sep:  # 互不相同、彼此隔开：取最大、排序时有限差分才有意义
            n = math.prod(self.shape)
            a = (rng.permutation(n) - n / 2 + 0.3).reshape(self.shape)
        elif self.low is not None:
            a = rng.uniform(self.low, self.high, self.shape)
        else:
            a = rng.standard_normal(self.shape)
            a += 0.2 * np.sign(a)  # 离 0 远一点，免得落在不可导处
        return arrange(np.asarray(a, dtype), self.layout)


class K:
    """固定的数组，dtype 也固定，不求导。"""

    grad = False

    def __init__(self, values, dtype=None):
        self.values = np.array(values, dtype)

    def array(self, dtype, seed):
        return self.values.copy()


def arrange(a, layout):
    """同样的数值，不同的内存排列。"""
    if layout == "T" and a.ndim > 1:
        return np.ascontiguousarray(a.T).T
    if layout == "strided" and a.ndim:
        return np.repeat(a, 2, axis=-1)[..., ::2]
    return a.copy()


class Ours:
    root, F = dlbook, F

    @staticmethod
    def make(array, grad):
        return dlbook.from_numpy(array).requires_grad_(grad)


class Theirs:
    root, F = torch, torch.nn.functional

    @staticmethod
    def make(array, grad):
        return torch.from_numpy(array).requires_grad_(grad)


def flatten(out):
    if isinstance(out, tuple | list):
        return [x for part in out for x in flatten(part)]
    return [out]


def is_tensor(x):
    return isinstance(x, torch.Tensor | dlbook.Tensor)


def to_numpy(x):
    return x.detach().numpy() if is_tensor(x) else x


def dtype_name(x):
    return str(x.dtype).removeprefix("torch.")


def run(lib, case, dtype):
    """输出（展平），与损失 Σ r ⊙ y 对各输入的梯度。"""
    arrays = [spec.array(dtype, 10 + i) for i, spec in enumerate(case.inputs)]
    tensors = [
        lib.make(a, spec.grad and case.grad and a.dtype.kind == "f")
        for a, spec in zip(arrays, case.inputs, strict=True)
    ]
    out = flatten(case.f(lib.root, *tensors))
    loss, rng = None, np.random.default_rng(99)
    for y in out:
        if is_tensor(y) and y.requires_grad:
            r = rng.standard_normal(tuple(y.shape)).astype(dtype_name(y))
            term = (y * lib.make(np.asarray(r), False)).sum()
            loss = term if loss is None else loss + term
    if loss is not None:
        loss.backward()
    return out, [x.grad for x in tensors]


class Case:
    def __init__(self, name, f, inputs, grad=True, check=True, rtol=None, dtypes=None):
        self.name, self.f, self.inputs, self.grad, self.check = name, f, inputs, grad, check
        self.rtol, self.dtypes = rtol, dtypes or ("float32", "float64")


CASES: dict[str, list[Case]] = defaultdict(list)


def case(name, f, *inputs, **options):
    CASES[name].append(Case(name, f, inputs, **options))


def both(name, *inputs, args=(), kwargs=None, **options):
    """函数与方法是同一种用法：t.name(x, …) 与 x.name(…)。"""
    kwargs = kwargs or {}
    case(name, lambda t, *x: getattr(t, name)(*x, *args, **kwargs), *inputs, **options)
    case(
        f"Tensor.{name}",
        lambda t, x, *rest: getattr(x, name)(*rest, *args, **kwargs),
        *inputs,
        **options,
    )


def method(name, *inputs, args=(), kwargs=None, **options):
    kwargs = kwargs or {}
    case(
        f"Tensor.{name}",
        lambda t, x, *rest: getattr(x, name)(*rest, *args, **kwargs),
        *inputs,
        **options,
    )


def functional(name, *inputs, args=(), kwargs=None, **options):
    kwargs = kwargs or {}
    case(
        f"F.{name}",
        lambda t, *x: getattr(t.nn.functional, name)(*x, *args, **kwargs),
        *inputs,
        **options,
    )


def operator(symbol, f, *inputs, **options):
    case(symbol, lambda t, *x: f(*x), *inputs, **options)


SHAPES = [(), (3,), (2, 3), (0,), (2, 0, 3), (1, 1)]
LAYOUTS = [X(3, 4, layout="T"), X(3, 4, layout="strided")]
BROADCAST = [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((4, 1, 3), (2, 1)), ((0, 3), (1, 3))]
SPECIAL = X(fill=[0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, np.nan, np.inf, -np.inf])
MAGNITUDES = X(fill=[1e-20, 3e-8, 2e-4, 0.7, 5.0, 80.0, 1e4, 1e18])
INTEGERS = K([[0, 1, 2], [5, 7, 3]])
SIGNED = K([-3, 0, 4])
BOOLS = K([[True, False, True], [False, True, True]])

# 一个输入、逐元素

for name, low, high in [
    ("exp", -2, 2), ("expm1", -2, 2), ("log", 0.2, 3), ("log2", 0.2, 3), ("log10", 0.2, 3),
    ("log1p", -0.8, 3), ("sqrt", 0.2, 3), ("rsqrt", 0.2, 3), ("square", -2, 2),
    ("reciprocal", 0.3, 2), ("abs", 0.1, 2), ("neg", -2, 2), ("sin", -3, 3), ("cos", -3, 3),
    ("tanh", -3, 3), ("sigmoid", -5, 5), ("relu", 0.1, 2), ("floor", 0.1, 0.9),
    ("ceil", 0.1, 0.9), ("round", 0.1, 0.4), ("sign", 0.1, 2),
]:  # fmt: skip
    for shape in SHAPES:
        both(name, X(*shape, low=low, high=high))
    for layout in ("T", "strided"):
        both(name, X(3, 4, low=low, high=high, layout=layout))
    both(name, SPECIAL, grad=False)
    both(name, MAGNITUDES, grad=name not in ("floor", "ceil", "round"), check=False)
    both(name, SIGNED)
both("relu", X(2, 3))
both("abs", X(2, 3))
both("sign", X(2, 3))
both("sigmoid", X(fill=[-800.0, -90.0, 90.0, 800.0]), check=False)
for name in ("exp", "sqrt", "sigmoid", "tanh"):
    both(name, BOOLS)
both("round", X(fill=[0.5, 1.5, 2.5, -0.5, 2.4]), check=False)

for name in ("isnan", "isinf", "isfinite"):
    both(name, SPECIAL, grad=False)
    both(name, INTEGERS)
both("logical_not", SPECIAL, grad=False)
both("logical_not", INTEGERS)
both("clone", X(2, 3))
both("clone", X(3, 4, layout="T"))
both("clone", INTEGERS)
both("is_floating_point", X(2, 3))
both("is_floating_point", INTEGERS)

for bounds in [{"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.5}, {"min": 1.0, "max": -1.0}]:
    both("clamp", X(4, 5), kwargs=bounds)
    both("clamp", SPECIAL, kwargs=bounds, grad=False)
both("clamp", X(2, 0), args=(0, 1))
both("clamp", X(), args=(0, 1))
both("clamp", INTEGERS, kwargs={"min": 1, "max": 3})
both("clamp", INTEGERS, kwargs={"min": 1.5})

# 两个输入、逐元素


def safe(*shape, **options):
    return X(*shape, low=0.5, high=2.0, **options)


for name in ("add", "sub", "mul", "div", "remainder", "maximum", "minimum", "pow"):
    for shape in SHAPES:
        both(name, safe(*shape), safe(*shape))
    for a, b in BROADCAST:
        both(name, safe(*a), safe(*b))
        both(name, safe(*b), safe(*a))
    both(name, safe(3, 4, layout="T"), safe(3, 4, layout="strided"))
    both(name, SPECIAL, SPECIAL, grad=False)
    both(name, X(11, 1, fill=np.array(SPECIAL.fill)[:, None]), SPECIAL, grad=False)
    both(name, INTEGERS, K([[1, 2, 3], [2, 1, 4]]))
    both(name, safe(2, 3), INTEGERS, check=False)
    both(name, INTEGERS, safe(2, 3), check=False)
    both(name, safe(2, 3, grad=False), K(2.5, np.float64))
    both(name, K([1.5, 2.5], np.float32), K([2.5, 3.5], np.float64))
    both(name, K([1, 2], np.int32), K([3, 4], np.int64))
    both(name, K([1, 2], np.uint8), K([3, 4], np.int8))
    both(name, K([1, 2], np.int64), K(3.5, np.float32))
for name in ("add", "sub", "mul", "div", "remainder", "pow", "eq", "ne", "lt", "le", "gt", "ge"):
    for number in (2, 2.5, -1):
        if not (name == "pow" and number == -1):
            both(name, safe(2, 3), args=(number,))
        if not (name == "pow" and number < 0):
            both(name, INTEGERS, args=(number,))
    both(name, X(), args=(2,)) if name != "pow" else None
for name in ("add", "mul", "maximum", "minimum"):
    both(name, BOOLS, K([True, True, False]))
both("add", BOOLS, INTEGERS)
both("add", BOOLS, args=(1,))
both("mul", BOOLS, args=(2.5,))
both("div", INTEGERS, args=(2,))
both("div", BOOLS, K([True, True, True]))
both("add", X(2, 3), X(3), kwargs={"alpha": 0.5})
both("sub", X(2, 3), X(3), kwargs={"alpha": 2})
both("add", INTEGERS, INTEGERS, kwargs={"alpha": 3})
for mode in ("floor", "trunc"):
    both("div", X(2, 3, grad=False), safe(2, 3, grad=False), kwargs={"rounding_mode": mode})
    both("div", K([-7, 7, 8]), K([2, -2, 3]), kwargs={"rounding_mode": mode})
both("div", X(2, 3), X(2, 3), kwargs={"rounding_mode": None})
both("maximum", X(fill=[1.0, 2.0, 2.0]), X(fill=[1.0, 3.0, 1.0]), check=False)
both("minimum", X(fill=[1.0, 2.0, 2.0]), X(fill=[1.0, 3.0, 1.0]), check=False)
both("remainder", K([-7, 7, -7]), K([3, -3, -3]))
both("floor_divide", K([-7, 7, -7]), K([3, -3, -3]))
both("floor_divide", X(2, 3, grad=False), safe(3, grad=False))
both("floor_divide", X(2, 3, grad=False), args=(0.7,))
for exponent in (0, 1, 2, 3, 4, 0.5, -1, -2.0, 1.7):
    both("pow", safe(2, 3), args=(exponent,))
    both("pow", SPECIAL, args=(exponent,), grad=False)
both("pow", X(2, 3), args=(3,))
both("pow", K([2.0, 0.0, 0.0]), K([0.0, 0.0, 2.0]))
both("pow", X(fill=[0.0, 0.0, 2.0]), X(fill=[2.0, 1.0, 0.0]), check=False)
case("pow", lambda t, x: t.pow(2.0, x), X(2, 3))
case("pow", lambda t, x: t.pow(2, x), K([1, 2, 3]))
for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    both(name, SPECIAL, X(11, 1, fill=np.array(SPECIAL.fill)[:, None]), grad=False)
    both(name, INTEGERS, K([5, 1, 2]))
    both(name, INTEGERS, X(2, 3, grad=False))
    both(name, X(2, 0), X(1, 1), grad=False)
for name in ("logical_and", "logical_or"):
    both(name, BOOLS, K([True, False, True]))
    both(name, SPECIAL, SPECIAL, grad=False)
    both(name, INTEGERS, INTEGERS)
both("where", BOOLS, X(2, 3), X(3)) if False else None
case("where", lambda t, c, a, b: t.where(c, a, b), BOOLS, X(2, 3), X(3))
case("where", lambda t, c, a, b: t.where(c, a, b), BOOLS, X(), X(2, 1))
case("where", lambda t, c, a: t.where(c, a, 0.0), BOOLS, X(2, 3))
case("where", lambda t, c, a: t.where(c, 1, a), BOOLS, X(2, 3))
case("where", lambda t, c: t.where(c, 1.0, 2.0), BOOLS)
case("where", lambda t, c: t.where(c, 1, 2), BOOLS)
case("where", lambda t, c: t.where(c), BOOLS)
case("where", lambda t, c, a, b: t.where(c, a, b), BOOLS, INTEGERS, X(2, 3))
case("Tensor.where", lambda t, c, a, b: a.where(c, b), BOOLS, X(2, 3), X(3))
case("Tensor.where", lambda t, c, a: a.where(c, 2.0), BOOLS, X(2, 3))
both("equal", X(2, 3), X(2, 3))
both("equal", INTEGERS, INTEGERS)
both("equal", INTEGERS, K([1, 2]))
both("allclose", X(fill=[1.0, 2.0]), X(fill=[1.0 + 1e-9, 2.0]))
both("allclose", X(fill=[1.0, np.nan]), X(fill=[1.0, np.nan]), kwargs={"equal_nan": True})
both("allclose", X(fill=[1.0]), X(fill=[1.1]), kwargs={"rtol": 0.2})
case("is_tensor", lambda t, x: [t.is_tensor(x), t.is_tensor(3)], X(2))

# 运算符

for symbol, f in {
    "__add__": lambda a, b: a + b, "__sub__": lambda a, b: a - b, "__mul__": lambda a, b: a * b,
    "__truediv__": lambda a, b: a / b, "__mod__": lambda a, b: a % b,
    "__pow__": lambda a, b: a**b,
}.items():  # fmt: skip
    operator(symbol, f, safe(2, 3), safe(3))
    operator(symbol, lambda a, f=f: f(a, 2), safe(2, 3))
    operator(symbol, lambda a, f=f: f(a, np.float64(2.5)), safe(2, 3))
for symbol, f in {
    "__radd__": lambda a: 2 + a, "__rsub__": lambda a: 2.5 - a, "__rmul__": lambda a: 2 * a,
    "__rtruediv__": lambda a: 2 / a, "__rpow__": lambda a: 2**a,
}.items():  # fmt: skip
    operator(symbol, f, safe(2, 3))
    operator(symbol, f, INTEGERS) if symbol not in ("__rtruediv__", "__rpow__") else None
operator("__rfloordiv__", lambda a: 7 // a, K([-3, 2, 4]))
operator("__rfloordiv__", lambda a: 7 // a, safe(2, 3), grad=False)
operator("__rmod__", lambda a: 7 % a, K([-3, 2, 4]))
operator("__rmod__", lambda a: 7.5 % a, safe(2, 3), grad=False)
for symbol, f in {
    "__rand__": lambda a: [6 & a, True & a], "__ror__": lambda a: [6 | a, True | a],
    "__rxor__": lambda a: [6 ^ a, True ^ a],
}.items():  # fmt: skip
    operator(symbol, f, INTEGERS)
    operator(symbol, f, BOOLS)
operator("__rtruediv__", lambda a: 2 / a, K([1, 2, 4]))
operator("__rpow__", lambda a: 2**a, INTEGERS)
operator("__rmul__", lambda a: np.float64(2.0) * a, X(2, 3))
operator("__radd__", lambda a: sum([a, a]), X(2, 3))
for symbol, f in {
    "__eq__": lambda a, b: a == b, "__ne__": lambda a, b: a != b, "__lt__": lambda a, b: a < b,
    "__le__": lambda a, b: a <= b, "__gt__": lambda a, b: a > b, "__ge__": lambda a, b: a >= b,
    "__floordiv__": lambda a, b: a // b, "__and__": lambda a, b: a & b,
    "__or__": lambda a, b: a | b, "__xor__": lambda a, b: a ^ b,
}.items():  # fmt: skip
    operator(symbol, f, INTEGERS, K([[1, 2, 3], [2, 1, 4]]))
operator("__eq__", lambda a: [a == None, a != None], X(2))  # noqa: E711
operator("__ne__", lambda a: a != 2, INTEGERS)
for symbol, f in {
    "__and__": lambda a, b: a & b, "__or__": lambda a, b: a | b, "__xor__": lambda a, b: a ^ b,
}.items():  # fmt: skip
    operator(symbol, f, BOOLS, K([True, False, True]))
operator("__floordiv__", lambda a: a // 2, X(2, 3, grad=False))
operator("__invert__", lambda a: ~a, BOOLS)
operator("__invert__", lambda a: ~a, INTEGERS)
operator("__neg__", lambda a: -a, X(2, 3))
operator("__abs__", lambda a: abs(a), X(2, 3))
operator("__matmul__", lambda a, b: a @ b, X(2, 3), X(3, 4))
operator("__len__", lambda a: len(a), X(2, 3))
operator("__iter__", lambda a: [row * 2 for row in a], X(2, 3))
operator("__contains__", lambda a: [5 in a, 9 in a], INTEGERS)
operator("__float__", lambda a: [float(a), f"{a:.3f}"], X())
operator("__format__", lambda a: f"{a:.2f}", X())
operator("__int__", lambda a: int(a), K(3.7))
operator("__bool__", lambda a: [bool(a), bool(a - a)], X())
operator("__index__", lambda a: [[10, 20, 30][a], list(range(a))], K(2))

# 归约

for name in ("sum", "mean", "amax", "amin"):
    for shape, dim, keep in [
        ((2, 3), None, False), ((2, 3), 0, False), ((2, 3), -1, True), ((2, 3, 4), (0, 2), False),
        ((2, 3, 4), (1, -1), True), ((2, 3), (), False), ((), 0, False), ((), None, False),
    ]:  # fmt: skip
        options = {} if dim is None else {"dim": dim, "keepdim": keep}
        both(name, X(*shape, sep=True), kwargs=options)
    both(name, X(3, 4, layout="T", sep=True), kwargs={"dim": 1})
    both(name, X(2, 3, sep=True), args=(1,))
    both(name, X(fill=[1.0, np.nan, 3.0]), grad=False)
    both(name, X(fill=[[1.0, 3.0, 3.0], [2.0, 2.0, 1.0]]), kwargs={"dim": 1}, check=False)
    both(name, X(2, 0, 3), kwargs={"dim": 0})
both("sum", X(2, 0, 3), kwargs={"dim": 1})
both("sum", X(0))
both("mean", X(0), grad=False)
both("mean", X(2, 0), kwargs={"dim": 1}, grad=False)
for name in ("sum", "prod", "cumsum"):
    args = (0,) if name == "cumsum" else ()
    for k in (INTEGERS, BOOLS, K([1, 2], np.uint8)):
        both(name, k, args=args)
    both(name, INTEGERS, args=args, kwargs={"dtype": None})
case("sum", lambda t, x: t.sum(x, dtype=t.float64), X(2, 3))
case("sum", lambda t, x: t.sum(x, 1, dtype=t.float32), INTEGERS)
case("mean", lambda t, x: t.mean(x, dtype=t.float32), INTEGERS)
case("prod", lambda t, x: t.prod(x, dtype=t.float64), X(2, 3))
case("cumsum", lambda t, x: t.cumsum(x, 0, dtype=t.float64), X(2, 3))
case("Tensor.mean", lambda t, x: x.mean(0, True), X(2, 3))
for options in ({}, {"dim": 0}, {"dim": -1, "keepdim": True}):
    both("prod", X(2, 3), kwargs=options)
    both("prod", X(fill=[[0.0, 2.0, 3.0], [0.0, 0.0, 4.0]]), kwargs=options, check=False)
both("prod", X())
both("prod", X(0))
for name in ("var", "std"):
    for options in (
        {}, {"dim": 0}, {"dim": (0, 1), "keepdim": True}, {"dim": -1, "correction": 0},
        {"correction": 2}, {"dim": 1, "unbiased": False}, {"dim": 1, "keepdim": True},
    ):  # fmt: skip
        both(name, X(4, 5), kwargs=options)
    both(name, X(fill=[[1.0, 1.0], [1.0, 2.0]]), kwargs={"dim": 1}, check=False)
    both(name, X(fill=[1.0, np.nan]), grad=False)
    both(name, X(1), grad=False)
    both(name, X(3), args=(False,))
for name in ("max", "min"):
    both(name, X(2, 3, sep=True))
    both(name, X(2, 3, sep=True), args=(0,))
    both(name, X(2, 3, sep=True), kwargs={"dim": -1, "keepdim": True})
    both(name, X(2, 3, sep=True), X(3, sep=True))
    both(name, X(), args=(0,))
    both(name, X())
    both(name, INTEGERS)
    both(name, INTEGERS, args=(1,))
    both(name, X(fill=[[1.0, 3.0, 3.0], [2.0, 2.0, 1.0]]), check=False)
    both(name, X(fill=[[1.0, np.nan, 3.0], [2.0, 2.0, 1.0]]), args=(1,), grad=False)
    both(name, X(fill=[1.0, np.nan, 3.0]), grad=False)
for name in ("argmax", "argmin"):
    for options in ({}, {"dim": 0}, {"dim": 1, "keepdim": True}, {"dim": -1}):
        both(name, X(3, 4, sep=True), kwargs=options)
    both(name, X(), args=(0,))
    both(name, INTEGERS, args=(1,))
    both(name, X(fill=[1.0, np.nan, 3.0]), grad=False)
    both(name, X(fill=[[3.0, 3.0, 1.0], [1.0, 1.0, 1.0]]), args=(1,))
for name in ("all", "any"):
    for k in (BOOLS, INTEGERS, X(2, 3, grad=False), X(0, grad=False), X(fill=[np.nan, 0.0])):
        both(name, k, grad=False)
    both(name, BOOLS, args=(0,))
    both(name, BOOLS, kwargs={"dim": 1, "keepdim": True})
    both(name, BOOLS, kwargs={"dim": (0, 1)})
for options in ({"dim": 0}, {"dim": (0, 1)}, {"dim": -1, "keepdim": True}):
    both("logsumexp", X(3, 4), kwargs=options)
    both("logsumexp", X(3, 4, low=-1e4, high=1e4), kwargs=options, check=False)
both("logsumexp", X(), args=(0,))
both("logsumexp", INTEGERS, args=(1,))
both("logsumexp", X(fill=[[-np.inf, -np.inf], [np.inf, 1.0]]), args=(1,), grad=False)
both("logsumexp", X(fill=[[-np.inf, 1.0], [2.0, 1.0]]), args=(1,), check=False)
both("logsumexp", X(0, 2), args=(1,))
for options in ({}, {"dim": 0}, {"dim": (0, 1)}, {"dim": 1, "keepdim": True}):
    for p in (2, 1, float("inf")):
        both("norm", X(3, 4, sep=True), kwargs={"p": p, **options})
both("norm", X(3, 4))
both("norm", X(fill=[0.0, 0.0]), check=False)
for dim in (0, 1, -1):
    both("cumsum", X(3, 4), args=(dim,))
both("cumsum", X(), args=(0,))
both("cumsum", X(2, 0), args=(1,))
for name in ("softmax", "log_softmax"):
    for dim in (0, 1, -1):
        both(name, X(3, 4), args=(dim,))
        functional(name, X(3, 4), args=(dim,))
    both(name, X(), args=(0,))
    both(name, X(0, 3), args=(1,))
    both(name, X(2, 3, 4, layout="T"), args=(1,))
    both(name, X(fill=[[1e4, -1e4, 0.0], [-np.inf, 0.0, 1.0]]), args=(1,), check=False)
    both(name, X(fill=[[np.nan, 1.0]]), args=(1,), grad=False)
    case(name, lambda t, x, name=name: getattr(t, name)(x, 1, dtype=t.float64), X(2, 3))
for descending in (False, True):
    for dim in (0, -1):
        both("sort", X(3, 4, sep=True), kwargs={"dim": dim, "descending": descending})
        both("argsort", X(3, 4, sep=True), kwargs={"dim": dim, "descending": descending})
    both("sort", K([2, 1, 2, 1]), kwargs={"descending": descending, "stable": True})
    both("argsort", K([2, 1, 2, 1]), kwargs={"descending": descending, "stable": True})
both("sort", X())
for k, options in [(2, {}), (1, {"dim": 0}), (3, {"largest": False}), (0, {})]:
    both("topk", X(3, 4, sep=True), args=(k,), kwargs=options)

# 形状

for shape in [(6,), (3, 2), (-1,), (2, -1), (1, 2, 3)]:
    both("reshape", X(2, 3), args=(shape,))
    method("view", X(2, 3), args=shape)
both("reshape", X(2, 3, layout="T"), args=((3, 2),))
both("reshape", X(0, 3), args=((3, 0),))
both("reshape", X(), args=((1, 1),))
both("reshape", INTEGERS, args=((3, 2),))
method("reshape", X(2, 3), args=(3, -1))
method("view", X(0, 3), args=(0, 3))
case("Tensor.view_as", lambda t, x, y: x.view_as(y), X(2, 3), X(3, 2))
for options in ({}, {"start_dim": 1}, {"start_dim": 0, "end_dim": 1}, {"start_dim": -2}):
    both("flatten", X(2, 3, 4), kwargs=options)
both("flatten", X())
both("unflatten", X(2, 6), args=(1, (2, 3)))
both("unflatten", X(2, 6), args=(-1, (-1, 2)))
for args in ((), (0,), (1,), ((0, 2),)):
    both("squeeze", X(1, 3, 1), args=args)
both("squeeze", X())
for dim in (0, 1, -1, -3):
    both("unsqueeze", X(2, 3), args=(dim,))
both("permute", X(2, 3, 4), args=((2, 0, 1),))
both("permute", X(2, 3, 4), args=((0, -1, 1),))
method("permute", X(2, 3, 4), args=(2, 0, 1))
for dims in ((0, 1), (-1, 0), (1, 1)):
    both("transpose", X(2, 3, 4), args=dims)
both("transpose", X(2, 3, layout="T"), args=(0, 1))
for shape in ((2, 3), (3,), ()):
    both("t", X(*shape))
case("Tensor.T", lambda t, x: x.T, X(2, 3))
case("Tensor.mT", lambda t, x: x.mT, X(4, 2, 3))
for args in ((0, 2), ((0, 1), (2, 0)), (-1, 0)):
    both("movedim", X(2, 3, 4), args=args)
both("broadcast_to", X(3, 1), args=((2, 3, 4),))
both("broadcast_to", X(), args=((2, 3),))
for args in ((2, 3, 4), (-1, 4), (3, 4)):
    method("expand", X(3, 1), args=args)
method("expand", X(3, 1), args=((2, 3, 4),))
case("Tensor.expand_as", lambda t, x, y: x.expand_as(y), X(3, 1), X(2, 3, 4))
for args in ((2,), (2, 3), (1, 2, 2)):
    method("repeat", X(3), args=args)
method("repeat", X(2, 3), args=((2, 1, 2),))
method("repeat", X(2, 3), args=(0, 2))
for args in ((2,), (2, 1), (3, 0)):
    both("repeat_interleave", X(2, 3), args=args)
case("repeat_interleave", lambda t, x, n: t.repeat_interleave(x, n, 0), X(3, 2), K([1, 0, 2]))
method("contiguous", X(2, 3))
method("contiguous", X(2, 3, layout="T"))
for dims in ((0,), (0, 1), (-1,)):
    both("flip", X(2, 3), args=(dims,))
for args in ((1,), (-2, 0), ((1, 2), (0, 1)), (4, 1)):
    both("roll", X(2, 3), args=args)
both("numel", X(2, 3))
method("size", X(2, 3))
method("size", X(2, 3), args=(-1,))
method("dim", X(2, 3))
method("element_size", X(2, 3))
case("Tensor.shape", lambda t, x: tuple(x.shape), X(2, 3))
case("Tensor.ndim", lambda t, x: x.ndim, X(2, 3))
case("Tensor.dtype", lambda t, x: [x.dtype == t.float32, x.dtype == t.float64], X(2, 3))
case("Tensor.device", lambda t, x: str(x.device), X(2, 3))
for dim in (0, 1, -1):
    case("cat", lambda t, x, y, dim=dim: t.cat([x, y], dim), X(2, 3), X(2, 3))
    case("cat", lambda t, x, y, dim=dim: t.cat((x, y, x), dim=dim), X(2, 3), X(2, 3))
    case("stack", lambda t, x, y, dim=dim: t.stack([x, y], dim), X(2, 3), X(2, 3))
case("cat", lambda t, x, y: t.cat([x, y], 1), X(2, 3), X(2, 0))
case("cat", lambda t, x: t.cat([x]), X(2, 3))
case("cat", lambda t, x, y: t.cat([x, y]), X(2, 3), INTEGERS, check=False)
case("cat", lambda t, x, y: t.cat([x, y]), INTEGERS, K([[1, 2, 3]], np.int32))
case("stack", lambda t, x, y: t.stack([x, y], -1), X(), X())
case("stack", lambda t, x: t.stack([x]), X(3))
for args in ((2,), (2, 1), ((1, 3), 1), (3, -1), (9,)):
    both("split", X(4, 4), args=args)
both("split", X(0, 2), args=(3,))
for args in ((2,), (3, 1), (4, 1), (5,)):
    both("chunk", X(4, 4), args=args)
for dim in (0, 1, -1):
    both("unbind", X(3, 4), args=(dim,))

# 下标

for key in [
    0, -1, slice(1, None), slice(None, None, 2), (0, 1), (slice(None), 1), (..., 0), None,
    (None, slice(0, 2)), (0, ..., None), slice(2, 2), [0, 2, 2], ([0, 1], [1, 2]),
    (slice(None), [0, 0, 2]), (1, [0, 2]), True, ((0, 1),), (),
]:  # fmt: skip
    case("__getitem__", lambda t, x, key=key: x[key], X(3, 4))
case("__getitem__", lambda t, x, i: x[i], X(3, 4), K([[0, 2], [1, 1]]))
case("__getitem__", lambda t, x, i: x[:, i], X(3, 4), K([0, 0, 3]))
case("__getitem__", lambda t, x, i, j: x[i, j], X(3, 4), K([0, 2]), K([1, 1]))
case("__getitem__", lambda t, x, m: x[m], X(2, 3), BOOLS)
case("__getitem__", lambda t, x, m: x[m], X(2, 3), K([True, False]))
case("__getitem__", lambda t, x: x[x > 0], X(2, 3))
case("__getitem__", lambda t, x, i: x[i], X(3, 4), K(2))
case("__getitem__", lambda t, x, i: x[i:], X(3, 4), K(1))
case("__getitem__", lambda t, x: x[...], X())
case("__getitem__", lambda t, x: [x[0] * 2, x[1:], x[:, 1], x.sum()], X(3, 4))
case("__getitem__", lambda t, x, i: x[:, None, i], X(3, 4), K([1, 2]))
# 整数与数组混用，中间隔着切片：NumPy 会把数组那一轴提到最前，PyTorch 不会。
for mixed in (
    lambda x, i: x[0, :, i], lambda x, i: x[i, :, 1], lambda x, i: x[0, i],
    lambda x, i: x[i, 0], lambda x, i: x[-1, ..., i], lambda x, i: x[i, None, 0],
    lambda x, i: x[0, None, :, i], lambda x, i: x[:, 1, i], lambda x, i: x[i, :, i],
    lambda x, i: x[0, 1, i],
):  # fmt: skip
    case("__getitem__", lambda t, x, i, f=mixed: f(x, i), X(2, 3, 4), K([1, 0, 1]))
case("__getitem__", lambda t, x, m: x[0, :, m], X(2, 3, 3), K([True, False, True]))
case("__getitem__", lambda t, x, m: x[m, 0], X(2, 3, 4), BOOLS)
case("__getitem__", lambda t, x: [x[True], x[None, True], x[False]], X(2, 3))
INDEX = K([[0, 2, 1], [1, 1, 0]])
both("gather", X(3, 3), args=()) if False else None
for dim in (0, 1, -1):
    case("gather", lambda t, x, i, dim=dim: t.gather(x, dim, i), X(3, 3), INDEX)
    case("Tensor.gather", lambda t, x, i, dim=dim: x.gather(dim, i), X(3, 3), INDEX)
    case(
        "scatter_add",
        lambda t, x, i, s, dim=dim: t.scatter_add(x, dim, i, s),
        X(3, 3), INDEX, X(2, 3),
    )  # fmt: skip
    case(
        "Tensor.scatter_add",
        lambda t, x, i, s, dim=dim: x.scatter_add(dim, i, s),
        X(3, 3), INDEX, X(2, 3),
    )  # fmt: skip
    case("index_select", lambda t, x, i, dim=dim: t.index_select(x, dim, i), X(3, 3), K([2, 0, 2]))
    case("Tensor.index_select", lambda t, x, i: x.index_select(1, i), X(2, 3), K([2, 0, 2]))
case("index_select", lambda t, x, i: t.index_select(x, 0, i), X(3, 2), K([], np.int64))
case("gather", lambda t, x, i: t.gather(x, 0, i), X(), K(0))
both("masked_fill", X(2, 3), BOOLS, args=(2.5,))
both("masked_fill", X(2, 3), K([True, False, True]), args=(float("-inf"),), check=False)
both("masked_fill", X(3), BOOLS, args=(0,))
both("masked_fill", INTEGERS, BOOLS, args=(9,))
case("masked_fill", lambda t, x, m, v: t.masked_fill(x, m, v), X(2, 3), BOOLS, K(1.5, np.float32))
both("masked_select", X(2, 3), BOOLS)
both("masked_select", X(2, 3), K([True, False, True]))
both("nonzero", INTEGERS)
both("nonzero", BOOLS, kwargs={"as_tuple": True})
for name in ("tril", "triu"):
    for args in ((), (1,), (-1,)):
        both(name, X(3, 4), args=args)
        both(name, X(2, 3, 3), args=args)
    both(name, INTEGERS)

# 乘法

for a, b in [
    ((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 2)), ((2, 1, 2, 3), (4, 3, 2)),
    ((2, 3), (5, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((1, 2, 3), (5, 3, 2)),
]:  # fmt: skip
    both("matmul", X(*a), X(*b))
both("matmul", X(3, 2, layout="T"), X(2, 4, layout="strided"))
both("matmul", INTEGERS, K([[1, 2], [3, 4], [5, 6]]))
both("mm", X(2, 3), X(3, 4))
both("bmm", X(5, 2, 3), X(5, 3, 4))
both("bmm", X(0, 2, 3), X(0, 3, 4))
both("mv", X(2, 3), X(3))
both("dot", X(3), X(3))
both("outer", X(3), X(2))
for equation, shapes in [
    ("ij,jk->ik", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 2, 3), (2, 3, 2)]),
    ("ij->ji", [(2, 3)]), ("ij->i", [(2, 3)]), ("ij->", [(2, 3)]), ("i,j->ij", [(2,), (3,)]),
    ("ij,ij->", [(2, 3), (2, 3)]), ("ij,j", [(2, 3), (3,)]), ("ba", [(2, 3)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (2, 3, 2)]), ("...d,d->...", [(2, 3, 4), (4,)]),
    ("bhqd,bhkd->bhqk", [(1, 2, 3, 2), (1, 2, 2, 2)]), ("i,j,k->ijk", [(2,), (2,), (2,)]),
    ("ij,kj->i", [(2, 3), (2, 3)]), ("i j , j k -> i k", [(2, 3), (3, 2)]),
    ("...i,...i->...", [(2, 1, 3), (4, 3)]),
]:  # fmt: skip
    case(
        "einsum",
        lambda t, *x, equation=equation: t.einsum(equation, *x),
        *[X(*shape) for shape in shapes],
    )

# 造张量


def creation(name, f, **options):
    case(name, lambda t: f(t), **options)


for data in [1, 1.5, True, [1, 2], [1.0, 2], [[1, 2], [3, 4]], [True, False], [], [[]], (1, 2.5)]:
    for name in ("tensor", "as_tensor"):
        creation(name, lambda t, data=data, name=name: getattr(t, name)(data))
for name in ("tensor", "as_tensor"):
    creation(name, lambda t, name=name: getattr(t, name)(np.arange(3.0)))
    creation(name, lambda t, name=name: getattr(t, name)(np.arange(3, dtype=np.int32)))
    creation(name, lambda t, name=name: getattr(t, name)([1, 2], dtype=t.float64))
    creation(name, lambda t, name=name: getattr(t, name)([1.7, 2.2], dtype=t.int64))
    creation(name, lambda t, name=name: getattr(t, name)([1, 2], device="cpu"))
creation("tensor", lambda t: t.tensor([1.0], requires_grad=True).requires_grad)
creation("tensor", lambda t: t.tensor(np.float64(1.5)))
creation("tensor", lambda t: t.tensor([t.tensor(1.0), t.tensor(2.0)]))
# 列表里各种数混在一起：dtype 照 PyTorch 的规则升级，NumPy 的数带着自己的 dtype。
for data in (
    [np.float64(1.5), np.float64(2)], [1.0, np.float32(2)], [True, np.int32(2)], [1, 2.5, True],
    [np.array([1.0, 2.0]), np.array([3.0, 4.0])], [[], []], range(3), [np.int8(1), np.int8(2)],
    [1.0, np.int64(2)],
):  # fmt: skip
    creation("tensor", lambda t, data=data: t.tensor(data))
creation("tensor", lambda t: t.tensor([1, t.tensor(2.0, dtype=t.float64)]))
# Python 的 float、int、bool 当 dtype 用：float64、int64、bool
for kind in (float, int, bool):
    creation("zeros", lambda t, kind=kind: t.zeros(2, dtype=kind))
    creation("tensor", lambda t, kind=kind: t.tensor([1, 0], dtype=kind))
    method("to", X(3, grad=False), args=(kind,))
creation("from_numpy", lambda t: t.from_numpy(np.arange(6.0).reshape(2, 3)))
creation("from_numpy", lambda t: t.from_numpy(np.array([1, 2], np.uint8)))
for name in ("zeros", "ones"):
    for args in [(2, 3), ((2, 3),), (0,), ((),), ([2],)]:
        creation(name, lambda t, name=name, args=args: getattr(t, name)(*args))
    creation(name, lambda t, name=name: getattr(t, name)(2, dtype=t.int64))
    creation(name, lambda t, name=name: getattr(t, name)(2, requires_grad=True).requires_grad)
    case(f"{name}_like", lambda t, x, name=name: getattr(t, f"{name}_like")(x), X(2, 3))
    case(f"{name}_like", lambda t, x, name=name: getattr(t, f"{name}_like")(x), INTEGERS)
    case(
        f"{name}_like",
        lambda t, x, name=name: getattr(t, f"{name}_like")(x, dtype=t.float32),
        INTEGERS,
    )
creation("empty", lambda t: [tuple(t.empty(2, 3).shape), t.empty(0), t.empty(0, dtype=t.int64)])
case("empty_like", lambda t, x: [tuple(t.empty_like(x).shape), t.empty_like(x[:0])], X(2, 3))
for value in (2, 2.5, True):
    creation("full", lambda t, value=value: t.full((2, 3), value))
creation("full", lambda t: t.full((2,), 1, dtype=t.float32))
case("full_like", lambda t, x: t.full_like(x, 2), X(2, 3))
case("full_like", lambda t, x: t.full_like(x, 2.0), INTEGERS)
for args in ((3,), (2, 3), (0,)):
    creation("eye", lambda t, args=args: t.eye(*args))
for args in ((4,), (2, 6), (0, 1, 0.25), (5, 0, -2), (3.0,), (1.5, 4), (0,)):
    creation("arange", lambda t, args=args: t.arange(*args))
creation("arange", lambda t: t.arange(3, dtype=t.float32))
for args in ((0, 1, 5), (-1, 1, 1), (0, 10, 0), (3, -3, 4)):
    creation("linspace", lambda t, args=args: t.linspace(*args))
# 随机的：只比形状、dtype；分布在 test_random_draws 里比。
for name in ("rand", "randn"):
    creation(name, lambda t, n=name: t.zeros_like(getattr(t, n)(2, 3)))
    creation(name, lambda t, n=name: t.zeros_like(getattr(t, n)((2, 3), dtype=t.float64)))
    case(f"{name}_like", lambda t, x, n=name: t.zeros_like(getattr(t, f"{n}_like")(x)), X(2, 3))
creation("randint", lambda t: t.zeros_like(t.randint(5, (2, 3))))
creation("randint", lambda t: t.zeros_like(t.randint(2, 5, (2, 3))))
creation("randint", lambda t: t.randint(3, 4, (2,)))
creation("randperm", lambda t: t.randperm(7).sort().values)
case("bernoulli", lambda t, p: t.bernoulli(p), K([0.0, 1.0]))
case("multinomial", lambda t, p: t.multinomial(p, 2).sort().values, K([1.0, 0.0, 2.0]))
case("multinomial", lambda t, p: t.multinomial(p, 1), K([[0.0, 1.0], [2.0, 0.0]]))
case("multinomial", lambda t, p: t.multinomial(p, 4, replacement=True), K([[0.0, 1.0]]))

# dtype 与求导的开关

for name in ("float", "double", "long", "int", "bool"):
    method(name, X(2, 3), check=False)
    method(name, INTEGERS)
for target in ("float32", "float64", "int64", "int32", "bool", "uint8", "int8", "int16"):
    case("Tensor.to", lambda t, x, d=target: x.to(getattr(t, d)), K([0.0, 1.5, 2.7]))
    creation(target, lambda t, d=target: t.zeros(2, dtype=getattr(t, d)))
for alias in ("float", "double", "long", "int", "short"):
    creation(alias, lambda t, d=alias: t.zeros(2, dtype=getattr(t, d)))
creation("bool", lambda t: t.zeros(2, dtype=t.bool))
case("Tensor.to", lambda t, x: x.to(t.float64), X(2, 3), check=False)
case("Tensor.to", lambda t, x: x.to(dtype=t.float32), X(2, 3), check=False)
case("Tensor.to", lambda t, x: [x.to("cpu"), x.to(x.device), x.to(device="cpu", dtype=t.float64)],
     X(2, 3), check=False)  # fmt: skip
case("Tensor.to", lambda t, x, y: x.to(y), X(2, 3), INTEGERS, check=False)
case("Tensor.type_as", lambda t, x, y: y.type_as(x), X(2, 3), INTEGERS)
method("cpu", X(2, 3))
method("detach", X(2, 3))
case("Tensor.data", lambda t, x: x.data * 2, X(2, 3))
method("numpy", X(2, 3, grad=False))
method("item", X())
method("item", X(1, 1))
method("tolist", X(2, 3))
method("tolist", INTEGERS)
method("tolist", X())
case("Tensor.is_leaf", lambda t, x: [x.is_leaf, (x * 2).is_leaf], X(2))
case("Tensor.requires_grad", lambda t, x: [x.requires_grad, (x * 2).requires_grad], X(2))
case("Tensor.grad", lambda t, x: x.grad is None, X(2))
case("Tensor.grad_fn", lambda t, x: [x.grad_fn is None, (x * 2).grad_fn is None], X(2))
case("Tensor.requires_grad_", lambda t, x: x.requires_grad_().requires_grad, X(2, grad=False))
case("no_grad", lambda t, x: _under(t.no_grad(), x), X(2))
case("enable_grad", lambda t, x: _under(t.enable_grad(), x), X(2))
case("set_grad_enabled", lambda t, x: _under(t.set_grad_enabled(False), x), X(2))
case("set_grad_enabled", lambda t, x: _switched(t, x), X(2))
case("no_grad", lambda t, x: [_decorated(t, t.no_grad)(x), _decorated(t, t.no_grad())(x)], X(2))
case("enable_grad", lambda t, x: [_decorated(t, d)(x) for d in (t.enable_grad, t.enable_grad())],
     X(2))  # fmt: skip
case("set_grad_enabled", lambda t, x: _decorated(t, t.set_grad_enabled(False))(x), X(2))
case("is_grad_enabled", lambda t, x: [t.is_grad_enabled(), _off(t)], X(2))


def _under(context, x):
    with context:
        y = x * 2
    return y.requires_grad


def _switched(t, x):
    """单独一句就生效；写成 with 则出来时恢复；嵌套着也各归各。"""
    t.set_grad_enabled(False)
    seen = [(x * 2).requires_grad]
    with t.set_grad_enabled(True):
        seen.append((x * 2).requires_grad)
    seen.append(t.is_grad_enabled())
    t.set_grad_enabled(True)
    switch = t.set_grad_enabled(False)
    with switch:
        seen.append(t.is_grad_enabled())
    return [*seen, t.is_grad_enabled()]


def _decorated(t, decorator):
    @decorator
    def double(x):
        return [(x * 2).requires_grad, t.is_grad_enabled()]

    return lambda x: [double(x), t.is_grad_enabled()]


def _off(t):
    with t.no_grad():
        return t.is_grad_enabled()


def _backward(t, x):
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    return [x.grad, y.grad]


case("Tensor.backward", _backward, X(2, 3))
case("Tensor.retain_grad", _backward, X(2, 3))
case("Tensor.backward", lambda t, x: (x * 2).backward(t.ones_like(x)), X(2, 3))

# 就地：作用于不求导的张量


def inplace(name, *inputs, args=(), kwargs=None):
    def use(t, x, *rest):
        view = x[:1]
        out = getattr(x, name)(*rest, *args, **(kwargs or {}))
        return [x, out, view, out is x]

    case(f"Tensor.{name}", use, *inputs, grad=False)


for name in ("add_", "sub_", "mul_", "div_"):
    inplace(name, X(2, 3), X(3))
    inplace(name, X(2, 3), args=(2,))
    inplace(name, X(2, 3), INTEGERS) if name != "div_" else None
inplace("add_", X(2, 3), X(3), kwargs={"alpha": -0.5})
inplace("sub_", X(2, 3), X(3), kwargs={"alpha": 2})
inplace("add_", INTEGERS, args=(2,))
inplace("pow_", X(2, 3), args=(2,))
inplace("neg_", X(2, 3))
inplace("relu_", X(2, 3))
inplace("clamp_", X(2, 3), kwargs={"min": -0.5, "max": 0.5})
inplace("zero_", X(2, 3))
inplace("fill_", X(2, 3), args=(2.5,))
inplace("copy_", X(2, 3), X(3))
inplace("copy_", X(2, 3), INTEGERS)
inplace("masked_fill_", X(2, 3), BOOLS, args=(7,))
case("Tensor.scatter_", lambda t, x, i: x.scatter_(1, i, 1.0), X(2, 3), INDEX, grad=False)
case(
    "Tensor.scatter_",
    lambda t, x, i, s: x.scatter_(0, i, s),
    X(3, 3), K([[0, 2, 1]]), X(1, 3), grad=False,
)  # fmt: skip
case("Tensor.normal_", lambda t, x: [x.normal_(2.0, 0.5).shape[0], x.dtype == t.float32],
     X(4), grad=False)  # fmt: skip
case("Tensor.uniform_", lambda t, x: [bool((x.uniform_(2, 3) >= 2).all()), bool((x < 3).all())],
     X(4), grad=False)  # fmt: skip
for symbol, f in {
    "__iadd__": lambda a, b: a.__iadd__(b), "__isub__": lambda a, b: a.__isub__(b),
    "__imul__": lambda a, b: a.__imul__(b), "__itruediv__": lambda a, b: a.__itruediv__(b),
}.items():  # fmt: skip
    operator(symbol, f, X(2, 3), X(3), grad=False)
# x ∘= y 改的是同一块内存：别的名字、视图都看得见。
for symbol, both_sides in {
    "__iadd__": (X(2, 3), X(3)), "__isub__": (X(2, 3), K([1, 2, 3])),
    "__imul__": (X(2, 3), X(2, 1)), "__itruediv__": (X(2, 3), X()),
    "__ipow__": (X(2, 3, low=0.5, high=2), X(3)), "__ifloordiv__": (X(2, 3), X(3)),
    "__imod__": (X(2, 3), X(3)), "__iand__": (INTEGERS, K([6, 5, 3])),
    "__ior__": (BOOLS, K([True, False, False])), "__ixor__": (INTEGERS, K(True)),
}.items():  # fmt: skip

    def _aliased(a, b, method=symbol):
        view, before = a[0], a
        a = getattr(a, method)(b)
        return [a, view, before, a is before]

    operator(symbol, _aliased, *both_sides, grad=False)
operator("__ipow__", lambda a: a.__ipow__(2), INTEGERS)
operator("__ifloordiv__", lambda a: a.__ifloordiv__(-2), INTEGERS)
operator("__imod__", lambda a: a.__imod__(-2), INTEGERS)


def _assign(key, value):
    def use(t, x, *rest):
        x[key] = rest[0] if rest else value
        return x

    return use


for key, value in [(0, 1.5), ((slice(None), 1), -1), ((0, 2), 3.0), (slice(0, 2), 0), ([0, 2], 5)]:
    case("__setitem__", _assign(key, value), X(3, 4), grad=False)
case("__setitem__", _assign((slice(None), 1), None), X(3, 4), X(3), grad=False)
case("__setitem__", lambda t, x, m: _assign(m, 9.0)(t, x), X(2, 3), BOOLS, grad=False)
case("__setitem__", lambda t, x, i, v: _assign((0, slice(None), i), v)(t, x),
     X(2, 3, 4), K([2, 0]), X(3, 2), grad=False)  # fmt: skip
case("__setitem__", lambda t, x, i: _assign((i, 1), 5.0)(t, x), X(2, 3, 4), K([1, 1]), grad=False)

# nn.functional

for shape in [(4, 3), (3,), (2, 4, 3), (0, 3), (2, 0, 3)]:
    functional("linear", X(*shape), X(5, 3), X(5))
    functional("linear", X(*shape), X(5, 3))
functional("linear", X(4, 3, layout="T"), X(5, 3, layout="T"), X(5, layout="strided"))
functional("linear", X(200, 3), X(2, 3), X(2), check=False)
for name in ("relu", "sigmoid", "tanh", "silu", "gelu", "softplus", "leaky_relu", "elu",
             "logsigmoid"):  # fmt: skip
    for shape in SHAPES:
        functional(name, X(*shape))
    functional(name, X(3, 4, layout="T"))
    functional(name, X(fill=[-80.0, -12.0, -5.0, -0.1, 0.1, 5.0, 12.0, 80.0]), check=False)
    # PyTorch 的 float32 gelu(inf) 是 nan，float64 是 inf；不比 inf。
    functional(name, X(fill=[np.nan, 1.0 if name == "gelu" else np.inf]), grad=False)
functional("gelu", X(3, 4), kwargs={"approximate": "tanh"})
functional("gelu", X(200, 200), check=False)
functional("gelu", X(200, 200), kwargs={"approximate": "tanh"}, check=False)
functional("softplus", X(3, 4), args=(2.0, 1.0))
functional("softplus", X(3, 4), kwargs={"beta": 0.5})
functional("leaky_relu", X(3, 4), args=(0.3,))
functional("elu", X(3, 4), kwargs={"alpha": 0.5})

for options in (
    {}, {"stride": 2}, {"padding": 1}, {"padding": (1, 2), "stride": (2, 1)}, {"dilation": 2},
    {"padding": "same"}, {"padding": "valid"}, {"padding": "same", "dilation": (1, 2)},
    {"stride": 2, "padding": 2, "dilation": (2, 1)}, {"padding": 4}, {"stride": (3, 2)},
):  # fmt: skip
    functional("conv2d", X(2, 2, 6, 7), X(3, 2, 3, 2), X(3), kwargs=options, check=False)
    functional("conv2d", X(18, 8, 6, 7), X(3, 8, 3, 3), X(3), kwargs=options, check=False)
    functional("conv2d", X(2, 4, 6, 7), X(4, 2, 3, 2), X(4), kwargs={**options, "groups": 2},
               check=False)  # fmt: skip
functional("conv2d", X(1, 1, 4, 4), X(2, 1, 3, 3), X(2))
functional("conv2d", X(1, 2, 4, 4), X(2, 2, 2, 2), kwargs={"stride": 2})
functional("conv2d", X(2, 5, 5), X(3, 2, 3, 3), X(3))
functional("conv2d", X(2, 3, 4, 4, layout="T"), X(2, 3, 1, 1, layout="T"))
functional("conv2d", X(3, 4, 4, 4), X(4, 1, 3, 3), kwargs={"groups": 4, "padding": 1}, check=False)
functional("conv2d", X(0, 2, 5, 5), X(3, 2, 3, 3), X(3))
for args, options in [
    ((2,), {}), ((3,), {"stride": 2, "padding": 1}), ((2, 1), {}), (((2, 3),), {}),
    ((2,), {"ceil_mode": True}), ((3,), {"stride": 2, "ceil_mode": True, "padding": 1}),
]:  # fmt: skip
    functional("max_pool2d", X(2, 2, 5, 7, sep=True), args=args, kwargs=options, check=False)
    functional("avg_pool2d", X(2, 2, 5, 7), args=args, kwargs=options, check=False)
functional("max_pool2d", X(1, 1, 4, 4, sep=True), args=(2,))
functional("max_pool2d", X(1, 5, 5, sep=True), args=(3, 1))
functional("max_pool2d", X(1, 1, 6, 6, sep=True), args=(2,), kwargs={"dilation": 2}, check=False)
functional("max_pool2d", X(fill=np.ones((1, 1, 4, 4))), args=(2,), check=False)
functional("max_pool2d", X(fill=np.zeros((1, 1, 4, 4))), args=(3, 1, 1), check=False)
functional("max_pool2d", X(fill=[[[[np.nan, 1.0], [2.0, 3.0]]]]), args=(2,), grad=False)
functional("max_pool2d", X(fill=np.full((1, 1, 2, 2), -np.inf)), args=(2,), grad=False)
functional("avg_pool2d", X(1, 1, 4, 4), args=(2,))
functional("avg_pool2d", X(1, 4, 4), args=(2,))
for options in ({"count_include_pad": False, "padding": 1}, {"divisor_override": 3},
                {"count_include_pad": False, "padding": 1, "ceil_mode": True, "stride": 2},
                {"padding": 1, "ceil_mode": True, "stride": 2}):  # fmt: skip
    functional("avg_pool2d", X(2, 2, 5, 7), args=(3,), kwargs=options, check=False)
for args in [((1, 2),), ((1, 2, 3, 0),), ((-1, 1),), ((0, 0, -1, -1),), ((1, 1), "constant", 2.5),
             ((2, 1, 0, 1, 1, 0),)]:  # fmt: skip
    functional("pad", X(3, 3, 4), args=args)
functional("pad", INTEGERS, args=((1, 1),), kwargs={"value": 7})

case("F.embedding", lambda t, i, w: t.nn.functional.embedding(i, w), K([[0, 2], [2, 1]]), X(4, 3))
case("F.embedding", lambda t, i, w: t.nn.functional.embedding(i, w), K(1), X(4, 3))
case("F.embedding", lambda t, i, w: t.nn.functional.embedding(i, w), K([], np.int64), X(4, 3))
case("F.embedding", lambda t, i, w: t.nn.functional.embedding(i, w), K([1, 1], np.int32), X(4, 3))
for index in (2, -2):
    case(
        "F.embedding",
        lambda t, i, w, n=index: t.nn.functional.embedding(i, w, padding_idx=n),
        K([0, 2, 2, 3]), X(4, 3), check=False,
    )  # fmt: skip
functional("dropout", X(2, 3), kwargs={"training": False})
functional("dropout", X(2, 3), args=(0.0,))
functional("dropout", X(2, 3), args=(1.0,))
functional("one_hot", K([[0, 2], [1, 1]]))
functional("one_hot", K([0, 2]), args=(5,))
functional("one_hot", K([], np.int64), args=(3,))

for shape, n in [((2, 3, 4), 1), ((2, 3, 4), 2), ((5,), 1), ((0, 4), 1), ((2, 1), 1)]:
    tail = shape[len(shape) - n :]
    functional("layer_norm", X(*shape), args=(tail,), check=shape != (2, 1))
    case(
        "F.layer_norm",
        lambda t, x, w, b, tail=tail: t.nn.functional.layer_norm(x, tail, w, b),
        X(*shape), X(*tail), X(*tail), check=shape != (2, 1),
    )  # fmt: skip
    functional("rms_norm", X(*shape), args=(tail,))
    case(
        "F.rms_norm",
        lambda t, x, w, tail=tail: t.nn.functional.rms_norm(x, tail, w, eps=1e-3),
        X(*shape), X(*tail),
    )  # fmt: skip
case(
    "F.layer_norm",
    lambda t, x, w: t.nn.functional.layer_norm(x, (4,), weight=w, eps=0.1), X(3, 4), X(4),
)  # fmt: skip
case("F.layer_norm", lambda t, x, b: t.nn.functional.layer_norm(x, (4,), bias=b), X(3, 4), X(4))
functional("layer_norm", X(3, 4, low=1e3, high=1001), args=((4,),), check=False, rtol=3e-2)
functional("layer_norm", X(fill=np.ones((2, 3))), args=((3,),), check=False)


def _batch_norm(training, momentum=0.1, eps=1e-5):
    def use(t, x, mean, var, w, b):
        y = t.nn.functional.batch_norm(x, mean, var, w, b, training, momentum, eps)
        return [y, mean, var]

    return use


for shape in [(4, 3), (4, 3, 5), (2, 3, 2, 2)]:
    stats = (X(3, grad=False), X(3, low=0.5, high=2, grad=False))
    for training in (True, False):
        case("F.batch_norm", _batch_norm(training), X(*shape), *stats, X(3), X(3), check=False)
        case("F.batch_norm", _batch_norm(training, 0.3, 0.1), X(*shape), *stats, X(3), X(3),
             check=False)  # fmt: skip
    case("F.batch_norm", lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
         X(*shape))  # fmt: skip
case(
    "F.batch_norm",
    lambda t, x, w: t.nn.functional.batch_norm(x, None, None, w, training=True), X(3, 2, 2), X(2),
)  # fmt: skip


def attention(*inputs, **options):
    case(
        "F.scaled_dot_product_attention",
        lambda t, q, k, v, *m: t.nn.functional.scaled_dot_product_attention(
            q, k, v, *m, **options
        ),
        *inputs[:3], *inputs[3:], check=options.pop("check", True),
    )  # fmt: skip


QKV = (X(1, 2, 3, 2), X(1, 2, 3, 2), X(1, 2, 3, 2))
attention(*QKV)
attention(*QKV, is_causal=True)
attention(*QKV, scale=0.3)
attention(*QKV, K([[True, False, True], [True, True, False], [False, True, True]]))
attention(*QKV, K([[True, False, True], [False, False, False], [False, True, True]]))
attention(*QKV, X(3, 3, grad=False))
attention(*QKV, X(1, 1, 3, 3, grad=False))
attention(X(2, 3, 4), X(2, 5, 4), X(2, 5, 6))
attention(X(2, 3, 4), X(2, 5, 4), X(2, 5, 6), is_causal=True)
attention(X(3, 4), X(5, 4), X(5, 2))
attention(X(2, 4, 3, 2), X(2, 2, 3, 2), X(2, 2, 3, 2), enable_gqa=True, check=False)
attention(X(2, 2, 3, 2), X(1, 2, 3, 2), X(1, 2, 3, 2), check=False)

TARGETS = K([0, 2, 1, 3])
for options in (
    {}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.1},
    {"label_smoothing": 0.3, "reduction": "sum"}, {"label_smoothing": 0.3, "reduction": "none"},
    {"ignore_index": 2}, {"ignore_index": 2, "label_smoothing": 0.2},
):  # fmt: skip
    functional("cross_entropy", X(4, 4), TARGETS, kwargs=options)
    functional("cross_entropy", X(4, 4, low=-500, high=500), TARGETS, kwargs=options, check=False)
    functional("cross_entropy", X(2, 4, 3), K([[0, 3, 1], [2, 2, 0]]), kwargs=options)
    functional("cross_entropy", X(4), K(2), kwargs=options) if "ignore_index" not in options else 0
    given_weight = X(4, low=0.5, high=2, grad=False)
    functional("cross_entropy", X(4, 4), TARGETS, given_weight, kwargs=options)
    if "ignore_index" not in options:
        functional("cross_entropy", X(4, 4), K([0, -100, 1, 3]), kwargs=options)
        functional("cross_entropy", X(4, 4), K([0, -100, 2, 3]), given_weight, kwargs=options)
        soft = X(4, 3, low=0, high=1)
        functional("cross_entropy", X(4, 3), soft, kwargs=options)
        functional("cross_entropy", X(4, 3), soft, X(3, low=0.5, high=2, grad=False),
                   kwargs=options)  # fmt: skip
    if "label_smoothing" not in options:
        functional("nll_loss", X(4, 4), TARGETS, kwargs=options)
        functional("nll_loss", X(4, 4), TARGETS, X(4, low=0.5, high=2, grad=False), kwargs=options)
        functional("nll_loss", X(2, 4, 3), K([[0, 3, 1], [2, 2, 0]]), kwargs=options)
functional("nll_loss", X(4), K(2))
functional("cross_entropy", X(0, 4), K([], np.int64), grad=False)
functional("cross_entropy", X(2, 4), K([-100, -100]), grad=False)
functional("cross_entropy", X(fill=[[np.nan, 1.0], [0.0, 1.0]]), K([0, 1]), grad=False)
functional("cross_entropy", X(fill=[[1e4, -1e4], [-1e4, 1e4]]), K([1, 1]), check=False)
for name in ("mse_loss", "l1_loss", "smooth_l1_loss"):
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}):
        functional(name, X(3, 4), X(3, 4), kwargs=options)
        functional(name, X(), X(), kwargs=options)
        functional(name, X(2, 3, layout="T"), X(2, 3, layout="strided"), kwargs=options)
    functional(name, X(0), X(0), grad=False)
    functional(name, X(fill=[1.0, np.nan]), X(fill=[1.0, 2.0]), grad=False)
for name in ("mse_loss", "l1_loss"):
    case(
        f"F.{name}",
        lambda t, x, y, w, n=name: getattr(t.nn.functional, n)(x, y, weight=w, reduction="sum"),
        X(3, 4), X(3, 4), X(3, 4, low=0.5, high=2, grad=False),
    )  # fmt: skip
functional("smooth_l1_loss", X(3, 4), X(3, 4), kwargs={"beta": 0.5})
functional("smooth_l1_loss", X(3, 4), X(3, 4), kwargs={"beta": 0.0})
for options in ({}, {"reduction": "sum"}, {"reduction": "none"}):
    probability = X(3, 4, low=0.05, high=0.95)
    labels = X(3, 4, low=0, high=1, grad=False)
    functional("binary_cross_entropy", probability, labels, kwargs=options)
    functional("binary_cross_entropy", probability, labels, X(4, low=0.5, high=2, grad=False),
               kwargs=options)  # fmt: skip
    functional("binary_cross_entropy_with_logits", X(3, 4), labels, kwargs=options)
    functional("binary_cross_entropy_with_logits", X(3, 4), labels, X(4, grad=False),
               kwargs=options)  # fmt: skip
    case(
        "F.binary_cross_entropy_with_logits",
        lambda t, x, y, w, o=options: t.nn.functional.binary_cross_entropy_with_logits(
            x, y, pos_weight=w, **o
        ),
        X(3, 4), labels, X(4, low=0.5, high=2, grad=False),
    )  # fmt: skip
functional("binary_cross_entropy", X(fill=[0.0, 1.0, 0.0]), X(fill=[0.0, 0.0, 1.0], grad=False),
           check=False)  # fmt: skip
functional("binary_cross_entropy_with_logits", X(fill=[-500.0, 500.0, 40.0, -40.0]),
           X(fill=[1.0, 0.0, 1.0, 0.0], grad=False), check=False)  # fmt: skip

# 不在这张表里的名字，在哪里测

ELSEWHERE = {
    "Tensor": "这里的每一个用例",
    "nn": "test_nn.py", "optim": "test_optim.py", "utils": "test_utils_data.py",
    "save": "test_serialization.py", "load": "test_serialization.py",
    "autograd": "test_tensor.py::test_grad_function",
    "manual_seed": "test_random_draws", "initial_seed": "test_random_draws",
    "Generator": "test_random_draws", "default_generator": "test_random_draws",
    "get_rng_state": "test_random_draws", "set_rng_state": "test_random_draws",
    "Tensor.array": "引擎内部的数组，torch 没有",
    "Tensor.write": "引擎内部的入口，torch 没有",
    "Tensor.become": "引擎内部的入口，torch 没有",
}  # fmt: skip
OWN = {"Tensor.array", "Tensor.write", "Tensor.become"}
DUNDER_ELSEWHERE = {
    "__init__", "__array__", "__deepcopy__", "__repr__", "__hash__",  # test_tensor.py
}  # fmt: skip


def public_names():
    names = list(dlbook.__all__)
    names += [f"Tensor.{n}" for n in dir(dlbook.Tensor) if not n.startswith("_")]
    names += [f"F.{n}" for n in F.__all__]
    special = {"__module__", "__doc__", "__slots__", "__array_ufunc__", "__weakref__"}
    names += [n for n in vars(dlbook.Tensor) if n.startswith("__") and n not in special]
    return names


def test_every_public_name_has_a_case():
    missing = [
        n
        for n in public_names()
        if n not in CASES and n not in ELSEWHERE and n not in DUNDER_ELSEWHERE
    ]
    assert not missing
    assert not set(CASES) - set(public_names())


def test_every_public_name_exists_in_torch():
    for name in public_names():
        owner, _, attribute = name.rpartition(".")
        space = {"": torch, "Tensor": torch.Tensor, "F": torch.nn.functional}[owner]
        if attribute.startswith("__"):
            space = torch.Tensor
        if name not in OWN:
            assert hasattr(space, attribute), name


def variants():
    for name, cases in CASES.items():
        for i, one in enumerate(cases):
            for dtype in one.dtypes:
                # 没有浮点输入的用例，换 dtype 也还是同一件事。
                if dtype == "float32" or any(isinstance(s, X) for s in one.inputs):
                    yield pytest.param(one, dtype, id=f"{name}-{i}-{dtype}")


@pytest.mark.parametrize(("one", "dtype"), variants())
def test_matches_torch(one, dtype):
    got, got_grads = run(Ours, one, dtype)
    want, want_grads = run(Theirs, one, dtype)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert is_tensor(a) == is_tensor(b)
        if is_tensor(a):
            assert dtype_name(a) == dtype_name(b)
            assert a.requires_grad == b.requires_grad
            compare(a.detach().numpy(), b.detach().numpy(), one)
        elif isinstance(a, np.ndarray):
            compare(a, b, one)
        else:
            assert a == pytest.approx(b, nan_ok=True) if isinstance(a, float) else a == b
    for a, b in zip(got_grads, want_grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert dtype_name(a) == dtype_name(b)
            compare(a.numpy(), b.numpy(), one)


def compare(a, b, one):
    tolerance = TOLERANCE.get(str(a.dtype), {"rtol": 0, "atol": 0})
    if one.rtol:
        tolerance = {"rtol": one.rtol, "atol": one.rtol}
    if one.name == "F.conv2d" and a.size:  # 许多项之和：误差与最大的项成比例
        tolerance = {**tolerance, "atol": tolerance["rtol"] * float(np.abs(b).max())}
    np.testing.assert_allclose(a, b, strict=True, **tolerance)


def differentiable():
    for name, cases in CASES.items():
        for i, one in enumerate(cases):
            sizes = [s.array("float64", 0).size for s in one.inputs if isinstance(s, X) and s.grad]
            if one.grad and one.check and 0 < sum(sizes) <= 80:
                yield pytest.param(one, id=f"{name}-{i}")


@pytest.mark.parametrize("one", differentiable())
def test_finite_differences(one):
    """有限差分只用函数值：与 PyTorch 犯同样的错误也逃不过。"""
    out, grads = run(Ours, one, "float64")
    if not any(is_tensor(y) and y.requires_grad for y in out):
        return
    arrays = [spec.array("float64", 10 + i) for i, spec in enumerate(one.inputs)]
    for i, grad in enumerate(grads):
        if grad is None:
            continue

        def loss(x, i=i):
            tensors = [Ours.make(np.array(a), False) for a in arrays]
            tensors[i] = Ours.make(np.array(x), False)
            total, rng = 0.0, np.random.default_rng(99)
            for y, recorded in zip(flatten(one.f(dlbook, *tensors)), out, strict=True):
                if is_tensor(recorded) and recorded.requires_grad:
                    total += (rng.standard_normal(recorded.shape) * y.numpy()).sum()
            return total

        numerical = numerical_gradient(loss, arrays[i], 1e-6)
        np.testing.assert_allclose(grad.numpy(), numerical, rtol=1e-5, atol=1e-6)


# 报错：PyTorch 拒绝的，这里也拒绝；异常的类型相同，消息是中文。

REFUSALS = {
    "add": [lambda t: t.ones(2) + t.ones(3), lambda t: t.ones(2) + "a"],
    "sub": [lambda t: t.tensor([True]) - t.tensor([True]), lambda t: 1 - t.tensor([True]),
            lambda t: t.tensor([True]) - 1],
    "neg": [lambda t: -t.tensor([True])],
    "grad": [lambda t: setattr(t.ones(2, requires_grad=True), "grad", t.ones(3)),
             lambda t: setattr(t.ones(2, requires_grad=True), "grad", 1.0),
             lambda t: setattr(t.ones(2, requires_grad=True), "grad", t.ones(2).double())],
    "data": [lambda t: setattr(t.ones(2), "data", 1.0)],
    "format": [lambda t: format(t.ones(2), ".3f")],
    "pow": [lambda t: t.tensor([2]) ** -1],
    "floor_divide": [lambda t: t.tensor([2]) // 0],
    "remainder": [lambda t: t.tensor([2]) % 0],
    "div": [lambda t: t.div(t.ones(2), 2, rounding_mode="up")],
    "matmul": [
        lambda t: t.ones(2, 3) @ t.ones(2, 3),
        lambda t: t.ones(2, 2, 3) @ t.ones(3, 3, 2),
        lambda t: t.ones(()) @ t.ones(2),
        lambda t: t.ones(2) @ t.ones(2, dtype=t.float64),
    ],
    "mm": [lambda t: t.mm(t.ones(2), t.ones(2, 2))],
    "bmm": [lambda t: t.bmm(t.ones(2, 2), t.ones(2, 2)),
            lambda t: t.bmm(t.ones(1, 2, 2), t.ones(2, 2, 2))],
    "dot": [lambda t: t.dot(t.ones(2, 2), t.ones(2, 2)), lambda t: t.dot(t.ones(2), t.ones(3))],
    "outer": [lambda t: t.outer(t.ones(2, 2), t.ones(2))],
    "einsum": [lambda t: t.einsum("ij,jk->ik", t.ones(2, 3), t.ones(2, 3)),
               lambda t: t.einsum("ij->ik", t.ones(2, 3)),
               lambda t: t.einsum("ij,j->i", t.ones(2, 3))],
    "mean": [lambda t: t.tensor([1, 2]).mean()],
    "var": [lambda t: t.tensor([1, 2]).var()],
    "sum": [lambda t: t.ones(2, 3).sum(2), lambda t: t.ones(2, 3).sum((0, 0)),
            lambda t: t.ones(2).sum(-2)],
    "max": [lambda t: t.ones(0).max(), lambda t: t.ones(2, 0).max(1)],
    "argmax": [lambda t: t.ones(2, 0).argmax(1)],
    "amax": [lambda t: t.ones(0, 2).amax(0)],
    "topk": [lambda t: t.ones(3).topk(4)],
    "softmax": [lambda t: t.tensor([1, 2]).softmax(0), lambda t: t.ones(2).softmax(1)],
    "reshape": [lambda t: t.ones(2, 3).reshape(4), lambda t: t.ones(2, 3).reshape(-1, -1),
                lambda t: t.ones(2, 3).reshape(-1, 4), lambda t: t.ones(0).reshape(-1, 0)],
    "view": [lambda t: t.ones(2, 3).T.view(6)],
    "flatten": [lambda t: t.ones(2, 3).flatten(1, 0)],
    "unflatten": [lambda t: t.ones(2, 6).unflatten(1, (4, 2))],
    "permute": [lambda t: t.ones(2, 3).permute(0), lambda t: t.ones(2, 3).permute(0, 0)],
    "transpose": [lambda t: t.ones(2).transpose(0, 1)],
    "t": [lambda t: t.ones(2, 2, 2).t()],
    "movedim": [lambda t: t.ones(2, 3).movedim((0, 0), (0, 1))],
    "expand": [lambda t: t.ones(2, 3).expand(4, 3), lambda t: t.ones(2).expand(-1, 2),
               lambda t: t.ones(2, 3).expand(3)],
    "repeat": [lambda t: t.ones(2, 3).repeat(2)],
    "cat": [lambda t: t.cat([t.ones(2, 3), t.ones(3, 2)]), lambda t: t.cat([]),
            lambda t: t.cat([t.ones(()), t.ones(())]), lambda t: t.cat(t.ones(2, 3))],
    "stack": [lambda t: t.stack([t.ones(2), t.ones(3)]), lambda t: t.stack([])],
    "split": [lambda t: t.ones(4).split([1, 2]), lambda t: t.ones(4).split(-1)],
    "chunk": [lambda t: t.ones(4).chunk(0)],
    "unbind": [lambda t: t.ones(()).unbind()],
    "gather": [lambda t: t.gather(t.ones(2, 3), 1, t.tensor([[3]])),
               lambda t: t.gather(t.ones(2, 3), 1, t.tensor([0])),
               lambda t: t.gather(t.ones(2, 3), 1, t.tensor([[0.0]]))],
    "index_select": [lambda t: t.index_select(t.ones(2), 0, t.tensor([2]))],
    "masked_fill": [lambda t: t.ones(2).masked_fill(t.tensor([1, 0]), 0.0),
                    lambda t: t.tensor([1]).masked_fill(t.tensor([True]), -math.inf),
                    lambda t: t.tensor([1]).masked_fill_(t.tensor([True]), -math.inf),
                    lambda t: t.tensor([1]).fill_(math.nan)],
    "masked_select": [lambda t: t.masked_select(t.ones(2), t.tensor([1, 0]))],
    "tril": [lambda t: t.tril(t.ones(3))],
    "where": [lambda t: t.where(t.tensor([1, 0]), 1.0, 2.0)],
    "getitem": [lambda t: t.ones(2)[2], lambda t: t.ones(2)[0, 0], lambda t: t.ones(2)[::-1],
                lambda t: t.ones(2)[t.tensor([1.5])], lambda t: t.ones(2)[t.tensor([True])],
                lambda t: t.ones(2)["a"], lambda t: t.ones(2)[1.0]],
    "setitem": [lambda t: t.ones(2).__setitem__(slice(None), t.ones(3)),
                lambda t: t.ones(2).__setitem__(slice(None), [1, 2]),
                lambda t: t.ones(2).__setitem__(slice(None), np.ones(2)),
                lambda t: t.ones(2).__setitem__(3, 0)],
    "clamp": [lambda t: t.clamp(t.ones(2))],
    "item": [lambda t: t.ones(2).item()],
    "bool": [lambda t: bool(t.ones(2))],
    "index": [lambda t: [1, 2][t.tensor(1.0)]],
    "len": [lambda t: len(t.ones(()))],
    "iter": [lambda t: list(t.ones(()))],
    "invert": [lambda t: ~t.ones(2)],
    "numpy": [lambda t: t.ones(2, requires_grad=True).numpy(),
              lambda t: np.asarray(t.ones(2, requires_grad=True))],
    "backward": [lambda t: t.ones(2, requires_grad=True).mul(2).backward(),
                 lambda t: t.ones(()).backward(),
                 lambda t: t.ones(2, requires_grad=True).mul(2).backward(t.ones(3))],
    "requires_grad": [lambda t: t.tensor([1], requires_grad=True),
                      lambda t: t.tensor([1]).requires_grad_(),
                      lambda t: setattr(t.ones(2, requires_grad=True) * 2, "requires_grad", False)],
    "inplace": [lambda t: t.ones(2, requires_grad=True).add_(1),
                lambda t: t.ones(2, requires_grad=True)[0].zero_(),
                lambda t: t.ones(1).expand(3).add_(1),
                lambda t: t.ones(2).add_(t.ones(3)), lambda t: t.ones(2).add_(t.ones(2, 2)),
                lambda t: t.tensor([1]).add_(1.5), lambda t: t.tensor([1]).div_(2)],
    "creation": [lambda t: t.tensor("a"), lambda t: t.tensor(None), lambda t: t.tensor([None]),
                 lambda t: t.tensor({1: 2}), lambda t: t.tensor([t.ones(2), t.ones(2)]),
                 lambda t: t.tensor([300], dtype=t.int8), lambda t: t.randint(5, 2),
                 lambda t: t.tensor(np.arange(3)[::-1]), lambda t: t.from_numpy(np.ones(3)[::-1]),
                 lambda t: t.tensor([[1, 2], [3]]), lambda t: t.zeros(-1),
                 lambda t: t.tensor(["a"]), lambda t: t.from_numpy([1, 2]),
                 lambda t: t.from_numpy(np.array(["a"])), lambda t: t.arange(0, 3, -1),
                 lambda t: t.linspace(0, 1, -1), lambda t: t.zeros(2.5), lambda t: t.zeros(),
                 lambda t: t.randint(3, 3, (2,)), lambda t: t.multinomial(t.ones(2), 3),
                 lambda t: t.multinomial(t.zeros(2), 1), lambda t: t.bernoulli(t.ones(2) * 2)],
    "linear": [lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 2)),
               lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 3), t.ones(3)),
               lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 3).double())],
    "conv2d": [lambda t: t.nn.functional.conv2d(t.ones(1, 2, 5, 5), t.ones(3, 1, 3, 3)),
               lambda t: t.nn.functional.conv2d(t.ones(1, 1, 2, 2), t.ones(3, 1, 3, 3)),
               lambda t: t.nn.functional.conv2d(t.ones(5, 5), t.ones(3, 1, 3, 3)),
               lambda t: t.nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(3, 1, 3, 3), t.ones(2)),
               lambda t: t.nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(3, 1, 3, 3), stride=0),
               lambda t: t.nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(3, 1, 3, 3), padding=-1),
               lambda t: t.nn.functional.conv2d(t.ones(1, 1, 5, 5), t.ones(3, 1, 3, 3),
                                                stride=2, padding="same")],
    "pool": [lambda t: t.nn.functional.max_pool2d(t.ones(1, 1, 2, 2), 3),
             lambda t: t.nn.functional.max_pool2d(t.ones(1, 1, 4, 4), 2, padding=2),
             lambda t: t.nn.functional.max_pool2d(t.ones(4, 4), 2),
             lambda t: t.nn.functional.avg_pool2d(t.ones(1, 1, 4, 4), 0)],
    "pad": [lambda t: t.nn.functional.pad(t.ones(3), (1,)),
            lambda t: t.nn.functional.pad(t.ones(3), (1, 1, 1, 1)),
            lambda t: t.nn.functional.pad(t.ones(3), (-2, -2))],
    "embedding": [lambda t: t.nn.functional.embedding(t.tensor([4]), t.ones(4, 2)),
                  lambda t: t.nn.functional.embedding(t.tensor([-1]), t.ones(4, 2)),
                  lambda t: t.nn.functional.embedding(t.ones(1), t.ones(4, 2))],
    "dropout": [lambda t: t.nn.functional.dropout(t.ones(2), 1.5)],
    "one_hot": [lambda t: t.nn.functional.one_hot(t.tensor([3]), 3),
                lambda t: t.nn.functional.one_hot(t.tensor([-1])),
                lambda t: t.nn.functional.one_hot(t.ones(2))],
    "norms": [lambda t: t.nn.functional.layer_norm(t.ones(2, 3), (2,)),
              lambda t: t.nn.functional.layer_norm(t.ones(2, 3), (3,), t.ones(2)),
              lambda t: t.nn.functional.batch_norm(t.ones(1, 3), None, None, training=True),
              lambda t: t.nn.functional.batch_norm(t.ones(2, 4), t.zeros(3), t.ones(3)),
              lambda t: t.nn.functional.gelu(t.ones(2), approximate="erf")],
    "attention": [lambda t: t.nn.functional.scaled_dot_product_attention(
                      t.ones(2, 3), t.ones(2, 4), t.ones(2, 4)),
                  lambda t: t.nn.functional.scaled_dot_product_attention(
                      t.ones(2, 3), t.ones(2, 3), t.ones(2, 3), t.zeros(2, 2), is_causal=True),
                  lambda t: t.nn.functional.scaled_dot_product_attention(
                      t.ones(1, 2, 3), t.ones(1, 2, 3), t.ones(1, 2, 3), t.zeros(3, 3)),
                  lambda t: t.nn.functional.scaled_dot_product_attention(
                      t.ones(2, 2, 3), t.ones(3, 2, 3), t.ones(3, 2, 3))],
    "cross_entropy": [
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, -1])),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([[0], [1]])),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1], dtype=t.int32)),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1, 2])),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.ones(2, 2)),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), reduction="avg"),
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), t.ones(2)),
        lambda t: t.nn.functional.cross_entropy(
            t.ones(2, 3), t.tensor([0, 1]), label_smoothing=2.0),
        lambda t: t.nn.functional.nll_loss(t.ones(2, 3), t.tensor([0, 1, 2]))],
    "bce": [lambda t: t.nn.functional.binary_cross_entropy(t.ones(2) * 2, t.ones(2)),
            lambda t: t.nn.functional.binary_cross_entropy(t.ones(2), t.ones(3)),
            lambda t: t.nn.functional.binary_cross_entropy_with_logits(t.ones(2), t.ones(3)),
            lambda t: t.nn.functional.binary_cross_entropy(t.ones(2), t.tensor([0, 1])),
            lambda t: t.nn.functional.binary_cross_entropy(t.ones(2), t.ones(2).double()),
            lambda t: t.nn.functional.binary_cross_entropy_with_logits(
                t.ones(2), t.tensor([0, 1]))],
    "smooth_l1_loss": [lambda t: t.nn.functional.smooth_l1_loss(t.ones(2), t.ones(2), beta=-1.0)],
}  # fmt: skip


@pytest.mark.parametrize(
    "f",
    [pytest.param(f, id=f"{n}-{i}") for n, fs in REFUSALS.items() for i, f in enumerate(fs)],
)
def test_refuses_what_torch_refuses(f):
    with pytest.raises(Exception) as theirs:
        f(torch)
    with pytest.raises(Exception) as ours:
        f(dlbook)
    standard = (IndexError, TypeError, ValueError, RuntimeError)
    expected = next((e for e in standard if isinstance(theirs.value, e)), RuntimeError)
    assert isinstance(ours.value, expected), (repr(ours.value), repr(theirs.value))
    assert re.search(r"[\u4e00-\u9fff]", str(ours.value)), str(ours.value)


UNSUPPORTED = {
    "max_pool2d": lambda t: t.nn.functional.max_pool2d(t.ones(1, 1, 2, 2), 2, return_indices=True),
    "pad": lambda t: t.nn.functional.pad(t.ones(1, 3, 3), (1, 1), mode="reflect"),
    "embedding": lambda t: t.nn.functional.embedding(t.tensor([0]), t.ones(2, 2), max_norm=1.0),
    "relu": lambda t: t.nn.functional.relu(t.ones(2), inplace=True),
    "einsum": lambda t: t.einsum("ii->i", t.ones(2, 2)),
    "norm": lambda t: t.norm(t.ones(2), p=3),
    "round": lambda t: t.round(t.ones(2), decimals=1),
    "clamp": lambda t: t.clamp(t.ones(2), t.zeros(2)),
    "uint8": lambda t: t.ones(2)[t.tensor([0, 1], dtype=t.uint8)],
    "generator": lambda t: t.no_grad()(_numbers),
    "outputs": lambda t: _with_outputs(t),
    "create_graph": lambda t: t.ones((), requires_grad=True).mul(2).backward(create_graph=True),
    "inputs": lambda t: _with_inputs(t),
    "assign": lambda t: t.zeros(2).__setitem__(0, t.ones((), requires_grad=True)),
    "inner": lambda t: (t.ones(2, requires_grad=True) * 2).relu_(),
    "view": lambda t: (t.ones(2, requires_grad=True) * 2)[:1].add_(1),
    "bce": lambda t: t.nn.functional.binary_cross_entropy(
        t.full((2,), 0.5), t.full((2,), 0.5, requires_grad=True)
    ),
    "mask": lambda t: t.nn.functional.scaled_dot_product_attention(
        t.ones(1, 2, 2), t.ones(1, 2, 2), t.ones(1, 2, 2), t.zeros(2, 2, requires_grad=True)
    ),
    "fill": lambda t: t.masked_fill(t.ones(1), t.tensor([True]), t.ones((), requires_grad=True)),
}


def _numbers():
    yield 1


def _with_outputs(t):
    x = t.ones((), requires_grad=True)
    t.autograd.grad([x * 2, x * 3], x)


def _with_inputs(t):
    x = t.ones((), requires_grad=True)
    (x * 2).backward(inputs=[x])


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_options_say_so(name):
    UNSUPPORTED[name](torch)
    with pytest.raises(NotImplementedError, match=r"[\u4e00-\u9fff]"):
        UNSUPPORTED[name](dlbook)


def test_only_the_cpu():
    with pytest.raises(NotImplementedError, match="cuda"):
        dlbook.ones(2).to("cuda")
    with pytest.raises(NotImplementedError, match="mps"):
        dlbook.zeros(2, device="mps")


# 参数的名字、次序、缺省值：从 PyTorch 的签名或文档里读出来

# torch 有而这里没有的参数，不影响其余参数的位置（都只能按名字给）。
OMITTED = {"out", "layout", "pin_memory", "memory_format", "sparse_grad", "output_size",
           "generator", "_stacklevel", "order"}  # fmt: skip
# 与文档不同之处，各有原因。
SIGNATURE_EXCEPTIONS = {
    "amax", "amin",  # 文档写 None，真正的缺省是 ()
    "arange", "randint", "einsum", "to",  # 写法有几种，位置参数可变
    "var", "std",  # 几种写法合在一处：dim、unbiased、keepdim 与 correction
    "split",  # 方法与函数的第一个参数在 PyTorch 里名字不同
    "uniform_",  # 第一个参数 from 是 Python 的关键字，只能按位置给
    "softmax", "log_softmax",  # dim 可省的写法在 PyTorch 里已弃用，这里必须写
    "norm",  # 没有 dtype
    "save", "load",  # 没有与 pickle 有关的参数
}  # fmt: skip


def documented(function, name):
    """PyTorch 文档首几行里的签名：每种写法一串（参数名，缺省值的文字）。"""
    doc = function.__doc__ or ""
    found = []
    for match in re.finditer(rf"^(?:\.\. function:: )?{name}\((.*?)\)(?: ->|$)", doc, re.M):
        parameters = []
        for part in re.split(r",\s*(?![^\[\(]*[\]\)])", match.group(1).replace("\\", "")):
            left, _, default = part.strip().partition("=")
            word = left.partition(":")[0].strip()
            if word and word != "*":
                parameters.append((word.lstrip("*"), default.strip()))
        found.append(parameters)
    return found


def native(owner, name):
    """PyTorch 内部登记的签名（文档偶有写错的参数名，这里是真的）；self 在函数里叫 input。"""
    found = []
    for schema in SCHEMAS[name]:
        parameters = [
            ("input" if a.name == "self" else a.name, repr(a.default_value) if a.has_default_value()
             else "")
            for a in schema.arguments
        ]  # fmt: skip
        found.append(parameters[1:] if owner == "Tensor" else parameters)
    return found


SCHEMAS = defaultdict(list)
for schema in torch._C._jit_get_all_schemas():
    if schema.name.startswith("aten::"):
        SCHEMAS[schema.name.removeprefix("aten::")].append(schema)


def signature_names():
    for name in public_names():
        owner, _, attribute = name.rpartition(".")
        if (
            name not in OWN
            and attribute not in SIGNATURE_EXCEPTIONS
            and not attribute.startswith("__")
        ):
            yield owner, attribute


def test_parameters_are_named_ordered_and_defaulted_as_in_torch():
    checked, wrong = 0, []
    for owner, name in signature_names():
        ours = {"": dlbook, "Tensor": dlbook.Tensor, "F": F}[owner]
        theirs = {"": torch, "Tensor": torch.Tensor, "F": torch.nn.functional}[owner]
        ours, theirs = getattr(ours, name), getattr(theirs, name)
        if not inspect.isfunction(ours):
            continue
        mine = list(inspect.signature(ours).parameters.values())
        if owner == "Tensor":
            mine = mine[1:]
        try:
            candidates = [
                [
                    (p.name, "" if p.default is p.empty else repr(p.default))
                    for p in inspect.signature(theirs).parameters.values()
                ]
            ]
            if owner == "Tensor":
                candidates = [c[1:] for c in candidates]
        except ValueError:
            candidates = documented(theirs, name) + native(owner, name)
        candidates = [[p for p in c if p[0] not in OMITTED] for c in candidates]
        if not candidates or candidates == [[("args", ""), ("kwargs", "")]]:
            continue
        checked += 1
        own = [
            (p.name, "" if p.default is p.empty else repr(p.default))
            for p in mine
            if p.name not in OMITTED
        ]
        if not any(same_parameters(own, c) for c in candidates):
            wrong.append((owner, name, own, candidates))
    assert not wrong
    assert checked > 150


def same_parameters(own, theirs):
    """名字与次序相同；缺省值相同（文档没写缺省值的不比）。dlbook 可以比文档的某种写法多几个。"""
    names = [n for n, _ in own]
    if names[: len(theirs)] != [n for n, _ in theirs]:
        return False
    pairs = itertools.zip_longest(own, theirs, fillvalue=("", ""))
    return all(not b[1] or equal_default(a[1], b[1]) for a, b in pairs)


def equal_default(a, b):
    if a == b or b.startswith("torch."):
        return True
    try:
        return float(a) == float(b)
    except ValueError:
        return a.strip("'\"") == b.strip("'\"")


# 随机


def test_random_draws():
    """同样的种子，同样的数；状态可以存下来接着抽；分布的矩对得上。"""
    assert dlbook.manual_seed(3) is dlbook.default_generator
    assert dlbook.initial_seed() == 3
    first = dlbook.randn(1000, 50)
    state = dlbook.get_rng_state()
    assert state.dtype == dlbook.uint8
    second = dlbook.rand(1000, 50)
    dlbook.set_rng_state(state)
    assert dlbook.equal(dlbook.rand(1000, 50), second)
    dlbook.manual_seed(3)
    assert dlbook.equal(dlbook.randn(1000, 50), first)
    assert abs(first.mean().item()) < 0.01 and abs(first.std().item() - 1) < 0.01
    assert abs(second.mean().item() - 0.5) < 0.01 and 0 <= second.min().item() < 1e-3
    drawn = dlbook.randint(2, 5, (3000,))
    assert set(drawn.tolist()) == {2, 3, 4}
    own = dlbook.Generator().manual_seed(7)
    a = dlbook.randperm(100, generator=own)
    assert own.initial_seed() == 7
    assert dlbook.equal(dlbook.randperm(100, generator=own.manual_seed(7)), a)
    p = dlbook.tensor([0.2, 0.3, 0.5])
    counts = F.one_hot(dlbook.multinomial(p, 20000, replacement=True), 3).sum(0)
    np.testing.assert_allclose(counts.numpy() / 20000, p.numpy(), atol=0.02)
    kept = dlbook.bernoulli(dlbook.full((20000,), 0.3)).mean().item()
    assert abs(kept - 0.3) < 0.02
    with pytest.raises(RuntimeError, match="80 个字节"):
        dlbook.set_rng_state(dlbook.zeros(3, dtype=dlbook.uint8))


def test_dropout_scales_what_it_keeps_and_masks_the_gradient_alike():
    dlbook.manual_seed(0)
    x = dlbook.ones(200, 100, requires_grad=True)
    y = F.dropout(x, 0.25)
    assert set(np.unique(y.detach().numpy())) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean().item() - 1) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_attention_dropout_masks_the_weights():
    """v 取单位矩阵时，输出就是权重：有的是 0，其余放大；梯度用有限差分核对（固定种子）。"""
    q = np.random.default_rng(0).standard_normal((1, 40, 4))

    def weights(q):
        dlbook.manual_seed(1)
        return F.scaled_dot_product_attention(q, q, dlbook.eye(40, dtype=dlbook.float64),
                                              dropout_p=0.5)  # fmt: skip

    plain = F.scaled_dot_product_attention(*[dlbook.tensor(q)] * 2, dlbook.eye(40).double())
    x = dlbook.tensor(q, requires_grad=True)
    y = weights(x)
    ratio = y.detach().numpy() / plain.numpy()
    assert 0.4 < (ratio == 0).mean() < 0.6
    np.testing.assert_allclose(ratio[ratio != 0], 2, rtol=1e-9)
    r = np.random.default_rng(2).standard_normal(y.shape)
    (y * dlbook.tensor(r)).sum().backward()
    numerical = numerical_gradient(lambda q: (weights(dlbook.tensor(q)).numpy() * r).sum(), q)
    np.testing.assert_allclose(x.grad.numpy(), numerical, rtol=1e-5, atol=1e-7)


# 性质：任意形状


@repeatable
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0))
def test_unbroadcast_reverses_any_broadcast(shapes):
    """Σ (广播(a) ⊙ r) 对 a 的梯度就是 unbroadcast(r)：广播与求和互为伴随。"""
    for shape in shapes.input_shapes:
        r = np.random.default_rng(0).standard_normal(shapes.result_shape)
        a = np.random.default_rng(1).standard_normal(shape)
        g = backprop.unbroadcast(r, shape)
        assert g.shape == shape
        left = np.sum(np.broadcast_to(a, shapes.result_shape) * r)
        np.testing.assert_allclose(np.sum(a * g), left, rtol=1e-9, atol=1e-9)


@repeatable
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_arithmetic_gradients_for_any_broadcast(shapes):
    a, b = shapes.input_shapes
    one = Case("", lambda t, x, y: (x * y + x / (y * y + 1) - y).sum(), (X(*a), X(*b)))
    test_matches_torch(one, "float64")


@repeatable
@given(array_shapes(min_dims=1, max_dims=4, max_side=4), st.data())
def test_reductions_for_any_axes(shape, data):
    dims = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    keep = data.draw(st.booleans())
    for name in ("sum", "mean", "amax", "logsumexp"):
        if name == "logsumexp" and not dims:
            continue
        one = Case(
            name,
            lambda t, x, name=name: getattr(t, name)(x, dim=tuple(dims), keepdim=keep),
            (X(*shape, sep=name == "amax"),),
        )
        test_matches_torch(one, "float64")


@repeatable
@given(
    n=st.integers(1, 3), c=st.integers(1, 3), o=st.integers(1, 3), h=st.integers(1, 7),
    w=st.integers(1, 7), k=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    s=st.integers(1, 3), p=st.integers(0, 3), d=st.integers(1, 2),
)  # fmt: skip
def test_convolution_of_any_geometry(n, c, o, h, w, k, s, p, d):
    if h + 2 * p < d * (k[0] - 1) + 1 or w + 2 * p < d * (k[1] - 1) + 1:
        return
    one = Case(
        "conv2d",
        lambda t, x, weight, b: t.nn.functional.conv2d(x, weight, b, s, p, d),
        (X(n, c, h, w), X(o, c, *k), X(o)),
    )
    test_matches_torch(one, "float64")


@repeatable
@given(
    h=st.integers(1, 8), w=st.integers(1, 8), k=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    s=st.integers(1, 3), p=st.integers(0, 1), ceil=st.booleans(), include=st.booleans(),
)  # fmt: skip
def test_pooling_of_any_geometry(h, w, k, s, p, ceil, include):
    if h + 2 * p < k[0] or w + 2 * p < k[1] or 2 * p > min(k):
        return
    average = Case(
        "avg_pool2d",
        lambda t, x: t.nn.functional.avg_pool2d(x, k, s, p, ceil, include),
        (X(2, 2, h, w),),
    )
    largest = Case(
        "max_pool2d",
        lambda t, x: t.nn.functional.max_pool2d(x, k, s, p, 1, ceil),
        (X(2, 2, h, w, sep=True),),
    )
    test_matches_torch(average, "float64")
    test_matches_torch(largest, "float64")


@repeatable
@given(array_shapes(min_dims=1, max_dims=3, max_side=5), st.data())
def test_any_basic_index(shape, data):
    key = tuple(
        data.draw(
            st.one_of(
                st.integers(-n, n - 1),
                st.slices(n).filter(lambda s: (s.step or 1) > 0),
                st.just(slice(None)),
            )
        )
        for n in shape
    )
    test_matches_torch(Case("", lambda t, x: x[key] * 2, (X(*shape),)), "float64")


# 反向函数交出来的数组不与 dy 之外的东西共用内存（引擎的所有权规矩）


def test_backward_functions_hand_over_arrays_nobody_else_holds():
    from dlbook.autograd import tensor as engine

    original = engine.Node.pull

    def pull(self, dy):
        grads = original(self, dy)
        held = list(engine._arrays(self.cache))
        fresh = [g for g in grads if isinstance(g, np.ndarray) and g.flags.writeable]
        for i, g in enumerate(fresh):
            if np.may_share_memory(g, dy) or g.size == 0:
                continue
            assert not any(np.shares_memory(g, a) for a in held), self.name
            for other in fresh[:i]:
                assert not np.shares_memory(g, other), self.name
        return grads

    engine.Node.pull = pull
    try:
        for cases in CASES.values():
            for one in cases:
                if one.grad:
                    run(Ours, one, "float64")
    finally:
        engine.Node.pull = original
