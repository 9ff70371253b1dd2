// 步进演示（dlbook.plot.player）：按步显示计算图，先前向后反向。
// 没有脚本时显示终态与全部步骤的文字；有脚本时加上按钮与滑杆，文字只显示当前一步。
"use strict";

(() => {
  const INTERVAL = 1200; // 自动播放每步的毫秒数

  function button(label, action) {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = label;
    element.addEventListener("click", action);
    return element;
  }

  function start(player) {
    const last = Number(player.dataset.steps) - 1;
    const items = [...player.querySelectorAll("ol > li")];
    const parts = [...player.querySelectorAll("[data-from]")];
    const nodes = [...player.querySelectorAll("[data-active]")];
    // 文字里自己写了“第 0 步”的（起点算第 0 步），计数与它一致；否则从 1 数起。
    const first = Number(items[0].textContent.match(/^第 (\d+) 步/)?.[1] ?? 1);
    let step = last;
    let timer = null;

    function show(next) {
      step = Math.min(Math.max(next, 0), last);
      for (const part of parts) {
        const until = part.dataset.to === undefined ? Infinity : Number(part.dataset.to);
        const visible = Number(part.dataset.from) <= step && step < until;
        part.classList.toggle("player-hidden", !visible);
      }
      for (const node of nodes) {
        node.classList.toggle("player-now", node.dataset.active.split(" ").includes(String(step)));
      }
      reveal(nodes.filter((node) => node.classList.contains("player-now")));
      items.forEach((item, n) => (item.hidden = n !== step));
      slider.value = String(step);
      slider.setAttribute("aria-valuetext", `第 ${first + step} 步，到第 ${first + last} 步为止`);
      counter.textContent = `${first + step} / ${first + last}`;
    }

    // 图比框宽时，横向滚到正在算的节点；只动框，不动页面。
    function reveal(active) {
      const box = player.querySelector(".player-scroll");
      if (!active.length || !box || box.scrollWidth <= box.clientWidth) return;
      const frame = box.getBoundingClientRect();
      const places = active.map((node) => node.getBoundingClientRect());
      const left = Math.min(...places.map((place) => place.left));
      const right = Math.max(...places.map((place) => place.right));
      if (left < frame.left || right > frame.right) {
        box.scrollLeft += (left + right) / 2 - (frame.left + frame.right) / 2;
      }
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "播放";
    }

    function toggle() {
      if (timer) return stop();
      if (step === last) show(0);
      play.textContent = "暂停";
      timer = setInterval(() => {
        if (step === last) stop();
        else show(step + 1);
      }, INTERVAL);
    }

    const move = (change) => () => {
      stop();
      show(step + change);
    };
    const play = button("播放", toggle);
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = "0";
    slider.max = String(last);
    slider.setAttribute("aria-label", "步数");
    slider.addEventListener("input", () => {
      stop();
      show(Number(slider.value));
    });
    const counter = document.createElement("span");
    counter.className = "player-counter";

    const controls = document.createElement("div");
    controls.className = "player-controls";
    controls.append(button("上一步", move(-1)), button("下一步", move(1)), play, slider, counter);
    player.querySelector(".player-scroll").after(controls);
    player.querySelector("ol").setAttribute("aria-live", "polite");
    player.classList.add("player-live");
    // 左右方向键在演示里任何地方都管用；滑杆自己会处理方向键。
    controls.addEventListener("keydown", (event) => {
      if (event.target === slider) return;
      if (event.key === "ArrowRight") move(1)();
      else if (event.key === "ArrowLeft") move(-1)();
      else return;
      event.preventDefault();
    });
    show(0);
  }

  window.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".player").forEach(start);
  });
})();
