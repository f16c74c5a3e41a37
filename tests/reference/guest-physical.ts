import { translateEpt } from "./ept.js";
import { translateNpt } from "./npt.js";
import type { Exit } from "./outcome.js";
import { ALL_RIGHTS, type Stage2Request, type Stage2Translation, type WalkState } from "./stage2.js";

export function translateGuestPhysical(
  walk: WalkState,
  gpa: bigint,
  request: Stage2Request,
): Stage2Translation | Exit {
  switch (walk.stage2.kind) {
    case "none":
      return { ok: true, hpa: gpa, pageSize: Number.POSITIVE_INFINITY, rights: ALL_RIGHTS };
    case "ept":
      return translateEpt(walk, walk.stage2, gpa, request);
    case "npt":
      return translateNpt(walk, walk.stage2, gpa, request);
  }
}
