import {
  type ConfigRequest,
  type OpenOptions,
  type PageSize,
  type TechniqueName,
  techniqueKeys,
} from "nestwalk";

/** What the form asks for, in the words of `nestwalk compare`. */
export interface Request {
  /** Name of the trace as it stands on the command line. */
  trace: string;
  cpu: string;
  techniques: TechniqueName[];
  hostPage: PageSize;
  /** Assignments "key.path=value". */
  set: string[];
  warmup: number;
  /** Accesses to an interval, "markers", or 0 for no intervals. */
  interval: number | "markers";
  /** How to read the trace. */
  from?: string;
  columns?: string;
  addresses?: "virtual" | "physical";
  allowTruncated: boolean;
}

/** A machine for each technique. */
export function machinesOf({ cpu, techniques, hostPage, set }: Request): ConfigRequest[] {
  return techniques.map((name) => ({
    cpu,
    set,
    options: [
      ...Object.entries(techniqueKeys(name)).map(([path, value]) => ({
        option: "the technique",
        path,
        value,
      })),
      { option: "the host page", path: "host.page", value: hostPage },
    ],
  }));
}

export function openOptionsOf({ from, columns, addresses, allowTruncated }: Request): OpenOptions {
  return {
    allowTruncated,
    ...(from === undefined ? {} : { from }),
    ...(columns === undefined ? {} : { columns }),
    ...(addresses === undefined ? {} : { addresses }),
  };
}

/** What a result says was asked for: the same as `nestwalk compare` with the same options. */
export function askedOf({
  techniques,
  cpu,
  set,
  hostPage,
  warmup,
  interval,
  ...open
}: Request): Record<string, unknown> {
  const { from, columns, addresses } = open;
  return {
    command: "compare",
    technique: techniques,
    cpu,
    ...(set.length === 0 ? {} : { set }),
    ...(hostPage === "4k" ? {} : { hostPage }),
    ...(warmup === 0 ? {} : { warmup }),
    ...(interval === 0 ? {} : { interval }),
    ...(from === undefined ? {} : { from }),
    ...(columns === undefined ? {} : { columns }),
    ...(addresses === undefined ? {} : { addresses }),
  };
}
