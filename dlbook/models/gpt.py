"""GPT：读前面的词元，给下一个词元打分的语言模型。

同一份文件在两个引擎上运行：``define(torch)`` 与 ``define(dlbook)`` 各给出一个 GPT 类，
参数的名字、形状与算出来的损失都对得上。

书中：sec-lm-model
"""

import functools
import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Tensor = Any  # 引擎的张量：dlbook.Tensor 或 torch.Tensor
KeyValue = tuple[Tensor, Tensor]  # 一层已算好的 k、v，各 (N, heads, 已读的词元数, 每头的宽度)


@dataclass(frozen=True)
class GPTConfig:
    """模型的尺寸；width 不能被 heads 整除时抛出 ValueError。

    bias=False 时线性层与归一化都不带偏置；gelu="tanh" 是 GPT-2 用的近似。

    书中：sec-lm-model
    """

    vocab_size: int
    context: int = 65
    layers: int = 3
    heads: int = 5
    width: int = 160
    dropout: float = 0.0
    bias: bool = False
    gelu: str = "none"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width={self.width} 应能被 heads={self.heads} 整除")


@functools.cache
def define(lib: ModuleType) -> type:
    """在引擎 lib（dlbook 或 torch）上定义 GPT；同一个引擎总得到同一个类。

    书中：sec-lm-engines
    """
    nn, F = lib.nn, lib.nn.functional

    class Attention(nn.Module):
        """多头因果自注意力：每个位置只看自己与之前。(N, T, width) → 同形。"""

        def __init__(self, config: GPTConfig) -> None:
            super().__init__()
            self.heads, self.dropout = config.heads, config.dropout
            self.qkv = nn.Linear(config.width, 3 * config.width, bias=config.bias)
            self.out = nn.Linear(config.width, config.width, bias=config.bias)
            self.attend = F.scaled_dot_product_attention  # 可以换成同样用法的函数

        def forward(self, x: Tensor, past: KeyValue | None) -> tuple[Tensor, KeyValue]:
            N, T, C = x.shape
            parts = self.qkv(x).split(C, dim=2)
            q, k, v = (p.reshape(N, T, self.heads, -1).transpose(1, 2) for p in parts)
            if past is not None:
                k, v = lib.cat([past[0], k], dim=2), lib.cat([past[1], v], dim=2)
            p = self.dropout if self.training else 0.0
            y = self.attend(q, k, v, dropout_p=p, is_causal=T > 1)  # 只有一个词元时无可遮
            return self.out(y.transpose(1, 2).reshape(N, T, C)), (k, v)

    class Block(nn.Module):
        """一个块：残差流先加上注意力的结果，再加上前馈网络的结果；读之前各归一化一次。"""

        def __init__(self, config: GPTConfig) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(config.width, bias=config.bias)
            self.attention = Attention(config)
            self.norm2 = nn.LayerNorm(config.width, bias=config.bias)
            self.up = nn.Linear(config.width, 4 * config.width, bias=config.bias)
            self.gelu = nn.GELU(config.gelu)
            self.down = nn.Linear(4 * config.width, config.width, bias=config.bias)
            self.dropout = nn.Dropout(config.dropout)

        def forward(self, x: Tensor, past: KeyValue | None = None) -> tuple[Tensor, KeyValue]:
            attended, past = self.attention(self.norm1(x), past)
            x = x + self.dropout(attended)
            return x + self.dropout(self.down(self.gelu(self.up(self.norm2(x))))), past

    class GPT(nn.Module):
        """语言模型：编号 (N, T) → 每个位置上下一个词元的分数 (N, T, vocab_size)。"""

        engine = lib

        def __init__(self, config: GPTConfig) -> None:
            super().__init__()
            self.config = config
            self.token = nn.Embedding(config.vocab_size, config.width)
            self.position = nn.Embedding(config.context, config.width)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
            self.norm = nn.LayerNorm(config.width, bias=config.bias)
            self.head = nn.Linear(config.width, config.vocab_size, bias=False)
            self.head.weight = self.token.weight  # 读字与写字用同一张表
            for name, weight in self.named_parameters():
                if weight.ndim == 2:  # 每块往残差流里加两次，所以除以 √(2L)
                    residual = name.endswith(("out.weight", "down.weight"))
                    scale = math.sqrt(2 * config.layers) if residual else 1
                    nn.init.normal_(weight, std=0.02 / scale)
                elif name.endswith("bias"):
                    nn.init.zeros_(weight)

        def hidden(self, idx: Tensor, cache: list[KeyValue] | None = None) -> Tensor:
            """idx (N, T) → 最后归一化之后的向量 (N, T, width)；超出 context 抛出 ValueError。

            cache 是空表时，各层的 k、v 写进去；已有内容时，idx 是接着的一个词元 (N, 1)。
            """
            past = cache or [None] * len(self.blocks)
            start, T = (cache[0][0].shape[2] if cache else 0), idx.shape[1]
            if start + T > self.config.context or (start and T > 1):
                limit = f"至多 {self.config.context} 个词元，有缓存时一次一个"
                raise ValueError(f"{limit}；已读 {start} 个，又给了 {T} 个")
            positions = lib.arange(start, start + T, device=idx.device)
            x = self.dropout(self.token(idx) + self.position(positions))
            for i, block in enumerate(self.blocks):
                x, past[i] = block(x, past[i])
            if cache is not None:
                cache[:] = past
            return self.norm(x)

        def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple:
            """（分数，损失）：targets (N, T) 是各位置的下一个词元，没给时损失是 None。"""
            logits = self.head(self.hidden(idx))
            if targets is None:
                return logits, None
            V = self.config.vocab_size
            return logits, F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))

    return GPT
