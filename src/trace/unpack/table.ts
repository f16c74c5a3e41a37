import type { ByteSource } from "../bytes.js";
import { gunzip, looksLikeGzip } from "../gzip.js";
import { Bzip2Unpacker, looksLikeBzip2 } from "./bzip2.js";
import { drive } from "./drive.js";
import { XZ_MAGIC, XzUnpacker } from "./xz.js";
import { unzip } from "./zip.js";
import { ZSTD_MAGIC, ZstdUnpacker } from "./zstd.js";

/** A compressed file around a trace. */
export interface Wrapper {
  /** As messages call it. */
  name: string;
  /** The command that takes it off. */
  command: string;
  /** Reads the file in an order of its own. */
  seeks?: boolean;
  looksLike(head: Uint8Array): boolean;
  /** `stored` is the file from its start; `source` is the file itself. */
  unpack(source: ByteSource, stored: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

/** First bytes that `wrapperOf` wants to see. */
export const WRAPPER_HEAD_BYTES = 10;

const starts = (...magics: Uint8Array[]) => {
  return (head: Uint8Array) =>
    magics.some((magic) => head.length >= magic.length && magic.every((byte, i) => head[i] === byte));
};

export const wrappers: readonly Wrapper[] = [
  {
    name: "gzip",
    command: "gunzip",
    looksLike: looksLikeGzip,
    unpack: (source, stored) => gunzip(source.name, stored),
  },
  {
    name: "xz",
    command: "xz -d",
    looksLike: starts(XZ_MAGIC),
    unpack: (source, stored) => drive(source.name, "xz", stored, new XzUnpacker()),
  },
  {
    name: "bzip2",
    command: "bunzip2",
    looksLike: looksLikeBzip2,
    unpack: (source, stored) => drive(source.name, "bzip2", stored, new Bzip2Unpacker()),
  },
  {
    name: "zstd",
    command: "zstd -d",
    looksLike: starts(ZSTD_MAGIC),
    async *unpack(source, stored) {
      yield* drive(source.name, "zstd", stored, await ZstdUnpacker.create());
    },
  },
  {
    name: "zip",
    command: "unzip",
    seeks: true,
    looksLike: starts(Uint8Array.of(0x50, 0x4b, 3, 4), Uint8Array.of(0x50, 0x4b, 5, 6)),
    unpack: (source) => unzip(source),
  },
];

export function wrapperOf(head: Uint8Array): Wrapper | undefined {
  return wrappers.find((wrapper) => wrapper.looksLike(head));
}
