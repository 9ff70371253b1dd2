"""一次一行、一个词元时的 GPT：每个线性层只是矩阵乘向量，用 NumPy 直接写。

与 :mod:`dlbook.models.gpt` 的前向是同一串公式，只是没有批、没有时间这两维，也不经过引擎的
张量与计算图。一个小模型写一个字，时间多半花在引擎的手续上；省去它们，就只剩读一遍权重。

书中：sec-generation-stepwise
"""

import math
from typing import Any, NamedTuple

import numpy as np

from dlbook.backprop import gelu, softmax


class _Memory:
    """读过的词元的 k、v：各 (layers, heads, context, 每头的宽度)，前 length 个位置有内容。"""

    def __init__(self, layers: int, heads: int, context: int, head_width: int) -> None:
        # 一次备好整个上下文的地方，每步只写一格，不像 cat 那样每步把旧的都抄一遍。
        self.k = np.empty((layers, heads, context, head_width), dtype=np.float32)
        self.v = np.empty_like(self.k)
        self.length = 0


class _Affine(NamedTuple):
    """一对权重与偏置（可以没有），用在线性层与归一化里。

    不用 backprop 的 linear、layer_norm：它们为成批的行而写，一个向量时多半的时间花在检查形状上。
    """

    weight: np.ndarray
    bias: np.ndarray | None

    def linear(self, x: np.ndarray) -> np.ndarray:
        """Wx + b：(out, in) 乘 (in,)。"""
        y = self.weight @ x
        return y if self.bias is None else y + self.bias

    def norm(self, x: np.ndarray) -> np.ndarray:
        """层归一化，(width,)。"""
        centered = x - x.sum() / len(x)
        y = centered / math.sqrt(centered @ centered / len(x) + 1e-5) * self.weight
        return y if self.bias is None else y + self.bias


class Stepwise:
    """把 GPT 换成逐词元的写法，交给 :func:`~dlbook.models.generate.stream` 等函数，快几倍。

    model 在哪个引擎上都行，在 CPU 上、float32 时权重与它共用内存。一次只能写一行；训练、
    一次写许多首、在 GPU 上，仍用原来的模型。model 的参数与 GPT 的不同（如加了 LoRA），
    抛出 ValueError。

    书中：sec-generation-stepwise
    """

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config
        state = {n: p.detach().float().cpu().numpy() for n, p in model.state_dict().items()}

        def take(name: str) -> _Affine:
            if f"{name}.weight" not in state:
                raise ValueError(f"模型里没有 {name}.weight，不是 dlbook.models.gpt 的 GPT")
            return _Affine(state.pop(f"{name}.weight"), state.pop(f"{name}.bias", None))

        self._token, self._position = take("token").weight, take("position").weight
        parts = ("norm1", "attention.qkv", "attention.out", "norm2", "up", "down")
        self._blocks = [
            [take(f"blocks.{i}.{part}") for part in parts] for i in range(self.config.layers)
        ]
        self._norm, self._head = take("norm"), take("head")
        if state:
            raise ValueError(f"模型比 dlbook.models.gpt 的 GPT 多出了参数：{'、'.join(state)}")

    @property
    def training(self) -> bool:
        """与 model 的相同；逐词元的写法里没有 dropout，算出来的总是评估状态的结果。"""
        return self.model.training

    def train(self, mode: bool = True) -> "Stepwise":
        """转给 model。"""
        self.model.train(mode)
        return self

    def eval(self) -> "Stepwise":
        """转给 model。"""
        return self.train(False)

    def last_logits(self, ids: np.ndarray, cache: list | None = None) -> np.ndarray:
        """ids (1, T) → 最后一个位置的分数 (1, vocab_size)，float32。

        cache 是空表时记下读过的；已有内容时，ids 接在它们后面。超出 context、不止一行，
        抛出 ValueError。
        """
        if len(ids) != 1:
            raise ValueError(f"Stepwise 一次只写一行，收到 {len(ids)} 行；多行请用原来的模型")
        config = self.config
        cache = [] if cache is None else cache
        if not cache:
            head_width = config.width // config.heads
            cache.append(_Memory(config.layers, config.heads, config.context, head_width))
        memory = cache[0]
        if memory.length + ids.shape[1] > config.context:
            raise ValueError(
                f"至多 {config.context} 个词元；已读 {memory.length} 个，又给了 {ids.shape[1]} 个"
            )
        for token in ids[0]:
            x = self._read(token, memory)
        return self._head.linear(self._norm.norm(x))[None]

    def _read(self, token: int, memory: _Memory) -> np.ndarray:
        """读一个词元，记下它的 k、v，返回它在最后一块之后的向量 (width,)。"""
        t = memory.length
        x = self._token[token] + self._position[t]
        for (norm1, qkv, out, norm2, up, down), k, v in zip(
            self._blocks, memory.k, memory.v, strict=True
        ):
            heads, _, head_width = k.shape
            q, k[:, t], v[:, t] = qkv.linear(norm1.norm(x)).reshape(3, heads, head_width)
            scores = (k[:, : t + 1] @ q[:, :, None])[:, :, 0] / math.sqrt(head_width)
            weights, _ = softmax(scores)  # (heads, t + 1)
            x = x + out.linear((weights[:, None] @ v[:, : t + 1]).reshape(-1))
            x = x + down.linear(gelu(up.linear(norm2.norm(x)), self.config.gelu)[0])
        memory.length = t + 1
        return x
