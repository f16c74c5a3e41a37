import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { parseVector, type VectorCase } from "./case.js";
import { SchemaError } from "./schema.js";

/** A vector file that cannot be used. `message` is one sentence with the file, and the line where there is one. */
export class VectorFileError extends Error {
  override readonly name = "VectorFileError";
}

const REASONS: Record<string, string> = {
  ENOENT: "does not exist; check the path",
  EISDIR: "is a directory; name the vector files in it",
  EACCES: "may not be read; check its permissions",
};

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** The lines of a vector file, gzipped or plain. */
export function readLines(path: string): string[] {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    throw new VectorFileError(`${path} ${REASONS[code] ?? `cannot be read (${code})`}.`);
  }
  if (isGzip(bytes)) {
    try {
      bytes = gunzipSync(bytes);
    } catch {
      throw new VectorFileError(`${path} is damaged: its gzip data does not inflate.`);
    }
  }
  const text = new TextDecoder().decode(bytes).trimEnd();
  if (text === "") throw new VectorFileError(`${path} holds no cases.`);
  return text.split("\n");
}

export function loadVectors(path: string): VectorCase[] {
  return readLines(path).map((line, index) => {
    try {
      return parseVector(line);
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      throw new VectorFileError(`${path}: line ${index + 1} ${error.message}.`);
    }
  });
}
