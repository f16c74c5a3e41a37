import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFile } from "../src/node/files.js";
import { bytesInMemory } from "../src/trace/bytes.js";
import { convertTrace } from "../src/trace/convert.js";
import { RecordEncoder } from "../src/trace/encode.js";
import { openTrace } from "../src/trace/open.js";
import type { TraceSource } from "../src/trace/source.js";
import { traceText } from "../src/trace/tools/text.js";
import { textFile } from "./fixtures/foreign.js";
import { collect, pgrec1File, smallStream } from "./fixtures/traces.js";

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const open = (bytes: Uint8Array, name = "t") => openTrace(bytesInMemory(name, bytes));
const pgrec = (stream: Uint8Array) => open(pgrec1File(stream));
const fixtures = ["hugepages", "la57-fork", "pcid", "redis"];
const fixture = async (name: string) => openTrace(await openFile(file(`fixtures/${name}.nwt`)));

async function text(source: TraceSource, options = {}): Promise<string> {
  let all = "";
  for await (const lines of traceText(source, options)) all += lines;
  return all;
}

const bytes = (source: TraceSource) => collect(source.records());

describe("text", () => {
  it("shows each record on a line", async () => {
    const lines = (await text(await pgrec(smallStream(1)), { header: false })).trimEnd().split("\n");
    expect(lines).toEqual([
      "CR0 80050033",
      "CR4 750eb0",
      "EFER d01",
      "CR3 1000",
      "PTP 1 level 4 [0]=2067 [511]=3067",
      "PTP 2 level 3 [0]=4067",
      "PTP 4 level 2 [2]=5067",
      "PTP 5 level 1",
      "MODE 3",
      'LABEL "small guest"',
      "MAP 401000 9000",
      "F 401000 5",
      "F 401005 3",
      "MODE 0",
      "EXC 14 error 6 rip 401005 cr2 400000",
      "MAP fffffe0000000000 7000",
      "R fffffe00000000e0 16 cpu",
      "W fffffe0000002ff8 8 cpu",
      "F ffffffff84a00be0 3",
      "F ffffffff84a00be3 1",
      "W ffff888000005000 8",
      "PTW 5000 8000000000000067",
      "F ffffffff84a00be4 3",
      "INVLPG 400000",
      "MODE 3",
      "MAP 400000 a000",
      "F 401005 3",
      "W 400008 8",
      "R 400008 4",
      "SWITCH 7 7",
      "PKRU 55555554",
      "INSN cpuid",
      "MARK 1",
      "HOST unmap 9 1",
      "PTPDROP 5",
      "END 6 2 3",
    ]);
    expect(
      (await text(await pgrec(smallStream(1)), { most: 3, header: false, tables: false })).split("\n"),
    ).toEqual(["CR0 80050033", "CR4 750eb0", "EFER d01", ""]);
  });

  it("goes back to the same file, byte for byte", async () => {
    for (const name of fixtures) {
      const packed = await collect(convertTrace(await fixture(name)));
      const printed = new TextEncoder().encode(await text(await fixture(name)));
      const again = await collect(convertTrace(await open(printed)));
      expect(Buffer.compare(again, packed)).toBe(0);
    }
    // Every kind of event, and a label of other letters.
    const e = new RecordEncoder()
      .invpcid(1, 5, 0xffff800000000000n)
      .insn(9)
      .label('a "b" \n ü')
      .host("dirty-log", 7, 3)
      .host("memory-slots", 0, 0);
    const stream = e
      .map(0xfffffffffffff000n, 0xfffffffffffff000n)
      .cr2(1)
      .mode(0, true)
      .fetch(5, 1)
      .fetchRun(0)
      .end()
      .take();
    const printed = new TextEncoder().encode(await text(await pgrec(stream)));
    expect(Buffer.compare(await bytes(await open(printed)), stream)).toBe(0);
  });

  it("names the line that is none", async () => {
    const [magic, header] = (await text(await pgrec(smallStream(1)))).split("\n");
    const message = (...lines: string[]) =>
      open(textFile(magic!, header!, ...lines))
        .then(bytes)
        .then(
          () => "",
          (e) => e.message,
        );
    expect(await message("F 1000 4", "F 1000 16", "END 2 0 0")).toBe(
      `t is corrupt: line 4, at byte ${magic!.length + header!.length + 11}, cannot be: instruction length is 16, not 1-15; correct the line`,
    );
    expect(await message("X 1000 4")).toMatch(
      / is no record: "X 1000 4"; nestwalk trace cat shows how each is written$/,
    );
    expect(await message("F 1000 4", "END 2 0 0")).toMatch(
      / counts 2 fetches, 0 reads and 0 writes, but 1, 0 and 0 precede it;/,
    );
    expect(await message("F 1000 4")).toMatch(/^t is truncated: it ends at byte \d+ without an END line;/);
  });
});
