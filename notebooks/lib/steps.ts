import type { Explanation } from "nestwalk";
import { techniqueStyle } from "nestwalk/plot";
import { Stepper } from "../../page/src/walks/stepper.js";
import "../../page/src/style/walks.css";
import "./steps.css";

/** An explained access to be gone through step by step, as on the page. */
export function steps(explanation: Explanation): HTMLElement {
  const { technique, format } = explanation.state;
  const name = technique === "nested" ? (format ?? technique) : technique;
  const box = document.createElement("div");
  box.className = "page technique";
  box.style.setProperty("--color", techniqueStyle(name).color);
  box.append(new Stepper(explanation).element);
  return box;
}
