/** The check that an access failed, in the order in which they are made. */
export enum Refusal {
  none,
  /** The linear address is not canonical. */
  canonical,
  notPresent,
  /** A reserved bit is set. */
  reserved,
  /** EPT: a combination of rights that means nothing. */
  rights,
  /** EPT: a memory type that does not exist. */
  memoryType,
  /** A page of the supervisor, accessed at CPL 3. */
  user,
  /** No right to write. */
  write,
  /** No right to execute. */
  execute,
  /** EPT: no right to read. */
  read,
  /** A fetch by the supervisor from a user page. */
  smep,
  /** A data access by the supervisor to a user page. */
  smap,
  /** The protection key. */
  key,
  /** Not a shadow-stack page, or one of the other privilege. */
  shadowStack,
  /** The second stage does not let a flag be set in the guest's entry. */
  flags,
  /** The page-modification log is full. */
  log,
}
