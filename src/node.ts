/** What needs Node: files. Everything else is in `nestwalk`. */
export { openFile, writeFileAtomic } from "./node/files.js";
