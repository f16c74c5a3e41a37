/** In a notebook elsewhere: import ... from "npm:nestwalk/plot". */
export * from "nestwalk/plot";
