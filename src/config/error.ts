/** A configuration that cannot be used. `message` is one sentence: the key path, its value, what is allowed. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(
    message: string,
    /** Key path at fault, with dots; empty when there is none. */
    readonly path: string = "",
  ) {
    super(message);
  }
}
