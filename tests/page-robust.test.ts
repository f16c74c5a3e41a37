import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Result } from "../src/result.js";
import { axeSerious, describeInChromium, type Opened, openLocal } from "./browser/chromium.js";
import { nestwalk } from "./cli/capture.js";
import { buildPage, folder, root } from "./page/build.js";
import { allDrawn, downloads, drop, dropFile, fromCommandLine, replay } from "./page/drive.js";

const built = folder("page-robust");
const files = folder("page-robust-files");
afterAll(() => {
  built.remove();
  files.remove();
});

const NATIVE = join(root, "tests/fixtures/pcid.nwt");

/** 64 fetches, loads and stores in lackey's format, as xz, zstd, bzip2 and zip pack them. */
const PACKED: Readonly<Record<string, string>> = {
  xz:
    "/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4Aj/AQVdACSILGGDcBlEpf7oGA2q9lkNqLjQ6ZlmaoWNeDgXZjenSDYY9O0mByz9" +
    "6XJuSOzIv0Xc9BMaYzi0xd2ENVf6Qyujrs5XD9dVzh/BclOgiLEQvPRb52820URytTeoRSHfOpl1ZbpQ6C05xLC1rbPYEmAE" +
    "w+i9jYmQ1Nuu4cslqbdGp+Ap6/3Sp7rzeS6DZCpe+AGAU4NsfE/m1PmRSypCgbre/PHv6mrK59ggO319RcEKsHPCN+gxlE+/" +
    "Y0IGVWgFMvcwtCEnKwKgw02RyZrl95O4I1TQLIpfcDaOPEJHTz1IULzcATz5cHuUMwyXWqR+DlJt7QQVbj3cB9dLY5f5I9Jr" +
    "jq4argAAAADmVQ3hAAGdAoASAAAFQ5bqPjANiwIAAAAAAVla",
  zst:
    "KLUv/WQACNUHAOJPIRKguXCtMti51zXZvbI7xYAgbATAgruUC7fs5eUqpcIpW1m5SZlwyU5Obsty3b0XKREO2cjIPcqDO/bx" +
    "cYdy4IY9PFyW5Lg57yoXt/Z6XVUqTm21uqlMXNrpdFeO2967qEQc2mh0T3m4s8/nXioubeEtXFQeTtgxhgEY/AumMMCC//fG" +
    "EAGAhqgheNv7vwHAeGkMEUwREgJL4Ir5JoIiBDO3rBSmvlNIII3PUsRMRYwtRohZzxYiQNuzVDFGLXOqEWLWO6UI0PYsVYxR" +
    "y5xqhJj1TikCtD1LFWPUMqcaIWL+lXdvP2ubuo4spmijHbBNBxxHMlBauwrlPRty",
  bz2:
    "QlpoOTFBWSZTWRqJoUIABADfAGAQQAR/4AAkCAA/AEAB/ZquO4CUVPVP9VH5NM9EoEGin/qqn+qo2ppoA0CVU//VUmhpo0DE" +
    "AqRUaZMjINNNhJO4HkCgNgMQPQHsSTmSSSc/nXryDjjgDdAboDdAboDdAejMzM3Zm7M3Zm7M3RncZ3GdxncZ3Zmr4vN/fr55" +
    "z99/fs9fvgVrWta1gAAAAAAAC3hhgL6vH9lX3nfe0kwwCSSURERERERERbbbbbbbbbbbbbbbbb0sydJJJPLJnHeqrCqwVRVA" +
    "AAARwqoAAAACAAAAAIAAAAKqqdYdIhapEpLhYFi4Un8AD+75zWKzOp1yq5RGfzqet9a61O0kmBwGB2BwHYHGagAFjeK31W6V" +
    "Sqqi2Jwsax3Op2kmZvQAHkAA8AFZicrPF3yeVzk7ebq+79z3Op2tszN/i7kinChIDUTQoQA=",
  zip:
    "UEsDBBQAAgAIAHR3dF3mVQ3hagEAAAAJAAAMAAAAc21hbGwubGFja2V5bdO5bQNBEERRn1FsADLm6LlCICBPEcyZfwiCCFLY" +
    "D9Rag0Ubr4z/vC7nzP19X/a4vi//etbH9XOF99/n/429b/z9xnhT3zfhflN5M9838X4zceM/HrvdeHr8x5PuN/T4jyffb+jx" +
    "U2z39AQntgd6gontgZ5QxfZAT5hie6AnOrE90hNNbI/0xCq2R3riFNsjPebEdqPHTGw3eqyK7UaPTbHd6ElObE/0JBPbEz2p" +
    "iu2JnjTF9kRPdmJ7pieb2J7pyVVsz/TkKbZneorqvdBTVO+FnqJ6L/QU1Xuhp6reKz1V9V7pqar3Sk9VvVd6muq90dNU742e" +
    "pnpv9DTVe6Onq947PV313unpqvdOT1e9d3qG6n3QM1Tvg56heh/0DNX7oGeq3ic9U/U+6Zmq90nPVL1PepbqfdGzVO+LnqV6" +
    "X/Qs1fuiZ6veNz1b9b7p2ar3Tc9WvW96jur90HNU74eeo3o/9BzV+3l5fgFQSwECHgMUAAIACAB0d3Rd5lUN4WoBAAAACQAA" +
    "DAAAAAAAAAABAAAApIEAAAAAc21hbGwubGFja2V5UEsFBgAAAAABAAEAOgAAAJQBAAAAAA==",
};
const LACKEY = Array.from({ length: 64 }, (_, i) => {
  const hex = (n: number) => n.toString(16);
  return `I  ${hex(0x400000 + 4 * i).padStart(8, "0")},4\n L ${hex(0x10000 + 4096 * (i % 7))},8\n S ${hex(0x20000 + 64 * i)},4\n`;
}).join("");

const alert = (page: Page) => page.textContent("#alert p");

/** Drops what lies at these paths, folders too, as a file manager does. */
async function dropPaths(page: Page, ...paths: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const at = { x: 100, y: 100, data: { items: [], files: paths, dragOperationsMask: 1 } };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, ...at });
}

/** Begins a replay, and waits until it has come some way. */
async function begin(page: Page): Promise<void> {
  await page.click("#run:not([disabled])");
  await page.waitForFunction(() => [...document.querySelectorAll("progress")].some(({ value }) => value > 0));
}

describeInChromium("the page under any hand", (browser) => {
  beforeAll(() => buildPage(built.path));
  const open = (): Promise<Opened> => openLocal(browser(), { root: built.path });

  it("says what is wrong with what is dropped, and takes the next", async () => {
    const { page, external, errors, close } = await open();
    const there = join(files.path, "recordings");
    mkdirSync(there);
    await dropPaths(page, there);
    expect(await alert(page)).toBe("recordings is a directory; drop a trace file in it.");
    await dropPaths(page, NATIVE, join(root, "package.json"));
    expect(await alert(page)).toBe("These are 2 files; drop one trace.");
    await drop(page, { name: "nothing.nwt", bytes: new Uint8Array() });
    expect(await alert(page)).toBe(
      "nothing.nwt is an empty file; a recording that was cut short leaves one, so record it again",
    );
    await drop(page, { name: "letter.txt", bytes: Buffer.from("Dear reader,\n") });
    const label = (name: string) => page.textContent(`label:has([name=${name}])`);
    const sentence = (await alert(page))!;
    expect(await label("columns")).toContain(/“(Columns[^”]*)”/.exec(sentence)![1]);
    expect(await label("from")).toContain(/“(Format)”/.exec(sentence)![1]);
    expect(sentence).not.toContain("--");
    await dropPaths(page, NATIVE);
    await page.waitForSelector("#run:not([disabled])");
    expect(await page.textContent("#alert")).toBe("");
    expect(await page.textContent("#facts .file")).toBe("pcid.nwt");
    expect(external).toEqual([]);
    expect(errors).toEqual([]);
    await close();
  });

  it("says when a chosen file has gone, and when the server has", async () => {
    const { page, close } = await open();
    const path = join(files.path, "gone.nwt");
    writeFileSync(path, readFileSync(NATIVE));
    await page.setInputFiles("#file", path);
    await page.waitForSelector("#run:not([disabled])");
    writeFileSync(path, "another");
    await page.click("#run");
    expect(await alert(page)).toMatch(/^gone\.nwt can no longer be read \(Not\w+Error\); choose it again$/);
    await page.context().setOffline(true);
    await page.check('[name="guest"][value="pipe-pti"]');
    await page.waitForFunction(() => document.querySelector("#alert")!.textContent!.includes("server"));
    expect(await alert(page)).toBe("pipe-pti.nwt cannot be loaded: the server does not answer");
    await page.setInputFiles("#file", NATIVE);
    await replay(page);
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      page.click(".downloads button:has-text('JSON')"),
    ]);
    expect(JSON.parse(readFileSync((await saved.path())!, "utf8")).trace.file).toBe("pcid.nwt");
    await page.click(".downloads button:has-text('Report')");
    await page.waitForFunction(() => document.querySelector(".downloads [role=status]")!.textContent !== "");
    expect(await page.textContent(".downloads [role=status]")).toBe(
      "the figures' script cannot be loaded: the server does not answer",
    );
    await close();
  });

  it.each(Object.keys(PACKED))("replays a %s file with the bytes of the command line", async (ending) => {
    const { page, errors, close } = await open();
    const path = join(files.path, `small.lackey.${ending}`);
    writeFileSync(path, Buffer.from(PACKED[ending]!, "base64"));
    await dropFile(page, path);
    await replay(page);
    const ours = folder("page-packed");
    const { hashes, result } = await downloads<Result>(page);
    expect(hashes).toEqual(await fromCommandLine(page, ours.path, path));
    ours.remove();
    const plain = join(files.path, "small.lackey");
    writeFileSync(plain, LACKEY);
    const { stdout } = await nestwalk(["compare", plain, "--json", "-"]);
    const [want, have] = [JSON.parse(stdout) as Result, result];
    expect(have.machines.map(({ counters }) => counters)).toEqual(
      want.machines.map(({ counters }) => counters),
    );
    expect(errors).toEqual([]);
    await close();
  });

  it("is cancelled while the trace comes, and while it is replayed, and begins again", async () => {
    const { page, errors, close } = await open();
    let give = () => {};
    await page.route("**/pipe-pti*", async (route) => {
      await new Promise<void>((resolve) => {
        give = resolve;
      });
      await route.continue().catch(() => {});
    });
    await page.click("text=Replay two shell pipelines");
    await page.click("#cancel");
    expect(await page.isHidden("#cancel")).toBe(true);
    expect(await page.isDisabled("#run")).toBe(true);
    await page.unroute("**/pipe-pti*");
    give();
    await page.waitForSelector("#run:not([disabled])");

    await begin(page);
    expect(await axeSerious(page)).toEqual([]);
    const working = page.workers();
    await page.click("#cancel");
    expect(await page.isHidden("#cancel")).toBe(true);
    /* One reads, the others replay. */
    const ended = () => working.filter((worker) => !page.workers().includes(worker)).length;
    await expect.poll(ended, { timeout: 20_000 }).toBeGreaterThan(1);
    expect(await page.isHidden("#report")).toBe(true);
    expect(await page.textContent("#alert")).toBe("");

    await page.setInputFiles("#file", NATIVE);
    await replay(page);
    expect(await page.textContent("#result-title")).toContain("pcid.nwt");
    await page.check('[name="guest"][value="pipe-pti"]');
    await begin(page);
    await page.click("#cancel");
    expect(await page.textContent("#result-title")).toContain("pcid.nwt");
    expect(await page.isVisible("#report")).toBe(true);
    expect(errors).toEqual([]);
    await close();
  });

  it("keeps to what was asked when the form changes meanwhile, and lets the last replay win", async () => {
    const { page, errors, close } = await open();
    await page.setInputFiles("#file", NATIVE);
    await page.click("#run:not([disabled])");
    await page.uncheck("[name=technique][value=shadow]");
    await page.selectOption("[name=cpu]", "golden-cove");
    await page.waitForSelector("#report:not([hidden])");
    expect(await page.textContent(".command code")).toContain(
      "--technique native,shadow,ept --cpu skylake-sp",
    );
    /* The figures are still being drawn. */
    await page.click("#run:not([disabled])");
    await page.waitForSelector("#progress:not([hidden])");
    await page.waitForSelector("#report:not([hidden])");
    await allDrawn(page);
    expect(await page.textContent(".command code")).toContain("--technique native,ept --cpu golden-cove");
    expect(await page.locator(".summary").count()).toBe(1);
    expect(await page.locator("section.figures").count()).toBe(1);

    await page.check('[name="guest"][value="pipe-pti"]');
    await begin(page);
    await page.setInputFiles("#file", join(root, "package.json"));
    await page.waitForSelector("#alert p");
    await page.click("#cancel");
    expect(await page.isDisabled("#run")).toBe(true);
    await page.setInputFiles("#file", NATIVE);
    await replay(page);
    expect(await page.textContent("#result-title")).toContain("pcid.nwt");
    expect(errors).toEqual([]);
    await close();
  });
});
