import { UsageError } from "../cli/io.js";
import { exceptions, logging, pdpteLoads } from "./ept/deliveries.js";
import { flags, ignoredBits, reservedBits } from "./ept/entries.js";
import { guestTables } from "./ept/guest-tables.js";
import { order } from "./ept/order.js";
import { rights } from "./ept/rights.js";
import { Checks } from "./second-stage/world.js";

const usage = `npm run conform -- ept

The EPT access tables of kvm-unit-tests (x86/vmx_tests.c), over 4 and 5 levels: rights and misconfigurations at each
level and leaf size, reserved and ignored bits, rights of the guest's own table pages against its accessed and dirty
flags, EPT's accessed and dirty flags, the order of guest faults and exits, PDPTE loads, #VE and page-modification
logging. Each expectation is a function of the flags.
`;

export async function conformEpt(args: readonly string[], write: (text: string) => void): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    write(usage);
    return 0;
  }
  if (args.length > 0) throw new UsageError(`ept takes no arguments\n${usage}`);
  const checks = new Checks();
  for (const levels of [4, 5] as const) {
    rights(checks, levels);
    reservedBits(checks, levels);
    ignoredBits(checks, levels);
    guestTables(checks, levels);
    flags(checks, levels);
  }
  order(checks);
  pdpteLoads(checks);
  exceptions(checks);
  logging(checks);
  return checks.report(write);
}
