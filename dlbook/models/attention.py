"""注意力的朴素写法，以及只有一层注意力的最小语言模型。

朴素的几个函数只为看清每一步，用循环写成，真正的模型用批量的写法，两者的结果相同。

书中：sec-lm-attention
"""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from dlbook.models.position import rotate, sinusoidal


def attend(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """一个查询 (d,) 看 n 个键 (n, d)，取回值 (n, dv) 的加权和 (dv,)。

    书中：eq-lm-attend
    """
    scores = [sum(q * k for q, k in zip(query, key, strict=True)) for key in keys]
    scores = [score / math.sqrt(len(query)) for score in scores]
    powers = [math.exp(score - max(scores)) for score in scores]
    weights = [power / sum(powers) for power in powers]
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def causal_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """第 t 个位置只看前 t + 1 个位置。q、k (T, d)，v (T, dv)，返回 (T, dv)。

    书中：sec-lm-causal
    """
    return np.stack([attend(q[t], k[: t + 1], v[: t + 1]) for t in range(len(q))])


def multihead(
    x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray, w_out: np.ndarray, b_out: np.ndarray,
    heads: int,
) -> np.ndarray:  # fmt: skip
    """因果的多头注意力，逐个头、逐个位置算。x (T, E) → (T, E)。

    w_qkv (3E, E)、b_qkv (3E,) 自上而下是 q、k、v；w_out (E, E)、b_out (E,) 是拼起来之后的投影。

    书中：eq-lm-multihead
    """
    width = x.shape[1] // heads
    q, k, v = np.split(x @ w_qkv.T + b_qkv, 3, axis=1)
    outputs = []
    for head in range(heads):
        mine = slice(head * width, (head + 1) * width)
        outputs.append(causal_attention(q[:, mine], k[:, mine], v[:, mine]))
    return np.concatenate(outputs, axis=1) @ w_out.T + b_out


# ---- 最小的语言模型：嵌入、一层注意力、输出。同一份代码在两个引擎上运行。


def init(
    lib: ModuleType, vocab_size: int, context: int, width: int, rng: np.random.Generator
) -> dict[str, Any]:
    """最小语言模型的参数：“名字 → float32 张量”，都要求梯度。

    token (vocab_size, width) 既是嵌入表又是输出层；position (context, width)；
    qkv (3·width, width) 与 out (width, width) 是投影，qkv_bias (3·width,) 是前者的偏置。

    书中：sec-lm-leak
    """
    normal = {
        "token": ((vocab_size, width), 0.1),
        "position": ((context, width), 0.1),
        "qkv": ((3 * width, width), width**-0.5),
        "out": ((width, width), width**-0.5),
    }
    arrays = {name: rng.normal(0, scale, shape) for name, (shape, scale) in normal.items()}
    arrays["qkv_bias"] = np.zeros(3 * width)
    tensors = {name: lib.from_numpy(a.astype(np.float32)) for name, a in arrays.items()}
    return {name: tensor.requires_grad_() for name, tensor in tensors.items()}


def logits(
    lib: ModuleType,
    parameters: Mapping[str, Any],
    ids: Any,
    *,
    heads: int = 1,
    position: str = "learned",
    causal: bool = True,
) -> Any:
    """编号 (B, T) → 分数 (B, T, vocab_size)：嵌入，加一层注意力的改动，归一化，乘嵌入表。

    position 取 ``"none"``、``"learned"``、``"sinusoidal"``、``"rotary"``，别的抛出 ValueError。
    causal 为假时每个位置看得见全部位置，这是书中故意犯的错误。

    书中：sec-lm-leak
    """
    F = lib.nn.functional
    x = embed(lib, parameters, ids, position)
    q, k, v = project(lib, parameters, x, heads, position)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    y = y.transpose(1, 2).reshape(x.shape)  # 各头拼回一行
    x = x + F.linear(y, parameters["out"])
    return F.linear(F.layer_norm(x, x.shape[-1:]), parameters["token"])


def embed(lib: ModuleType, parameters: Mapping[str, Any], ids: Any, position: str) -> Any:
    """编号 (B, T) → 输入 (B, T, width)；position 的取法见 :func:`logits`。

    书中：sec-lm-position-compare
    """
    x = lib.nn.functional.embedding(ids, parameters["token"])
    if position == "learned":
        return x + parameters["position"][: x.shape[1]]
    if position == "sinusoidal":
        table = sinusoidal(np.arange(x.shape[1]), x.shape[2])
        return x + lib.from_numpy(table.astype(np.float32))
    if position not in ("none", "rotary"):
        raise ValueError(f"position 应是 none、learned、sinusoidal、rotary 之一，收到 {position!r}")
    return x


def project(
    lib: ModuleType, parameters: Mapping[str, Any], x: Any, heads: int, position: str = "learned"
) -> list[Any]:
    """x (B, T, width) → 查询、键、值，各 (B, heads, T, width / heads)。

    书中：sec-lm-maps
    """
    batch, length, width = x.shape
    qkv = lib.nn.functional.linear(x, parameters["qkv"], parameters["qkv_bias"])
    q, k, v = (
        part.reshape(batch, length, heads, width // heads).transpose(1, 2)
        for part in qkv.chunk(3, -1)
    )
    if position == "rotary":
        q, k = (rotate(lib, part, np.arange(length)) for part in (q, k))
    return [q, k, v]
