"use strict";
// Draws the charts in the reader's colours. The figures name colours as "@0", "@0~" (a band) or "@text".
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const colour = (name) => {
    const band = name.endsWith("~");
    const key = band ? name.slice(0, -1) : name;
    const value = getComputedStyle(root).getPropertyValue(/^\d$/.test(key) ? `--c${key}` : `--${key}`).trim();
    return band ? `${value}3d` : value; // a quarter opaque
  };

  const coloured = (value) => {
    if (typeof value === "string") return /^@[a-z0-9]+~?$/.test(value) ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  };

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage"],
  };

  const draw = () =>
    Promise.all(
      Object.entries(figures).map(([name, figure]) => {
        const { data, layout } = coloured(figure);
        layout.font.family = getComputedStyle(document.body).fontFamily;
        layout.uirevision = "kept"; // a change of theme keeps the zoom
        if (touch) layout.dragmode = false; // dragging scrolls the page
        return Plotly.react(`chart-${name}`, data, layout, config);
      }),
    );

  for (const button of document.querySelectorAll("button[data-chart]")) {
    button.addEventListener("click", () => {
      const chart = document.getElementById(`chart-${button.dataset.chart}`);
      const range = [Number(button.dataset.low), Number(button.dataset.high)];
      if (calm) Plotly.relayout(chart, { "xaxis.range": range });
      else Plotly.animate(chart, { layout: { xaxis: { range } } }, { transition: { duration: 250 }, frame: { duration: 250 } });
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
    });
  }

  dark.addEventListener("change", draw);
  // Paper is white, and as wide as it is.
  addEventListener("beforeprint", () => {
    root.classList.add("paper");
    draw();
    for (const name of Object.keys(figures)) Plotly.Plots.resize(`chart-${name}`);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("paper");
    draw();
  });
  draw().then(() => root.classList.add("drawn"));
})();
