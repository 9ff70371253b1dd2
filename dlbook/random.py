"""随机数：全书引擎共用的一个发生器，``manual_seed`` 之后一切可以重复。

发生器是 NumPy 的 PCG64；同样的种子抽到的数与 PyTorch 不同，分布相同。

书中：sec-bp-dropout
"""

from typing import Any

import numpy as np


class Generator:
    """随机数发生器；numpy 是它里面的 ``np.random.Generator``。

    书中：sec-bp-dropout
    """

    def __init__(self, device: str = "cpu") -> None:
        self.manual_seed(0)

    def manual_seed(self, seed: int) -> "Generator":
        """从种子重新开始，返回自己。

        书中：sec-bp-dropout
        """
        self.seed = int(seed)
        self.numpy = np.random.Generator(np.random.PCG64(self.seed % 2**64))
        return self

    def initial_seed(self) -> int:
        """最近一次设的种子。

        书中：sec-bp-dropout
        """
        return self.seed

    def get_state(self) -> Any:
        """此刻的状态，uint8 张量；存进检查点，以后用 :meth:`set_state` 接着抽。

        书中：sec-bp-dropout
        """
        from dlbook.autograd.tensor import Tensor

        state = self.numpy.bit_generator.state
        numbers = [state["state"]["state"], state["state"]["inc"], self.seed % 2**64]
        numbers += [state["has_uint32"], state["uinteger"]]
        packed = b"".join(int(n).to_bytes(16, "little") for n in numbers)
        return Tensor(np.frombuffer(packed, np.uint8).copy())

    def set_state(self, new_state: Any) -> None:
        """恢复 :meth:`get_state` 给出的状态。

        书中：sec-bp-dropout
        """
        packed = new_state.array.tobytes()
        if len(packed) != 80:
            raise RuntimeError(f"随机数的状态应是 80 个字节，收到 {len(packed)} 个")
        n = [int.from_bytes(packed[i : i + 16], "little") for i in range(0, 80, 16)]
        self.seed = n[2]
        self.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": n[0], "inc": n[1]},
            "has_uint32": n[3],
            "uinteger": n[4],
        }


default_generator = Generator()


def source(generator: Generator | None = None) -> np.random.Generator:
    """抽数用的 NumPy 发生器：给了 generator 用它的，否则用全局的。

    书中：sec-bp-dropout
    """
    return (generator or default_generator).numpy


def manual_seed(seed: int) -> Generator:
    """设全局的种子，返回全局的发生器。

    书中：sec-bp-dropout
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """全局发生器最近一次设的种子。

    书中：sec-bp-dropout
    """
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """全局发生器的状态，uint8 张量。

    书中：sec-bp-dropout
    """
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """恢复全局发生器的状态。

    书中：sec-bp-dropout
    """
    default_generator.set_state(new_state)
