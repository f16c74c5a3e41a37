import { portableCrc32 } from "./crc32.js";
import { PortableSha256 } from "./sha256.js";

export interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** The digest: 32 bytes. Call once. */
  digest(): Uint8Array;
}

type NodeZlib = typeof import("node:zlib");
type NodeCrypto = typeof import("node:crypto");
interface NodeProcess {
  getBuiltinModule?(id: string): unknown;
}

// Node's own way for isomorphic code: nothing for a bundler to resolve, undefined in a browser.
const host = (globalThis as { process?: NodeProcess }).process;
const crypto = host?.getBuiltinModule?.("node:crypto") as NodeCrypto | undefined;

/** node:zlib where there is one. */
export const nodeZlib = host?.getBuiltinModule?.("node:zlib") as NodeZlib | undefined;

export const crc32: (bytes: Uint8Array, crc?: number) => number =
  (nodeZlib as { crc32?: typeof portableCrc32 } | undefined)?.crc32 ?? portableCrc32;

export function sha256(): Hasher {
  return crypto ? crypto.createHash("sha256") : new PortableSha256();
}
