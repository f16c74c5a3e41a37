/** What needs Node: files, and a browser to draw with. Everything else is in `nestwalk`. */
export { BrowserError } from "./node/browser/chromium.js";
export { plotlySource } from "./node/browser/plotly.js";
export { type PngFigure, type PngOptions, renderPng } from "./node/browser/render-png.js";
export { openFile, writeFileAtomic } from "./node/files.js";
export { type PoolOptions, runTasks } from "./node/pool.js";
