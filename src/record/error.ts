/** A recording that cannot be made, in one sentence that says what to do. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}
