import { byId } from "../dom.js";

const drop = byId("drop");

/** Takes a file that is dropped anywhere on the page; `refuse` is told why something else is not taken. */
export function startDrop(take: (file: File) => void, refuse: (sentence: string) => void): void {
  let depth = 0;
  const over = (by: number) => {
    depth = Math.max(0, depth + by);
    drop.classList.toggle("over", depth > 0);
  };
  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => holdsFiles(event) && over(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && over(-1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    over(-depth);
    const { dataTransfer } = event;
    const [file, ...others] = dataTransfer?.files ?? [];
    if (file === undefined) return;
    event.preventDefault();
    const folder = [...dataTransfer!.items].some((item) => item.webkitGetAsEntry()?.isDirectory);
    if (others.length > 0) refuse(`These are ${others.length + 1} files; drop one trace.`);
    else if (folder) refuse(`${file.name} is a directory; drop a trace file in it.`);
    else take(file);
  });
}
