/** A button that saves what `content` gives. */
export function download(name: string, type: string, content: () => BlobPart): HTMLElement {
  const button = document.createElement("button");
  button.textContent = `Download ${name}`;
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content()], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
  return button;
}
