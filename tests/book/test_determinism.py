"""两次冷构建给出同样的网页：除声明为“不定”的部分外逐字相同。"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

REPO = Path(__file__).parents[2]


def stable(path: Path) -> str:
    """去掉声明为不定的部分：用时、以及 volatile 代码格的输出。"""
    soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    for node in soup.select(".volatile, .tag_volatile .cell_output"):
        node.decompose()
    # 样式与脚本地址后的校验码是给浏览器缓存用的，增量构建时 Sphinx 有时省略。
    return re.sub(r"\?v=[0-9a-f]{8}", "", str(soup))


def test_cold_build_in_another_place_gives_the_same_pages(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("book", "dlbook", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPO / name, copy / name, ignore=ignore)
    shutil.copy(REPO / "conf.py", copy)
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", ".", "book", "_build/html"]
    environment = dict(os.environ, PYTHONPATH=str(copy / "book/_ext"))
    for root in (REPO, copy):
        result = subprocess.run(
            command, cwd=root, capture_output=True, text=True, env=environment, check=False
        )
        assert result.returncode == 0, result.stderr
    pages = sorted(p.relative_to(REPO) for p in (REPO / "_build/html").glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        assert stable(REPO / page) == stable(copy / page), page

    def claims(root):
        checks = json.loads((root / "_build/checks.json").read_text(encoding="utf-8"))
        return [{k: v for k, v in c.items() if k != "seconds"} for c in checks["claims"]]

    assert [c for c in claims(REPO) if c["comparator"] != "volatile"] == [
        c for c in claims(copy) if c["comparator"] != "volatile"
    ]
