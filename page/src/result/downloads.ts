import type { Result } from "nestwalk";
import { el } from "../dom.js";
import { commandOf } from "../request.js";
import type { Shown } from "./index.js";

/** What can be taken away, and how to get the same on a command line. */
export function downloads({ result, request }: Shown): HTMLElement {
  const name = request.trace.replace(/^.*\//, "").replace(/\.[^.]+$/, "");
  const command = commandOf(request);
  const said = el("span", { role: "status" });
  const copy = el("button", { type: "button", class: "quiet" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command);
    said.textContent = "Copied.";
  });
  const kinds: [label: string, ending: string, type: string, content: () => Promise<BlobPart> | BlobPart][] =
    [["JSON", "json", "application/json", () => jsonText(result)]];
  return el(
    "section",
    { class: "downloads", "aria-label": "Take it away" },
    el(
      "div",
      { class: "buttons" },
      ...kinds.map(([label, ending, type, content]) => {
        const button = el("button", { type: "button" }, `Download ${label}`);
        button.addEventListener("click", async () => {
          button.disabled = true;
          try {
            save(`${name}.${ending}`, new Blob([await content()], { type }));
          } finally {
            button.disabled = false;
          }
        });
        return button;
      }),
    ),
    el("p", {}, "The same on a command line:"),
    el("div", { class: "command" }, el("code", {}, command), copy, said),
  );
}

/** The bytes of `nestwalk compare --json`. */
export function jsonText(result: Result): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

function save(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
