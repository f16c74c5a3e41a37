/**
 * What the report runs: draws its figures for the width that they have and the colours that the reader has, again when
 * either changes, in light colours for paper; and saves the result that it holds.
 */
export const reportScript = `
(() => {
  const { figures, templates } = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  const drawn = new Map();
  const draw = (figure, printed) => {
    const element = document.getElementById("plot-" + figure.id);
    const width = printed ? 660 : element.clientWidth;
    if (width === 0) return;
    const theme = dark.matches && !printed ? "dark" : "light";
    const key = theme + width;
    if (drawn.get(figure.id) === key) return;
    drawn.set(figure.id, key);
    const layout = structuredClone(width < 520 ? figure.narrow : figure.wide);
    Plotly.react(element, figure.data, { ...layout, autosize: false, width, template: templates[theme] }, figure.config)
      .then(() => {
        element.querySelectorAll(".main-svg").forEach((svg, i) => {
          if (i > 0) return svg.setAttribute("aria-hidden", "true");
          svg.setAttribute("role", "img");
          svg.setAttribute("aria-label", figure.alt);
        });
      });
  };
  const drawAll = (printed) => { for (const figure of figures) draw(figure, printed); };
  drawAll(paper.matches);
  let waiting = 0;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => drawAll(paper.matches), 60);
  }).observe(document.querySelector("main"));
  dark.addEventListener("change", () => drawAll(paper.matches));
  paper.addEventListener("change", () => drawAll(paper.matches));
  addEventListener("beforeprint", () => drawAll(true));
  addEventListener("afterprint", () => drawAll(false));
  document.getElementById("save").addEventListener("click", () => {
    const text = JSON.stringify(JSON.parse(document.getElementById("result").textContent), null, 2) + "\\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "result.json";
    link.click();
    URL.revokeObjectURL(link.href);
  });
})();
`;
