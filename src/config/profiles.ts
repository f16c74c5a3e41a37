import { exitGenerationKeys, exitGenerations, hypervisorKeys, hypervisors } from "./exit-profiles.js";
import { shadowProfileKeys, shadowProfiles } from "./shadow.js";

/** A key whose value is a name for values of other keys of its group: they are set before the file and the assignments. */
interface Profile {
  readonly group: string;
  readonly key: string;
  /** Values of the group's other keys. A name that is none has none: the schema refuses it. */
  readonly keys: (name: unknown) => object;
  /** What each name comes to. */
  readonly names: readonly (readonly [name: string, text: string])[];
}

export const profiles: readonly Profile[] = [
  {
    group: "shadow",
    key: "profile",
    keys: shadowProfileKeys,
    names: Object.entries(shadowProfiles).map(([name, { text }]) => [name, text]),
  },
  {
    group: "exits",
    key: "generation",
    keys: exitGenerationKeys,
    names: [
      ["cpu", "as the CPU's preset has it"],
      ...Object.entries(exitGenerations).map(
        ([name, { value, source }]) => [name, `${value} cycles for the round trip; ${source}`] as const,
      ),
    ],
  },
  {
    group: "exits",
    key: "hypervisor",
    keys: hypervisorKeys,
    names: Object.entries(hypervisors).map(([name, { value, source }]) => [
      name,
      `${value} cycles more for an exit to a device or for I/O; ${source}`,
    ]),
  },
];
