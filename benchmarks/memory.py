"""走一百万步训练，看内存涨不涨：图用完即拆，走多少步都应当一样。

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/memory.py [步数]

网络很小（一步约 0.1 毫秒，一百万步约两分钟），所以每步哪怕只漏一个 Python 对象（约 50 字节），
一百万步也要多出 50 MiB，一望便知。报告走到一成、五成、全程时的常驻内存（RSS，只在 Linux 上有）；
后九成的增长超过 LIMIT 就以 1 退出。
"""

import sys
import time

import numpy as np
from engine import resident

import dlbook
from dlbook import nn, optim

LIMIT = 1.0  # MiB


def main() -> int:
    """走完全程，打印三处的常驻内存；返回退出码。"""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    x = dlbook.from_numpy(rng.random((8, 4), dtype=np.float32))
    y = dlbook.from_numpy(rng.integers(0, 3, 8))
    dlbook.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    loss_function = nn.CrossEntropyLoss()
    memory, start = {}, time.process_time()
    for i in range(1, steps + 1):
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        if i in (steps // 10, steps // 2, steps):
            memory[i] = resident("VmRSS")
            print(f"{i:>9} 步：RSS {memory[i]:.2f} MiB，损失 {loss.item():.6f}", flush=True)
    first, *_, last = memory.values()
    seconds = time.process_time() - start
    print(f"后九成增长 {last - first:.2f} MiB（限 {LIMIT:g}）；处理器时间 {seconds:.0f} 秒")
    return int(last - first > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
