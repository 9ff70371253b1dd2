"""dropout 层：训练时随机丢掉一部分元素。

书中：sec-bp-dropout
"""

import dlbook.nn.functional as F
from dlbook._options import refuse
from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module


class Dropout(Module):
    """训练时每个元素以概率 p 变成 0，留下的除以 1 − p；评估时原样返回。

    形状不变。p 不在 [0, 1] 里抛出 ValueError；inplace=True 不支持，抛出 NotImplementedError。

    书中：sec-bp-dropout
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        refuse(inplace=inplace)
        if not 0 <= p <= 1:
            raise ValueError(f"p 是概率，应在 0 与 1 之间，收到 {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
