/** Mechanisms without which the curves do not come out, each as the assignments that take it away. */
export const ablations: Record<string, readonly string[]> = {
  "l2-lru": ["tlb.l2.0.policy=lru", "tlb.l2.0.fillMark=0"],
  "pde-in-l2": [
    "psc.pde.place=l2",
    "psc.pdpte.place=own",
    "psc.pdpte.entries=1792",
    "psc.pdpte.ways=7",
    "psc.pdpte.policy=nru",
    "psc.pdpte.fillMark=30",
  ],
  "pdpte-apart": ["psc.pdpte.place=own", "psc.pdpte.entries=64", "psc.pdpte.ways=0", "psc.pdpte.policy=lru"],
  "walker-past-l1": ["walk.cacheLevel=l2"],
  "plain-l2-index": ["caches.l2.hashMask=0"],
};
