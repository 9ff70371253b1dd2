"""一本只有两章的小书，供测试种下各种错误。"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bookcheck.bless import bless
from bookcheck.checks import check_book

REPO = Path(__file__).parents[2]
HEADER = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---
"""
FIRST = (
    HEADER
    + """
(chap-one)=
# 第一章

```{code-cell} python
from toy.double import double
W = double(1.5)
print("W =", W, "共", 3, "个")
```
```{expect}
:rtol: 1e-9
W = 3.0 共 3 个
```

此处的数是 {eval}`W:.3f`，约为 {eval}`W * 2; 5.9..6.1`。

```{code-cell} python
---
mystnb:
  figure:
    name: fig-line
    caption: 一条线
  image:
    alt: 一条上升的直线
---
import dlbook.plot
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
y = [0.5 * k * k for k in range(40)]
ax.plot(y)
ax.set_title("标题");
```

```{math}
:label: eq-square
(a - b)^2 = a^2 - 2ab + b^2
```
"""
)
SECOND = (
    HEADER
    + """
(chap-two)=
# 第二章

```{code-cell} python
from toy.triple import triple
print(triple(2))
```
```{expect}
6
```

```{code-cell} python
:tags: [must-raise]
int("五")
```
```{expect}
ValueError: invalid literal for int() with base 10: '五'
```
"""
)
CHECKS = """
from bookcheck.equations import verifies

@verifies("eq-square", by="取几组数代入")
def test_square():
    for a, b in [(1.0, 2.0), (3.0, -1.5)]:
        assert (a - b) ** 2 == a**2 - 2 * a * b + b**2
"""
CONF = """
project = "小书"
language = "zh_CN"
extensions = ["bookcheck.directives"]
html_theme = "basic"
suppress_warnings = ["config.cache"]
"""


class MiniBook:
    """小书的根目录，以及在上面执行、构建的办法。"""

    HEADER = HEADER

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("book/01_one.md", FIRST)
        self.write("book/02_two.md", SECOND)
        self.write("tests/equations/test_ch01.py", CHECKS)
        self.write("toy/__init__.py", "")
        self.write("toy/double.py", "def double(x):\n    return 2 * x\n")
        self.write("toy/triple.py", "def triple(x):\n    return 3 * x\n")

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, text: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """把文件里唯一一处 ``old`` 换成 ``new``；找不到就是测试自己写错了。"""
        text = self.path(name).read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old, text.count(old))
        self.path(name).write_text(text.replace(old, new), encoding="utf-8")

    def check(self, **options):
        return check_book(self.root, **options)

    def bless(self):
        return bless(self.check())

    def problems(self) -> str:
        report = self.check()
        return "\n".join(problem.render(self.root) for problem in report.problems)

    def sphinx(self) -> subprocess.CompletedProcess:
        """在另一个进程里构建网页，与 ``make html`` 的命令相同。"""
        self.write("conf.py", CONF)
        if not self.path("book/index.md").exists():
            self.write(
                "book/index.md", "# 首页\n\n```{toctree}\n01_one\n02_two\nchecks\nerrata\n```\n"
            )
            self.write("book/checks.md", "# 核对总表\n\n```{checks-table}\n```\n")
            self.write("book/errata.md", "# 勘误\n\n```{errata-list}\n```\n")
        command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", ".", "book"]
        home = {"PATH": "/usr/bin:/bin", "HOME": str(self.root)}
        environment = home | {"PYTHONPATH": str(REPO / "book/_ext")}
        return subprocess.run(
            [*command, "_build/html"],
            cwd=self.root,
            capture_output=True,
            text=True,
            env=environment,
        )


@pytest.fixture(scope="session")
def green_book(tmp_path_factory):
    """已核对、全部通过的小书；测试各自拿一份副本，不必重新执行。"""
    book = MiniBook(tmp_path_factory.mktemp("green"))
    (book.root / "dlbook").symlink_to(REPO / "dlbook")
    assert book.bless() == []
    assert book.check().problems == []
    return book


@pytest.fixture
def book(green_book, tmp_path):
    shutil.copytree(green_book.root, tmp_path / "book", symlinks=True)
    copy = MiniBook.__new__(MiniBook)
    copy.root = tmp_path / "book"
    return copy
