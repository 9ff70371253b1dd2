"""逐元素的运算：算术、比较、逻辑、初等函数、dtype 的转换。

书中：sec-bp-engine
"""

from collections.abc import Callable
from numbers import Number
from typing import Any

import numpy as np

from dlbook.autograd import dtypes
from dlbook.autograd.ops._common import cast, floating, operands, tensor_only
from dlbook.autograd.tensor import Tensor, apply
from dlbook.backprop import activations
from dlbook.backprop import elementwise as pairs

# 算术


def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """a + alpha · b，可广播。

    书中：sec-bp-residual
    """
    other = other if alpha == 1 else mul(other, alpha)
    return apply(pairs.add, pairs.add_backward, *operands(input, other))


def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """a − alpha · b，可广播。布尔张量不能相减。

    书中：sec-bp-engine
    """
    if any(getattr(x, "dtype", None) == dtypes.bool for x in (input, other)):
        raise RuntimeError("布尔张量不能相减；取反请用 ~，异或请用 ^")
    other = other if alpha == 1 else mul(other, alpha)
    return apply(pairs.sub, pairs.sub_backward, *operands(input, other))


def rsub(input: Tensor, other: Number) -> Tensor:
    """b − a，即 ``other - input``。

    书中：sec-bp-engine
    """
    return sub(other, input)


def mul(input: Tensor, other: Tensor | Number) -> Tensor:
    """a ⊙ b，可广播。

    书中：sec-bp-engine
    """
    return apply(pairs.mul, pairs.mul_backward, *operands(input, other))


def div(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """a / b，可广播；整数相除得浮点。rounding_mode="floor"、"trunc" 向下、向零取整。

    书中：sec-bp-engine
    """
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        a, b = operands(input, other)
        quotient = np.trunc(np.true_divide(_array(a), _array(b)))
        return Tensor(np.asarray(quotient).astype(_dtype(a, b)))
    if rounding_mode is not None:
        raise RuntimeError(f'rounding_mode 应是 None、"floor" 或 "trunc"，收到 {rounding_mode!r}')
    with np.errstate(divide="ignore", invalid="ignore"):
        return apply(pairs.div, pairs.div_backward, *operands(input, other, least=dtypes.DEFAULT))


def rdiv(input: Tensor, other: Number) -> Tensor:
    """b / a，即 ``other / input``。

    书中：sec-bp-engine
    """
    return div(other, input)


def floor_divide(input: Tensor, other: Tensor | Number) -> Tensor:
    """⌊a / b⌋；分段常数，不求导。

    书中：sec-bp-engine
    """
    a, b = operands(input, other)
    if _dtype(a, b).kind != "f" and np.any(np.equal(_array(b), 0)):
        raise RuntimeError("整数除以零")
    with np.errstate(divide="ignore", invalid="ignore"):
        return Tensor(np.floor_divide(_array(a), _array(b)))


def rfloordiv(input: Tensor, other: Number) -> Tensor:
    """⌊b / a⌋，即 ``other // input``。

    书中：sec-bp-engine
    """
    return floor_divide(other, input)


def remainder(input: Tensor, other: Tensor | Number) -> Tensor:
    """a − b ⌊a / b⌋，符号随 b。

    书中：sec-bp-engine
    """
    a, b = operands(input, other)
    if _dtype(a, b).kind != "f" and np.any(np.equal(_array(b), 0)):
        raise RuntimeError("整数除以零")
    with np.errstate(divide="ignore", invalid="ignore"):
        return apply(pairs.remainder, pairs.remainder_backward, a, b)


def rmod(input: Tensor, other: Number) -> Tensor:
    """b 除以 a 的余数，即 ``other % input``。

    书中：sec-bp-engine
    """
    return remainder(other, input)


def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """a 的 b 次幂。

    书中：sec-bp-engine
    """
    a, b = operands(input, exponent)
    whole = _dtype(a, b).kind != "f"
    if whole and np.any(np.less(_array(b), 0)):
        raise RuntimeError("整数张量不能取负的整数次幂；先换成浮点")
    with np.errstate(all="ignore"):
        if isinstance(b, Tensor):
            return apply(pairs.pow_tensor, pairs.pow_tensor_backward, a, b)
        return apply(pairs.pow, pairs.pow_backward, a, exponent=b)


def rpow(input: Tensor, other: Number) -> Tensor:
    """b 的 a 次幂，即 ``other ** input``。

    书中：sec-bp-engine
    """
    return pow(other, input)


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """逐元素取大。

    书中：sec-bp-relu
    """
    a, b = operands(input, tensor_only(other, "other"))
    return apply(pairs.maximum, pairs.maximum_backward, a, b)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """逐元素取小。

    书中：sec-bp-relu
    """
    a, b = operands(input, tensor_only(other, "other"))
    return apply(pairs.minimum, pairs.minimum_backward, a, b)


def where(
    condition: Tensor, input: Tensor | Number | None = None, other: Tensor | Number | None = None
) -> Tensor | tuple[Tensor, ...]:
    """condition 为真取 input，否则取 other；只给 condition 时同 ``nonzero(as_tuple=True)``。

    书中：sec-bp-relu
    """
    tensor_only(condition, "condition")
    if input is None and other is None:
        return tuple(Tensor(i) for i in np.nonzero(condition.array))
    if condition.dtype != dtypes.bool:
        raise RuntimeError(f"where 的 condition 应是布尔张量，收到 {condition.dtype}")
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        dtype = dtypes.result_dtype([], [input, other])
        return Tensor(np.where(condition.array, dtype.type(input), dtype.type(other)))
    a, b = operands(input, other)
    # np.where 不认识“Python 的数跟着数组走”，先换好 dtype。
    dtype = _dtype(a, b)
    a, b = (v if isinstance(v, Tensor) else np.asarray(v, dtype) for v in (a, b))
    return apply(pairs.where, pairs.where_backward, condition, a, b)


def where_method(self: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """condition 为真留下，否则换成 other；即 ``where(condition, self, other)``。

    书中：sec-bp-relu
    """
    return where(condition, self, other)


def _array(x: Tensor | Number) -> Any:
    return x.array if isinstance(x, Tensor) else x


def _dtype(*values: Any) -> np.dtype:
    return next(v.dtype for v in values if isinstance(v, Tensor))


# 比较与逻辑：结果是布尔张量，不求导


def _comparison(ufunc: np.ufunc, sign: str, name: str) -> Callable:
    def operation(input: Tensor, other: Tensor | Number) -> Tensor:
        a, b = operands(input, other)
        return Tensor(np.asarray(ufunc(_array(a), _array(b))))

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"逐元素比较 a {sign} b，得布尔张量。\n\n书中：sec-bp-engine\n"
    return operation


eq = _comparison(np.equal, "=", "eq")
ne = _comparison(np.not_equal, "≠", "ne")
lt = _comparison(np.less, "<", "lt")
le = _comparison(np.less_equal, "≤", "le")
gt = _comparison(np.greater, ">", "gt")
ge = _comparison(np.greater_equal, "≥", "ge")


def equals(self: Tensor, other: Any) -> Tensor:
    """x == y；与不是张量也不是数的东西（如 None）比，照 Python 的习惯是 False。

    书中：sec-bp-engine
    """
    return eq(self, other) if isinstance(other, Tensor | Number | np.generic) else NotImplemented


def differs(self: Tensor, other: Any) -> Tensor:
    """x != y；与不是张量也不是数的东西比，照 Python 的习惯是 True。

    书中：sec-bp-engine
    """
    return ne(self, other) if isinstance(other, Tensor | Number | np.generic) else NotImplemented


def _logical(ufunc: np.ufunc, word: str, name: str) -> Callable:
    def operation(input: Tensor, other: Tensor) -> Tensor:
        tensor_only(input), tensor_only(other, "other")
        return Tensor(np.asarray(ufunc(input.array, other.array)))

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"逐元素的逻辑{word}（非零为真），得布尔张量。\n\n书中：sec-bp-engine\n"
    return operation


logical_and = _logical(np.logical_and, "与", "logical_and")
logical_or = _logical(np.logical_or, "或", "logical_or")


def logical_not(input: Tensor) -> Tensor:
    """逐元素的逻辑非。

    书中：sec-bp-engine
    """
    return Tensor(np.asarray(np.logical_not(tensor_only(input).array)))


def _bitwise(ufunc: np.ufunc, sign: str, name: str) -> Callable:
    def operation(input: Tensor, other: Tensor | int) -> Tensor:
        a, b = operands(input, other)
        if _dtype(a, b).kind == "f":
            raise RuntimeError(f"{sign} 只用于整数、布尔张量，收到 {_dtype(a, b)}")
        return Tensor(np.asarray(ufunc(_array(a), _array(b))))

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"逐位运算 a {sign} b；布尔张量就是逻辑运算。\n\n书中：sec-bp-engine\n"
    return operation


bitwise_and = _bitwise(np.bitwise_and, "&", "bitwise_and")
bitwise_or = _bitwise(np.bitwise_or, "|", "bitwise_or")
bitwise_xor = _bitwise(np.bitwise_xor, "^", "bitwise_xor")


def invert(input: Tensor) -> Tensor:
    """~x：布尔取反，整数按位取反。

    书中：sec-bp-engine
    """
    if input.dtype.kind == "f":
        raise TypeError(f"~ 只用于整数、布尔张量，收到 {input.dtype}")
    return Tensor(np.asarray(np.invert(input.array)))


def _test(ufunc: Callable, word: str) -> Callable:
    def operation(input: Tensor) -> Tensor:
        return Tensor(np.asarray(ufunc(tensor_only(input).array)))

    operation.__name__ = operation.__qualname__ = ufunc.__name__
    operation.__doc__ = f"各元素是不是{word}。\n\n书中：sec-bp-softmax\n"
    return operation


isnan = _test(np.isnan, " nan")
isinf = _test(np.isinf, " ±inf")
isfinite = _test(np.isfinite, "有限的数（不是 nan、±inf）")


def equal(input: Tensor, other: Tensor) -> bool:
    """形状与所有元素是否都相同，返回 Python 的布尔。

    书中：sec-bp-engine
    """
    return bool(np.array_equal(tensor_only(input).array, tensor_only(other, "other").array))


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """所有元素是否都满足 |a − b| ≤ atol + rtol |b|，返回 Python 的布尔。

    书中：sec-bp-engine
    """
    if input.dtype != other.dtype:
        raise RuntimeError(f"两个张量的 dtype 应相同，收到 {input.dtype} 与 {other.dtype}")
    return bool(np.allclose(input.array, other.array, rtol, atol, equal_nan))


# 初等函数：一行一个


def _unary(forward: Callable, backward: Callable, keep_integers: bool = False) -> Callable:
    """一个输入的运算；除非 keep_integers，整数张量先换成浮点。"""

    def operation(input: Tensor) -> Tensor:
        x = tensor_only(input) if keep_integers else floating(input)
        with np.errstate(all="ignore"):
            return apply(forward, backward, x)

    operation.__name__ = operation.__qualname__ = forward.__name__
    operation.__doc__ = forward.__doc__
    return operation


exp = _unary(pairs.exp, pairs.exp_backward)
expm1 = _unary(pairs.expm1, pairs.expm1_backward)
log = _unary(pairs.log, pairs.log_backward)
log2 = _unary(pairs.log2, pairs.log2_backward)
log10 = _unary(pairs.log10, pairs.log10_backward)
log1p = _unary(pairs.log1p, pairs.log1p_backward)
sqrt = _unary(pairs.sqrt, pairs.sqrt_backward)
rsqrt = _unary(pairs.rsqrt, pairs.rsqrt_backward)
reciprocal = _unary(pairs.reciprocal, pairs.reciprocal_backward)
sin = _unary(pairs.sin, pairs.sin_backward)
cos = _unary(pairs.cos, pairs.cos_backward)
tanh = _unary(activations.tanh, activations.tanh_backward)
sigmoid = _unary(activations.sigmoid, activations.sigmoid_backward)
square = _unary(pairs.square, pairs.square_backward, keep_integers=True)
abs = _unary(pairs.abs, pairs.abs_backward, keep_integers=True)


def neg(input: Tensor) -> Tensor:
    """−x；布尔张量没有相反数。

    书中：sec-bp-engine
    """
    if tensor_only(input).dtype == dtypes.bool:
        raise RuntimeError("布尔张量没有相反数；取反请用 ~")
    return apply(pairs.neg, pairs.neg_backward, input)


def relu(input: Tensor) -> Tensor:
    """max(x, 0)。

    书中：sec-bp-relu
    """
    if tensor_only(input).dtype.kind != "f":
        return Tensor(np.maximum(input.array, 0))
    return apply(activations.relu, activations.relu_backward, input)


def _step(ufunc: Callable, word: str) -> Callable:
    """分段常数的函数：导数处处为 0，与 PyTorch 一样仍留在图里。"""

    def forward(input: np.ndarray) -> tuple[np.ndarray, None]:
        return (input if input.dtype.kind != "f" else ufunc(input)), None

    def backward(dy: np.ndarray, cache: None) -> np.ndarray:
        return np.zeros_like(dy)

    def operation(input: Tensor) -> Tensor:
        return apply(forward, backward, tensor_only(input))

    name = ufunc.__name__
    forward.__name__ = operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{word}；分段常数，梯度为 0。\n\n书中：sec-bp-engine\n"
    return operation


floor = _step(np.floor, "向下取整")
ceil = _step(np.ceil, "向上取整")
_rint = _step(np.rint, "取最近的整数，正中间取偶数")


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """四舍五入到最近的整数，正中间取偶数；decimals 只支持 0。梯度为 0。

    书中：sec-bp-engine
    """
    if decimals:
        raise NotImplementedError("round 只支持 decimals=0")
    return _rint(input)


def sign(input: Tensor) -> Tensor:
    """符号：正 1、负 −1、零 0。梯度为 0。

    书中：sec-bp-engine
    """
    if tensor_only(input).dtype.kind != "f":
        return Tensor(np.sign(input.array))
    return _sign(input)


def _sign_of(x: np.ndarray) -> np.ndarray:
    return ((x > 0).astype(x.dtype) - (x < 0)).astype(x.dtype)  # nan 的符号是 0，与 PyTorch 相同


_sign = _step(_sign_of, "符号")


def clamp(
    input: Tensor, min: Tensor | Number | None = None, max: Tensor | Number | None = None
) -> Tensor:
    """截断到 [min, max]；两个界至少给一个。界是张量时不支持。

    书中：sec-bp-relu
    """
    if min is None and max is None:
        raise RuntimeError("clamp 的 min 与 max 至少要给一个")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        raise NotImplementedError("clamp 的界只支持数；张量请用 maximum、minimum")
    bounds = [b for b in (min, max) if b is not None]
    dtype = dtypes.result_dtype([tensor_only(input).array], bounds)
    return apply(pairs.clamp, pairs.clamp_backward, cast(input, dtype), min=min, max=max)


# dtype 与设备


def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """换 dtype 或设备；写法 ``x.to(dtype)``、``x.to("cpu")``、``x.to(other)``。设备只有 "cpu"。

    书中：sec-bp-engine
    """
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, str) and (arg.startswith(("cpu", "cuda", "mps"))):
            device = arg
        elif arg is not None:
            dtype = arg
    check_device(device)
    out = input if dtype is None else cast(input, dtypes.as_dtype(dtype))
    return clone(out) if copy and out is input else out


def check_device(device: Any) -> None:
    """设备只有 CPU；别的抛出 NotImplementedError。

    书中：sec-bp-engine
    """
    if device is not None and str(device) != "cpu":
        raise NotImplementedError(f'只支持 device="cpu"，收到 {device!r}')


def cpu(input: Tensor) -> Tensor:
    """本来就在 CPU 上，返回自己。

    书中：sec-bp-engine
    """
    return input


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """换成 other 的 dtype。

    书中：sec-bp-engine
    """
    return cast(input, other.dtype)


def _converter(dtype: np.dtype, name: str) -> Callable:
    def operation(input: Tensor) -> Tensor:
        return cast(input, dtype)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"换成 {dtype}。\n\n书中：sec-bp-engine\n"
    return operation


double = _converter(dtypes.float64, "double")
long = _converter(dtypes.int64, "long")
float = _converter(dtypes.float32, "float")
int = _converter(dtypes.int32, "int")
bool_ = _converter(dtypes.bool, "bool")


def is_floating_point(input: Tensor) -> bool:
    """是不是浮点张量。

    书中：sec-bp-engine
    """
    return tensor_only(input).dtype.kind == "f"


def clone(input: Tensor) -> Tensor:
    """复制一份，梯度照样流回去。

    书中：sec-bp-engine
    """
    return apply(pairs.clone, pairs.clone_backward, tensor_only(input))


def is_tensor(obj: Any) -> bool:
    """obj 是不是 Tensor。

    书中：sec-bp-engine
    """
    return isinstance(obj, Tensor)
