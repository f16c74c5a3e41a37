import { describe, expect, it } from "vitest";
import { allKeys } from "../src/config/index.js";
import {
  counters,
  errorFamilies,
  exitReasons,
  structureCells,
  structures,
  tracepoints,
} from "../src/generated/declarations.js";

const { counted, exitReason, members, structure } = await import(
  new URL("../scripts/declarations.mjs", import.meta.url).href
);

describe("what the core declares", () => {
  it("has its sentence whole, and a unit or codes where it counts", () => {
    expect(structures[0]).toEqual({ name: "l1d", value: 0, sentence: "First-level TLB for data." });
    expect(exitReasons[0]).toEqual({
      name: "page_fault",
      value: 0,
      codes: "0 / 0x4E",
      sentence: "Page fault intercepted under shadow paging.",
    });
    expect(counters[1]).toMatchObject({ name: "accesses", value: 1, unit: "accesses" });
    expect(structureCells[0]).toEqual({
      name: "lookups",
      value: 0,
      unit: "lookups",
      sentence: "Times the structure was asked.",
    });
    for (const list of [counters, exitReasons, structures, structureCells, tracepoints, errorFamilies])
      for (const { name, sentence } of list)
        expect([name, sentence]).toEqual([name, expect.stringMatching(/^[A-Z0-9].*\.$/)]);
    for (const { unit } of [...counters, ...structureCells, ...tracepoints, ...errorFamilies])
      expect(unit).toMatch(/^[a-z]+( \([a-z]+\))?$/);
    for (const { codes } of exitReasons) expect(codes).toMatch(/^(\d+|-) \/ (0x[0-9A-F]+|-)$/);
  });

  it("is refused without its unit, its codes or any comment", () => {
    const [bare, lacking] = members(
      "export enum E {\n  bare,\n  /** Walks made. */\n  lacking,\n  COUNT,\n}\n",
      "E",
    );
    expect(() => structure(bare)).toThrow("bare has no comment; it must be a sentence");
    expect(structure(lacking)).toEqual({ name: "lacking", value: 1, sentence: "Walks made." });
    expect(() => counted(lacking)).toThrow(
      'lacking has no unit: its comment is "Walks made.", not "unit. Sentence."',
    );
    expect(() => exitReason(lacking)).toThrow(
      'lacking has no codes: its comment is "Walks made.", not "codes. Sentence."',
    );
  });

  it("describes the handlers of exits", () => {
    const key = allKeys().find(({ path }) => path === "exits.handlerCycles.write_cr3");
    expect(key?.node.description).toBe("Load of CR3 (28 / 0x13), in core cycles.");
  });
});
