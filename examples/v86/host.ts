import { V86 } from "v86";
import { type Hooks, LOOKUPS } from "./patch.js";

export const RAM_BYTES = 32 << 20;
const VGA_BYTES = 1 << 20;
/** v86's CR0 after reset, by which its registers are found. */
const CR0_AFTER_RESET = 0x6000_0010;
/** Its registers lie in the first page of its memory. */
const STATE_BYTES = 4096;

/** v86 with a guest in it that has not run yet. */
export interface Host {
  /** v86's own memory. */
  memory: WebAssembly.Memory;
  /** Where in it the guest's memory begins. */
  ramBase: number;
  controls(): { cr0: number; cr3: number; cr4: number };
  /** n translations in a loop inside v86's wasm (patch.ts). */
  lookups(address: number, step: number, mask: number, n: number): number;
  /** Runs the guest until it writes to its serial port; returns what it wrote. */
  run(): Promise<string>;
  close(): Promise<void>;
}

/** Starts v86 from a module that `patch` made, with a ROM that ends at 1 MiB. Nothing calls `hooks` before `run`. */
export async function startV86(
  wasm: Uint8Array<ArrayBuffer>,
  rom: Uint8Array<ArrayBuffer>,
  hooks: Hooks,
): Promise<Host> {
  let memory: WebAssembly.Memory | undefined;
  let ramBase = 0;
  let lookups: Host["lookups"] | undefined;
  let running = false;
  const guarded = Object.fromEntries(
    Object.entries(hooks).map(([name, hook]) => [
      name,
      (...operands: unknown[]) => {
        if (running) (hook as (...operands: unknown[]) => void)(...operands);
      },
    ]),
  );
  const emulator = new V86({
    wasm_fn: async (imports) => {
      const { instance } = await WebAssembly.instantiate(wasm, { ...imports, nestwalk: guarded });
      const { exports } = instance;
      const allocate = exports.allocate_memory as (bytes: number) => number;
      memory = exports.memory as WebAssembly.Memory;
      lookups = exports[LOOKUPS] as Host["lookups"];
      return {
        ...exports,
        allocate_memory(bytes: number) {
          ramBase = allocate(bytes);
          return ramBase;
        },
      };
    },
    memory_size: RAM_BYTES,
    vga_memory_size: VGA_BYTES,
    bios: { buffer: rom.buffer },
    autostart: false,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
  });
  await new Promise<void>((resolve) => emulator.add_listener("emulator-loaded", () => resolve()));
  if (memory === undefined || lookups === undefined || ramBase === 0)
    throw new Error("v86 did not allocate the guest's memory through allocate_memory: use v86 0.5.462");
  const cr = findControls(memory);
  const its = memory;
  return {
    memory: its,
    ramBase,
    controls() {
      const view = new DataView(its.buffer, cr, 20);
      return { cr0: view.getUint32(0, true), cr3: view.getUint32(12, true), cr4: view.getUint32(16, true) };
    },
    lookups,
    async run() {
      const said = new Promise<string>((resolve) =>
        emulator.add_listener("serial0-output-byte", (byte: number) => resolve(String.fromCharCode(byte))),
      );
      running = true;
      await emulator.run();
      const byte = await said;
      running = false;
      await emulator.stop();
      return byte;
    },
    close: () => emulator.destroy(),
  };
}

/** Offset of CR0 to CR4 in v86's memory: 32 bits each. */
function findControls(memory: WebAssembly.Memory): number {
  const words = new Uint32Array(memory.buffer, 0, STATE_BYTES / 4);
  const at = words.indexOf(CR0_AFTER_RESET);
  if (at < 0 || words.includes(CR0_AFTER_RESET, at + 1))
    throw new Error("this v86 does not keep CR0 once in the first page of its memory: use v86 0.5.462");
  return 4 * at;
}
