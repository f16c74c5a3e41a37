import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openFile } from "../src/node/files.js";
import type { NwtSource } from "../src/trace/nwt-reader.js";
import { openTrace } from "../src/trace/open.js";
import { EventType, RecordScanner } from "../src/trace/records.js";
import { readAll } from "./fixtures/traces.js";

const path = (file: string) => fileURLToPath(new URL(`../traces/${file}`, import.meta.url));

test("the .nwt bytes in the specification are a whole trace of the records it shows", async () => {
  const text = readFileSync(path("FORMAT.md"), "utf8");
  const dump = /```hex\n([^`]+)```/.exec(text)?.[1] ?? "";
  const { stream, source } = await readAll(
    Uint8Array.from(dump.trim().split(/\s+/), (x) => Number.parseInt(x, 16)),
  );
  const rows = [...text.matchAll(/^\| `((?:[0-9a-f]{2} ?)+)` \| /gm)].map((row) => row[1]!);
  expect(rows.length).toBe(10);
  expect(Buffer.from(stream).toString("hex")).toBe(rows.join("").replaceAll(" ", ""));
  expect(source.header.totals).toEqual({ events: 10, fetches: 2, reads: 1, writes: 1, streamBytes: 41 });
});

test("the specification names every event type with its number", () => {
  const text = readFileSync(path("FORMAT.md"), "utf8");
  for (const [name, type] of Object.entries(EventType)) expect(text).toContain(`\n| ${type} | ${name} | `);
});

// Exact numbers of the recordings: what their END records say, and what was counted in them by another program.
const guests = {
  sqlite: {
    totals: { events: 8002133, fetches: 5476111, reads: 1956013, writes: 567877, streamBytes: 18993377 },
    sha256: "0be842e4d9887f6dfae0e98c5717a905669f3574d21f8c632978a7d76e6829bd",
    events: { CR3: 5, INVLPG: 1, EXC: 2, PTP: 140, PTPDROP: 22, PTW: 617, MAP: 1248, MODE: 93, INSN: 0 },
  },
  "pipe-pti": {
    totals: { events: 12012368, fetches: 7991463, reads: 2187137, writes: 1821409, streamBytes: 27022054 },
    sha256: "c690a313ab767e0cabe916e1695df1b64608950642ebcd214413893faa9f02af",
    events: {
      CR3: 1663,
      INVLPG: 192,
      EXC: 488,
      PTP: 286,
      PTPDROP: 88,
      PTW: 4052,
      MAP: 2484,
      MODE: 2932,
      INSN: 170,
    },
  },
  "bfs-thp": {
    totals: { events: 5011871, fetches: 3488501, reads: 755312, writes: 756195, streamBytes: 10538758 },
    sha256: "8691509fb35cc40b0f1a90f5b271bad59ae98a6ce5547e22ebebf0a9ff0a249d",
    events: { CR3: 1, INVLPG: 255, EXC: 650, PTP: 114, PTPDROP: 0, PTW: 904, MAP: 8635, MODE: 1300, INSN: 0 },
  },
};

test.each(Object.entries(guests))(
  "the recorded guest %s has its counts, and each chunk its own",
  async (name, guest) => {
    const source = (await openTrace(await openFile(path(`${name}.nwt`)))) as NwtSource;
    expect(source.header).toMatchObject({ version: 1, fetch: "insn", totals: guest.totals });
    expect(await source.streamSha256()).toBe(guest.sha256);
    const scanner = new RecordScanner();
    const hash = createHash("sha256");
    for await (const chunk of source.chunks()) {
      expect(chunk).toMatchObject({ firstEvent: scanner.events, bases: scanner.bases() });
      const before = {
        events: scanner.events,
        fetches: scanner.fetches,
        reads: scanner.reads,
        writes: scanner.writes,
      };
      expect(scanner.scan(chunk.raw)).toBe(chunk.raw.length);
      expect({
        events: before.events + chunk.events,
        fetches: before.fetches + chunk.fetches,
        reads: before.reads + chunk.reads,
        writes: before.writes + chunk.writes,
      }).toMatchObject({
        events: scanner.events,
        fetches: scanner.fetches,
        reads: scanner.reads,
        writes: scanner.writes,
      });
      hash.update(chunk.raw);
    }
    const { events, fetches, reads, writes, offset: streamBytes } = scanner;
    expect({ events, fetches, reads, writes, streamBytes }).toEqual(guest.totals);
    expect(scanner.ended).toBe(true);
    expect(hash.digest("hex")).toBe(guest.sha256);
    const byName = Object.fromEntries(
      Object.keys(guest.events).map((key) => [
        key,
        scanner.eventsByType[EventType[key as keyof typeof EventType]],
      ]),
    );
    expect(byName).toEqual(guest.events);
  },
);
