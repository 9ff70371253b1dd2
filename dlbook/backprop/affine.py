"""全连接层：每个样本乘以权重，再加偏置。

书中：eq-dw2
"""

import numpy as np

from dlbook.backprop._check import InputError, check_floating, check_same_dtype, check_upstream
from dlbook.backprop.products import column_sum, row_product, transposed_product


def linear(
    input: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """y = x Wᵀ + b，样本按行。

    input (m, in)、weight (out, in)、bias (out,)，浮点且 dtype 一致；返回 y (m, out) 与 cache。
    bias 可以不给。形状对不上抛出 ValueError，dtype 不合抛出 TypeError。
    与 ``torch.nn.functional.linear`` 一致，只是 input 限于二维。

    书中：eq-dw2
    """
    check_floating("input", input, "(m, in)", 2)
    check_floating("weight", weight, "(out, in)", 2)
    if input.shape[1] != weight.shape[1]:
        raise InputError(
            "input (m, in) 与 weight (out, in) 的 in 应相等，"
            f"收到 input {input.shape}、weight {weight.shape}"
        )
    if bias is None:
        check_same_dtype(input=input, weight=weight)
        return row_product(input, weight.T), (input, weight)
    check_floating("bias", bias, "(out,)", 1)
    check_same_dtype(input=input, weight=weight, bias=bias)
    if bias.shape[0] != weight.shape[0]:
        raise InputError(
            "weight (out, in) 与 bias (out,) 的 out 应相等，"
            f"收到 weight {weight.shape}、bias {bias.shape}"
        )
    y = row_product(input, weight.T)
    y += bias
    return y, (input, weight)


def linear_backward(
    dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray], *, need_dinput: bool = True
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """dx = dy W，dW = dyᵀ x，db = dy 对样本求和。

    dy (m, out)；返回 dinput (m, in)、dweight (out, in)、dbias (out,)。
    第一层的输入是数据，不需要梯度：``need_dinput=False`` 时不算 dinput，以 None 代替。

    书中：eq-dw2（dW、db）、eq-da（dx）
    """
    input, weight = cache
    check_upstream(dy, (input.shape[0], weight.shape[0]), input.dtype)
    dinput = row_product(dy, weight) if need_dinput else None
    dweight = transposed_product(dy, input)
    dbias = column_sum(dy)
    return dinput, dweight, dbias
