import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

/** The Chromium that the package @sparticuz/chromium holds compressed, unpacked. */
export interface PackedChromium {
  path: string;
  /** Where it finds a font on a machine that has none. */
  env: Record<string, string>;
  /** Where the libraries are that it needs, for a machine without them. */
  libraries: string;
}

const unbrotli = promisify(brotliDecompress);

/** Unpacks it once for all processes of the user, whole or not at all; undefined where the package is not installed. */
export async function packedChromium(): Promise<PackedChromium | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  const home = packageFolder("@sparticuz/chromium");
  if (home === undefined) return undefined;
  const { version } = JSON.parse(await readFile(join(home, "package.json"), "utf8")) as { version: string };
  const folder = join(tmpdir(), `nestwalk-chromium-${version}-${process.getuid?.() ?? 0}`);
  if (!(await isThere(folder))) await unpack(join(home, "bin"), folder);
  return {
    path: join(folder, "chromium"),
    env: { FONTCONFIG_FILE: join(folder, "fonts.conf") },
    libraries: join(folder, "lib"),
  };
}

/** The folder of an installed package. */
function packageFolder(name: string): string | undefined {
  const places = createRequire(import.meta.url).resolve.paths(name) ?? [];
  for (const place of places) {
    const folder = join(place, name);
    try {
      createRequire(import.meta.url)(join(folder, "package.json"));
      return folder;
    } catch {
      /* Not in this place. */
    }
  }
  return undefined;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function unpack(from: string, to: string): Promise<void> {
  const fresh = await mkdtemp(`${to}-`);
  try {
    await chmod(fresh, 0o755);
    await writeFile(join(fresh, "chromium"), await unbrotli(await readFile(join(from, "chromium.br"))), {
      mode: 0o755,
    });
    for (const name of ["fonts.tar.br", "al2023.tar.br"])
      await untar(await unbrotli(await readFile(join(from, name))), fresh);
    await writeFile(join(fresh, "fonts.conf"), fontsConfig(to));
    await rename(fresh, to);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    /* Another process may have been faster. */
    if (!(await isThere(to))) throw error;
  }
}

function fontsConfig(folder: string): string {
  const places = ["/usr/share/fonts", "/usr/local/share/fonts", join(folder, "fonts")];
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
${places.map((place) => `  <dir>${place}</dir>`).join("\n")}
  <cachedir>${join(folder, "fonts-cache")}</cachedir>
</fontconfig>
`;
}

const BLOCK = 512;

/** The files of a tar archive of short names. */
async function untar(archive: Buffer, folder: string): Promise<void> {
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const text = (offset: number, length: number) =>
      archive
        .subarray(at + offset, at + offset + length)
        .toString("latin1")
        .split("\0")[0]!;
    const [name, size, type] = [text(0, 100), Number.parseInt(text(124, 12), 8), text(156, 1)];
    const start = at + BLOCK;
    if (type === "0" || type === "") {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, archive.subarray(start, start + size));
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}
