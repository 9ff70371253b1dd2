"""登记过的每一个错误解法都被检查函数拒绝。构建时运行的正是这一段；这里让 pytest 也看见。"""

from pathlib import Path

import pytest
from bookcheck.equations import run_file

FILES = sorted(Path(__file__).parent.glob("test_ch*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mutant_is_rejected(path):
    mutants = [record for record in run_file(path) if record["kind"] == "mutant"]
    assert mutants, "没有登记错误解法"
    missed = {record["by"]: record["error"] for record in mutants if not record["passed"]}
    assert not missed
