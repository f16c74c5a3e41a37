import { generators } from "virtual:choices";
import { byId, el } from "../dom.js";
import { field, textOf } from "./fields.js";

/** Traces that are computed. */
export function startCompute(take: (name: string) => void): void {
  const select = field<HTMLSelectElement>("generator");
  const options = field<HTMLInputElement>("generatorOptions");
  /* Whole guests first: shadow and nested paging differ in them. */
  const ordered = [...generators].sort((a, b) => Number(b.tables) - Number(a.tables));
  select.append(...ordered.map(({ name }) => el("option", { value: name }, name)));
  const describe = () => {
    const { what, takes } = generators.find(({ name }) => name === select.value)!;
    const names = takes.map((name) => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`));
    byId("generator-hint").textContent =
      `${what}${names.length === 0 ? "" : `. Options: ${names.join(", ")}`}`;
    options.disabled = names.length === 0;
    options.placeholder = names.includes("rate") ? "pages=4096,rate=5000" : "instructions=2000000";
  };
  select.addEventListener("change", () => {
    options.value = "";
    describe();
  });
  describe();
  const chosen = () => {
    const given = options.value.replace(/\s/g, "");
    take(`synth:${textOf("generator")}${given === "" ? "" : `,${given}`}`);
  };
  byId("compute").addEventListener("click", chosen);
  options.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    chosen();
  });
}
