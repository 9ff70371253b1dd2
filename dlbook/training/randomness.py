"""训练用到的全部随机数源：一起设种子，一起存下来，一起恢复。

书中：sec-save-load
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """设 Python、NumPy、PyTorch（含全部 GPU）的种子。

    书中：sec-save-load
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def get_rng_state() -> dict[str, Any]:
    """三个库此刻的随机数状态，只由张量、数、字符串组成，可以存进检查点。

    书中：sec-save-load
    """
    version, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    key, pos = numpy_state["state"]["key"], numpy_state["state"]["pos"]
    return {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": numpy_state | {"state": {"key": torch.from_numpy(key.astype(int)), "pos": pos}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """恢复 :func:`get_rng_state` 给出的状态；这台机器没有的 GPU 跳过。

    书中：sec-save-load
    """
    python, numpy_state = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    key, pos = numpy_state["state"]["key"].numpy().astype(np.uint32), numpy_state["state"]["pos"]
    np.random.set_state(numpy_state | {"state": {"key": key, "pos": pos}})
    torch.set_rng_state(state["torch"])
    for index, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda_state, index)


@contextmanager
def preserved_rng() -> Iterator[None]:
    """with 里用掉的随机数不影响外面：评估、试写几句话，都不该改变训练。

    书中：sec-save-load
    """
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
