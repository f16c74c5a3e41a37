import { Feed, feedRecordBytes, feedRecords, Scope } from "../generated/abi.js";
import type { EmbedCore } from "./core-exports.js";
import type { Invalidation } from "./options.js";

const EVERYTHING: Invalidation = {
  kind: Feed.everything,
  globals: true,
  everyPcid: true,
  everyVpid: true,
  vpid: 0,
  pcid: 0,
  low: 0,
  high: 0,
  span: 12,
  context: 0,
};

/** Hands the records of the core's ring (assembly/mmu/feed.ts) on. */
export class FeedReader {
  #seen: number;
  #fed: Uint32Array;

  constructor(
    readonly core: EmbedCore,
    readonly hand: (invalidation: Invalidation) => void,
  ) {
    this.#fed = this.#view();
    this.#seen = this.#fed[0]!;
  }

  #view(): Uint32Array {
    return new Uint32Array(this.core.memory.buffer, this.core.fedAddress(), 1);
  }

  /**
   * Each record is taken before it is handed on: a host whose function throws, or makes calls that invalidate more, is told
   * the rest in order.
   */
  drain(): void {
    if (this.#fed[0] === this.#seen) return;
    for (let fed = this.#now(); this.#seen !== fed; fed = this.#now()) {
      if ((fed - this.#seen) >>> 0 > feedRecords) {
        this.#seen = fed;
        this.hand(EVERYTHING);
      } else {
        const record = this.#record(this.#seen % feedRecords);
        this.#seen = (this.#seen + 1) >>> 0;
        this.hand(record);
      }
    }
  }

  #now(): number {
    if (this.#fed.length === 0) this.#fed = this.#view();
    return this.#fed[0]!;
  }

  #record(index: number): Invalidation {
    const at = this.core.feedAddress() + index * feedRecordBytes;
    const [kind, scope, vpid, pcid, low, high, span, context] = new Uint32Array(
      this.core.memory.buffer,
      at,
      8,
    ) as unknown as [number, number, number, number, number, number, number, number];
    return {
      kind,
      globals: (scope & Scope.globals) !== 0,
      everyPcid: (scope & Scope.everyPcid) !== 0,
      everyVpid: (scope & Scope.everyVpid) !== 0,
      vpid,
      pcid,
      low,
      high,
      span,
      context,
    };
  }
}
