/** An entry of an archive. */
export interface Entry {
  /** Path without a leading slash; "." is the root. */
  path: string;
  type: "folder" | "file" | "link";
  /** Permissions. */
  mode: number;
  /** Content of a file, target of a link. */
  data: Uint8Array;
}

const TYPES = { folder: 0o040000, file: 0o100000, link: 0o120000 };
const BLOCK = 512;

/**
 * A cpio archive in the format that Linux takes as an initramfs ("newc", Documentation/driver-api/early-userspace/
 * buffer-format.rst). Owner, times and inode numbers are fixed, so that equal entries give equal bytes.
 */
export function cpioArchive(entries: readonly Entry[]): Uint8Array[] {
  const bytes = (path: string) => new TextEncoder().encode(`./${path === "." ? "" : path}`);
  const sorted = [...entries].sort((a, b) =>
    a.path === "." ? -1 : b.path === "." ? 1 : compare(bytes(a.path), bytes(b.path)),
  );
  const parts: Uint8Array[] = [];
  let length = 0;
  const add = (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
  };
  const pad = (to: number) => add(new Uint8Array((to - (length % to)) % to));
  sorted.forEach((entry, i) => {
    const links = entry.type === "folder" ? 2 + subfolders(entry.path, entries) : 1;
    add(header(i, TYPES[entry.type] | entry.mode, links, entry.data.length, entry.path));
    pad(4);
    add(entry.data);
    pad(4);
  });
  add(header(0, 0, 1, 0, "TRAILER!!!"));
  pad(4);
  pad(BLOCK);
  return parts;
}

function subfolders(path: string, entries: readonly Entry[]): number {
  const inside = path === "." ? "" : `${path}/`;
  return entries.filter(
    (entry) =>
      entry.type === "folder" &&
      entry.path !== "." &&
      entry.path.startsWith(inside) &&
      !entry.path.slice(inside.length).includes("/"),
  ).length;
}

function header(inode: number, mode: number, links: number, size: number, path: string): Uint8Array {
  const name = new TextEncoder().encode(`${path}\0`);
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name.length, 0];
  const hex = fields.map((field) => field.toString(16).toUpperCase().padStart(8, "0")).join("");
  const head = new Uint8Array(6 + hex.length + name.length);
  head.set(new TextEncoder().encode(`070701${hex}`));
  head.set(name, 6 + hex.length);
  return head;
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
