import { describe, expect, it } from "vitest";
import { broken, play, program, TECHNIQUES } from "./kernel/programs.js";

describe("memory that is all in use", () => {
  const set = ["guest.memoryMiB=128", "kernel.forks=100", "kernel.forkLife=9000", "kernel.merges=100"];

  it("is reclaimed, the oldest page first, and pages come back from swap", () => {
    const records = program(80_000, 24_000);
    const results = TECHNIQUES.map((technique) => play(records, technique, set));
    for (const result of results) {
      expect(broken(result)).toEqual([]);
      expect(result.counters.kernelReclaimed).toBeGreaterThan(0);
      expect(result.counters.kernelSwapIns).toBeGreaterThan(0);
      expect(result.guestDigest).toBe(results[0]!.guestDigest);
    }
  });

  it("is filled beforehand as far as it goes, and then on demand", () => {
    const records = program(20_000, 33_000);
    const full = ["guest.memoryMiB=128", "kernel.populate=true"];
    const results = TECHNIQUES.map((technique) => play(records, technique, [...full, "kernel.pages=2m"]));
    for (const result of results) {
      expect(broken(result)).toEqual([]);
      expect(result.counters.guestPageFaults).toBeGreaterThan(0);
      expect(result.guestDigest).toBe(results[0]!.guestDigest);
    }
    expect(play(records, "native", [...full, "guest.memoryMiB=1024"]).counters.guestPageFaults).toBe(0);
  });
});

describe("forks without end", () => {
  it("leave every frame free again that a child had", () => {
    const few = play(program(30_000, 300), "native", ["kernel.forks=100", "kernel.forkLife=2000"]);
    const many = play(program(30_000, 300), "native", ["kernel.forks=2000", "kernel.forkLife=100"]);
    expect(many.counters.kernelForks).toBeGreaterThan(10 * few.counters.kernelForks!);
    const tables = ({ counters }: typeof few) => counters.tablePages! - counters.tablePagesDropped!;
    expect(tables(many) - tables(few)).toBeLessThanOrEqual(6);
    expect(broken(many)).toEqual([]);
  });
});
