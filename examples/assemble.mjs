/**
 * Assembles a guest with the GNU assembler and writes its bytes as a TypeScript module, so that running it needs no assembler.
 *
 *   node examples/assemble.mjs
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** Source and module of each guest, and where its first byte is loaded. */
export const guests = [
  { source: "interpreter/guest/guest.S", module: "interpreter/guest/image.ts", address: 0x7c00 },
  { source: "v86/guest/rom.S", module: "v86/guest/image.ts", address: 0xf0000 },
];

/** Bytes of an assembled guest. */
export function assemble({ source, address }) {
  const folder = mkdtempSync(join(tmpdir(), "nestwalk-guest-"));
  try {
    const object = join(folder, "guest.o");
    const binary = join(folder, "guest.bin");
    execFileSync("as", ["--64", "-o", object, source.split("/").at(-1)], {
      cwd: join(here, dirname(source)),
    });
    execFileSync("ld", [
      "-m",
      "elf_x86_64",
      `-Ttext=0x${address.toString(16)}`,
      "-e",
      `0x${address.toString(16)}`,
      "--oformat",
      "binary",
      "-o",
      binary,
      object,
    ]);
    return readFileSync(binary);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const LINE = 40;

/** The module's text for these bytes: 40 bytes a line, without lines of zeros. */
export function moduleOf({ source }, bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += LINE) {
    const line = bytes.subarray(at, at + LINE);
    if (line.some((byte) => byte !== 0)) lines.push(`  [0x${at.toString(16)}, "${line.toString("hex")}"],\n`);
  }
  return `/** ${source.split("/").at(-1)} as examples/assemble.mjs assembled it: bytes by offset, all others 0. */
export const image: readonly (readonly [offset: number, bytes: string])[] = [\n${lines.join("")}];\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const guest of guests) writeFileSync(join(here, guest.module), moduleOf(guest, assemble(guest)));
}
