"""损失的模块形式；公式、形状与取值范围见 :mod:`dlbook.nn.functional` 的同名函数。

书中：sec-bp-cross-entropy
"""

import dlbook.nn.functional as F
from dlbook.autograd.tensor import Tensor
from dlbook.nn.module import Module


class _Loss(Module):
    """reduction 是 "mean"、"sum" 或 "none"；torch 早已弃用的 size_average、reduce 不支持。"""

    def __init__(self, size_average: None, reduce: None, reduction: str) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            raise NotImplementedError("size_average、reduce 早已弃用，请用 reduction")
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """交叉熵：input 是各类的得分（未经 softmax）(m, C)，target 是类别 (m,) 或各类的概率 (m, C)。

    weight (C,) 是各类的权重；类别等于 ignore_index 的样本不计；label_smoothing 把标签的一部分
    均分给各类。

    书中：sec-bp-cross-entropy
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """负对数似然：input 是各类概率的对数 (m, C)，target 是类别 (m,)。

    书中：sec-bp-cross-entropy
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class MSELoss(_Loss):
    """差的平方，两个输入同形；缺省对全部元素取平均。

    书中：eq-mse
    """

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """差的绝对值，两个输入同形；缺省对全部元素取平均。

    书中：sec-bp-cross-entropy
    """

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class BCELoss(_Loss):
    """二元交叉熵：input 是概率，target 在 0 与 1 之间，两者同形。

    书中：sec-bp-cross-entropy
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """二元交叉熵，input 是未经 sigmoid 的得分，比先 sigmoid 再 :class:`BCELoss` 稳定。

    书中：sec-bp-cross-entropy
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )
