import { counted, grouped } from "../../report/numbers.js";
import { type Paint, plain } from "../../report/style.js";
import { wrapped } from "../../report/text.js";
import type { AccessView, Explanation, Place, State, Step } from "../types.js";
import { gridLines } from "./grid.js";
import { shadowLines } from "./shadow.js";
import { stepLines } from "./steps.js";

export interface TextOptions {
  paint?: Paint;
  /** Columns; sentences are broken there, tables are not. */
  width?: number;
}

/** An explanation as lines of text. */
export function explanationText(explanation: Explanation, options: TextOptions = {}): string[] {
  const { paint = plain, width = 100 } = options;
  const { accesses, steps, walks } = explanation;
  const main = accesses[0];
  const lines = [...titleLines(explanation, paint, width)];
  if (main === undefined) return [...lines, ...eventLines(steps, paint)];
  const shown = accesses.filter(({ va }) => near(va, main.va));
  for (const access of shown) {
    const its = steps.slice(access.firstStep, access.lastStep + 1);
    lines.push("");
    if (access !== main) lines.push(paint("head", accessText(access)));
    const last = walks
      .filter(({ firstStep, lastStep }) => firstStep >= access.firstStep && lastStep <= access.lastStep)
      .at(-1);
    if (access.shadow !== undefined && access.shadow.length > 0)
      lines.push(...shadowLines(access.shadow, paint), "");
    lines.push(
      ...stepLines(its, paint, width, (walk) => (walk === last ? gridLines(walk, steps, paint) : []), walks),
    );
    lines.push(...outcomeLines(access, paint, width));
  }
  const other = accesses.length - shown.length;
  if (other > 0)
    lines.push(
      "",
      ...wrapped(
        `The kernel that is played made ${counted(other, "access", "accesses")} of its own for it.`,
        width,
      ),
    );
  return lines;
}

/** Within the page or the one after it. */
function near(va: string, other: string): boolean {
  const pages = (BigInt(va) >> 12n) - (BigInt(other) >> 12n);
  return pages === 0n || pages === 1n;
}

function accessText({ va, kind, user, ac, implicit, shadowStack }: AccessView): string {
  const by = implicit ? "by the CPU itself" : user ? "by user mode" : "by supervisor mode";
  const what = shadowStack ? `shadow-stack ${kind}` : kind;
  return `${what} at ${va} ${by}${ac && !user ? " with EFLAGS.AC set" : ""}`;
}

function titleLines({ what, cold, at, state, accesses }: Explanation, paint: Paint, width: number): string[] {
  const main = accesses[0];
  const did = main === undefined ? "no access" : accessText(main);
  const place = at === null ? "" : `${placeText(at)}: `;
  const after = at === null ? "" : ` after access ${grouped(at.access)} (record ${grouped(at.event)})`;
  const would = `what a ${did} would do${after}${cold ? ", with TLBs and paging-structure caches empty" : ""}`;
  return [
    ...wrapped(what === "probe" ? would : `${place}${did}`, width).map((line) => paint("title", line)),
    ...wrapped(stateText(state), width).map((line) => paint("dim", line)),
  ];
}

function placeText({ access, event, isAccess }: Place): string {
  if (isAccess) return `access ${grouped(access)} (record ${grouped(event)})`;
  return `record ${grouped(event)} (after access ${grouped(access)})`;
}

function stateText(state: State): string {
  const guest = state.paging === "off" ? "paging off" : `${state.paging} paging`;
  const second =
    state.format === null ? "" : ` under ${state.format.toUpperCase()} of ${state.hostLevels} levels`;
  const shadow =
    state.technique === "shadow" ? " under shadow paging" : state.technique === "native" ? ", native" : "";
  const parts = [
    `CR0 ${state.cr0}`,
    `CR3 ${state.cr3}`,
    `CR4 ${state.cr4}`,
    `EFER ${state.efer}`,
    ...(state.pcid === 0 ? [] : [`PCID ${state.pcid}`]),
    ...(state.vpid === 0 ? [] : [`${state.format === "npt" ? "ASID" : "VPID"} ${state.vpid}`]),
    ...(state.secondRoot === null
      ? []
      : [`${state.format === "npt" ? "nCR3" : "EPTP root"} ${state.secondRoot}`]),
    ...(state.shadowRoot === null ? [] : [`shadow root ${state.shadowRoot}`]),
    ...(state.pkru === "0x0" ? [] : [`PKRU ${state.pkru}`]),
    `CPL ${state.cpl}`,
  ];
  return `${guest}${second}${shadow}; ${parts.join(", ")}`;
}

/** A record that is no access: what it made the hypervisor do. */
function eventLines(steps: readonly Step[], paint: Paint): string[] {
  const exits = steps.filter((step) => step.kind === "exit");
  if (exits.length === 0) return ["It makes no access and no exit."];
  return exits.map((exit) => paint("bad", `exit ${exit.reason}: ${counted(exit.cycles, "cycle")}`));
}

function outcomeLines({ outcome, translation: t }: AccessView, paint: Paint, width: number): string[] {
  if (t === undefined) return wrapped(outcome.text, width, 2).map((line) => paint("bad", line));
  if (outcome.kind === "emulated") return [paint("good", `${outcome.text}, at guest-physical ${t.gpa}`)];
  const path = [t.gva, ...(t.gpa === null || t.gpa === t.hpa ? [] : [t.gpa]), t.hpa].join(" -> ");
  const host = t.hostSize === null ? "" : `, second stage ${t.hostSize}`;
  const page = `page ${t.effectiveSize}${t.guestSize === t.effectiveSize && host === "" ? "" : ` (tables ${t.guestSize}${host})`}`;
  const { write, user, execute } = t.rights;
  const rights = [
    user ? "user" : "supervisor",
    write ? "writable" : "read-only",
    execute ? "executable" : "not executable",
    t.dirty ? "dirty" : "clean",
    ...(t.global ? ["global"] : []),
    ...(t.key === 0 ? [] : [`key ${t.key}`]),
  ];
  return wrapped(`translated: ${path}; ${page}; ${rights.join(", ")}`, width, 2).map((line) =>
    paint("good", line),
  );
}
