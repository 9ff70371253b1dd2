"""留住内存的旋钮：import dlbook 就拧上；没有这个旋钮的系统照常运行。"""

import platform
import subprocess
import sys

import pytest

from dlbook import memory

# 每一轮同时拿着二十块 2 MB 的数组，再全部放掉；数一数后十轮里，系统一共重新映射了多少页。
ROUNDS = """
import resource
import numpy as np

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def rounds(n):
    for _ in range(n):
        [np.ones(1 << 18) for _ in range(20)]

rounds(3)
before = page_faults()
rounds(10)
print(page_faults() - before)
"""


def faults(code: str) -> int:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="只有 glibc 有这两个旋钮")
def test_importing_dlbook_keeps_freed_memory():
    assert faults("import dlbook\n" + ROUNDS) < 0.01 * faults(ROUNDS)


def test_memory_hint_is_optional(monkeypatch):
    assert memory.keep_freed_memory() in (True, False)

    def no_library(name):
        raise OSError("没有 C 库")

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    assert memory.keep_freed_memory() is False
