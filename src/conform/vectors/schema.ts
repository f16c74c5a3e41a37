import { z } from "zod";

/** A line that is not a case of the schema. `message` completes the sentence "line N ...". */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

const hex = z.string().regex(/^0x[0-9a-fA-F]{1,16}$/, "is not a hexadecimal string of up to 64 bits");
const name = z.string().min(1);
const levels = z.union([z.literal(4), z.literal(5)], "is neither 4 nor 5");
const errorCode = z.int().min(0);

const implementationDefined = z.enum([
  "nonleaf_a_on_fault",
  "npt_nonleaf_a_on_fault",
  "leaf_ad_before_final_npf",
  "npf_id_bit_without_host_nxe",
]);
export type ImplementationDefined = z.infer<typeof implementationDefined>;

const guestEntry = z.union([z.tuple([name, hex, hex]), z.tuple([name, hex, hex, hex])]);

const expected = z.union([
  z.object({ ok: z.literal(true), pa: hex }),
  z.object({ npf: z.literal(true), exitinfo1: hex, exitinfo2: hex }),
  z.object({ fault: z.literal(true), vector: z.literal(14), error_code: errorCode, cr2: hex }),
  z.object({ fault: z.literal(true), vector: z.literal(13) }),
]);

/** One case. Wide numbers are hexadecimal strings; what a case does not use is not looked at. */
const rawCase = z
  .object({
    id: name,
    cat: name,
    maxphyaddr: z.int().min(32).max(52),
    levels: levels.optional(),
    guest_levels: levels.optional(),
    host_levels: levels.optional(),
    cr0: hex,
    cr3: hex,
    cr4: hex,
    efer: hex,
    pkru: hex,
    ac: z.union([z.literal(0), z.literal(1)]),
    cpl: z.int().min(0).max(3),
    access: z.enum(["r", "w", "x"]),
    va: hex,
    entries: z.array(guestEntry),
    after: z.array(hex),
    host_efer: hex.optional(),
    ncr3: hex.optional(),
    npt: z.array(z.object({ page: name, gpa: hex, entries: z.array(z.tuple([name, hex, hex])) })).optional(),
    npt_after: z.array(z.array(hex)).optional(),
    expected,
    arch: z
      .strictObject({
        error_code: errorCode.optional(),
        exitinfo1: hex.optional(),
        leaf_after: hex.optional(),
        npt_leaf_after: z.tuple([name, hex]).optional(),
      })
      .optional(),
    impl_defined: z.array(implementationDefined).optional(),
    vendor: z.array(name).optional(),
    qemu_quirk: z.array(name).optional(),
  })
  .superRefine((raw, context) => {
    const wrong = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    if (raw.after.length !== raw.entries.length) wrong("after", "is not parallel to entries");
    if (raw.npt === undefined) {
      if (raw.levels === undefined) wrong("levels", "is missing");
      return;
    }
    for (const field of ["guest_levels", "host_levels", "ncr3", "host_efer", "npt_after"] as const) {
      if (raw[field] === undefined) wrong(field, "is missing, in a nested case");
    }
    const parallel = raw.npt.every((path, i) => path.entries.length === raw.npt_after?.[i]?.length);
    if (raw.npt_after !== undefined && !parallel) wrong("npt_after", "is not parallel to npt");
  });
export type RawCase = z.infer<typeof rawCase>;

export function parseLine(line: string): RawCase {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new SchemaError("is not JSON");
  }
  const parsed = rawCase.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const path = issue.path.map(String);
  let value: unknown = json;
  for (const key of path) value = (value as Record<string, unknown> | undefined)?.[key];
  const shown = value === undefined ? "" : ` (${JSON.stringify(value).slice(0, 60)})`;
  if (path.length === 0) throw new SchemaError("is not a case of the vectors' schema");
  const why = value === undefined && issue.code !== "custom" ? "is missing" : describe(issue);
  throw new SchemaError(`has a field ${path.join(".")}${shown} that ${why}`);
}

function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return `is none of ${issue.values.map(String).join(", ")}`;
  if (issue.code === "unrecognized_keys") return `holds unknown keys ${issue.keys.join(", ")}`;
  if (issue.message.startsWith("is ")) return issue.message;
  return "is not of the vectors' schema";
}
