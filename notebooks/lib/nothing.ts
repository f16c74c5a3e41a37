/** To be displayed where there is nothing to show: a cell that displays nothing keeps what it showed before. */
export function nothing(): Node {
  return document.createTextNode("");
}
