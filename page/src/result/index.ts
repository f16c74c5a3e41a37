import type { Result } from "nestwalk";
import { el } from "../dom.js";
import type { TraceFile } from "../engine/messages.js";
import { termList } from "../intro.js";
import { breath } from "../plotly.js";
import type { Request } from "../request.js";
import { walks } from "../walks/index.js";
import { downloads } from "./downloads.js";
import { FigureList } from "./figures.js";
import { summary } from "./summary.js";
import { comparison } from "./table.js";

export interface Shown {
  result: Result;
  request: Request;
  trace: TraceFile;
}

let figures: FigureList | undefined;

/** Puts a result on the page, a part in each task; done when every figure is drawn. */
export async function showResult(box: HTMLElement, shown: Shown): Promise<void> {
  figures?.close();
  const drawn = el("section", { class: "figures", "aria-label": "Figures" });
  box.replaceChildren(summary(shown), downloads(shown), drawn);
  box.hidden = false;
  await breath();
  figures = new FigureList(drawn, shown.result);
  await breath();
  box.append(comparison(shown.result));
  await breath();
  box.append(walks(shown), termList());
  await figures.draw();
}
