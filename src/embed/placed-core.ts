import { lower, type MachineConfig } from "../config/index.js";
import { Core } from "../core.js";
import { Cell, Kind } from "../generated/abi.js";
import { placeCore } from "../instantiate.js";
import { Machine } from "../machine.js";
import { Block } from "./block.js";
import type { EmbedCore } from "./core-exports.js";
import { FeedReader } from "./feed.js";
import type { GuardedFunctions } from "./guarded.js";
import { place } from "./memory.js";
import { configOf, type MemoryRange, type MmuOptions } from "./options.js";
import type { Recorder } from "./recorder.js";

/** No #VE information area. */
export const NO_AREA = 0xffff_ffff_ffff_ffffn;

/** A core beside, or in, a host's memory, started with the configuration that the host's options describe. */
export class PlacedCore {
  /** The memory that the core lies in: the host's own if it brought a WebAssembly.Memory. It may grow. */
  readonly memory: WebAssembly.Memory;
  readonly config: MachineConfig;
  /** What the core exports, for hosts that call it without this class. */
  readonly exports: EmbedCore;
  protected readonly core: Core;
  protected readonly machine: Machine;
  protected readonly block: Block;
  protected readonly ranges: readonly Required<MemoryRange>[];
  /** The core loads from the ranges by itself. */
  protected readonly linear: boolean;
  /** The model is the hypervisor. */
  protected readonly model: boolean;
  protected readonly functions: GuardedFunctions;
  protected readonly feed: FeedReader | undefined;
  protected recorder: Recorder | undefined;
  /** Nobody has to hear of a translation. */
  protected readonly plain: boolean;

  /** Throws ConfigError for options that make no sense. */
  constructor(options: MmuOptions) {
    const { config, model } = configOf(options);
    const placement = place(options, model);
    this.config = config;
    this.model = model;
    this.memory = placement.memory;
    this.ranges = placement.ranges;
    this.functions = placement.functions;
    this.linear = placement.linear;
    const core = placeCore<EmbedCore>(undefined, placement.memory, placement.base, placement.functions);
    this.exports = core;
    this.core = new Core(core);
    this.machine = new Machine(config, this.core);
    this.core.parameters.set(lower(config));
    this.block = new Block(core);
    core.embedHostMemory(placement.calls);
    if (placement.linear) {
      for (const { address, base, size, kind } of placement.ranges) {
        this.block.set(Cell.address, address);
        this.block.set(Cell.value, address + size);
        core.embedRange(base, Kind[kind]);
      }
    }
    core.embedLeaveExits(!model);
    core.start();
    if (!model && config.technique === "nested") core.embedNoRoot();
    this.block.set(Cell.veArea, NO_AREA);
    this.block.set(Cell.pmlIndex, 511);
    core.embedSetVirtualization();
    core.embedCodeLong(true);
    if (options.onInvalidate) this.feed = new FeedReader(core, options.onInvalidate);
    this.plain = !placement.calls && this.feed === undefined && !options.record;
  }

  /** Throws what a function of the host threw meanwhile. */
  protected asked(answer: number): number {
    this.functions.check();
    return answer;
  }
  /** A call that may have invalidated something has come to its end. */
  protected after(status: number): number {
    this.functions.check();
    this.feed?.drain();
    return status;
  }
}
