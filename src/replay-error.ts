/** A replay that cannot go on: the records contradict themselves or what was replayed. The message is one sentence. */
export class ReplayError extends Error {
  override name = "ReplayError";
  constructor(
    message: string,
    /** Byte offset in the record stream. */
    readonly offset: number,
    /** Records replayed before it. */
    readonly events: number,
  ) {
    super(message);
  }
}
