import type { RecordEncoder } from "../encode.js";
import { EventType } from "../records.js";
import type { GuestEvent } from "./decode.js";

const HOST = ["unmap", "unmap", "share", "dirty-log", "memory-slots"] as const;

/** Writes a decoded event again. END is the encoder's own to write. */
export function encodeEvent(out: RecordEncoder, { type, values, entries, text }: GuestEvent): void {
  const [a = 0n, b = 0n, c = 0n, d = 0n] = values;
  switch (type) {
    case EventType.CR0:
      out.cr0(a);
      break;
    case EventType.CR3:
      out.cr3(a);
      break;
    case EventType.CR4:
      out.cr4(a);
      break;
    case EventType.EFER:
      out.efer(a);
      break;
    case EventType.MODE:
      out.mode(Number(a & 3n), (a & 4n) !== 0n);
      break;
    case EventType.INVLPG:
      out.invlpg(a);
      break;
    case EventType.EXC:
      out.exception(Number(a), b, c, d);
      break;
    case EventType.PTP:
      out.ptp(a, Number(b), entries);
      break;
    case EventType.PTPDROP:
      out.ptpDrop(a);
      break;
    case EventType.PTW:
      out.ptw(a, b);
      break;
    case EventType.MAP:
      out.map(a, b);
      break;
    case EventType.MARK:
      out.mark(Number(a));
      break;
    case EventType.INSN:
      out.insn(Number(a));
      break;
    case EventType.FRUN:
      out.fetchRun(Number(a));
      break;
    case EventType.INVPCID:
      out.invpcid(Number(a), b, c);
      break;
    case EventType.CR2:
      out.cr2(a);
      break;
    case EventType.PKRU:
      out.pkru(Number(a));
      break;
    case EventType.SWITCH:
      out.switchTo(a, b);
      break;
    case EventType.LABEL:
      out.label(text ?? "");
      break;
    case EventType.HOST:
      out.host(HOST[Number(a)]!, b, c);
      break;
    default:
      throw new RangeError(`event type ${type} cannot be written`);
  }
}
