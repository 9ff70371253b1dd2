// 页面上的小事：能横向滚动的框可以用键盘滚动；打印时换浅色、展开折叠；折叠按钮的中文名字。
"use strict";

(() => {
  // 可能横向滚动的框，及读屏软件念出的名字。
  const BOXES = [
    ["mjx-container[display='true']", "公式"],
    ["mjx-container.wide-inline", "公式"],
    [".figure-box", "图"],
    ["pre", "代码"],
    [".cell_output > .output", "输出"],
    [".pst-scrollable-table-container", "表格"],
    [".scroll-box", "表格"],
    [".player-scroll", "计算图"],
  ];

  // 内容比框宽时，框要能用 Tab 走到（WCAG 2.1.1）；不溢出时不占 Tab 的位置。
  function updateBoxes() {
    updateInlineMath();
    for (const [selector, name] of BOXES) {
      for (const box of document.querySelectorAll(`.bd-article ${selector}`)) {
        const wide = box.scrollWidth > box.clientWidth;
        if (wide === box.hasAttribute("data-wide")) continue;
        box.toggleAttribute("data-wide", wide);
        if (wide) {
          box.tabIndex = 0;
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", `${name}（可左右滚动）`);
        } else {
          for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
        }
      }
    }
  }

  // 比正文还宽的行内公式独占一行，见 book.css 的 .wide-inline。表格自己能滚动，格子里的不动：
  // 格子的宽窄本来就由公式撑开，框住它反而会裁掉。
  function updateInlineMath() {
    for (const box of document.querySelectorAll(".bd-article span.math > mjx-container")) {
      const line = box.closest("p, li, td, th, dd, figcaption, h1, h2, h3, h4");
      const formula = box.querySelector("svg");
      if (!line || !formula || box.closest("td, th")) continue;
      const wide = formula.getBoundingClientRect().width > line.clientWidth;
      box.classList.toggle("wide-inline", wide);
    }
  }

  // 打印用浅色；折叠的解答、提示、代码一并展开。打印完恢复原样。
  function preparePrint() {
    const root = document.documentElement;
    const theme = root.dataset.theme;
    const opened = [...document.querySelectorAll("details:not([open])")];
    const hidden = [...document.querySelectorAll(".toggle-hidden")];
    root.dataset.theme = "light";
    opened.forEach((box) => (box.open = true));
    hidden.forEach((box) => box.classList.remove("toggle-hidden"));
    window.addEventListener(
      "afterprint",
      () => {
        root.dataset.theme = theme;
        opened.forEach((box) => (box.open = false));
        hidden.forEach((box) => box.classList.add("toggle-hidden"));
      },
      { once: true },
    );
  }

  // sphinx-togglebutton 的按钮只有英文的名字。
  function nameToggles() {
    for (const button of document.querySelectorAll(".toggle-button")) {
      button.setAttribute("aria-label", "展开或收起");
    }
  }

  window.addEventListener("beforeprint", preparePrint);
  window.addEventListener("load", () => {
    nameToggles();
    updateBoxes();
    window.MathJax?.startup?.promise?.then(updateBoxes);
    new ResizeObserver(updateBoxes).observe(document.body);
  });
})();
