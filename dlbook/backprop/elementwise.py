"""逐元素的运算：每个元素各算各的，导数也各乘各的。

输入是浮点数组（两个输入时按 NumPy 的规则广播，其中一个可以是 Python 的数）。
反向都是“上游梯度乘以局部导数”这一行；两个输入的运算多一个参数 need，说明哪个输入要梯度，
不要的不算，以 None 代替。

书中：sec-bp-engine
"""

import math

import numpy as np

from dlbook.backprop.shapes import unbroadcast

Need = tuple[bool, bool]
Pair = tuple[np.ndarray | None, np.ndarray | None]

# 两个输入的运算。


def add(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a + b。

    书中：sec-bp-residual
    """
    return input + other, (np.shape(input), np.shape(other))


def add_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy，db = dy：加法把梯度原样分给两边。

    书中：sec-bp-residual
    """
    a, b = cache
    return (unbroadcast(dy, a) if need[0] else None, unbroadcast(dy, b) if need[1] else None)


def sub(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a − b。

    书中：sec-bp-engine
    """
    return input - other, (np.shape(input), np.shape(other))


def sub_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy，db = −dy。

    书中：sec-bp-engine
    """
    a, b = cache
    return (unbroadcast(dy, a) if need[0] else None, unbroadcast(-dy, b) if need[1] else None)


def mul(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a ⊙ b。

    书中：sec-bp-engine
    """
    return input * other, (input, other)


def mul_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy ⊙ b，db = dy ⊙ a。

    书中：sec-bp-engine
    """
    a, b = cache
    return (
        unbroadcast(dy * b, np.shape(a)) if need[0] else None,
        unbroadcast(dy * a, np.shape(b)) if need[1] else None,
    )


def div(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a / b；除以零照 IEEE 754 得 inf 或 nan。

    书中：sec-bp-engine
    """
    y = np.divide(input, other)
    return y, (np.shape(input), other, y)


def div_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy / b，db = −dy ⊙ y / b。

    书中：sec-bp-engine
    """
    shape, b, y = cache
    da = dy / b
    return (
        unbroadcast(da, shape) if need[0] else None,
        unbroadcast(-da * y, np.shape(b)) if need[1] else None,
    )


def pow(input: np.ndarray, exponent: float) -> tuple[np.ndarray, tuple]:
    """y = xⁿ，指数是 Python 的数；指数也是数组时用 :func:`pow_tensor`。

    书中：sec-bp-engine
    """
    return _power(input, exponent), (input, exponent)


def pow_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ n xⁿ⁻¹；n = 0 时 y 恒为 1，梯度恒为 0。

    书中：sec-bp-engine
    """
    x, n = cache
    if n == 0:
        return np.zeros_like(dy)
    return dy * (_power(x, n - 1) * n)


def _power(x: np.ndarray, n: float) -> np.ndarray:
    # NumPy 的 x**3 逐个调用 pow，比连乘慢两百倍；常用的几个指数换成乘法与开方。
    if n == 2:
        return x * x
    if n == 3:
        return x * x * x
    if n == 0.5:
        return np.sqrt(x)
    return np.power(x, n)


def pow_tensor(input: np.ndarray, exponent: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = aᵇ，两边都可以求导。

    书中：sec-bp-engine
    """
    y = np.power(input, exponent)
    return y, (input, exponent, y)


def pow_tensor_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy ⊙ b aᵇ⁻¹，db = dy ⊙ aᵇ ln a；b = 0 处 da 取 0，a = 0、b ≥ 0 处 db 取 0。

    书中：sec-bp-engine
    """
    a, b, y = cache
    da = db = None
    with np.errstate(divide="ignore", invalid="ignore"):
        if need[0]:
            da = unbroadcast(np.where(b == 0, 0, dy * (b * np.power(a, b - 1))), np.shape(a))
        if need[1]:
            slope = np.where((a == 0) & (b >= 0), 0, y * np.log(a))
            db = unbroadcast((dy * slope).astype(y.dtype, copy=False), np.shape(b))
    return da, db


def maximum(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = max(a, b)。

    书中：sec-bp-relu
    """
    return np.maximum(input, other), (input, other)


def maximum_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """梯度给大的那一边；相等时两边各一半（与 PyTorch 相同）。

    书中：sec-bp-relu
    """
    a, b = cache
    return _winner_takes(dy, a, b, a > b, need)


def minimum(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = min(a, b)。

    书中：sec-bp-relu
    """
    return np.minimum(input, other), (input, other)


def minimum_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """梯度给小的那一边；相等时两边各一半。

    书中：sec-bp-relu
    """
    a, b = cache
    return _winner_takes(dy, a, b, a < b, need)


def _winner_takes(
    dy: np.ndarray, a: np.ndarray, b: np.ndarray, a_wins: np.ndarray, need: Need
) -> Pair:
    # 权重 1、0 或 ½，造成与 dy 同 dtype 的数组再乘。
    share = np.asarray(a_wins).astype(dy.dtype)
    tie = a == b
    share[tie] = 0.5
    return (
        unbroadcast(dy * share, np.shape(a)) if need[0] else None,
        unbroadcast(dy * (1 - share), np.shape(b)) if need[1] else None,
    )


def remainder(input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = a − b ⌊a / b⌋，符号随 b。

    书中：sec-bp-engine
    """
    return np.remainder(input, other), (input, other)


def remainder_backward(dy: np.ndarray, cache: tuple, need: Need = (True, True)) -> Pair:
    """da = dy，db = −dy ⊙ ⌊a / b⌋（⌊·⌋ 是分段常数）。

    书中：sec-bp-engine
    """
    a, b = cache
    return (
        unbroadcast(dy, np.shape(a)) if need[0] else None,
        unbroadcast(-dy * np.floor_divide(a, b), np.shape(b)) if need[1] else None,
    )


def where(condition: np.ndarray, input: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, tuple]:
    """condition 为真取 a，否则取 b。

    书中：sec-bp-relu
    """
    return np.where(condition, input, other), (condition, np.shape(input), np.shape(other))


def where_backward(
    dy: np.ndarray, cache: tuple, need: tuple[bool, bool, bool] = (False, True, True)
) -> tuple[None, np.ndarray | None, np.ndarray | None]:
    """梯度只流回被选中的那一边。

    书中：sec-bp-relu
    """
    condition, a, b = cache
    return (
        None,
        unbroadcast(dy * condition, a) if need[1] else None,
        unbroadcast(dy * ~condition, b) if need[2] else None,
    )


# 一个输入的运算。


def neg(input: np.ndarray) -> tuple[np.ndarray, None]:
    """y = −x。

    书中：sec-bp-engine
    """
    return -input, None


def neg_backward(dy: np.ndarray, cache: None) -> np.ndarray:
    """dx = −dy。

    书中：sec-bp-engine
    """
    return -dy


def exp(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = eˣ。

    书中：sec-bp-engine
    """
    y = np.exp(input)
    return y, y


def exp_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ y。

    书中：sec-bp-engine
    """
    return dy * cache


def expm1(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = eˣ − 1，x 接近 0 时也准。

    书中：sec-bp-engine
    """
    y = np.expm1(input)
    return y, y


def expm1_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ (y + 1)。

    书中：sec-bp-engine
    """
    return dy * (cache + 1)


def log(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = ln x；x = 0 得 −inf，x < 0 得 nan。

    书中：sec-bp-engine
    """
    return np.log(input), input


def log_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy / x。

    书中：sec-bp-engine
    """
    return dy / cache


def log2(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = log₂ x。

    书中：sec-bp-engine
    """
    return np.log2(input), input


def log2_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy / (x ln 2)。

    书中：sec-bp-engine
    """
    return dy / (cache * math.log(2))


def log10(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = log₁₀ x。

    书中：sec-bp-engine
    """
    return np.log10(input), input


def log10_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy / (x ln 10)。

    书中：sec-bp-engine
    """
    return dy / (cache * math.log(10))


def log1p(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = ln(1 + x)，x 接近 0 时也准。

    书中：sec-bp-engine
    """
    return np.log1p(input), input


def log1p_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy / (1 + x)。

    书中：sec-bp-engine
    """
    return dy / (cache + 1)


def sqrt(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = √x；x < 0 得 nan。

    书中：sec-bp-engine
    """
    y = np.sqrt(input)
    return y, y


def sqrt_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy / 2y。

    书中：sec-bp-engine
    """
    return dy / (2 * cache)


def rsqrt(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = 1 / √x。

    书中：sec-bp-rmsnorm
    """
    y = 1 / np.sqrt(input)
    return y, y


def rsqrt_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = −dy ⊙ y³ / 2。

    书中：sec-bp-rmsnorm
    """
    y = cache
    return dy * (y * y * y) * -0.5


def square(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = x²。

    书中：sec-bp-engine
    """
    return input * input, input


def square_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = 2 dy ⊙ x。

    书中：sec-bp-engine
    """
    return dy * cache * 2


def reciprocal(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = 1 / x。

    书中：sec-bp-engine
    """
    y = 1 / input
    return y, y


def reciprocal_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = −dy ⊙ y²。

    书中：sec-bp-engine
    """
    return -dy * (cache * cache)


def abs(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = |x|。

    书中：sec-bp-engine
    """
    return np.abs(input), input


def abs_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ sign(x)；x = 0 处取 0。

    书中：sec-bp-engine
    """
    return dy * np.sign(cache)


def sin(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = sin x。

    书中：sec-bp-engine
    """
    return np.sin(input), input


def sin_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ cos x。

    书中：sec-bp-engine
    """
    return dy * np.cos(cache)


def cos(input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y = cos x。

    书中：sec-bp-engine
    """
    return np.cos(input), input


def cos_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = −dy ⊙ sin x。

    书中：sec-bp-engine
    """
    return -dy * np.sin(cache)


def clamp(
    input: np.ndarray, min: float | None = None, max: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """y = min(max(x, min), max)；min、max 至少给一个。

    书中：sec-bp-relu
    """
    inside = True
    if min is not None:
        inside = input >= min
    if max is not None:
        inside = inside & (input <= max)
    # min > max 时与 PyTorch 一样，全部取 max。
    return np.clip(input, min, max), inside


def clamp_backward(dy: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dy ⊙ 1[min ≤ x ≤ max]：被截断的地方是常数。

    书中：sec-bp-relu
    """
    return dy * cache


def cast(input: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.dtype]:
    """换 dtype；浮点之间换，梯度也换回来。

    书中：sec-bp-engine
    """
    return input.astype(dtype), input.dtype


def cast_backward(dy: np.ndarray, cache: np.dtype) -> np.ndarray:
    """dx = dy 换回原来的 dtype。

    书中：sec-bp-engine
    """
    return dy.astype(cache)


def clone(input: np.ndarray) -> tuple[np.ndarray, None]:
    """复制一份，梯度照样流回去。

    书中：sec-bp-engine
    """
    return input.copy(order="K"), None


def clone_backward(dy: np.ndarray, cache: None) -> np.ndarray:
    """dx = dy。

    书中：sec-bp-engine
    """
    return dy
