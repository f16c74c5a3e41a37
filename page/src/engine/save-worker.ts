import type { Result, VaryResult } from "nestwalk";
import { csvOf, intervalRowsOf, type LongRow, parquetOf, rowsOf } from "nestwalk/data";
import { reportHtml } from "nestwalk/plot";
import plotlyUrl from "nestwalk/plotly.min.js?url";
import type { Answer, Kind, Save } from "./messages.js";

/** The worker that writes results: the bytes are those of the command line's files. */

addEventListener("message", async ({ data }: MessageEvent<Save>) => {
  const say = (answer: Answer) => postMessage(answer);
  try {
    say({ is: "content", content: new Blob([await WRITERS[data.kind](data.result)]) });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    say({ is: "failure", name, message });
  }
});

type Outcome = Result | VaryResult;

/** What rows are made of. */
const settings = (outcome: Outcome) => ("points" in outcome ? outcome.points : outcome);

const WRITERS: Record<Kind, (outcome: Outcome) => BlobPart | Promise<BlobPart>> = {
  json: (result) => `${JSON.stringify(result, null, 2)}\n`,
  csv: (result) => csvOf(rowsOf(settings(result))),
  "intervals.csv": (result) => csvOf(intervalRowsOf(settings(result))),
  parquet: (result) => parquet(rowsOf(settings(result)), result),
  "intervals.parquet": (result) => parquet(intervalRowsOf(settings(result)), result),
  html: async (result) => {
    const response = await fetch(plotlyUrl).catch(() => {
      throw new Error("the figures' script cannot be loaded: the server does not answer");
    });
    if (!response.ok)
      throw new Error(`the figures' script cannot be loaded: the server answers ${response.status}`);
    return reportHtml({ result, plotly: await response.text() });
  },
};

function parquet(rows: Iterable<LongRow>, { nestwalk, config }: Outcome): BlobPart {
  return new Uint8Array(parquetOf(rows, { nestwalk, config: JSON.stringify(config) }));
}
