"""GELU，与它用到的正态分布函数 Φ。

书中：sec-bp-gelu
"""

import math

import numpy as np

from dlbook.backprop._blocks import in_blocks
from dlbook.backprop._check import check_floating, check_upstream

# (1 + 2z) e^{z²} erfc(z) 在 z ≥ 0 上很平缓，换元 u = (z − 2) / (z + 2) ∈ [−1, 1) 之后用多项式逼近；
# 系数由高精度的切比雪夫插值算得，低次在前。float32 只要 10 项，float64 要 25 项。
_TAIL = {
    np.dtype(np.float32): (
        1.2769787, -0.092763082, -0.1660468, 0.16403584, -0.054086331,
        -0.0079427217, 0.0083374018, 0.0010431446, -0.00099369799, -0.00018365444,
    ),
    np.dtype(np.float64): (
        1.2769783815525289, -0.09276382658574522, -0.16603039761533683, 0.16405128003334057,
        -0.05422000098938379, -0.008034015078553464, 0.008722653817412258, 0.0012713388980090158,
        -0.0014568132813392836, -0.0004543401657863993, 0.00020636268647766627,
        0.00015103514399068322, -1.4901062178327189e-06, -3.640725735279041e-05,
        -1.3550461660621755e-05, 3.666977126641099e-06, 5.3380619799498e-06,
        1.5863413025348713e-06, -8.486280593803529e-07, -9.42043006762512e-07,
        -1.283145001602249e-07, 2.3191445148773556e-07, 9.110270309406622e-08,
        -2.4630020041347383e-08, -1.4276847782986204e-08,
    ),
}  # fmt: skip


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """标准正态的分布函数 Φ(x) = erfc(−x / √2) / 2；NumPy 没有 erf，用多项式逼近。

    书中：sec-bp-gelu
    """
    z = np.minimum(np.abs(x) * math.sqrt(0.5), 30)  # 再大 Φ 就是 0 或 1 了
    u = (z - 2) / (z + 2)
    coefficients = _TAIL[x.dtype]
    tail = u * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        tail += c
        tail *= u
    tail += coefficients[0]
    tail *= np.exp(-z * z)
    tail /= 4 * z + 2
    # tail 是 Φ(−|x|)；x > 0 时是 1 减去它。
    return np.copysign(0.5 - tail, x) + 0.5


def gelu(input: np.ndarray, approximate: str = "none") -> tuple[np.ndarray, tuple]:
    """y = x Φ(x)；approximate="tanh" 用 Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2。

    书中：sec-bp-gelu
    """
    check_floating("input", input)
    cdf = _tanh_cdf if approximate == "tanh" else normal_cdf

    y, phi = np.empty_like(input), np.empty_like(input)
    for x, y_block, phi_block in in_blocks(input, y, phi):
        phi_block[...] = cdf(x)
        np.multiply(x, phi_block, out=y_block)
    return y, (input, phi, approximate)


def _tanh_cdf(x: np.ndarray) -> np.ndarray:
    inner = x * x
    inner *= 0.044715 * math.sqrt(2 / math.pi)
    inner += math.sqrt(2 / math.pi)
    inner *= x
    np.tanh(inner, out=inner)
    inner += 1
    inner *= 0.5
    return inner


def gelu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dx = dy ⊙ (Φ(x) + x Φ′(x))；Φ′ 是正态密度，tanh 近似时是近似式的导数。

    书中：sec-bp-gelu
    """
    input, phi, approximate = cache
    check_upstream(dy, input.shape, input.dtype)
    dx = np.empty_like(input)
    for g, x, p, slope in in_blocks(dy, input, phi, dx):
        np.multiply(x, x, out=slope)
        if approximate == "tanh":
            # tanh′ = 1 − tanh² = 4 Φ (1 − Φ)；常数合在一起，少过几遍
            c = 2 * math.sqrt(2 / math.pi)
            slope *= 3 * 0.044715 * c
            slope += c
            slope *= p
            slope *= 1 - p
        else:
            slope *= -0.5
            np.exp(slope, out=slope)
            slope *= 1 / math.sqrt(2 * math.pi)
        slope *= x
        slope += p
        slope *= g
    return dx
