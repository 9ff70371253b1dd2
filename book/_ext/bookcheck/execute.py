"""执行章节：并行、可重复、只执行过期的。

每章一个 IPython 内核，同时最多开 CPU 核数那么多个，每个内核里的线性代数库只用一个线程。
结果连同“账”（见 :mod:`bookcheck.deps`）存进 ``_build/store/<章>.json``；
账上各项与代码格都没变，就直接用存下的结果。执行失败的章不存，所以红的构建会一直红到修好为止。
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from bookcheck import FIGURE_MIME, RESULT_MIME, deps
from bookcheck.opened import LOG
from bookcheck.source import Chapter

# 一格的时限只为拦住死循环：机器慢、机器忙都不该让书变红，所以放得很宽。
CELL_TIMEOUT = 3600
_HERE = Path(__file__).parent


@dataclass
class Run:
    """一章的执行结果。``outputs[i]`` 是第 i 个代码格的输出列表。"""

    outputs: list[list[dict]]
    seconds: list[float]
    numbers: dict[str, dict]
    deps: dict[str, str]
    key: str
    device: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    failed_cell: int = 0
    fresh: bool = field(default=False, compare=False)

    @property
    def digest(self) -> str:
        """输出内容的摘要（不含用时），用来判断网页要不要重新生成。"""
        content = json.dumps([self.outputs, self.numbers], sort_keys=True, ensure_ascii=False)
        return deps.digest(content)


def chapter_key(chapter: Chapter, root: Path) -> str:
    """一章的执行键：代码格、标签、哪些格不执行、正文里的数，加上执行器自身与 Python 版本。"""
    tools = [_HERE / f"{name}.py" for name in ("execute", "kernel", "fingerprint")]
    tools = [deps.digest_file(tool, root) for tool in tools]
    cells = [[c.source, c.must_raise, c.skipped] for c in chapter.cells]
    numbers = [[i, r.key] for i, c in enumerate(chapter.cells) for r in c.evals]
    final = [r.key for r in chapter.evals if r.final]
    return deps.digest(json.dumps([cells, numbers, final, tools, sys.version, os.name]))


def kernel_environment(root: Path, scratch: str) -> dict[str, str]:
    """内核的环境变量：单线程、固定散列种子、不读用户自己的 IPython 与 matplotlib 配置。"""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return (
        dict(os.environ)
        | dict.fromkeys(threads, "1")
        | {
            "PYTHONPATH": os.pathsep.join([str(root), str(_HERE.parent), str(_HERE / "child")]),
            LOG: str(Path(scratch) / "opened"),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "IPYTHONDIR": scratch,
            "MPLCONFIGDIR": str(root / "_build" / "matplotlib"),
            "DLBOOK_ARTIFACTS": str(root.joinpath(*deps.ARTIFACTS)),
            "SOURCE_DATE_EPOCH": "0",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }
    )


class Store:
    """``_build/store``：每章（每个核对文件）一份最近一次成功的结果。"""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "_build" / "store"

    def load(self, name: str, key: str) -> dict | None:
        """键与账都对得上才返回。"""
        path = self.folder / f"{name}.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return data if data["key"] == key and deps.is_fresh(data["deps"], self.root) else None

    def save(self, name: str, data: dict) -> None:
        deps.write_whole(self.folder / f"{name}.json", json.dumps(data, ensure_ascii=False))

    def discard(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink(missing_ok=True)


async def record_chapter(chapter: Chapter, root: Path, name: str) -> Run:
    """连同名为 ``name`` 的录制一起，真正执行这一章；不读也不写存下的结果。"""
    return await _execute(chapter, root, chapter_key(chapter, root), record=name)


async def run_chapter(chapter: Chapter, store: Store) -> Run:
    """取出存下的结果，或执行这一章。"""
    key = chapter_key(chapter, store.root)
    if saved := store.load(chapter.name, key):
        return Run(**saved)
    store.discard(chapter.name)
    run = await _execute(chapter, store.root, key)
    if not run.failure:
        fields = ("outputs", "seconds", "numbers", "deps", "key")
        store.save(chapter.name, {name: getattr(run, name) for name in fields})
    run.fresh = True
    return run


async def _execute(chapter: Chapter, root: Path, key: str, record: str = "") -> Run:
    notebook, owners = _runnable(chapter, root, record)
    # 内核经由本地套接字文件通信：并行启动时不会像 TCP 那样抢端口。
    with tempfile.TemporaryDirectory(prefix="book-") as scratch:
        manager = AsyncKernelManager(
            kernel_name="python3",
            connection_file=str(Path(scratch) / "kernel.json"),
            kernel_spec_manager=KernelSpecManager(
                kernel_dirs=[str(Path(sys.prefix) / "share" / "jupyter" / "kernels")]
            ),
        )
        if os.name == "posix":
            manager.transport = "ipc"
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=None if record else CELL_TIMEOUT,  # 录制的往往要跑很久
            startup_timeout=120,
            resources={"metadata": {"path": scratch}},
            record_timing=True,
        )
        failure = ""
        try:
            await client.async_execute(env=kernel_environment(root, scratch), cwd=scratch)
        except CellExecutionError as error:
            failure = f"代码格报错：{error.ename}: {error.evalue}"
        except CellTimeoutError:
            failure = f"代码格运行超过 {CELL_TIMEOUT} 秒"
        except DeadKernelError:
            failure = "内核中途退出（可能内存不足）"
        finally:
            # 内核是我们交给 nbclient 的，它不负责关。
            if manager.has_kernel:
                await manager.shutdown_kernel(now=True)
    return _collect(chapter, notebook, owners, key, failure)


def _runnable(chapter: Chapter, root: Path, record: str) -> tuple[nbformat.NotebookNode, list]:
    """要执行的笔记本：章里的代码格，其间插入求数、记账用的内部格。"""
    notebook = nbformat.v4.new_notebook()
    owners = []

    def add(source: str, owner: object, tags: list[str] | None = None) -> None:
        metadata = {"tags": tags or []}
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata=metadata))
        owners.append(owner)

    def add_numbers(roles: list) -> None:
        if roles:
            wanted = json.dumps({role.key: role.expression for role in roles})
            add(f"%bookcheck_eval {wanted}", "numbers")

    add("%load_ext bookcheck.kernel", None)
    for cell in chapter.cells:
        if cell.skipped and cell.recording != record:
            continue
        add(cell.source, cell.index, ["raises-exception"] if cell.must_raise else [])
        add_numbers(cell.evals)
    add_numbers([role for role in chapter.evals if role.final])
    add(f"%bookcheck_footprint {root}", "deps")
    add("%bookcheck_device", "device")
    return notebook, owners


def _collect(chapter: Chapter, notebook: object, owners: list, key: str, failure: str) -> Run:
    cells = len(chapter.cells)
    run = Run([[] for _ in range(cells)], [0.0] * cells, {}, {}, key, failure=failure)
    for cell, owner in zip(notebook.cells, owners, strict=True):
        outputs = _merge_streams([_plain(output) for output in cell.outputs])
        if isinstance(owner, int):
            run.outputs[owner] = outputs
            run.seconds[owner] = _duration(cell)
            if outputs or cell.execution_count:
                run.failed_cell = owner
        elif owner in ("numbers", "deps", "device"):
            for output in outputs:
                if found := output.get("data", {}).get(RESULT_MIME):
                    getattr(run, owner).update(found)
    return run


def _plain(output: dict) -> dict:
    """去掉每次都不同、又不显示给读者的字段。"""
    plain = json.loads(json.dumps(output))
    if plain["output_type"] == "execute_result":
        plain["execution_count"] = None
    if plain["output_type"] == "error":
        plain["traceback"] = [f"{plain['ename']}: {plain['evalue']}"]
    if plain.get("data", {}).get(FIGURE_MIME):
        plain["data"].pop("text/plain", None)
    return plain


def _merge_streams(outputs: list[dict]) -> list[dict]:
    """相邻的同名输出流并成一段：内核何时送出一块与时机有关，不应影响结果。"""
    merged: list[dict] = []
    for output in outputs:
        same = merged and output["output_type"] == merged[-1]["output_type"] == "stream"
        if same and output["name"] == merged[-1]["name"]:
            merged[-1]["text"] += output["text"]
        else:
            merged.append(output)
    return merged


def _duration(cell: object) -> float:
    times = cell.metadata.get("execution", {})
    start, stop = times.get("iopub.execute_input"), times.get("shell.execute_reply")
    if not (start and stop):
        return 0.0
    return (datetime.fromisoformat(stop) - datetime.fromisoformat(start)).total_seconds()


async def gather(
    jobs: dict[str, Callable[[], Awaitable]],
    after: dict[str, list[str]] | None = None,
    workers: int | None = None,
) -> dict[str, object]:
    """并行跑一组协程函数，同时最多 ``workers`` 个（默认 CPU 核数）。

    ``after[name]`` 列出 ``name`` 开始之前要先跑完的；名字不存在或互相等待抛出 ``ValueError``。
    """
    after = after or {}
    _check_order(jobs, after)
    gate = asyncio.Semaphore(workers or os.cpu_count() or 1)
    finished = {name: asyncio.Event() for name in jobs}

    async def guarded(name: str) -> object:
        for other in after.get(name, []):
            await finished[other].wait()
        async with gate:
            result = await jobs[name]()
        finished[name].set()
        return result

    results = await asyncio.gather(*(guarded(name) for name in jobs))
    return dict(zip(jobs, results, strict=True))


def _check_order(jobs: dict[str, object], after: dict[str, list[str]]) -> None:
    for name, others in after.items():
        if unknown := [other for other in others if other not in jobs]:
            raise ValueError(f"{name} 的 after 里没有这样的章：{'、'.join(unknown)}")
    try:
        list(TopologicalSorter(after).static_order())
    except CycleError as error:
        raise ValueError(f"after 互相等待：{' → '.join(error.args[1])}") from None
