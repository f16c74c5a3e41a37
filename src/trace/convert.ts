import { RecordEncoder } from "./encode.js";
import { NwtWriter } from "./nwt-writer.js";
import type { Recorded, TraceSource, TraceTotals } from "./source.js";

export interface ConvertOptions {
  /** Replaces or adds to what the source says of its origin. */
  recorded?: Recorded;
  /** See NwtWriterOptions. */
  chunkBytes?: number;
  /** Told how far it is, now and then. */
  onProgress?: (totals: TraceTotals) => void;
}

/**
 * Any trace as the bytes of a .nwt file, in order. The record stream goes over byte for byte. A source that is
 * truncated, and was opened to allow that, is closed with a LABEL that says where it broke off, and an END.
 */
export async function* convertTrace(
  source: TraceSource,
  options: ConvertOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const writer = new NwtWriter({
    name: source.name,
    fetch: source.header.fetch,
    recorded: { ...source.header.recorded, ...options.recorded },
    ...(options.chunkBytes === undefined ? {} : { chunkBytes: options.chunkBytes }),
  });
  yield writer.start();
  for await (const slice of source.records()) {
    yield* await writer.push(slice);
    options.onProgress?.(writer.totals);
  }
  if (!writer.ended && source.truncated) {
    writer.dropPartial();
    const { fetches, reads, writes } = writer.totals;
    const closing = new RecordEncoder().label(
      `truncated: the source ends at byte ${source.truncated.offset}`,
    );
    Object.assign(closing, { fetches, reads, writes });
    yield* await writer.push(closing.end().take());
  }
  yield* await writer.finish();
}
