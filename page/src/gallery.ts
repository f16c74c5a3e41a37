import list from "../../traces/README.md?raw";

/** A guest that was recorded and lies beside the page. */
export interface Guest {
  /** Without its ending: "sqlite". */
  name: string;
  what: string;
  url: string;
}

const urls = import.meta.glob<string>("../../traces/*.nwt", {
  query: "?url",
  import: "default",
  eager: true,
});

const ROW = /^\| \[(\w[\w-]*)\.nwt\]\([^)]*\) \| ([^|]+) \|/gm;

/** The recorded guests, in the order and the words of traces/README.md. */
export const guests: readonly Guest[] = [...list.matchAll(ROW)].map(([, name, what]) => ({
  name: name!,
  what: what!.trim(),
  url: urls[`../../traces/${name}.nwt`]!,
}));

/** The file of a recorded guest. Throws an error with a sentence when the server does not give it. */
export async function fetchGuest(guest: Guest, signal?: AbortSignal): Promise<Blob> {
  const response = await fetch(guest.url, { signal: signal ?? null }).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw new Error(`${guest.name}.nwt cannot be loaded: the server does not answer`);
  });
  if (!response.ok)
    throw new Error(`${guest.name}.nwt cannot be loaded: the server answers ${response.status}`);
  return response.blob();
}
