import type { OpenOptions, ReplayRequest } from "nestwalk";
import type { Labels, NamedFile, Opening } from "./engine/messages.js";

/** What the form asks for. */
export interface Request {
  /** Name of the trace as it stands on the command line. */
  trace: string;
  replay: ReplayRequest;
  open: Opening;
}

/** How the form wants a trace to be read. */
export interface ReadingFields {
  from: string;
  columns: string;
  addresses: "" | NonNullable<OpenOptions["addresses"]>;
  allowTruncated: boolean;
  pageSizes: NamedFile | undefined;
  v2p: NamedFile | undefined;
}

/** How to open the trace, and what of it the result repeats. */
export function openingOf(fields: ReadingFields): Required<Pick<Request, "open">> & {
  reading: NonNullable<ReplayRequest["reading"]>;
} {
  const { from, columns, addresses, allowTruncated, pageSizes, v2p } = fields;
  const texts = {
    ...(from === "" ? {} : { from }),
    ...(columns === "" ? {} : { columns }),
    ...(addresses === "" ? {} : { addresses }),
  };
  return {
    open: { allowTruncated, ...texts, ...(pageSizes && { pageSizes }), ...(v2p && { v2p }) },
    reading: {
      ...texts,
      ...(pageSizes && { pageSizes: pageSizes.name }),
      ...(v2p && { v2p: v2p.name }),
    },
  };
}

/** What the form calls the options that sentences name. */
export const labels: Labels = {
  addresses: "Addresses",
  "allow-truncated": "take a cut file as far as it is whole",
  columns: "Columns of a text",
  config: "Further keys",
  cpu: "CPU",
  formats: "Format",
  from: "Format",
  "host-page": "Host pages",
  interval: "Interval",
  jobs: "Vary a key",
  "page-sizes": "Map of page sizes",
  set: "Further keys",
  technique: "Techniques",
  v2p: "Places of its pages",
  vary: "Vary a key",
};
