/** What a file is that is known not to be a trace, and what to do with it. */
export interface KnownOther {
  what: string;
  advice?: string;
}

interface Look extends KnownOther {
  looksLike(head: Uint8Array): boolean;
}

const magic = (bytes: string, at = 0) => {
  return (head: Uint8Array) => [...bytes].every((c, i) => head[at + i] === c.charCodeAt(0));
};

const LOOKS: readonly Look[] = [
  { what: "an ELF program", looksLike: magic("\x7fELF") },
  { what: "a WebAssembly module", looksLike: magic("\0asm") },
  { what: "lz4-compressed data", advice: "unpack it with lz4 -d", looksLike: magic("\x04\x22\x4d\x18") },
  { what: "lzma-compressed data", advice: "unpack it with xz -d --format=lzma", looksLike: lzmaAlone },
  { what: "lzip-compressed data", advice: "unpack it with lzip -d", looksLike: magic("LZIP") },
  { what: "data compressed by compress", advice: "unpack it with gunzip", looksLike: magic("\x1f\x9d") },
  { what: "snappy-compressed data", advice: "unpack it", looksLike: magic("\xff\x06\0\0sNaPpY") },
  { what: "a 7z archive", advice: "unpack it with 7z x", looksLike: magic("7z\xbc\xaf\x27\x1c") },
  { what: "a rar archive", advice: "unpack it with unrar x", looksLike: magic("Rar!\x1a\x07") },
  { what: "a tar archive", advice: "unpack it with tar -x", looksLike: magic("ustar", 257) },
  {
    what: "what a program under drmemtrace writes before it is made a trace",
    advice: "make one of its folder with DynamoRIO's drraw2trace -indir FOLDER",
    looksLike: rawDrmemtrace,
  },
  { what: "a PGREC recording of another version", looksLike: magic("PGREC") },
  { what: "a PDF document", looksLike: magic("%PDF") },
  { what: "a PNG image", looksLike: magic("\x89PNG") },
];

/** Says of a file that begins with `head` what it is, when that is known and no trace. */
export function knownOther(head: Uint8Array): KnownOther | undefined {
  return LOOKS.find((look) => look.looksLike(head));
}

/** The properties that `xz --format=lzma` and `lzma` write, a dictionary of whole KiB, and a length that may be unknown. */
function lzmaAlone(head: Uint8Array): boolean {
  if (head[0] !== 0x5d || head[1] !== 0 || head[2] !== 0) return false;
  const unknown = head.subarray(5, 13).every((byte) => byte === 0xff);
  return unknown || (head[10] === 0 && head[11] === 0 && head[12] === 0);
}

/** Entries of eight bytes whose top three bits say what they are: a version, then a thread, then a process. */
function rawDrmemtrace(head: Uint8Array): boolean {
  const [version = 0, ...rest] = head.subarray(0, 6);
  const kind = (entry: number) => (head[entry * 8 + 7] ?? 0) >> 5;
  return (
    version >= 1 &&
    version < 32 &&
    rest.every((byte) => byte === 0) &&
    kind(0) === 6 &&
    kind(1) === 2 &&
    kind(2) === 3
  );
}
