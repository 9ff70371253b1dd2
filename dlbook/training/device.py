"""选设备、搬数据：同一段训练代码在 CPU、一块 GPU、多块 GPU 上都能跑。

书中：sec-devices
"""

import os
from typing import Any

import torch


def pick_device(name: str = "auto") -> torch.device:
    """把 name 变成一个真的可用的设备，不可用时抛出 ValueError。

    name 可以是 ``"auto"``（有 GPU 用 GPU，否则用 CPU）、``"cpu"``、``"cuda"``、``"cuda:1"``、
    ``"mps"``。由 torchrun 启动的进程里，``"auto"`` 与不带编号的 ``"cuda"`` 给每个进程
    分一块 GPU：第 LOCAL_RANK 块。

    书中：sec-devices
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"不认识的设备 {name!r}；应是 auto、cpu、cuda、cuda:编号 或 mps"
        ) from error
    if device.type == "cuda":
        return _pick_cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("这台机器上没有可用的 mps 设备（只有苹果芯片的 Mac 才有）")
    return device


def _pick_cuda(device: torch.device) -> torch.device:
    if not torch.cuda.is_available():
        built = "这个 PyTorch 编译时没有带 CUDA" if torch.version.cuda is None else "没有找到 GPU"
        raise ValueError(f"设备 {str(device)!r} 不可用：{built}；可以改用 cpu 或 auto")
    index = int(os.environ.get("LOCAL_RANK", 0)) if device.index is None else device.index
    count = torch.cuda.device_count()
    if index >= count:
        raise ValueError(f"没有第 {index} 块 GPU：这台机器有 {count} 块，编号从 0 数起")
    return torch.device("cuda", index)


def move(batch: Any, device: torch.device | str) -> Any:
    """把一批数据里的张量都搬到 device；元组、具名元组、列表、字典的结构保持不变。

    不是张量的东西原样返回；张量已经在那里时不复制。

    书中：sec-devices
    """
    if isinstance(batch, torch.Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=True)
    if isinstance(batch, list | tuple):
        moved = [move(value, device) for value in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else type(batch)(moved)
    if isinstance(batch, dict):
        return {key: move(value, device) for key, value in batch.items()}
    return batch


def supports_bfloat16(device: torch.device | str) -> bool:
    """device 有没有 bfloat16 的矩阵乘法电路；没有的话，用 bfloat16 只会更慢。

    书中：sec-devices
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
