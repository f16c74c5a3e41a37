import type { TraceFile } from "../../page/src/engine/messages.js";
import { fetchGuest, type Guest, guests } from "../../page/src/gallery.js";

export { guests };

/** A recorded guest as `replay` takes it. */
export async function fetchTrace(guest: Guest): Promise<TraceFile> {
  return { name: `traces/${guest.name}.nwt`, bytes: await fetchGuest(guest) };
}
