# 只做转发：真正的工作在 Sphinx 扩展 book/_ext/bookcheck 与 tests/ 里。
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := book/_ext
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
# CH=02 只看文件名以 02 开头的章。
CH ?=

.PHONY: html test check bless record serve clean env

html: _build/html/.complete
	@echo "完成：用浏览器打开 _build/html/index.html"

# 书、代码、核对函数、训练成果都不比上次成功的构建新（目录的时间管增删），就什么也不用做。
SOURCES := conf.py $(shell find book dlbook tests/equations tests/exercises $(wildcard _build/artifacts) -not -path '*__pycache__*')
_build/html/.complete: $(VENV)/ready $(SOURCES)
	$(BIN)/python -m sphinx -q -b html -c . book _build/html
	@touch $@

test: html
	$(BIN)/python -m pytest

check bless: $(VENV)/ready
	$(BIN)/python -m bookcheck $@ $(CH)

# 真正执行一章里录制的代码格：make record CH=04 NAME=cnn-best
record: $(VENV)/ready
	$(BIN)/python -m bookcheck record $(CH) $(NAME)

serve: html
	$(BIN)/python -m http.server -d _build/html 8000

clean:
	rm -rf _build

env: $(VENV)/ready

# 依赖清单变了就补装；中途失败不会留下 ready，下次从头再来。
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and '需要 Python 3.11 或更新的版本，现在是 ' + sys.version.split()[0])"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book,test]'
	touch $@
