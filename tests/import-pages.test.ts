import { describe, expect, it } from "vitest";
import { parsePageSizes, parseV2p } from "../src/trace/importers/pages.js";
import { textFile } from "./fixtures/foreign.js";
import { message, records } from "./fixtures/imported.js";
import { pgrec1File } from "./fixtures/traces.js";

describe("pages", () => {
  const plain = textFile("0x12345680 R");

  it("takes a v2p.textproto and page-size maps into the header", async () => {
    const v2p = `page_size: 0x200000
address_mapping { virtual_address: 0x200000 physical_address: 0x10000000 }
address_mapping {
  virtual_address: 0x400000
  physical_address: 0x10200000
}
address_mapping { physical_address: 0x600000 }`;
    const placement = parseV2p("v", v2p);
    expect(placement).toEqual({
      pageSize: "2m",
      runs: [
        ["0x0", "0x600000", 1],
        ["0x200000", "0x10000000", 2],
      ],
    });
    const { recorded } = await records(plain, { placement });
    expect(recorded.placement).toEqual(placement);
    expect(recorded.pageSizes).toEqual({
      default: "4k",
      ranges: [{ from: "0x0", to: "0x600000", size: "2m" }],
    });
    const pageSizes = parsePageSizes("p", "default 4k\n# heap\n0x40000000 0x80000000 1g\n200000-400000 2m\n");
    expect((await records(plain, { pageSizes })).recorded.pageSizes).toEqual({
      default: "4k",
      ranges: [
        { from: "0x200000", to: "0x400000", size: "2m" },
        { from: "0x40000000", to: "0x80000000", size: "1g" },
      ],
    });
    expect(parsePageSizes("p", "2m")).toBe("2m");
  });

  it("says what is wrong with them", async () => {
    expect(() => parseV2p("v", "a { page_size: 4096 } b { page_size: 0x200000 }")).toThrow(
      "v is no v2p.textproto: its groups have different page sizes",
    );
    expect(() => parseV2p("v", "page_size: 4096")).toThrow("v is no v2p.textproto: it holds no mapping");
    expect(() => parseV2p("v", "address_mapping { virtual_address: zz physical_address: 0x9000 }")).toThrow(
      'v is no v2p.textproto: "zz" is no virtual address',
    );
    expect(() => parseV2p("v", "address_mapping { physical_address: 0x1000 } address_mapping { ")).toThrow(
      "v is no v2p.textproto: its last block does not end",
    );
    expect(() => parsePageSizes("p", "# none\n")).toThrow("p is no page-size map: it holds no line");
    expect(parsePageSizes("p", "default 2m\n")).toBe("2m");
    expect(() => parsePageSizes("p", "1000 2000 2m")).toThrow(
      'p is no page-size map: line 1 does not begin and end at multiples of 2m; write "FROM TO 4k|2m|1g" with hexadecimal addresses, or "default 4k|2m|1g"',
    );
    expect(() => parsePageSizes("p", "0 400000 2m\n200000 600000 2m")).toThrow("overlap");
    const guest = pgrec1File(new Uint8Array(0));
    expect(await message(guest, { pageSizes: "2m" })).toBe(
      "TraceError: t has page tables of its own, which decide page sizes and places; leave out --v2p, --page-sizes and --addresses",
    );
  });
});

it("a recording that holds no access is an error, not an empty trace", async () => {
  expect(await message(textFile("==1== Lackey, an example Valgrind tool", "==1== "))).toMatch(
    /^TraceError: t holds no memory access/,
  );
});
