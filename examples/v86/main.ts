import { writeFileSync } from "node:fs";
import { runComparison } from "./run.js";

/** Compares v86's walks with nestwalk's; with the name of a file, writes the trace of v86's TLB misses there. */

const { said, comparison, mmu, host } = await runComparison();
const { walks, mismatches } = comparison;
const faults = walks.filter(({ errorCode }) => errorCode !== undefined).length;
console.log(`the guest ${said === "E" ? "ended well" : "failed"}`);
console.log(
  `${walks.length} walks of v86 compared, ${faults} of them page faults: ${mismatches.length} mismatches`,
);
for (const mismatch of mismatches.slice(0, 10)) console.log(mismatch);
const [file] = process.argv.slice(2);
if (file !== undefined) {
  writeFileSync(file, await mmu.trace());
  console.log(`their trace is in ${file}`);
}
await host.close();
if (said !== "E" || mismatches.length > 0) process.exitCode = 1;
