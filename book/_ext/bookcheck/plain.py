r"""公式的 LaTeX 写成一行普通文字，给搜索用：``\frac{\partial L}{\partial w_i}`` → ``∂L/∂wᵢ``。

只求读得懂、搜得到，不求排得像。没见过的命令照原样去掉反斜杠，不会出错；
书里用到的都认得，由 ``tests/site/test_search.py`` 看着。
"""

from __future__ import annotations

import re
import unicodedata

SYMBOLS = {
    "partial": "∂", "nabla": "∇", "sum": "∑", "prod": "∏", "int": "∫", "infty": "∞",
    "times": "×", "cdot": "·", "odot": "⊙", "oslash": "⊘", "ast": "∗", "bigcirc": "○",
    "bullet": "•", "pm": "±", "le": "≤", "ge": "≥", "ne": "≠", "approx": "≈", "sim": "∼", "in": "∈",
    "mid": "|", "to": "→", "rightarrow": "→", "longrightarrow": "→", "leftarrow": "←",
    "Rightarrow": "⇒", "Longrightarrow": "⇒", "Leftarrow": "⇐", "iff": "⇔", "top": "⊤",
    "ell": "ℓ", "dots": "…",
    "cdots": "…", "vdots": "⋮", "ddots": "⋱", "|": "‖", "lVert": "‖", "rVert": "‖", "lvert": "|",
    "rvert": "|", "langle": "⟨", "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "bmod": "mod",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "varphi": "φ",
    "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ",
    "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
# 前后留空才读得清的。
RELATIONS = set("=<>≤≥≠≈∼∈→←⇒⇐⇔|×")
ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "overline": "\u0304",
    "tilde": "\u0303", "widetilde": "\u0303", "dot": "\u0307", "vec": "\u20d7",
    "underline": "\u0332",
}  # fmt: skip
BLACKBOARD = {"R": "ℝ", "N": "ℕ", "Z": "ℤ"}
FONTS = {"mathbf", "boldsymbol", "mathcal", "mathrm", "text", "operatorname", "boxed", "substack"}
IGNORED = {
    "left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle",
    "limits", "!", "end", "begin",
}  # fmt: skip
SPACES = {",", ";", ":", " ", "quad", "qquad"}
RAISED = dict(zip("0123456789+-=()niT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵀ", strict=True)) | {"⊤": "ᵀ", "−": "⁻"}
LOWERED = dict(
    zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True)
)
_TOKEN = re.compile(
    r"\\begin\{(?P<open>\w+)\*?\}(?:\{[lcr|]*\})?|\\end\{(?P<close>\w+)\*?\}"
    r"|\\\\(?:\[[^\]]*\])?|\\[A-Za-z]+|\\.|\s+|.",
    re.S,
)
_COMPOUND = re.compile(r"[\s+\-−=/·×±,]|.[(（]")  # 放进分数、上下标里要加括号的
_TIDY = [
    (r"\s+", " "),
    (r"； (?=[=≤≥≈+·])", " "),  # 续行
    (r"(?<=[([√−]) | (?=[)\],.，。；])", ""),
    (r"(?<=[a-z]) (?=[({])", ""),  # log (x)
]


def plain_math(latex: str) -> str:
    """一段公式的文字。"""
    text = _Reader(latex).read()
    for pattern, new in _TIDY:
        text = re.sub(pattern, new, text)
    return unicodedata.normalize("NFC", text.strip())


class _Reader:
    """从左到右读一遍；每读一项，返回它的文字。"""

    def __init__(self, latex: str) -> None:
        self.tokens = [(m[0], m["open"], m["close"]) for m in _TOKEN.finditer(latex)]
        self.at = 0
        self.literal = False  # 在 \text 里

    def read(self, stop: str = "") -> str:
        """读到 ``stop``（一个记号，或环境的名字）为止。"""
        parts: list[str] = []
        while self.at < len(self.tokens):
            token, _, closed = self.tokens[self.at]
            if stop and stop in (token, closed):
                self.at += 1
                break
            if token in "^_":
                self.at += 1
                base = parts.pop().rstrip() if parts else ""
                parts.append(self._script(base, token))
            else:
                parts.append(self._item())
        return "".join(parts)

    def _item(self) -> str:
        token, opened, _ = self.tokens[self.at]
        self.at += 1
        if opened:
            return self._environment(opened)
        if token.isspace():
            return " " if self.literal else ""
        if token == "{":
            return self.read("}")
        if token.startswith(r"\\"):
            return "； "
        if token.startswith("\\"):
            return self._command(token[1:])
        if token == "&":
            return " "
        if token == "-" and not self.literal:
            return "−"
        return f" {token} " if token in RELATIONS else token

    def _command(self, name: str) -> str:
        if name in SPACES:
            return " "
        if name in IGNORED:
            return ""
        if name in FONTS:
            return self._text() if name == "text" else self._argument()
        if name == "mathbb":
            letter = self._argument()
            return BLACKBOARD.get(letter, letter)
        if name in ACCENTS:
            return "".join(c + ACCENTS[name] for c in self._argument())
        if name in ("frac", "tfrac", "dfrac"):
            return f"{_grouped(self._argument())}/{_grouped(self._argument())} "
        if name == "binom":
            return f"C({self._argument()}, {self._argument()})"
        if name == "sqrt":
            return "√" + _grouped(self._argument())
        if name in ("underbrace", "overbrace"):
            return self._argument() + self._note()
        if name == "underset":
            below = self._argument()
            return f"{self._argument()}（{below}）"
        symbol = SYMBOLS.get(name)
        if symbol is None:  # log、max 一类的函数名，以及转义的 \{ \#
            return f" {name} " if name.isalpha() else name
        return f" {symbol} " if symbol in RELATIONS else symbol

    def _argument(self) -> str:
        """下一个花括号里的，没有花括号就是下一个记号。"""
        self._skip_spaces()
        return self._item().strip() if self.at < len(self.tokens) else ""

    def _text(self) -> str:
        r"""``\text{…}``：里面的空格要留着。"""
        self._skip_spaces()
        self.literal = True
        text = self._item()
        self.literal = False
        return text.replace("$", "")

    def _skip_spaces(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at][0].isspace():
            self.at += 1

    def _note(self) -> str:
        """花括号下面的说明。"""
        self._skip_spaces()
        if self.at < len(self.tokens) and self.tokens[self.at][0] in "^_":
            self.at += 1
            return f"（{self._argument()}）"
        return ""

    def _script(self, base: str, mark: str) -> str:
        text = self._argument()
        table = RAISED if mark == "^" else LOWERED
        compact = text.replace(" ", "")
        if compact and all(c in table for c in compact):
            text = "".join(table[c] for c in compact)
        elif compact not in ("*", "∗", "'"):
            text = mark + _grouped(text)
        return base + text + (" " if base.startswith(("∑", "∏", "∫")) else "")

    def _environment(self, name: str) -> str:
        inside = self.read(name).strip()
        if "matrix" in name:
            return f"[{inside}]"
        return f"{{ {inside} }}" if name == "cases" else inside


def _grouped(text: str) -> str:
    return f"({text})" if _COMPOUND.search(text) else text
