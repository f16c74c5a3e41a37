import { Kind } from "../generated/abi.js";
import type { HostFunctions } from "../instantiate.js";

/**
 * The host's functions as the core may call them: an error does not unwind the core, which would be left in the middle of a
 * walk. What was asked is answered with nothing, and the error is thrown when the core has come to its end.
 */
export class GuardedFunctions implements HostFunctions {
  #failed = false;
  #error: unknown;

  constructor(readonly its: HostFunctions) {}

  /** Throws what a function threw since this was last asked. */
  check(): void {
    if (!this.#failed) return;
    const error = this.#error;
    this.#failed = false;
    this.#error = undefined;
    throw error;
  }

  /** The first error counts. */
  #guard<T>(answer: () => T, nothing: T): T {
    if (this.#failed) return nothing;
    try {
      return answer();
    } catch (error) {
      this.#failed = true;
      this.#error = error;
      return nothing;
    }
  }

  readonly read: HostFunctions["read"] = (low, high, bytes, why) =>
    this.#guard(() => this.its.read(low, high, bytes, why), 0n);
  readonly write: HostFunctions["write"] = (low, high, bytes, value, why) =>
    this.#guard(() => this.its.write(low, high, bytes, value, why), undefined);
  readonly compareExchange: HostFunctions["compareExchange"] = (low, high, bytes, expected, value, why) =>
    this.#guard(() => this.its.compareExchange(low, high, bytes, expected, value, why), 1);
  readonly kind: HostFunctions["kind"] = (low, high) =>
    this.#guard(() => this.its.kind(low, high), Kind.none);
}
