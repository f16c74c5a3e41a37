export { type ByteSource, bytesInMemory, bytesOfBlob, bytesOfStream } from "./bytes.js";
export { type ConvertOptions, convertTrace } from "./convert.js";
export { type AccessFlags, RecordEncoder, type U64 } from "./encode.js";
export { TraceError, type TraceErrorKind } from "./error.js";
export {
  type PageSize,
  type PageSizes,
  type Placement,
  parsePageSizes,
  parseV2p,
} from "./importers/pages.js";
export type { ChunkHead, IndexEntry } from "./nwt.js";
export { type Chunk, NwtSource } from "./nwt-reader.js";
export { NwtWriter, type NwtWriterOptions } from "./nwt-writer.js";
export { compressions, openTrace, type TraceFormat, traceFormats } from "./open.js";
export { Pgrec1Source } from "./pgrec1.js";
export { type DeltaBases, EventType, type FetchMode, type RecordCounts, RecordScanner } from "./records.js";
export type { OpenOptions, Recorded, TraceHeader, TraceSource, TraceTotals, Truncation } from "./source.js";
export {
  type Generator,
  generators,
  optionsOf as generatorOptions,
  type SynthOptions,
  synthTrace,
} from "./synth/index.js";
export { isSynthName, openSynth, withSynthOption } from "./synth/options.js";
