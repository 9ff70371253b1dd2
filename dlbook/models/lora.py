"""LoRA：原来的权重冻住不动，只训练加在旁边的低秩改动。

同一份文件在两个引擎上运行；收下的模型由别处造好，哪个引擎造的都行。

书中：sec-growing-lora
"""

from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

LINEARS = ("qkv", "out", "up", "down")  # GPT 的块里四个线性层的名字


@cache
def define(lib: ModuleType) -> type:
    """在引擎 lib（dlbook 或 torch）上定义带低秩改动的线性层；同一个引擎总得到同一个类。

    书中：sec-growing-lora
    """
    nn, F = lib.nn, lib.nn.functional

    class LoRALinear(nn.Module):
        """y = x Wᵀ + s · x Aᵀ Bᵀ：W 冻住，只训练 A (rank, in) 与 B (out, rank)。"""

        def __init__(self, linear: Any, rank: int, alpha: float) -> None:
            super().__init__()
            size_out, size_in = linear.weight.shape
            self.linear, self.scale = linear, alpha / rank
            like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
            self.A = nn.Parameter(lib.randn(rank, size_in, **like) / size_in**0.5)
            self.B = nn.Parameter(lib.zeros(size_out, rank, **like))  # 零：开始时改动为零

        def forward(self, x: Any) -> Any:
            return self.linear(x) + self.scale * F.linear(F.linear(x, self.A), self.B)

        def merged(self) -> Any:
            """把改动并进权重，返回原来那个普通的线性层。"""
            with lib.no_grad():
                self.linear.weight += self.scale * self.B @ self.A
            return self.linear

    return LoRALinear


def attach(
    model: Any, rank: int, alpha: float | None = None, names: Sequence[str] = LINEARS
) -> list[Any]:
    """冻住 model 的全部参数，给名为 names 的线性层都加上低秩改动；返回要训练的参数。

    改动乘以 alpha / rank，不给 alpha 时取 rank（乘 1）。刚加上时模型的输出不变。
    rank 不是正整数、没有一层叫 names 里的名字、已经加过，都抛出 ValueError，模型不变。

    书中：sec-growing-lora
    """
    kind = define(model.engine)
    if rank < 1:
        raise ValueError(f"rank 应是正整数，收到 {rank}")
    if any(isinstance(module, kind) for module in model.modules()):
        raise ValueError("这个模型已经加过 LoRA；先用 merge 并进权重")
    places = [
        (parent, name)
        for parent in model.modules()
        for name in names
        if isinstance(getattr(parent, name, None), model.engine.nn.Linear)
    ]
    if not places:
        raise ValueError(f"模型里没有名为 {'、'.join(names)} 的线性层")
    model.requires_grad_(False)
    for parent, name in places:
        setattr(parent, name, kind(getattr(parent, name), rank, rank if alpha is None else alpha))
    return [weight for weight in model.parameters() if weight.requires_grad]


def merge(model: Any) -> None:
    """把所有低秩改动并进权重，模型恢复原来的结构，速度也与原来相同；参数重新可以训练。

    没有加过 LoRA 的模型不变。

    书中：sec-growing-lora
    """
    kind = define(model.engine)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, child.merged())
    model.requires_grad_(True)


def changes(model: Any) -> dict[str, Any]:
    """只有低秩改动的那部分 state_dict：存下它，就存下了一次微调。

    读回来用 ``model.load_state_dict(changes, strict=False)``，model 须已 :func:`attach`。

    书中：sec-growing-lora
    """
    return {
        name: value for name, value in model.state_dict().items() if name.endswith((".A", ".B"))
    }
