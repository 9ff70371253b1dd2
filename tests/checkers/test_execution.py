"""执行器：什么变了就重跑什么，并行可靠，结果可重复。"""

import asyncio
import json
import os
import py_compile

import pytest
from bookcheck.execute import Store, gather


def test_editing_a_function_reruns_exactly_its_chapters(book):
    book.edit("toy/triple.py", "3 * x", "4 * x")
    report = book.check()
    assert report.executed == ["02_two"]
    text = "\n".join(p.render(book.root) for p in report.problems)
    assert "期望：6" in text and "实得：8" in text, "过期的缓存会让这里悄悄变绿"


def test_transitive_import_counts(book):
    book.write("toy/inner.py", "FACTOR = 3\n")
    book.write(
        "toy/triple.py", "from toy.inner import FACTOR\n\ndef triple(x):\n    return FACTOR * x\n"
    )
    assert book.check().executed == ["02_two"]
    book.edit("toy/inner.py", "FACTOR = 3", "FACTOR = 5")
    report = book.check()
    assert report.executed == ["02_two"] and report.problems


def test_comment_or_prose_does_not_rerun(book):
    book.edit("toy/triple.py", "return 3", "# 三倍\n    return 3")
    book.edit("book/02_two.md", "# 第二章", "# 第二章\n\n一句新的话。")
    assert book.check().executed == []


def test_range_of_a_number_does_not_rerun_but_still_counts(book):
    book.edit("book/01_one.md", "5.9..6.1", "5.5..6.5")
    report = book.check()
    assert report.executed == [] and not report.problems
    book.edit("book/01_one.md", "5.5..6.5", "7..8")
    report = book.check()
    assert report.executed == [] and report.problems


def test_data_file_counts(book):
    book.write("toy/number.txt", "6")
    code = (
        "from pathlib import Path\nimport toy\n"
        "print(Path(toy.__file__).with_name('number.txt').read_text())"
    )
    book.edit("book/02_two.md", "print(triple(2))", code)
    assert book.check().problems == []
    book.write("toy/number.txt", "7")
    report = book.check()
    assert report.executed == ["02_two"] and report.problems


@pytest.mark.parametrize("compiled", [False, True])
def test_module_used_only_by_another_process_counts(book, compiled):
    """第 7 章另起进程训练：那里用到的模块，这一章的内核自己并不导入。"""
    run = "[sys.executable, '-c', 'from toy.triple import triple; print(triple(2))']"
    code = f"import subprocess, sys\nprint(subprocess.check_output({run}, text=True), end='')"
    book.edit("book/02_two.md", "from toy.triple import triple\nprint(triple(2))", code)
    if compiled:  # 新进程读的是 .pyc，没有读源文件
        py_compile.compile(str(book.path("toy/triple.py")), doraise=True)
    assert book.check().problems == []
    assert book.check().executed == []
    book.edit("toy/triple.py", "3 * x", "4 * x")
    report = book.check()
    assert report.executed == ["02_two"]
    assert "实得：8" in "\n".join(p.render(book.root) for p in report.problems)


def test_package_version_counts(book):
    path = book.path("_build/store/01_one.json")
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert saved["deps"]["dist:numpy"]
    saved["deps"]["dist:numpy"] = "0.0.1"
    path.write_text(json.dumps(saved), encoding="utf-8")
    assert book.check().executed == ["01_one"]


def test_check_file_result_depends_on_the_package(book):
    book.write("toy/square.py", "def square(a):\n    return a * a\n")
    book.write(
        "tests/equations/test_ch01.py",
        "from bookcheck.equations import verifies\nfrom toy.square import square\n"
        '@verifies("eq-square", by="试")\ndef test_square():\n    assert square(-3) == 9\n',
    )
    assert book.check().problems == []
    book.edit("toy/square.py", "a * a", "a * abs(a)")
    assert "未通过" in book.problems()


def test_failed_check_file_is_never_stored(book):
    """核对文件导入失败，修好的是它要导入的模块，不是它自己：也要重新运行。"""
    book.edit("tests/equations/test_ch01.py", "\nfrom", "\nfrom toy.square import square\nfrom")
    assert "核对文件不能运行" in book.problems()
    book.write("toy/square.py", "def square(a):\n    return a * a\n")
    assert book.problems() == ""


def test_damaged_store_is_ignored(book):
    book.path("_build/store/01_one.json").write_text('{"key": ', encoding="utf-8")
    report = book.check()
    assert report.executed == ["01_one"] and report.problems == []


def test_damaged_memo_is_ignored(book):
    book.check()
    memos = sorted(book.path("_build/memo").iterdir())
    assert len(memos) > 2
    for index, memo in enumerate(memos):
        memo.write_bytes([b"", b"half a fil", memo.read_bytes()[:-9]][index % 3])
    book.edit("book/01_one.md", "W = 3.0 共 3 个\n", "W = 3.5 共 3 个\n")
    assert "期望：W = 3.5 共 3 个" in book.problems()


def test_failed_chapter_is_never_stored(book):
    book.edit("toy/triple.py", "3 * x", "x / 0")
    assert "ZeroDivisionError" in book.problems()
    assert not book.path("_build/store/02_two.json").exists()
    book.edit("toy/triple.py", "x / 0", "3 * x")
    assert book.problems() == ""


def test_output_does_not_depend_on_when_it_arrives(book):
    code = "import time\nprint(2, flush=True)\ntime.sleep(0.5)\nprint(3)"
    book.edit("book/02_two.md", "print(triple(2))", code)
    outputs = book.check().runs["02_two"].outputs[0]
    assert [output["text"] for output in outputs] == ["2\n3\n"]


def test_two_cold_runs_agree(book):
    # 集合的次序随散列种子而变。
    book.edit("book/02_two.md", "print(triple(2))", "print(set('甲乙丙丁戊己庚辛'))")
    digests = []
    for _ in range(2):
        for path in book.path("_build/store").glob("*.json"):
            path.unlink()
        digests.append({name: run.digest for name, run in book.check().runs.items()})
    assert digests[0] == digests[1]


def test_kernel_uses_one_thread_and_ignores_user_settings(book, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("from_startup = 1", encoding="utf-8")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    threads = "os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS']"
    code = f"import os\nprint({threads}, 'from_startup' in globals())"
    book.edit("book/02_two.md", "print(triple(2))", code)
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\n1 1 False")
    assert book.problems() == ""


@pytest.mark.skipif(os.name != "posix", reason="本地套接字只有 POSIX 系统才用")
def test_kernels_do_not_compete_for_ports(book):
    """抢端口很少发生，靠多跑几遍抓不住；直接看内核是不是用本地套接字通信。"""
    code = (
        "import json\nfrom ipykernel.connect import get_connection_info\n"
        "print(json.loads(get_connection_info())['transport'])"
    )
    book.edit("book/02_two.md", "print(triple(2))", code)
    book.edit("book/02_two.md", "{expect}\n6", "{expect}\nipc")
    assert book.problems() == ""


def test_many_chapters_start_together_reliably(book):
    """MyST-NB 的缓存模式配 ``sphinx -j`` 在这里会抢数据库、抢端口；连跑三遍冷启动都须全绿。"""
    for n in range(10, 22):
        text = f"# 第 {n} 章\n\n```{{code-cell}} python\nprint({n})\n```\n```{{expect}}\n{n}\n```\n"
        book.write(f"book/{n}_many.md", book.HEADER + text)
    for _ in range(3):
        for path in book.path("_build/store").glob("*_many.json"):
            path.unlink()
        report = book.check(workers=4)
        assert report.problems == [] and len(report.executed) == 12


def test_jobs_run_side_by_side_up_to_the_limit():
    running, peak = 0, 0

    async def job():
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.01)
        running -= 1

    asyncio.run(gather(dict.fromkeys("abcdefgh", job), workers=3))
    assert peak == 3


def test_a_job_starts_after_those_it_needs_without_taking_a_place():
    order = []

    async def job(name):
        await asyncio.sleep(0.01)
        order.append(name)
        return name.upper()

    jobs = {name: lambda name=name: job(name) for name in "abcd"}
    results = asyncio.run(gather(jobs, {"a": ["c"], "c": ["d"]}, workers=1))
    assert order == ["b", "d", "c", "a"] and results["a"] == "A"


@pytest.mark.parametrize(
    ("after", "message"),
    [({"a": ["z"]}, "没有这样的章：z"), ({"a": ["b"], "b": ["a"]}, "互相等待")],
)
def test_impossible_order_is_refused(after, message):
    with pytest.raises(ValueError, match=message):
        asyncio.run(gather({"a": None, "b": None}, after))


def _pass_on_an_artifact(book):
    """第一章写下成果，第二章取用；第二章的文件名排在前面也不要紧。"""
    use = "import os\nfrom pathlib import Path\npath = Path(os.environ['DLBOOK_ARTIFACTS']) / 'n'\n"
    make = "path.parent.mkdir(parents=True, exist_ok=True)\npath.write_text(str(2 * 3))\n"
    first = f"{use}{make}int(path.read_text());"
    cell = f"```{{code-cell}} python\n{first}\n```\n"
    book.write("book/03_maker.md", book.HEADER + f"# 第三章\n\n{cell}")
    book.edit("book/02_two.md", "file_format: mystnb", "file_format: mystnb\nafter: [03_maker]")
    book.edit("book/02_two.md", "print(triple(2))", f"{use}print(path.read_text())")


def test_artifact_passes_from_one_chapter_to_another(book):
    _pass_on_an_artifact(book)
    assert book.problems() == ""
    assert book.check().executed == []
    book.edit("book/03_maker.md", "2 * 3", "2 * 4")
    report = book.check()
    assert set(report.executed) == {"03_maker", "02_two"}
    assert "实得：8" in "\n".join(p.render(book.root) for p in report.problems)


def test_chapter_run_only_for_its_artifact_is_not_judged(book):
    _pass_on_an_artifact(book)
    equation = "```{math}\n:label: eq-other\na = a\n```\n"
    path = book.path("book/03_maker.md")
    path.write_text(path.read_text(encoding="utf-8") + equation, encoding="utf-8")
    assert book.check(only="02").problems == []
    assert "eq-other" in book.problems(), "整本核对时照样要报"


def test_lost_artifact_is_made_again(book):
    _pass_on_an_artifact(book)
    assert book.problems() == ""
    book.path("_build/artifacts/n").unlink()
    assert "03_maker" in book.check(only="02").executed
    assert book.problems() == ""


def test_interrupted_save_leaves_the_old_result(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.save("one", {"key": "k", "deps": {}, "value": 1})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bookcheck.execute.json.dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save("one", {"key": "k", "deps": {}, "value": 2})
    monkeypatch.undo()
    assert store.load("one", "k")["value"] == 1
