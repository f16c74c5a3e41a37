import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Walk } from "../examples/v86/comparison.js";
import { type ExpectedWalk, expectedWalks, isInWindow } from "../examples/v86/guest/pages.js";
import { patch } from "../examples/v86/patch.js";
import { runComparison } from "../examples/v86/run.js";
import { bytesInMemory, compare, openTrace, resolveConfig } from "../src/index.js";

let run: Awaited<ReturnType<typeof runComparison>>;
beforeAll(async () => {
  run = await runComparison();
});
afterAll(() => run?.host.close());

/** The page is what v86 fills its TLB with. */
function asExpected({ address, write, user, found, errorCode }: Walk): ExpectedWalk {
  return { page: address - (address % 4096), write, user, found: found ?? { errorCode: errorCode! } };
}

describe("v86 as a host", () => {
  test("the guest runs to its end", () => {
    expect(run.said).toBe("E");
  });

  test("every walk of v86 is nestwalk's: fault, address, rights, global, accessed and dirty flags", () => {
    expect(run.comparison.mismatches).toEqual([]);
    expect(run.comparison.walks.length).toBeGreaterThan(6886);
    expect(new Set(run.comparison.walks.map(({ address }) => address >>> 12)).size).toBeGreaterThan(1410);
  });

  test("the walks for the guest's windows come in the order that its program gives", () => {
    const made = run.comparison.walks.filter(({ address }) => isInWindow(address)).map(asExpected);
    const expected = expectedWalks();
    expect(expected).toHaveLength(6886);
    expect(made).toEqual(expected);
  });

  test("the guest's own log of page faults holds the error codes and addresses of those walks", () => {
    const { memory, ramBase } = run.host;
    const log = new DataView(memory.buffer, ramBase);
    const faults = expectedWalks().filter(({ found }) => "errorCode" in found);
    expect(log.getUint32(0x9004, true)).toBe(faults.length);
    faults.forEach(({ page, found }, i) => {
      expect([log.getUint32(0x1_0000 + 8 * i, true), log.getUint32(0x1_0004 + 8 * i, true) & ~0xfff]).toEqual(
        [(found as { errorCode: number }).errorCode, page | 0],
      );
    });
  });

  test("v86's own translations can be called in a loop inside its wasm", () => {
    /* Under PAE, at the end, page i of the window lies in frame (5i + 3) mod 1024 of those at 8 MiB, or was moved. */
    let sum = 0;
    for (let n = 0; n < 160; ++n) {
      const i = n % 16;
      const moved = i === 0 ? 0x100_0000 : i === 3 ? 0x40_0000 : 0;
      sum += (0x80_0010 + ((5 * i + 3) << 12)) ^ moved;
    }
    expect(run.host.lookups(0x4000_0010, 4096, 0xffff, 160)).toBe(sum | 0);
  });

  test("the recorded misses are a trace that every technique replays", async () => {
    const trace = await openTrace(bytesInMemory("v86.nwt", await run.mmu.trace()));
    const { machines, laws } = await compare(
      trace,
      ["native", "nested", "shadow"].map((technique) => resolveConfig({ set: [`technique=${technique}`] })),
    );
    for (const { oracle, laws } of machines) {
      expect(oracle.checked).toBeGreaterThan(6000);
      expect(oracle.mismatches).toBe(0);
      expect(laws.filter(({ holds }) => !holds)).toEqual([]);
    }
    expect(laws.filter(({ holds }) => !holds)).toEqual([]);
  });
});

test("a build that is not v86's is refused with one sentence", () => {
  const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  expect(() => patch(empty)).toThrow(
    /^this v86\.wasm has no function do_page_walk of 5 parameters .*0\.5\.462/,
  );
});
