"""嵌入层。

书中：sec-bp-embedding
"""

import numpy as np
from numpy.typing import DTypeLike

import dlbook.nn.functional as F
from dlbook._options import parameter_dtype, refuse
from dlbook.autograd.tensor import Tensor
from dlbook.nn import init
from dlbook.nn.module import Module
from dlbook.nn.parameter import Parameter


class Embedding(Module):
    """嵌入：整数 i 取出表 weight 的第 i 行。

    形状：输入整数 (*)，输出 (*, embedding_dim)；weight (num_embeddings, embedding_dim)。
    初始值取自标准正态分布；padding_idx 那一行是零，也得不到梯度。

    max_norm、scale_grad_by_freq、sparse 不支持，抛出 NotImplementedError。

    书中：sec-bp-embedding
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        refuse(max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        dtype = parameter_dtype(device, dtype)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"padding_idx={padding_idx} 不在表的 {num_embeddings} 行之内")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        if _weight is None:
            self.weight = Parameter(np.empty(shape, dtype), not _freeze)
            self.reset_parameters()
        else:
            if _weight.shape != shape:
                raise ValueError(f"权重的形状应是 {shape}，收到 {_weight.shape}")
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> "Embedding":
        """用现成的表 embeddings（二维）建立，freeze=True 时不训练。"""
        if embeddings.ndim != 2:
            raise ValueError(f"embeddings 应是二维的，收到形状 {embeddings.shape}")
        rows, columns = embeddings.shape
        return cls(rows, columns, padding_idx, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self) -> None:
        """重新取初始值。"""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
